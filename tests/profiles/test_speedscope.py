"""speedscope files: sampled and evented, several profiles, and files that break the schema."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.samples import needs_samples, sample
from tests.profiles.stacks import stacks_of
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.select import tag_focus
from workbench.profiles.tree import MAX_DEPTH

SIMPLE = {("a", "b", "c"): 5, ("a", "b", "d"): 4, ("a", "b"): 5}


def file(*profiles: dict[str, Any], names: str = "abcd", **more: Any) -> bytes:
    shared = {"frames": [{"name": name} for name in names]}
    return json.dumps({"$schema": "speedscope", "shared": shared, "profiles": list(profiles), **more}).encode()


def sampled(samples: Any, weights: Any, **more: Any) -> dict[str, Any]:
    return {"type": "sampled", "name": "p", "unit": "none", "samples": samples, "weights": weights, **more}


def evented(*events: tuple[str, Any, Any]) -> dict[str, Any]:
    listed = [{"type": kind, "frame": frame, "at": at} for kind, frame, at in events]
    return {"type": "evented", "name": "p", "unit": "milliseconds", "events": listed}


def read(data: bytes, **options: Any) -> Profile:
    return read_profile(data, format="speedscope", **options)


@needs_samples
@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("simple.speedscope.json", "count"),
        ("simple-sampled.speedscope.json", "s"),
        ("two-sampled.speedscope.json", "s"),
    ],
)
def test_public_files(name: str, unit: str) -> None:
    profile = read_profile(sample(f"folded/speedscope__{name}"))
    assert profile.format == "speedscope"
    times = 2 if name.startswith("two") else 1
    assert stacks_of(profile) == {stack: times * count for stack, count in SIMPLE.items()}
    assert profile.metrics[0].unit == unit


@needs_samples
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("incomplete-trace", "profile 0 ends after event 0 with 1 frames open"),
        ("out-of-order-events", "profile 0: event 6 closes frame 1, but frame 0 is open"),
    ],
)
def test_public_broken_files_are_refused_with_the_event(name: str, says: str) -> None:
    with pytest.raises(ReadError, match=says):
        read_profile(sample(f"folded/speedscope__invalid-{name}.json"))


@needs_samples
def test_one_of_several_can_be_chosen() -> None:
    path = sample("folded/speedscope__two-sampled.speedscope.json")
    together = read_profile(path)
    assert together.meta["profiles"] == ["one", "two"]
    for name, place in (("one", 0), ("two", 1)):
        alone = read_profile(path, profile=name)
        assert alone.meta["profile_index"] == place
        assert stacks_of(alone) == SIMPLE == stacks_of(tag_focus(together, f"thread={name}"))
    assert read_profile(path, profile="one").meta["profile_index"] == 0
    with pytest.raises(ReadError, match="There are 'one', 'two'"):
        read_profile(path, profile="three")
    with pytest.raises(ReadError, match="There are 2"):
        read_profile(path, profile=2)


def test_profiles_of_other_units_on_equal_stacks_are_metrics() -> None:
    stacks = [[0, 1], [0]]
    data = file(sampled(stacks, [1, 2]), sampled(stacks, [10, 20], unit="bytes", name="size"))
    profile = read(data)
    assert [(metric.name, metric.unit) for metric in profile.metrics] == [("p", "count"), ("size", "bytes")]
    assert stacks_of(profile, "size") == {("a", "b"): 10, ("a",): 20}
    assert read(data, profile=1).metric_names == ("bytes",)


def test_evented_time_goes_to_the_open_frame() -> None:
    profile = read(
        file(
            evented(
                ("O", 0, 5),
                ("O", 1, 7),
                ("C", 1, 10),
                ("O", 1, 11),
                ("C", 1, 12),
                ("C", 0, 20),
                ("O", 2, 25),
                ("C", 2, 26),
            )
        )
    )
    assert stacks_of(profile) == {("a",): 2 + 1 + 8, ("a", "b"): 3 + 1, ("c",): 1}
    assert "no frame is open, weight 5" in str(profile.notes[0])


def test_frames_of_the_oldest_version_are_in_the_profile() -> None:
    one = sampled([[0]], [3], frames=[{"name": "old"}])
    data = json.dumps({"version": "0.0.1", "profiles": [one]}).encode()
    assert stacks_of(read(data)) == {("old",): 3}


def test_files_and_lines_are_kept_and_halves_of_characters_are_not() -> None:
    shared = {"frames": [{"name": "f\ud800", "file": "app.py", "line": 7, "col": 3}]}
    data = json.dumps({"shared": shared, "profiles": [sampled([[0]], [1])]}).encode()
    frame = read(data).frames.iloc[0]
    assert (frame["function"], frame["file"], frame["line"]) == ("f\ufffd", "app.py", 7)


def test_samples_without_frames_are_noted() -> None:
    profile = read(file(sampled([[], [0]], [4, 1], startValue=0, endValue=5)))
    assert profile.total() == 1
    assert list(map(str, profile.notes)) == ["sample without frames, weight 4 samples, at profile 0"]


@pytest.mark.parametrize("kind", ["sampled", "evented"])
def test_runaway_recursion_is_cut_at_the_leaf(kind: str) -> None:
    depth = MAX_DEPTH + 10
    opens = [("O", 0, 0)] * depth
    closes = [("C", 0, 3)] * depth
    one = sampled([[0] * depth], [3]) if kind == "sampled" else evented(*opens, *closes)
    profile = read(file(one))
    assert len(profile.nodes) == MAX_DEPTH
    assert profile.total() == 3
    assert "cut at the leaf" in str(profile.notes[0])
    assert profile.notes[0].weight == 3


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"profiles": [', "<bytes>:1: not whole JSON"),
        (b"[1]", "not a speedscope file"),
        (b'{"profiles": 3}', "no list of profiles"),
        (file(), "list of profiles is empty"),
        (b'{"profiles": [{"type": "sampled"}]}', "no list of frames"),
        (b'{"shared": {"frames": [{}]}, "profiles": [{}]}', "frame 0 has no name"),
        (file({"type": "other"}), "neither sampled nor evented"),
        (file(sampled([[0], [9]], [1, 1])), "sample 1 has frame 9, but there are only 4"),
        (file(sampled([[True]], [1])), "sample 0 has a frame that is not a whole number"),
        (file(sampled([[-1]], [1])), "sample 0 has frame -1"),
        (file(sampled([[0], 3], [1, 1])), "sample 1 is not a list"),
        (file(sampled([[0]], [1, 2])), "1 samples and 2 weights"),
        (file(sampled([[0]], ["1"])), "weight 0 is not a number"),
        (file(sampled([[0]], [2**63])), "weight 0 is not a number that fits"),
        (file(sampled([[0], [1]], [2**63 - 1, 2**63 - 1])), "add up to more than 64 bits"),
        (file(evented(("O", 0, 5), ("C", 0, 4))), "event 1 is at 4, before the one ahead of it at 5"),
        (file(evented(("O", 0, -(2**63) + 1), ("C", 0, 2**63 - 1))), "further apart than 64 bits"),
        (file(evented(("O", 0, None))), "event 0 is not at a number"),
        (file(evented(("X", 0, 1))), "event 0 is neither"),
        (file(evented(("C", 0, 1))), "none is open"),
        (b'{"profiles": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"profiles": NaN}', "not whole JSON"),
        (b'{"profiles": "' + b"a" * 200_000, "not whole JSON"),
        (b'{"profiles": "' + b'\\"' * 200_000, "not whole JSON"),
        (b'{"' + b"[" * 500 + b'": 1', "not whole JSON"),
        (b'{"profiles": ' + b"9" * 5000 + b"}", "no list of profiles"),
        (b'{"profiles": "\xff"}', "no list of profiles"),
        (b'{"profiles": [{"type": "sampled", "name": "\xff"}]}', "profile 0: not JSON"),
    ],
)
def test_broken_files_are_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(data)
    assert says in str(caught.value)


def test_deep_json_is_refused_however_high_the_limit_of_recursion() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10**9)  # as some libraries do; Python's parser then runs out of stack in C
    try:
        with pytest.raises(ReadError, match="nested too deeply"):
            read(b'{"profiles": ' + b"[" * 200_000)
    finally:
        sys.setrecursionlimit(before)


@given(st.lists(st.lists(st.integers(0, 3), max_size=5), max_size=20), st.data())
def test_an_evented_twin_of_a_sampled_profile_is_equal(stacks: list[list[int]], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 1000), min_size=len(stacks), max_size=len(stacks)))
    events: list[tuple[str, int, int]] = []
    at = 0
    for stack, weight in zip(stacks, weights, strict=True):
        events += [("O", frame, at) for frame in stack]
        at += weight
        events += [("C", frame, at) for frame in reversed(stack)]
    assert stacks_of(read(file(evented(*events)))) == stacks_of(read(file(sampled(stacks, weights))))
