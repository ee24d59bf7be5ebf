"""Heap profiles of jemalloc: against jeprof on files made here, cuts, what is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from math import expm1
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.samples import beside
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_jemalloc, read_profile
from workbench.profiles.tree import MAX_DEPTH

PROGRAM = """
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
static inline __attribute__((always_inline)) void *inner(size_t n) { void *p = malloc(n); memset(p, 1, n); return p; }
__attribute__((noinline)) void *grab(size_t n) { return inner(n); }
__attribute__((noinline)) void hold(int k) { for (int i = 0; i < k; i++) grab(1000 + i); }
__attribute__((noinline)) void drop(int k) { for (int i = 0; i < k; i++) free(grab(5000)); }
__attribute__((noinline)) void deeper(int k) { if (k) deeper(k - 1); else hold(100); }
void *work(void *ignored) { hold(300); drop(50); return 0; }
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, work, 0);
  pthread_join(thread, 0);
  hold(1000); drop(200); deeper(5);
  return 0;
}
"""
OPTIONS = {
    "plain": "lg_prof_sample:17",
    "accumulated": "lg_prof_sample:12,prof_accum:true",
    "every": "lg_prof_sample:0,prof_accum:true",
}
METRICS = ("inuse_objects", "inuse_space", "alloc_objects", "alloc_space")
HEAD = b"heap_v2/524288\n  t*: 3: 300 [0: 0]\n  t7: 3: 300 [0: 0] worker\n"
STACKS = HEAD + b"@ 0x55d000001234 0x55d000005678\n  t*: 3: 300 [0: 0]\n"
NAMED = b"--- symbol\nbinary=app\n0x55d000001234 main\n---\n"
HUGE = b"@ 0x1\n  t*: 900000000000000000: 900000000000000000 [0: 0]\n"
MAPPED = b"\nMAPPED_LIBRARIES:\n55d000000000-55d000010000 r-xp 00000000 fe:00 1 /srv/app\n"


def library() -> Path | None:
    """jemalloc as Debian builds it, which has profiling."""
    return next(iter(sorted(Path("/usr/lib").glob("*/libjemalloc.so.2"))), None)


needs_jemalloc = pytest.mark.skipif(
    library() is None or not all(map(shutil.which, ("gcc", "jeprof"))),
    reason="gcc, jeprof or jemalloc is not installed",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, its dump with each of OPTIONS, and each with the names that jeprof finds."""
    folder = tmp_path_factory.mktemp("jemalloc")
    (folder / "app.c").write_text(PROGRAM)
    subprocess.run(
        ["gcc", "-g", "-O1", "-fno-optimize-sibling-calls", "-pthread", "-o", "app", "app.c"], cwd=folder, check=True
    )
    for name, options in OPTIONS.items():
        conf = f"prof:true,prof_final:true,{options},prof_prefix:{name}"
        subprocess.run(["./app"], cwd=folder, check=True, env={"LD_PRELOAD": str(library()), "MALLOC_CONF": conf})
        (dump,) = folder.glob(f"{name}.*.heap")
        dump = dump.rename(folder / f"{name}.heap")
        # jeprof ends with an error: it writes the names, and not the profile behind them
        symbols = subprocess.run(["jeprof", "--raw", "./app", dump.name], cwd=folder, capture_output=True, check=False)
        (folder / f"{name}.named.heap").write_bytes(symbols.stdout + dump.read_bytes())
    return folder


def jeprof(folder: Path, named: str, metric: str) -> tuple[int, dict[str, tuple[int, int]]]:
    """The total that jeprof says, and self and total of each function."""
    command = ["jeprof", "--text", "--show_bytes", f"--{metric}", "--nodecount=9999", "--nodefraction=0", named]
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    head = re.search(r"Total: (\d+)", text)
    assert head is not None
    rows = {}
    for line in text.splitlines():
        if match := re.match(r" *(-?\d+) +[-\d.]+% +[-\d.]+% +(-?\d+) +[-\d.]+% (.+)", line):
            rows[match[3].removesuffix(" (inline)")] = (int(match[1]), int(match[2]))
    return int(head[1]), rows


def short(name: str) -> str:
    """A name as jeprof shows it: without argument list."""
    return re.sub(r"\([^()]*\)", "", name)


@needs_jemalloc
@pytest.mark.parametrize("name", OPTIONS)
def test_every_function_costs_what_jeprof_says(folder: Path, name: str) -> None:
    profile = read_profile(folder / f"{name}.named.heap")
    assert profile.format == "jemalloc"
    assert set(profile.metric_names) == set(METRICS if "accum" in OPTIONS[name] else METRICS[:2])
    for metric in profile.metric_names:
        total, rows = jeprof(folder, f"{name}.named.heap", metric)
        # a stack is rounded to whole bytes here, a function's sum there
        tolerance = profile.meta["stacks"]
        assert abs(profile.total(metric) - total) <= tolerance
        ours = {short(row.name): (row.self, row.total) for row in profile.top(metric, by="name").itertuples()}
        assert rows
        for function, (own, whole) in rows.items():
            assert abs(ours[function][0] - own) <= tolerance, function
            assert abs(ours[function][1] - whole) <= tolerance, function
        assert {function for function, (_, whole) in ours.items() if whole > tolerance} <= set(rows)


