"""massif files of other writers (heaptrack), and peaks of equal size."""

from __future__ import annotations

import pytest

from workbench.errors import ReadError
from workbench.profiles.read import read_profile
from workbench.profiles.views.heap import timeline
from workbench.report.answers.massif import answer

TREE = "n1: {0} (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n n0: {0} 0x401136: eat (p.c:5)\n"


def snapshot(number: int, time: str, heap: int, kind: str, extra: int = 8, tree: str = TREE, more: str = "") -> str:
    return (
        f"#-----------\nsnapshot={number}\n#-----------\ntime={time}\nmem_heap_B={heap}\n{more}mem_heap_extra_B={extra}\n"
        f"mem_stacks_B=0\nheap_tree={kind}\n{'' if kind == 'empty' else tree.format(heap)}"
    )


def massif(*snapshots: str, desc: str = "--time-unit=ms", unit: str = "ms") -> bytes:
    return f"desc: {desc}\ncmd: ./p\ntime_unit: {unit}\n{''.join(snapshots)}".encode()


def test_an_equal_snapshot_before_the_peak_is_no_larger_one() -> None:
    profile = read_profile(
        massif(snapshot(0, "0", 0, "empty"), snapshot(1, "5", 99, "detailed"), snapshot(2, "6", 99, "peak"))
    )
    assert profile.meta["largest_snapshot"] == profile.meta["peak_snapshot"] == 2
    assert not any("larger" in str(note) for note in profile.notes)
    table = timeline(profile)
    assert table["is_largest"].tolist() == table["is_peak"].tolist() == [False, False, True]
    assert "The largest snapshot is" not in str(answer(profile))


def test_a_larger_snapshot_than_the_peak_is_still_said() -> None:
    profile = read_profile(massif(snapshot(1, "5", 100, "detailed"), snapshot(2, "6", 99, "peak")))
    assert profile.meta["largest_snapshot"] == 1
    assert any("snapshot 1 is larger" in str(note) for note in profile.notes)


def heaptrack(*snapshots: str) -> bytes:
    return massif(*snapshots, desc="heaptrack", unit="s")


@pytest.mark.parametrize(
    ("written", "seconds"), [("0.25", 0.25), ("1234.57", 1234.57), ("1e-03", 0.001), ("1e+06", 1e6)]
)
def test_times_with_a_fraction(written: str, seconds: float) -> None:
    profile = read_profile(heaptrack(snapshot(0, "0", 0, "empty", 0), snapshot(1, written, 1000, "detailed", 0)))
    assert timeline(profile)["time"].tolist() == [0, seconds]
    assert profile.meta["time_unit"] == "s"
    assert profile.total() == 1000
    assert not profile.notes


def test_whole_times_stay_whole() -> None:
    assert str(timeline(read_profile(massif(snapshot(0, "7", 1, "detailed"))))["time"].dtype) == "int64"


HEAPTRACK = """n3: {0} (heap allocation functions) malloc/new/new[], --alloc-fns, etc.
 n0: 600 0x401136: eat(int) (p.cpp:5)
 n1: 300 0x7f01: ??? (/usr/lib/libx.so)
  n0: 300 0x7f02: std::f (???)
 n0: 100 in 3 places, all below massif's threshold (1)
"""


def test_names_objects_and_thresholds_of_heaptrack() -> None:
    profile = read_profile(heaptrack(snapshot(0, "0.5", 1000, "detailed", 0, HEAPTRACK)))
    functions = profile.functions.set_index("raw_function")
    assert functions.loc["eat(int)", "file"] == "p.cpp"
    assert functions.loc["???", "object"] == "/usr/lib/libx.so"
    assert functions.loc["std::f", ["file", "object"]].tolist() == ["", ""]
    assert profile.meta["threshold_pct"] == 1
    assert profile.total() == 1000


def test_children_that_heaptrack_announces_and_leaves_out() -> None:
    tree = HEAPTRACK.replace("n3:", "n5:")
    two = heaptrack(snapshot(0, "0.5", 1000, "detailed", 0, tree), snapshot(1, "1", 1000, "detailed", 0, tree))
    profile = read_profile(two)
    assert profile.total() == 1000
    assert "its indentation was used" in str(profile.notes[0])
    with pytest.raises(ReadError):
        read_profile(two.replace(b"heaptrack", b"massif"))


def test_a_field_that_massif_does_not_have_is_left_out_and_said() -> None:
    profile = read_profile(massif(snapshot(0, "1", 5, "detailed", more="mem_mmap_B=7\n")))
    assert profile.total() == 5
    assert any("unknown field mem_mmap_B, left out" in str(note) for note in profile.notes)
