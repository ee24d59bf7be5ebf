"""Reports of the sampler as plain stacks, and services under it in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.profiles.stacks import stacks_of
from workbench.profilers.sampler.files import Snapshot, key_of, snapshot_of
from workbench.profiles.columns import self_
from workbench.profiles.model import Profile
from workbench.profiles.read import read_flamegraph, read_pprof

# a child's source begins with this
WORK = """
import asyncio, os, random, signal, sys, threading, time
from workbench.profilers.sampler import setup_profiling

chance = random.Random(1)

def spin(seconds):
    begin = time.thread_time()
    while (used := time.thread_time() - begin) < seconds:
        pass
    return used
"""


def snapshots(folder: Path) -> list[Snapshot]:
    """All reports of one process in a folder, in order."""
    keys = [key for path in folder.iterdir() if (key := key_of(path.name)) and path.suffix == ".pb"]
    return [snapshot_of(folder, key) for key in sorted(keys, key=lambda key: int(key.rsplit("-", 1)[1]))]


def by_thread(pb: Path) -> Counter[tuple[str, ...]]:
    """Samples of each stack of a .pb: thread first, then functions from the root to the leaf."""
    profile = read_pprof(pb)
    found: Counter[tuple[str, ...]] = Counter()
    for path, labels, count in labelled(profile):
        found[labels["thread"], *path] += count
    return found


def labelled(profile: Profile) -> Iterator[tuple[tuple[str, ...], dict[str, str], int]]:
    """Path, labels and count of each sample."""
    if profile.samples.empty:
        return
    parent = profile.nodes["parent_id"].tolist()
    frame = profile.nodes["frame_id"].tolist()
    names = profile.frames["raw_function"].tolist()
    labels: dict[int, dict[str, str]] = {}
    for number, key, value in profile.tags[["tags_id", "key", "value"]].itertuples(index=False):
        labels.setdefault(number, {})[key] = value
    for node, tags, count in profile.samples[["node_id", "tags_id", self_("samples")]].itertuples(index=False):
        path = []
        while node >= 0:
            path.append(names[frame[node]])
            node = parent[node]
        yield tuple(reversed(path)), labels.get(tags, {}), int(count)


def drawn(svg: Path) -> Counter[tuple[str, ...]]:
    """The same from a .svg."""
    return Counter({path: int(count) for path, count in stacks_of(read_flamegraph(svg)).items()})


def share(found: Counter[tuple[str, ...]], function: str) -> float:
    """The share of samples with a function of that name (without module) in their stack."""
    having = sum(n for path, n in found.items() if any(name.rpartition(".")[2] == function for name in path))
    return having / max(1, found.total())


def run(source: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a child to its end."""
    command = [sys.executable, "-c", WORK + source, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done


@contextmanager
def service(source: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A child that says a line when it is ready, and is killed at the end."""
    command = [sys.executable, "-c", WORK + source, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", child.stderr and child.stderr.read()
            yield child
        finally:
            child.kill()