@needs_jemalloc
def test_what_is_inlined_is_said(folder: Path) -> None:
    frames = read_profile(folder / "every.named.heap").frames
    assert set(frames.loc[frames["inlined"], "function"]) == {"inner"}
    assert {"grab", "hold", "drop", "main", "work"} <= set(frames.loc[~frames["inlined"], "function"])


@needs_jemalloc
def test_without_names_a_place_is_its_offset_in_the_mapped_file(folder: Path) -> None:
    """The offset is what addr2line takes, and the call's own line is found with it."""
    profile = read_profile(folder / "every.heap")
    named = read_profile(folder / "every.named.heap")
    assert [profile.total(name) for name in METRICS] == [named.total(name) for name in METRICS]
    assert any("jeprof --raw" in note.what for note in profile.notes)
    own = [label for label in profile.functions["function"] if label.startswith("app+0x")]
    command = ["addr2line", "-f", "-e", "app", *(label.partition("+")[2] for label in own)]
    lines = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"main", "hold", "drop", "deeper", "work"} <= set(lines[::2])
    calls = [
        line.rpartition("/")[2].partition(" ")[0]
        for name, line in zip(lines[::2], lines[1::2], strict=True)
        if name == "hold"
    ]
    assert set(calls) == {
        f"app.c:{PROGRAM.splitlines().index(next(row for row in PROGRAM.splitlines() if 'void hold' in row)) + 1}"
    }
    assert not any("libjemalloc" in label for label in profile.functions["function"])


@needs_jemalloc
def test_threads_are_told_as_sampled(folder: Path) -> None:
    profile = read_profile(folder / "every.heap")
    threads = profile.tables["threads"]
    assert threads["thread"].tolist() == [0, 1]
    assert threads["sampled_inuse_objects"].sum() == profile.total("inuse_objects")


@needs_jemalloc
def test_a_file_cut_at_any_byte_keeps_the_stacks_that_are_whole(folder: Path) -> None:
    data = (folder / "accumulated.heap").read_bytes()
    third = [match.start() for match in re.finditer(rb"^@", data, re.MULTILINE)][3]
    data = data[:third] + data[data.index(b"\nMAPPED_LIBRARIES:") :]
    ends = [match.end() for match in re.finditer(rb"^@.*\n  t\*: .*\]", data, re.MULTILINE)]
    mapped = data.index(b"MAPPED_LIBRARIES:") + len("MAPPED_LIBRARIES:")
    read = 0
    for end in [*range(1, mapped + 20), *range(mapped + 20, len(data), 97)]:
        whole = sum(stop <= end for stop in ends)
        if not whole:
            with pytest.raises(
                ReadError, match=r"cut off (?:in its first line|before its first complete stack)|no known profile"
            ):
                read_profile(data[:end])
            continue
        profile = read_profile(data[:end], format="jemalloc")
        assert profile.meta["stacks"] == whole
        assert any("cut off" in note.what for note in profile.notes) == (end < mapped), end
        read += 1
    assert read > 100


@needs_jemalloc
def test_names_cut_off_are_refused_and_a_cut_behind_them_is_as_without(folder: Path) -> None:
    data = (folder / "every.named.heap").read_bytes()
    start = data.index(b"--- heap\n") + len(b"--- heap\n")
    whole = read_profile(data)
    for end in range(20, start, 7):
        with pytest.raises(ReadError, match="cut off"):
            read_profile(data[:end])
    cut = read_profile(data[: data.index(b"MAPPED_LIBRARIES")])
    assert cut.total() == whole.total()
    assert any("cut off" in note.what for note in cut.notes)


rows = st.lists(
    st.tuples(
        st.lists(st.integers(1, 2**40), min_size=1, max_size=5),
        st.lists(st.integers(0, 10**6), min_size=4, max_size=4),
    ),
    min_size=1,
    max_size=10,
)


def written(stacks: Sequence[tuple[list[int], list[int]]], period: int, end: str = "\n") -> bytes:
    """A dump as jemalloc writes it."""
    lines = [f"heap_v2/{period}", "  t*: 1: 1 [1: 1]"]
    for addresses, (a, b, c, d) in stacks:
        lines += ["@ " + " ".join(map(hex, addresses)), f"  t*: {a}: {b} [{c}: {d}]", f"  t1: {a}: {b} [{c}: {d}]"]
    return end.join([*lines, "", "MAPPED_LIBRARIES:", ""]).encode()


