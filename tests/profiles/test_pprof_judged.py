"""Go's pprof judges what our reader of its format finds."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.profiles.pprof_encoding import Call, Sample, encode
from tests.profiles.test_pprof import CPU, DEEP, read
from workbench.profiles.exports.pprof import to_pprof
from workbench.profiles.model import Profile
from workbench.profiles.transforms import select
from workbench.profiles.views.top import top


def go_pprof() -> str:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed, so there is no pprof to compare with")
    found = subprocess.run([go, "tool", "-n", "pprof"], capture_output=True, text=True)
    path = found.stdout.strip()
    if found.returncode or not Path(path).exists():
        pytest.skip("this Go has no pprof tool")
    return path


def table_of(path: Path, profile: Profile, metric: str) -> dict[str, tuple[int, int]]:
    """Flat and cum of each function by ``pprof -top``, in the smallest unit."""
    return _table_in(path, metric, {"ns": "ns", "bytes": "B"}.get(profile.metric(metric).unit, "minimum"))


@cache
def _table_in(path: Path, metric: str, unit: str) -> dict[str, tuple[int, int]]:
    out = subprocess.run(
        [go_pprof(), "-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-symbolize=none",
         f"-sample_index={metric}", f"-unit={unit}", str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = re.findall(r"^ *(-?\d+)[a-zA-Z]* +\S+ +\S+ +(-?\d+)[a-zA-Z]* +\S+ +(.*)$", out, re.MULTILINE)
    return {re.sub(r" \((?:partial-)?inline\)$", "", name): (int(flat), int(cum)) for flat, cum, name in rows}


def ours_of(profile: Profile, metric: str) -> dict[str, tuple[int, int]]:
    table = top(profile, metric, by="name")
    return {
        name: (int(own), int(total))
        for name, own, total in table[["name", "self", "total"]].itertuples(index=False)
        if own or total
    }


PROGRAM = """
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

var sink [][]byte
var total int

func leaf(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += i % 7
	}
	return sum
}

func recurse(depth, work int) int {
	if depth == 0 {
		return leaf(work)
	}
	return recurse(depth-1, work) + leaf(work/8)
}

func main() {
	runtime.MemProfileRate = 1024
	cpu, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(cpu)
	until := time.Now().Add(1500 * time.Millisecond)
	for time.Now().Before(until) {
		for _, kind := range []string{"deep", "flat"} {
			pprof.Do(context.Background(), pprof.Labels("kind", kind), func(context.Context) {
				total += recurse(len(kind), 20000)
			})
		}
	}
	pprof.StopCPUProfile()
	cpu.Close()
	for i := 0; i < 200; i++ {
		sink = append(sink, []byte(strings.Repeat("x", 64*1024)))
	}
	heap, _ := os.Create(os.Args[2])
	pprof.WriteHeapProfile(heap)
	heap.Close()
}
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Profiles a Go program makes of itself now."""
    go_pprof()
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(PROGRAM)
    subprocess.run(["go", "build", "-o", "program", "main.go"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["./program", "cpu.pb.gz", "heap.pb.gz"], cwd=folder, check=True)
    return {"cpu": folder / "cpu.pb.gz", "heap": folder / "heap.pb.gz"}


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("cpu", "samples"), ("cpu", "cpu"), ("heap", "alloc_objects"), ("heap", "alloc_space"), ("heap", "inuse_space")],
)
def test_flat_and_cum_of_each_function_are_those_of_pprof(kind: str, metric: str, recorded: dict[str, Path]) -> None:
    profile = read(recorded[kind])
    theirs = table_of(recorded[kind], profile, metric)
    assert theirs
    assert ours_of(profile, metric) == theirs


def test_labels_are_those_of_pprof(recorded: dict[str, Path]) -> None:
    out = subprocess.run(
        [go_pprof(), "-traces", "-symbolize=none", "-sample_index=samples", str(recorded["cpu"])],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    theirs: Counter[tuple[str, str]] = Counter()
    for block in re.split(r"^-+\+-+$", out, flags=re.MULTILINE)[1:]:
        label = re.search(r"kind: +(\w+)", block)
        row = re.search(r"^ +(\d+) +(.*)$", block, re.MULTILINE)
        if row:
            leaf = re.sub(r" \((?:partial-)?inline\)$", "", row[2])
            theirs[label[1] if label else "", leaf] += int(row[1])
    profile = read(recorded["cpu"])
    value = dict(zip(profile.tags["tags_id"], profile.tags["value"], strict=True))
    leaf_of = profile.frames["function"].to_numpy()[profile.nodes["frame_id"].to_numpy()]
    ours: Counter[tuple[str, str]] = Counter()
    for node, tags, count in profile.samples[["node_id", "tags_id", "self_samples"]].itertuples(index=False):
        ours[value.get(tags, ""), leaf_of[node]] += count
    assert ours == theirs
    assert {kind for kind, _ in theirs} >= {"deep", "flat"}


@pytest.mark.parametrize("kind", ["cpu", "heap"])
def test_pprof_takes_what_we_export_and_finds_the_same(kind: str, recorded: dict[str, Path], tmp_path: Path) -> None:
    profile = read(recorded[kind])
    path = tmp_path / "exported.pb.gz"
    path.write_bytes(to_pprof(profile))
    for metric in profile.metric_names:
        assert table_of(path, profile, metric) == table_of(recorded[kind], profile, metric)
    raw = subprocess.run([go_pprof(), "-raw", str(path)], capture_output=True, text=True, check=True).stdout
    assert f"{sum(profile.frames['object'] != '') > 0:d}: " in raw.partition("Mappings\n")[2]


def test_pprof_drops_the_same_frames(tmp_path: Path) -> None:
    path = tmp_path / "drop.pb"
    path.write_bytes(encode(CPU, DEEP, texts={7: r"drop\..*|app\.a", 8: r"app\.x"}))
    profile = read(path)
    assert ours_of(profile, "cpu") == table_of(path, profile, "cpu")


LABELLED = [
    Sample(
        ((Call(f"crate::{name}(int)", f"prune{place}.rs", 1),), (Call("main", "main.rs", 2),)),
        (place + 1, 10 ** (place + 1)),
        labels,
    )
    for place, (name, labels) in enumerate(
        [
            ("a", (("kind", "deep water", ""), ("bytes", 16 * 1024, "bytes"))),
            ("b", (("kind", "flat", ""), ("bytes", 48 * 1024, "bytes"), ("zone", "deep", ""))),
            ("c", (("kind", "flatter", ""), ("took", 150, "milliseconds"))),
            ("d", (("zone", "north", ""), ("request", 64, ""))),
            ("e", ()),
            ("f", (("kind", "key=flat", ""), ("count", -7, ""), ("bytes", 1, "kilobytes"))),
        ]
    )
]


WANTED = (
    "flat", "^flat$", "kind:flat", "kind=flat", "kind=^flat$", "flat,deep", "kind=flat,deep", "zone=", "other=x",
    "bytes=16kb", "16kb", "16kb:32kb", ":64kb", "32kb:", "bytes=:32kb", "100ms:", "took=1s:", "took=150ms", "150",
    "took=100ms:1s", "64", "64b", "request=64b", "count=-7", ":-1", "1:2kb", "16kB:1MB", "bytes=1024:20000",
    "a.c=x", "kind=key=flat", "north|water", "0.1s",
)  # fmt: skip
FILTERS = [(option, wanted) for wanted in WANTED for option in ("tagfocus", "tagignore")]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of what is labelled."""
    path = tmp_path_factory.mktemp("labelled") / "labelled.pb"
    path.write_bytes(encode(CPU, LABELLED))
    return path


