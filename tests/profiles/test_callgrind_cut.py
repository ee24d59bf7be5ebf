"""Callgrind files that were cut off: all that is whole is kept, and it is said that something is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.profiles.samples import SAMPLES, needs_samples
from workbench.errors import ReadError
from workbench.profiles.read import read_callgrind

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "data" / "profiles" / "demo-callgrind.out"
ALL_CUTS, SOME_CUTS = 4000, 15

WRITTEN = b"""version: 1
creator: callgrind-3.19.0
positions: line
events: Ir Dr

fl=(1) a.c
fn=(1) main
1 10 3
cfn=(2) f
calls=1 5
2 9 4
jcnd=3/17 +2
*

fl=(2) b.c
fn=(2)
+5 9 4

totals: 19 7
"""


def whole_costs(data: bytes) -> list[tuple[int, ...]]:
    """The self costs of each line that ends, counted by hand."""
    found, skip = [], False
    for line in data[: data.rfind(b"\n") + 1].split(b"\n"):
        text = line.strip()
        if re.match(rb"[0-9+*-]", text):
            if not skip:
                found.append(tuple(map(int, text.split()[1:])))
            skip = False
        elif text:
            skip = text.startswith((b"calls=", b"jump=", b"jcnd="))
    return found


def test_a_callee_whose_body_is_cut_off_has_what_calls_to_it_cost() -> None:
    body = WRITTEN.index(b"fn=(2)\n")
    for end in (body - len(b"fl=(2) b.c\n"), body + len(b"fn"), body + len(b"fn=(2)\n")):
        profile = read_callgrind(WRITTEN[:end])
        functions = profile.functions.set_index("function")
        assert functions["self_Ir"].to_dict() == {"main": 10, "f": 0}
        assert functions["total_Ir"].to_dict() == {"main": 19, "f": 9}
        assert any("cut off" in note.what for note in profile.notes)


def test_every_cut_of_a_file_keeps_what_is_whole() -> None:
    for end in range(len(WRITTEN)):
        cut = WRITTEN[:end]
        if b"events: Ir Dr\n" not in cut:
            with pytest.raises(ReadError):
                read_callgrind(cut)
            continue
        profile = read_callgrind(cut)
        costs = whole_costs(cut)
        assert profile.total("Ir") == sum(cost[0] for cost in costs), end
        assert profile.total("Dr") == sum(cost[1] for cost in costs), end
        assert len(profile.edges) == (b"2 9 4\n" in cut), end
        assert any("cut off" in note.what or "no costs" in note.what for note in profile.notes), end


def test_a_cut_in_a_key_keeps_the_call_before_it() -> None:
    profile = read_callgrind(WRITTEN[: WRITTEN.index(b"jcnd") + 2])
    assert profile.functions["function"].tolist() == ["main", "f"]
    assert profile.functions[["self_Ir", "total_Ir"]].values.tolist()[0] == [10, 19]
    assert profile.edges["cost_Ir"].tolist() == [9]
    assert any("its last line was left out" in note.what for note in profile.notes)


def test_a_writer_that_does_not_end_its_last_line_is_read_whole() -> None:
    profile = read_callgrind(b"events: Ir\nfn=a\n1 2\n3 4")
    assert profile.total("Ir") == 6
    assert [note.what for note in profile.notes] == ["the last line does not end: the file may be cut off"]


def positions(data: bytes) -> list[int]:
    """Every position of a small file, some of a large one: at lines, in lines and at the end."""
    if len(data) <= ALL_CUTS:
        return list(range(len(data)))
    step = len(data) // SOME_CUTS
    return [*range(step, len(data), step), *range(len(data) - 12, len(data))]


def check_cuts(data: bytes) -> None:
    try:
        whole = read_callgrind(data)
    except ReadError:
        return
    if any(column < 0 for name in whole.metric_names for column in whole.functions[f"self_{name}"]):
        return
    for end in positions(data):
        # nothing is whole before the events are
        if not re.search(rb"^events:", data[:end].rpartition(b"\n")[0], re.MULTILINE):
            continue
        profile = read_callgrind(data[:end])
        for name in profile.metric_names:
            if name in whole.metric_names:
                assert profile.total(name) <= whole.total(name), (end, name)


@needs_samples
@pytest.mark.parametrize("path", sorted((SAMPLES or Path()).glob("callgrind/*")), ids=lambda path: path.name)
def test_every_cut_of_a_sample_is_read(path: Path) -> None:
    check_cuts(path.read_bytes())


def test_cuts_of_the_example_are_read() -> None:
    check_cuts(EXAMPLE.read_bytes())
