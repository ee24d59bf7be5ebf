"""speedscope files of several threads: added up, told apart, laid out in time; and files that were cut off anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.samples import needs_samples, sample
from tests.profiles.stacks import stacks_of
from tests.profiles.test_speedscope import evented, file, read, sampled
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.readers.speedscope import reader
from workbench.profiles.transforms.select import tag_focus

TIMELINE = ["thread", "start_ns", "end_ns", "depth", "frame_id"]


def named(one: dict[str, Any], name: str, unit: str = "milliseconds") -> dict[str, Any]:
    return {**one, "name": name, "unit": unit}


def rows(profile: Profile) -> list[tuple[Any, ...]]:
    table = profile.tables["timeline"]
    assert list(table) == TIMELINE
    assert [str(table[name].dtype) for name in TIMELINE[1:]] == ["int64"] * 4
    return list(table.itertuples(index=False, name=None))


def test_all_threads_are_added_up_and_can_be_told_apart() -> None:
    idle = named(sampled([[0]], [0.1], startValue=0, endValue=0.1), "Thread 1", "seconds")
    hot = named(sampled([[0, 1]], [9.9], startValue=0, endValue=9.9), "Thread 2", "seconds")
    profile = read(file(idle, hot))
    assert profile.total() == pytest.approx(10)
    assert profile.metrics[0].unit == "s"
    assert stacks_of(profile) == {("a",): 0.1, ("a", "b"): 9.9}
    assert stacks_of(tag_focus(profile, "thread=Thread 1")) == {("a",): 0.1}
    assert stacks_of(read(file(idle, hot), profile="Thread 2")) == {("a", "b"): 9.9}
    assert not profile.notes


def test_sampled_and_evented_threads_in_times_of_several_units_are_added_up_in_the_finest() -> None:
    profile = read(
        file(
            named(evented(("O", 0, 0), ("O", 1, 1), ("C", 1, 3), ("C", 0, 4)), "e", "milliseconds"),
            named(sampled([[0, 1], [2]], [7, 5]), "s", "microseconds"),
            named(sampled([[2]], [0.5]), "f", "seconds"),
        )
    )
    assert [(metric.name, metric.unit) for metric in profile.metrics] == [("microseconds", "us")]
    assert stacks_of(profile) == {("a",): 2000, ("a", "b"): 2007, ("c",): 500_005}


def test_units_that_do_not_convert_are_metrics_of_their_own_and_that_is_said() -> None:
    time = named(sampled([[0], [1]], [1, 2]), "time", "seconds")
    size = named(sampled([[1]], [64]), "size", "bytes")
    more = named(sampled([[1]], [3000]), "more time", "milliseconds")
    profile = read(file(time, size, more, activeProfileIndex=1))
    assert [(metric.name, metric.unit) for metric in profile.metrics] == [("milliseconds", "ms"), ("bytes", "bytes")]
    assert profile.default_metric == "bytes"
    assert (profile.total("milliseconds"), profile.total("bytes")) == (6000, 64)
    assert "the profiles count different things, each is a metric: milliseconds, bytes" in str(profile.notes[0])


def test_threads_of_one_name_are_told_apart_by_their_place() -> None:
    profile = read(
        file(named(sampled([[0]], [1]), "w"), named(sampled([[0, 1]], [2]), "w"), named(sampled([], []), ""))
    )
    assert profile.meta["profiles"] == ["w (0)", "w (1)", "profile 2"]


def test_frames_of_each_profile_of_the_oldest_version() -> None:
    old = [sampled([[0]], [3], name=name, frames=[{"name": f"f{name}"}]) for name in "ab"]
    profile = read(json.dumps({"version": "0.0.1", "profiles": old}).encode())
    assert stacks_of(profile) == {("fa",): 3, ("fb",): 3}


def test_the_timeline_of_events_is_as_recorded() -> None:
    walk = evented(
        ("O", 0, 1), ("O", 1, 2), ("C", 1, 2), ("O", 1, 3), ("O", 1, 4), ("C", 1, 5), ("C", 1, 6), ("C", 0, 9)
    )
    assert rows(read(file(walk))) == [
        ("p", 1_000_000, 9_000_000, 0, 0),
        ("p", 2_000_000, 2_000_000, 1, 1),
        ("p", 3_000_000, 6_000_000, 1, 1),
        ("p", 4_000_000, 5_000_000, 2, 1),
    ]


def test_the_timeline_of_samples_joins_equal_neighbours() -> None:
    one = named(
        sampled([[0, 1], [0, 1], [0, 2], [], [0], [1, 1]], [1, 2, 4, 8, 16, 0.5], startValue=10), "t", "seconds"
    )
    s = 1_000_000_000
    assert rows(read(file(one, named(sampled([[3]], [1]), "u", "nanoseconds")))) == [
        ("t", 10 * s, 17 * s, 0, 0),
        ("t", 10 * s, 13 * s, 1, 1),
        ("t", 13 * s, 17 * s, 1, 2),
        ("t", 25 * s, 41 * s, 0, 0),
        ("t", 41 * s, 41 * s + s // 2, 0, 1),
        ("t", 41 * s, 41 * s + s // 2, 1, 1),
        ("u", 0, 1, 0, 3),
    ]


def test_what_has_no_times_has_no_timeline() -> None:
    assert "timeline" not in read(file(sampled([[0]], [1]))).tables


def test_the_timeline_is_not_made_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(reader, "timeline_table", lambda lanes: asked.append(lanes))
    profile = read(file(named(sampled([[0]], [1]), "t", "seconds")))
    assert profile.total() == 1
    assert "timeline" in profile.tables
    assert not asked


STACKS = st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=8)


@given(STACKS, st.data())
def test_the_timeline_covers_what_the_tree_says(stacks: list[list[int]], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 9), min_size=len(stacks), max_size=len(stacks)))
    profile = read(file(named(sampled(stacks, weights), "t", "nanoseconds")))
    table = profile.tables["timeline"]
    took = table["end_ns"] - table["start_ns"]
    totals = profile.nodes.groupby(["depth", "frame_id"])["total_nanoseconds"].sum()
    spans = took.groupby([table["depth"], table["frame_id"]]).sum()
    assert spans[spans > 0].to_dict() == totals[totals > 0].to_dict()


TWO = file(
    named(evented(("O", 0, 1), ("O", 1, 2), ("C", 1, 4), ("O", 2, 5), ("C", 2, 6), ("C", 0, 9)), 'über \\ "x"'),
    named(sampled([[0, 1], [2, 3]], [1, 2]), "s"),
)
WEIGHTS_FIRST = json.dumps(
    {
        "shared": {"frames": [{"name": name} for name in "abc"]},
        "profiles": [
            {"type": "sampled", "name": "x", "unit": "none", "weights": [1, 2, 3], "samples": [[0, 1], [0, 2], [1]]}
        ],
    }
).encode()


@pytest.mark.slow
@pytest.mark.parametrize("whole", [TWO, WEIGHTS_FIRST], ids=["two", "weights first"])
def test_a_file_cut_anywhere_keeps_what_is_whole_and_says_so(whole: bytes) -> None:
    full = stacks_of(read(whole))
    kept, refused = [], []
    for size in range(1, len(whole)):
        try:
            profile = read(whole[:size])
        except ReadError:
            refused.append(size)
            continue
        assert "the file was cut off: complete parts are read" in str(profile.notes[0])
        found = stacks_of(profile)
        assert all(cost <= full[stack] for stack, cost in found.items())
        kept.append(sum(found.values()))
    assert kept == sorted(kept)
    assert refused == list(range(1, len(refused) + 1)), "more of the file is refused than what could be read"
    assert kept[-1] == sum(full.values())


@needs_samples
@pytest.mark.parametrize("name", ["simple", "simple-sampled", "two-sampled"])
def test_public_files_cut_anywhere(name: str) -> None:
    whole = sample(f"folded/speedscope__{name}.speedscope.json").read_bytes()
    full = stacks_of(read(whole))
    for size in range(0, len(whole.rstrip()), 7):
        try:
            found = stacks_of(read(whole[:size])) if size else {}
        except ReadError:
            continue
        assert all(cost <= full[stack] for stack, cost in found.items())


TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\[]{},'), max_size=12)


@settings(deadline=None)
@given(TEXT, st.data())
def test_brackets_and_quotes_in_names_do_not_matter_to_a_cut(name: str, data: st.DataObject) -> None:
    shared = {"frames": [{"name": name}]}
    one = named(evented(("O", 0, 1), ("C", 0, 4)), name)
    whole = json.dumps({"shared": shared, "profiles": [one], "exporter": name}, ensure_ascii=data.draw(st.booleans()))
    size = data.draw(st.integers(len(whole) // 2, len(whole)))
    try:
        profile = read(whole.encode()[:size])
    except ReadError:
        return
    assert profile.total() in (0, 3)
