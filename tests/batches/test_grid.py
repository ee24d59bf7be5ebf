"""Which runs a plan has, in which order, and how long they take."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.batches.estimate import Estimate, Finished, Kind, estimate, total
from workbench.batches.grid import ORDERS, Grid, runs_of
from workbench.errors import SettingsError

AXES = {"rate": {"100": {"rate": 100}, "200": {"rate": 200}}, "build": {"old": {"a": 1}, "new": {"a": 2}}}


def places(grid: Grid) -> list[tuple[str, ...]]:
    return [(*run.axes.values(), str(run.repeat)) for run in runs_of(grid)]


def test_every_combination_is_there_and_rounds_go_back_and_forth() -> None:
    first, second = places(Grid(AXES, repeats=2))[:4], places(Grid(AXES, repeats=2))[4:]
    assert [place[:2] for place in first] == [("100", "old"), ("100", "new"), ("200", "old"), ("200", "new")]
    assert [place[:2] for place in second] == [place[:2] for place in reversed(first)]
    assert {place[2] for place in first} == {"1"}


def test_names_are_numbered_in_the_order_of_the_runs() -> None:
    assert [run.name for run in runs_of(Grid(AXES, repeats=3))][:5] == [
        "01-100-old-r1",
        "02-100-new-r1",
        "03-200-old-r1",
        "04-200-new-r1",
        "05-200-new-r2",
    ]
    assert runs_of(Grid(AXES))[0].label == "rate 100, build old"
    assert runs_of(Grid(AXES, repeats=2))[0].label == "rate 100, build old, repeat 1"
    odd = Grid({"service_command": {"./a b --c=/x/y": {}}})
    assert runs_of(odd)[0].name == "1-.-a-b-c-x-y"


def test_combinations_are_left_out_added_and_changed() -> None:
    grid = Grid(
        AXES,
        exclude=({"rate": ("200",), "build": ("old",)},),
        include=(({"build": "new", "profiler": "strace"}, {"profiler": "strace"}),),
        rules=(({"build": ("new",)}, {"receipts": "10"}),),
    )
    assert [(dict(run.axes), dict(run.changes)) for run in runs_of(grid)] == [
        ({"rate": "100", "build": "old"}, {"rate": 100, "a": 1}),
        ({"rate": "100", "build": "new"}, {"rate": 100, "a": 2, "receipts": "10"}),
        ({"rate": "200", "build": "new"}, {"rate": 200, "a": 2, "receipts": "10"}),
        ({"build": "new", "profiler": "strace"}, {"a": 2, "receipts": "10", "profiler": "strace"}),
    ]


def test_a_plan_without_axes_is_one_run_repeated() -> None:
    assert [run.name for run in runs_of(Grid(repeats=2))] == ["1-r1", "2-r2"]
    with pytest.raises(SettingsError, match="1 to 1,000 runs, found 1,004"):
        runs_of(Grid(AXES, repeats=251))
    with pytest.raises(SettingsError, match="found 0"):
        runs_of(Grid(AXES, exclude=({"rate": ("100", "200")},)))


@given(st.integers(1, 4), st.sampled_from(ORDERS), st.integers(1, 100))
def test_in_every_order_each_run_is_there_once(repeats: int, order: str, seed: int) -> None:
    grid = Grid(AXES, repeats=repeats, order=order, seed=seed)  # type: ignore[arg-type]
    assert set(Counter(places(grid)).values()) == {1}
    assert len(places(grid)) == 4 * repeats
    assert len({run.name for run in runs_of(grid)}) == 4 * repeats
    assert runs_of(grid) == runs_of(grid)
    if order != "written":
        rounds = [place[2] for place in places(grid)]
        assert rounds == sorted(rounds)


FAST, SLOW = Kind("rate 400", "none", 2.0), Kind("rate 100", "none", 8.0)


def test_an_estimate_is_of_the_same_runs_first_then_of_the_profiler_then_a_guess() -> None:
    finished = [Finished(FAST, 20.0), Finished(FAST, 24.0), Finished(FAST, 90.0)]
    assert estimate(FAST, finished) == Estimate(24.0)
    assert estimate(SLOW, finished) == Estimate(30.0)  # the rest of 22 s, and its own sending
    guess = estimate(Kind("rate 100", "callgrind", 8.0), finished)
    assert (guess.guessed, guess.seconds > 8.0) == (1, True)
    assert total([FAST, SLOW, SLOW], finished) == Estimate(84.0)
    assert total([], finished) == Estimate(0.0)
    assert guess.text.endswith("(a guess)")
