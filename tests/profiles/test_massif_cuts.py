"""massif files that were cut off keep what is whole: every snapshot whose figures are, and every whole tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.profiles.samples import SAMPLES
from tests.profiles.test_massif import SMALL
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile

pytestmark = pytest.mark.slow

FIGURES = ["snapshot", "time", "heap_bytes", "heap_extra_bytes", "stacks_bytes"]
NODES = ["depth", "bytes", "address", "below_threshold", "places"]
# the figures of a snapshot that are there to their last digit
_WHOLE_FIGURES = re.compile(
    rb"^snapshot=\d+\n#-+\ntime=[\d.]+\nmem_heap_B=\d+\nmem_heap_extra_B=\d+\nmem_stacks_B=\d+\n", re.MULTILINE
)
EXAMPLE = Path(__file__).parents[2] / "data" / "profiles" / "demo-massif.out"
POSITIONS = 25  # of large files
MORE_POSITIONS = 400  # of those smaller than this
SMALL_BYTES = 3000


def files() -> Iterator[Path]:
    """Our example and, where they are, the samples that massif wrote."""
    yield EXAMPLE
    if SAMPLES is not None:
        yield from sorted(
            path for path in (SAMPLES / "massif").iterdir() if b"\ntime_unit:" in path.read_bytes()[:4096]
        )


def rows(profile: Profile, table: str, columns: list[str]) -> list[list[int]]:
    found: list[list[int]] = profile.tables[table][columns].to_numpy().tolist()
    return found


def tree(profile: Profile, number: int) -> list[list[int]]:
    heap = profile.tables["heap_trees"]
    found: list[list[int]] = heap.loc[heap["snapshot"] == number, NODES].to_numpy().tolist()
    return found


def check_cut(data: bytes, at: int, whole: Profile) -> None:
    """What is read of the first ``at`` bytes is what the whole file says there."""
    cut = data[:at]
    figures = len(_WHOLE_FIGURES.findall(cut))
    if not figures:
        with pytest.raises(ReadError):
            read_profile(cut, format="massif")
        return
    profile = read_profile(cut, format="massif")
    assert rows(profile, "snapshots", FIGURES) == rows(whole, "snapshots", FIGURES)[:figures]
    detailed = whole.meta["detailed"]
    have = profile.meta["detailed"]
    assert have == detailed[: len(have)]
    # all trees but one that the file ends in
    last = int(profile.tables["snapshots"]["snapshot"].iloc[-1])
    assert [one for one in detailed if one < last] == [one for one in have if one < last]
    for number in have[-2:]:
        got, expected = tree(profile, number), tree(whole, number)
        if number != last or len(have) > 1:
            assert got == expected
        else:
            assert got == expected[: len(got)]
            assert len(got) == len(expected) or "cut off" in " ".join(str(note) for note in profile.notes)
    if have and profile.meta["nodes_snapshot"] is not None:
        shown = profile.meta["nodes_snapshot"]
        assert profile.total() == tree(profile, shown)[0][1]


def test_a_file_cut_off_at_any_byte_keeps_what_is_whole() -> None:
    data = SMALL.encode()
    whole = read_profile(data)
    for at in range(1, len(data)):
        check_cut(data, at, whole)


@pytest.mark.parametrize("path", list(files()), ids=lambda path: path.name)
def test_samples_cut_off_keep_what_is_whole(path: Path) -> None:
    data = path.read_bytes().replace(b"\r\n", b"\n")
    whole = read_profile(data, format="massif")
    step = max(len(data) // (MORE_POSITIONS if len(data) < SMALL_BYTES else POSITIONS), 1)
    for at in range(1, len(data), step):
        check_cut(data, at, whole)


def test_a_cut_number_is_not_believed() -> None:
    # 70 bytes cut to 7: the children no longer add up, and the line has lost its text
    profile = read_profile(SMALL[: SMALL.rindex("n0: 70") + len("n0: 7")].encode())
    assert profile.meta["snapshots"] == 3
    assert profile.meta["detailed"] == [1]
    note = next(str(note) for note in profile.notes if "left out" in str(note))
    assert "the last snapshot is cut off or damaged: its figures are whole, its heap tree was left out" in note
    assert profile.meta["nodes_why"] == "the largest with a heap tree, since that of massif's peak is cut off"


def test_the_only_tree_keeps_its_first_lines() -> None:
    profile = read_profile(SMALL[: SMALL.index("  n0: 20 0x11")].encode())
    assert profile.meta["detailed"] == [1]
    top = profile.top(n=5).set_index("name")["self"]
    # of 60 bytes 30 are called for by main; 20 of grow's callers and 10 of the allocator's are not listed any more
    assert top.to_dict() == {"app::grow::{closure}": 50, "(heap allocation functions)": 10, "main": 0}
    assert any("the first 3 lines of its heap tree are read" in str(note) for note in profile.notes)


@pytest.mark.parametrize("ending", ["", "h", "heap_tree", "heap_tree=", "heap_tree=d"])
def test_figures_are_whole_without_the_kind_of_their_tree(ending: str) -> None:
    profile = read_profile((SMALL[: SMALL.index("heap_tree=detailed")] + ending).encode())
    assert profile.tables["snapshots"]["heap_bytes"].tolist()[-1] == 60
    assert profile.tables["snapshots"]["kind"].tolist()[-1] == ("detailed" if ending.endswith("d") else "empty")