@pytest.fixture(scope="module")
def filtered(labelled: Path) -> dict[tuple[str, str], dict[str, tuple[int, int]]]:
    """The table of pprof under each filter, all by one process that is told one after the other."""
    commands = ["nodecount=0", "nodefraction=0", "edgefraction=0", "sample_index=samples"]
    for number, (option, wanted) in enumerate(FILTERS):
        commands += [f"{option}={wanted}", f"top > {labelled.with_name(str(number))}", f"{option}="]
    subprocess.run(
        [go_pprof(), "-symbolize=none", str(labelled)],
        input="\n".join([*commands, "quit", ""]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {}
    for number, (option, wanted) in enumerate(FILTERS):
        text = labelled.with_name(str(number)).read_text()
        # that it was told what was meant
        assert f"   {option}={wanted}\n" in text
        found[option, wanted] = _rows(text)
    return found


@pytest.mark.parametrize(("option", "wanted"), FILTERS)
def test_filters_of_labels_are_those_of_pprof(
    option: str, wanted: str, labelled: Path, filtered: dict[tuple[str, str], dict[str, tuple[int, int]]]
) -> None:
    ours = (select.tag_focus if option == "tagfocus" else select.tag_ignore)(read(labelled), wanted)
    assert ours_of(ours, "samples") == filtered[option, wanted]


@pytest.mark.parametrize("pattern", ["prune", "crate::a", r"int", r"c$", "main", "::[bd]$"])
def test_stacks_are_cut_where_pprof_cuts_them(pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "labelled.pb"
    deep = [Sample(((Call("inner(x)", "i.rs", 1),), *sample.stack), sample.values) for sample in LABELLED]
    path.write_bytes(encode(CPU, deep))
    assert ours_of(select.prune_from(read(path), pattern), "samples") == _selected(path, f"-prune_from={pattern}")


def _selected(path: Path, option: str) -> dict[str, tuple[int, int]]:
    """The table of pprof with one more option; empty where that leaves nothing."""
    out = subprocess.run(
        [go_pprof(), "-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-symbolize=none",
         "-sample_index=samples", option, str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    return _rows(out.stdout)


def _rows(text: str) -> dict[str, tuple[int, int]]:
    rows = re.findall(r"^ *(-?\d+) +\S+ +\S+ +(-?\d+) +\S+ +(.*)$", text, re.MULTILINE)
    return {name: (int(flat), int(cum)) for flat, cum, name in rows}
