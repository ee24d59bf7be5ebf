"""massif.out files: what the public files hold, what ms_print and msparser say of them, and what damage does."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.samples import needs_samples, sample
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.readers.massif import reader as massif
from workbench.profiles.readers.massif.places import BELOW_THRESHOLD, place_of
from workbench.profiles.readers.massif.trees import inlined_nodes, parents_by_count, parents_by_indent, stacks
from workbench.profiles.source import Source, open_source

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "profiles" / "demo-massif.out"
COUNTS = ("snapshot", "time", "heap_bytes", "heap_extra_bytes", "stacks_bytes")

SMALL = """desc: --time-unit=B --threshold=0.5
cmd: ./app 1
time_unit: B
#-----------
snapshot=0
#-----------
time=0
mem_heap_B=0
mem_heap_extra_B=0
mem_stacks_B=0
heap_tree=empty
#-----------
snapshot=1
#-----------
time=100
mem_heap_B=60
mem_heap_extra_B=8
mem_stacks_B=0
heap_tree=detailed
n2: 60 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.
 n2: 50 0x4A: app::grow::{closure#0} (app.rs:7)
  n0: 30 0x10: main (app.rs:2)
  n0: 20 0x11: (below main) (in /lib/libc.so)
 n0: 10 in 2 places, all below massif's threshold (0.50%)
#-----------
snapshot=2
#-----------
time=200
mem_heap_B=70
mem_heap_extra_B=9
mem_stacks_B=5
heap_tree=peak
n1: 70 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.
 n1: 70 0x4A: app::grow::{closure#0} (app.rs:7)
  n0: 70 0x10: main (app.rs:2)
"""


def read(text: str | bytes | Path, **options: Any) -> Profile:
    if isinstance(text, str):
        text = text.encode()
    return massif.read(open_source(text), **options)


def stack_bytes(profile: Profile, metric: str = "heap") -> Counter[tuple[str, ...]]:
    """Each stack, root first, with its bytes."""
    names = profile.frames["raw_function"].tolist()
    paths: list[tuple[str, ...]] = []
    out: Counter[tuple[str, ...]] = Counter()
    nodes = profile.nodes
    rows = zip(nodes["parent_id"].tolist(), nodes["frame_id"].tolist(), nodes[f"self_{metric}"].tolist(), strict=True)
    for parent, frame, own in rows:
        paths.append(((*paths[parent],) if parent >= 0 else ()) + (names[frame],))
        if own:
            out[paths[-1]] += own
    return out


def said(profile: Profile, words: str) -> bool:
    return any(words in note.what for note in profile.notes)


# what a file means


def test_snapshots_and_trees_are_as_the_file_has_them() -> None:
    profile = read(SMALL)
    table = profile.tables["snapshots"]
    assert table[list(COUNTS)].to_numpy().tolist() == [[0, 0, 0, 0, 0], [1, 100, 60, 8, 0], [2, 200, 70, 9, 5]]
    assert table["total_bytes"].tolist() == [0, 68, 84]
    assert table["kind"].tolist() == ["empty", "detailed", "peak"]
    heap = profile.tables["heap_trees"]
    assert heap["snapshot"].tolist() == [1] * 5 + [2] * 3
    assert heap["parent_id"].tolist() == [-1, 0, 1, 1, 0, -1, 5, 6]
    assert heap["depth"].tolist() == [0, 1, 2, 2, 1, 0, 1, 2]
    assert heap["bytes"].tolist() == [60, 50, 30, 20, 10, 70, 70, 70]
    assert heap["address"].tolist() == [0, 0x4A, 0x10, 0x11, 0, 0, 0x4A, 0x10]
    assert heap["places"].tolist() == [0, 0, 0, 0, 2, 0, 0, 0]
    assert heap["below_threshold"].tolist() == [False] * 4 + [True] + [False] * 3
    assert profile.meta["cmd"] == "./app 1"
    assert profile.meta["threshold_pct"] == 0.5
    assert profile.meta["detailed"] == [1, 2]


def test_the_tree_is_turned_to_caller_first() -> None:
    assert stack_bytes(read(SMALL)) == {("main", "app::grow::{closure#0}"): 70}
    profile = read(SMALL, snapshot=1)
    grow = "app::grow::{closure#0}"
    assert stack_bytes(profile) == {("main", grow): 30, ("(below main)", grow): 20, (BELOW_THRESHOLD,): 10}
    frame = profile.frames.set_index("raw_function")
    assert tuple(frame.loc[grow, ["file", "line", "crate"]]) == ("app.rs", 7, "app")
    assert frame.loc["(below main)", "object"] == "/lib/libc.so"
    assert profile.total() == 60
    assert any(note.weight == 10 and BELOW_THRESHOLD in note.what for note in profile.notes)


def test_the_snapshot_can_be_chosen() -> None:
    without_peak = SMALL.replace("heap_tree=peak", "heap_tree=detailed")
    assert read(SMALL).meta["nodes_why"] == "massif's peak"
    assert read(without_peak).meta["nodes_snapshot"] == 2
    assert "no peak" in read(without_peak).meta["nodes_why"]
    assert read(SMALL, snapshot="last").meta["nodes_snapshot"] == 2
    with pytest.raises(ReadError, match="Snapshots with one: 1, 2"):
        read(SMALL, snapshot=0)
    with pytest.raises(ReadError, match="'peak'"):
        read(without_peak, snapshot="peak")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0x4A: main (a.c:5)", ("main", "a.c", 5, "", 0x4A)),
        ("0x4A: main (/src/a (b).c:5)", ("main", "/src/a (b).c", 5, "", 0x4A)),
        ("0x4A: main (in /opt/x (y)/lib)", ("main", "", 0, "/opt/x (y)/lib", 0x4A)),
        ("0x4A: f(int) const (in ???)", ("f(int) const", "", 0, "", 0x4A)),
        ("0x4A: ???", ("???", "", 0, "", 0x4A)),
        ("0x4A: ??? (in /lib/a.so)", ("???", "", 0, "/lib/a.so", 0x4A)),
        ("0x4A: N::operator()(char const*, (anonymous)) (q.h:9)", ("N::operator()(char const*, (anonymous))", "q.h", 9,
                                                                   "", 0x4A)),
        ("0x4A: a::{closure#1} (b.rs:3)", ("a::{closure#1}", "b.rs", 3, "", 0x4A)),
        ("0xFFFFFFFFFF600000: f (a.c:1)", ("f", "a.c", 1, "", 0xFFFFFFFFFF600000)),
        ("0x4A: f (g)", ("f (g)", "", 0, "", 0x4A)),
        ("0x4A: f (a.c:99999999999999999999)", ("f (a.c:99999999999999999999)", "", 0, "", 0x4A)),
    ],
)  # fmt: skip
def test_a_tree_line_is_taken_apart_from_its_end(text: str, expected: tuple[Any, ...]) -> None:
    place = place_of(text)
    assert (place.function, place.file, place.line, place.object, place.address) == expected


@pytest.mark.parametrize(
    ("text", "places", "threshold"),
    [
        ("in 3 places, all below massif's threshold (0.50%)", 3, 0.5),
        ("in 803 places, all below massif's threshold (01.00%)", 803, 1.0),
        ("in 1 place, below massif's threshold (1.00%)", 1, 1.0),
    ],
)
def test_lines_below_the_threshold(text: str, places: int, threshold: float) -> None:
    place = place_of(text)
    assert (place.function, place.places, place.threshold_pct) == (BELOW_THRESHOLD, places, threshold)


def test_inlined_frames_share_an_address_and_the_last_is_the_function() -> None:
    def inlined(address: list[int], text: list[int]) -> list[bool]:
        parent = np.arange(-1, len(address) - 1)
        return inlined_nodes(
            parent, np.array(address, dtype=np.uint64), np.ones(len(address), bool), np.array(text)
        ).tolist()

    assert inlined([0, 7, 7, 7, 8], [0, 1, 2, 3, 4]) == [False, True, True, False, False]
    # a recursive call has the same address and the same text: each is a real function
    assert inlined([0, 7, 7, 7], [0, 1, 1, 1]) == [False, False, False, False]
    assert inlined([0, 7, 7, 7, 7], [0, 1, 2, 1, 2]) == [False, True, False, True, False]


def test_a_command_with_line_breaks_is_read_to_its_end() -> None:
    profile = read(SMALL.replace("cmd: ./app 1", "cmd: ./app a\ntime_unit: no\n\n# b"))
    assert profile.meta["cmd"] == "./app a\ntime_unit: no\n\n# b"
    assert profile.meta["time_unit"] == "B"
    assert said(profile, "line breaks")


def test_an_xtree_file_has_a_metric_a_snapshot() -> None:
    block = (
        "#-----------\nsnapshot={0}\n#-----------\ntime=5\nmem_heap_B={1}\nmem_heap_extra_B=0\nmem_stacks_B=0\n"
        "heap_tree=detailed\nn1: {1} {2}\n n2: {1} 0x1: f (a.c:1)\n  n0: {3} 0x2: g (a.c:2)\n  n0: {4} 0x3: h (a.c:3)\n"
    )
    text = "desc: xtree.produce_report\ncmd: ./a\ntime_unit: ms\n" + "".join(
        (
            block.format(0, 5, "curB : currently allocated Bytes", 5, 0),
            block.format(1, 3, "totBk : total allocated Blocks", 1, 2),
        )
    )
    profile = read(text)
    assert [(metric.name, metric.unit) for metric in profile.metrics] == [("curB", "bytes"), ("totBk", "count")]
    assert stack_bytes(profile, "curB") == {("g", "f"): 5}
    assert stack_bytes(profile, "totBk") == {("g", "f"): 1, ("h", "f"): 2}
    assert profile.total("curB") == 5


# the public files


@needs_samples
@pytest.mark.parametrize(
    ("name", "snapshots", "trees", "total"),
    [
        ("generated__service-flags.out", 54, 7, 1_128_767),
        ("generated__pages-as-heap.out", 62, 8, 212_602_880),
        ("massif-visualizer__massif.out.32406", 2, 0, 0),
        ("massif-visualizer__massif.out.huge", 1, 0, 0),
        ("massif-visualizer__massif.out.kate", 74, 36, 28_196_463),
        ("massif-visualizer__massif.out.kate3", 66, 21, 19_742_078),
        ("massif-visualizer__massif.out.stack", 72, 72, 0),
        ("msparser__massif.out.0", 17, 2, 32_000),
        ("msparser__massif.out.1", 15, 1, 29),
        ("msparser__massif.out.2", 24, 1, 296),
    ],
)
def test_public_files_add_up(name: str, snapshots: int, trees: int, total: int) -> None:
    profile = read(sample(f"massif/{name}"))
    assert len(profile.tables["snapshots"]) == snapshots
    assert len(profile.meta["detailed"]) == trees
    assert profile.total() == total
    assert not said(profile, "add up")
    assert not said(profile, "mem_heap_B")
    heap = profile.tables["heap_trees"]
    tops = heap[heap["parent_id"] < 0].set_index("snapshot")["bytes"]
    heaps = profile.tables["snapshots"].set_index("snapshot")["heap_bytes"]
    assert tops.to_dict() == heaps[tops.index].to_dict()


@needs_samples
def test_values_of_more_than_32_bits() -> None:
    table = read(sample("massif/massif-visualizer__massif.out.huge")).tables["snapshots"]
    assert table["total_bytes"].tolist() == [5021305210 + 5021305211 + 5021305212]


@needs_samples
def test_the_services_file_shows_inlining() -> None:
    profile = read(sample("massif/generated__service-flags.out"))
    heap, frames = profile.tables["heap_trees"], profile.frames
    first = heap[heap["address"] == 0x125A6D].head(11)
    assert first["inlined"].tolist() == [True] * 10 + [False]
    assert (
        frames["raw_function"].iat[int(first["frame_id"].iloc[-1])] == "hashbrown::raw::RawTable<T,A>::reserve_rehash"
    )
    assert frames["inlined"].iloc[first["frame_id"]].tolist() == first["inlined"].tolist()


@needs_samples
def test_the_xtree_file_gives_all_its_metrics() -> None:
    profile = read(sample("massif/generated__xtree.ms"))
    assert {metric.name: profile.total(metric.name) for metric in profile.metrics} == {
        "curB": 544, "curBk": 1, "totB": 113346, "totBk": 90, "totFdB": 112802, "totFdBk": 89,
    }  # fmt: skip


@needs_samples
@pytest.mark.parametrize(
    "name",
    ["massif-visualizer__massif.out.kate.print"]
    + [f"valgrind__{name}.post.exp" for name in ("deep-D", "inlinfomalloc", "long-names", "peak", "thresholds_10_10")],
)
def test_a_report_of_ms_print_is_refused_by_name(name: str) -> None:
    source = open_source(sample(f"massif/{name}"))
    assert massif.recognise(source)
    with pytest.raises(ReadError, match=r"ms_print's report.*Give the massif.out file"):
        massif.read(source)


@needs_samples
def test_other_formats_are_left_alone() -> None:
    for folder in ("callgrind", "strace", "svg", "folded", "pprof"):
        for path in sample(folder).iterdir():
            if path.stat().st_size:
                assert massif.recognise(Source(path.read_bytes()[:200_000], path.name)) is None, path.name
    assert massif.recognise(Source(b"desc: I1 cache: 32768 B\ncmd: ./a\nevents: Ir\n", "cachegrind.out")) is None


# generated files

names = st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=("Cs",)), min_size=1, max_size=20)
locations = st.one_of(
    st.just(""),
    st.builds(
        lambda name, line: f" ({name}:{line})", st.sampled_from(["a.c", "b (c).rs", "ü.cpp"]), st.integers(1, 9999)
    ),
    st.sampled_from([" (in /lib/x.so)", " (in ???)"]),
)
frame_lines = st.builds(
    lambda address, name, location: f"0x{address:X}: {name}{location}", st.integers(0, 2**64 - 1), names, locations
)
trees: Any = st.recursive(
    st.tuples(frame_lines, st.integers(0, 2**40)),
    lambda below: st.tuples(frame_lines, st.lists(below, min_size=1, max_size=3)),
    max_leaves=12,
)


def held_by(tree: Any) -> int:
    return tree[1] if isinstance(tree[1], int) else sum(map(held_by, tree[1]))


def lines_of(tree: Any, depth: int = 0) -> list[tuple[int, int, int, str]]:
    """Depth, number of children, bytes and text of each line."""
    below = [] if isinstance(tree[1], int) else tree[1]
    own = [(depth, len(below), held_by(tree), tree[0])]
    return own + [line for child in below for line in lines_of(child, depth + 1)]


def callers(tree: Any, inner: tuple[str, ...] = ()) -> Counter[tuple[str, ...]]:
    """Each stack of a tree, root first."""
    here = (place_of(tree[0]).function, *inner)
    if isinstance(tree[1], int):
        return Counter({here: tree[1]} if tree[1] else {})
    out: Counter[tuple[str, ...]] = Counter()
    for child in tree[1]:
        out.update(callers(child, here))
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(trees, min_size=1, max_size=3), min_size=1, max_size=3), st.booleans())
def test_a_generated_file_comes_back(forest: list[list[Any]], indented: bool) -> None:
    text = "desc: (none)\ncmd: ./a\ntime_unit: i\n"
    expected = []
    for number, tops in enumerate(forest):
        tree = ("(heap allocation functions) malloc/new/new[], --alloc-fns, etc.", tops)
        lines = lines_of(tree)
        expected += [(number, depth, held) for depth, _, held, _ in lines]
        text += f"#-----------\nsnapshot={number}\n#-----------\ntime={number}\nmem_heap_B={held_by(tree)}\n"
        text += "mem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=detailed\n"
        text += "".join(f"{' ' * depth * indented}n{count}: {held} {said}\n" for depth, count, held, said in lines)
    profile = read(text, snapshot=len(forest) - 1)
    heap = profile.tables["heap_trees"]
    assert list(heap[["snapshot", "depth", "bytes"]].itertuples(index=False, name=None)) == expected
    wanted: Counter[tuple[str, ...]] = Counter()
    for tree in forest[-1]:
        wanted.update(callers(tree))
    assert stack_bytes(profile) == wanted
    assert profile.total() == sum(map(held_by, forest[-1]))
    assert not said(profile, "add up")


@settings(max_examples=100, deadline=None)
@given(trees)
def test_indentation_and_numbers_of_children_give_the_same_tree(tree: Any) -> None:
    depth, children = (np.array(column, dtype=np.int64) for column in list(zip(*lines_of(tree), strict=True))[:2])
    counted, levels, complete = parents_by_count(children)
    assert complete
    assert levels.tolist() == depth.tolist()
    by_indent = parents_by_indent(depth, children)
    assert by_indent is not None
    assert by_indent.tolist() == counted.tolist()


# damage


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("time=100", "time=soon", ":15", "expected `time=`"),
        ("mem_heap_B=60\n", "", ":16", "expected `mem_heap_B=`"),
        ("heap_tree=detailed", "heap_tree=maybe", ":19", "which massif does not write"),
        ("mem_heap_B=60", "mem_heap_B=9223372036854775808", ":13", "64 bits"),
        ("mem_heap_extra_B=8", "mem_heap_extra_B=9223372036854775800", ":13", "64 bits"),
        ("n0: 30 ", "n0: 9223372036854775808 ", ":22", "64 bits"),
        ("n0: 30 ", "n0: 92233720368547758080000 ", ":22", "64 bits"),
        ("n0: 30 ", "n0: 9223372036854775807 ", ":21", "64 bits"),
        (" n2: 50 ", " n3: 50 ", ":25", "fewer lines"),
        (" n2: 50 ", " n0: 50 ", ":25", "more than its numbers of children"),
        ("  n0: 20 ", "garbage ", ":23", "expected a line of the heap tree"),
        ("snapshot=2", "snapshot=1", ":26", "there twice"),
        ("time_unit: B\n", "", ":2", "time_unit"),
        ("cmd: ./app 1\n", "", ":1", "cmd:"),
        ("desc:", "disc:", ":1", "begins with `desc:`"),
    ],
)
def test_damage_is_named_with_its_line(old: str, new: str, where: str, what: str) -> None:
    with pytest.raises(ReadError, match=re.escape(what)) as error:
        read(SMALL.replace(old, new, 1))
    assert str(error.value.where).endswith(where)


def test_sums_that_do_not_agree_are_noted() -> None:
    profile = read(SMALL.replace("n0: 30 ", "n0: 33 "), snapshot=1)
    assert any("add up" in note.what and note.weight == 3 for note in profile.notes)
    assert profile.total() == 63
    profile = read(SMALL.replace("mem_heap_B=60", "mem_heap_B=61"))
    assert any("mem_heap_B" in note.what and note.weight == 1 for note in profile.notes)


def test_wrong_indentation_is_noted_and_the_numbers_believed() -> None:
    profile = read(SMALL.replace("  n0: 20 ", " n0: 20 "), snapshot=1)
    assert said(profile, "indentation")
    assert profile.tables["heap_trees"]["depth"].tolist() == read(SMALL).tables["heap_trees"]["depth"].tolist()


def test_line_ends_comments_and_other_encodings() -> None:
    plain = read(SMALL)
    windows = read(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    pd.testing.assert_frame_equal(windows.tables["snapshots"], plain.tables["snapshots"])
    assert stack_bytes(windows) == stack_bytes(plain)
    commented = read(SMALL.replace("  n0: 20 ", "# a comment\n\n  n0: 20 "))
    assert commented.tables["heap_trees"].equals(plain.tables["heap_trees"])
    latin = read(SMALL.encode().replace(b"main (app.rs:2)", b"m\xe4in (app.rs:2)"))
    assert "m\\xe4in" in latin.frames["raw_function"].tolist()
    assert said(latin, "not UTF-8")


def test_a_tree_too_deep_loses_outer_callers_and_says_so() -> None:
    depth = 12_000
    lines = [f"n1: 5 0x{number:X}: f{number} (a.c:1)" for number in range(1, depth)]
    text = SMALL[: SMALL.index("n1: 70")] + "\n".join(["n1: 5 (heap allocation functions) malloc", *lines]) + "\n"
    profile = read(text + "n0: 5 0x0: main (a.c:1)\n")
    assert profile.nodes["depth"].max() == 9_999
    assert profile.total() == 5
    assert any("too deep" in note.what and note.weight == 5 for note in profile.notes)


def test_stacks_are_cut_rather_than_filling_memory() -> None:
    # a comb: each level has one more leaf, so writing out all stacks is quadratic
    size = 2001
    parent = np.array([-1] + [number // 2 * 2 - 2 if number % 2 else number - 2 for number in range(2, size + 1)])
    parent = np.maximum(parent, -1)
    depth = np.zeros(size, dtype=np.int64)
    for node in range(1, size):
        depth[node] = depth[parent[node]] + 1
    found = stacks(parent, depth, np.ones(size, dtype=np.int64), most=50_000)
    assert len(found.nodes) <= 50_000
    assert found.cut.any()
    assert len(found.leaf) == size


def test_the_example_of_the_project() -> None:
    source = open_source(EXAMPLE)
    assert massif.recognise(source) == "it begins with desc:, cmd: and time_unit:"
    profile = massif.read(source)
    assert profile.meta["time_unit"] == "B"
    number = profile.meta["nodes_snapshot"]
    heaps = profile.tables["snapshots"].set_index("snapshot")["heap_bytes"]
    assert profile.total() == heaps[number]