@given(rows, st.integers(0, 2**24), st.sampled_from(["\n", "\r\n"]))
def test_figures_are_those_of_the_formula(stacks: list[tuple[list[int], list[int]]], period: int, end: str) -> None:
    profile = read_jemalloc(written(stacks, period, end))
    for at, metric in enumerate(METRICS[: len(profile.metrics)]):
        expected = 0.0
        for _, counts in stacks:
            objects, size = counts[at // 2 * 2 : at // 2 * 2 + 2]
            seen = -expm1(-size / objects / period) if objects and size and period else 1.0
            expected += round(counts[at] / seen)
        assert profile.total(metric) == pytest.approx(expected, rel=1e-9, abs=1)


def tops(profile: Profile) -> dict[str, int]:
    return {row.name: row.self for row in profile.top().itertuples()}


def test_the_reported_file() -> None:
    profile = read_profile(beside("reported/jemalloc.heap"))
    assert profile.format == "jemalloc"
    assert (profile.total("inuse_objects"), profile.total("inuse_space")) == (15_730, 1_573_014)


def test_addresses_behind_calls_are_taken_back_by_one() -> None:
    profile = read_profile(STACKS + MAPPED)
    assert tops(profile) == {"app+0x1234": 1_573_014, "app+0x5677": 0}
    assert profile.total("inuse_objects") == 15_730
    assert profile.tables["threads"].to_dict("records") == [
        {
            "thread": 7,
            "name": "worker",
            "sampled_inuse_objects": 3,
            "sampled_inuse_space": 300,
            "sampled_alloc_objects": 0,
            "sampled_alloc_space": 0,
        }
    ]


def test_offsets_count_from_where_the_file_begins() -> None:
    """Code is mapped behind the file's head, often not at its offset; deleted files keep their name."""
    maps = (
        b"\nMAPPED_LIBRARIES:\n55cfff000000-55cfff001000 r--p 00000000 fe:00 1 /srv/a b (deleted)\n"
        b"55d000000000-55d000010000 r-xp 00002000 fe:00 1 /srv/a b (deleted)\n"
    )
    assert list(tops(read_profile(STACKS + maps))) == ["a b+0x1001234", "a b+0x1005677"]
    assert list(tops(read_profile(STACKS + b"\nMAPPED_LIBRARIES:\n"))) == ["0x55d000001234", "0x55d000005677"]


def test_what_wrapped_around_is_left_out_and_said() -> None:
    """A known fault of jemalloc: counts below zero are written as 64 bits."""
    more = b"@ 0x1 0x2\n  t*: 18446744073709551615: 18446744073709551515 [0: 0]\n"
    profile = read_profile(STACKS + more + MAPPED)
    assert profile.total("inuse_objects") == 15_730
    (note,) = [note for note in profile.notes if "not whole" in note.what]
    assert note.where == "<bytes>:6"


def test_a_program_that_allocated_nothing_since() -> None:
    profile = read_profile(b"heap_v2/524288\n  t*: 0: 0 [0: 0]\n" + MAPPED)
    assert profile.total() == 0
    assert any("nothing was sampled" in note.what for note in profile.notes)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"heap_v2/5242", r"<bytes>:1: the file was cut off in its first line"),
        (b"heap_v2/all\n" + STACKS, r"expected heap_v2/ and the sampling period"),
        (b"heap_v2/524288\n", "cut off before its first complete stack"),
        (HEAD + HUGE * 12 + MAPPED, "64 bits"),
        (NAMED + b"--- profile\n\0\0", "followed by '--- profile'.*pprof -proto"),
        (NAMED + b"--- heap\nheap profile: 1: 2 [3: 4] @ heapprofile\n", "gperftools.*pprof -proto"),
        (NAMED[:30], r"cut off in the symbols.*jeprof --raw"),
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ReadError, match=said):
        read_jemalloc(data)


def test_names_of_many_inlined_calls_are_cut_as_deep_stacks_are() -> None:
    name = b"--".join([b"f"] * 3000)
    stack = b"@ " + b" ".join([b"0x1001"] * 300) + b"\n  t*: 1: 10 [0: 0]\n"
    data = b"--- symbol\n0x1000 " + name + b"\n---\n--- heap\nheap_v2/1\n  t*: 1: 10 [0: 0]\n" + stack + MAPPED
    profile = read_jemalloc(data)
    assert len(profile.nodes) == MAX_DEPTH
    assert any("deeper" in note.what and note.weight == 10 for note in profile.notes)


def test_deep_stacks_are_cut_at_the_leaf() -> None:
    deep = b"@ " + b" ".join(b"0x%x" % (address + 16) for address in range(11_000)) + b"\n  t*: 1: 10 [0: 0]\n"
    profile = read_jemalloc(b"heap_v2/1\n  t*: 1: 10 [0: 0]\n" + deep + MAPPED)
    assert profile.total() == 10
    assert any("deeper" in note.what and note.weight == 10 for note in profile.notes)
    assert profile.nodes["depth"].max() == 9_999
