"""Intervals of shares that were sampled, and none where nothing was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.make import profile_of
from tests.profiles.samples import beside
from tests.profiles.test_share import pprof_of
from workbench.numbers import range_text
from workbench.profiles.interval import EXACT_TICKS, interval, ticks_of
from workbench.profiles.read import read_profile
from workbench.report.answers.functions import shares
from workbench.report.answers.pprof import answer
from workbench.report.profile_text import profile_json, profile_text


def tail(hits: int, ticks: int, share: float) -> float:
    """The probability of at least so many hits."""
    return sum(math.comb(ticks, k) * share**k * (1 - share) ** (ticks - k) for k in range(hits, ticks + 1))


@given(st.integers(1, 120).flatmap(lambda ticks: st.tuples(st.integers(0, ticks), st.just(ticks))))
def test_the_ends_are_where_the_tails_are_as_they_must_be(both: tuple[int, int]) -> None:
    hits, ticks = both
    low, high = (float(end[0]) / 100 for end in interval([hits], ticks, ticks))
    assert low < high
    assert low <= hits / ticks <= high
    if hits:
        assert tail(hits, ticks, low) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == 0
    if hits < ticks:
        assert 1 - tail(hits + 1, ticks, high) == pytest.approx(0.025, rel=1e-6)
    else:
        assert high == 1


def test_all_of_a_few_ticks_is_no_certainty() -> None:
    low, high = interval([5, 0], 5, 5)
    assert low[0] == pytest.approx(100 * 0.025**0.2)
    assert range_text(float(low[0]), float(high[0])) == "48 to 100 %"
    assert range_text(float(low[1]), float(high[1])) == "0 to 52 %"


def test_many_ticks_go_on_where_few_end() -> None:
    parts = np.array([0.0, 0.01, 0.2, 0.5, 0.99, 1.0])
    for few, many in zip(interval(parts, 1, EXACT_TICKS), interval(parts, 1, EXACT_TICKS + 1), strict=True):
        assert few == pytest.approx(many, abs=0.05)
    low, high = interval(parts, 1, 10**9)
    assert (low <= 100 * parts).all()
    assert (high >= 100 * parts).all()
    assert (low < high).all()


def test_no_interval_without_ticks_a_whole_or_a_part() -> None:
    for ends in (interval([5], 10, 0), interval([5], 0, 10), interval([-5], 10, 10)):
        assert np.isnan(ends).all()
    assert range_text(math.nan, math.nan) == ""


def test_five_ticks() -> None:
    profile = read_profile(beside("reported/five-ticks.pb.gz"))
    assert ticks_of(profile) == ticks_of(profile, "samples") == 5
    said = profile_text(profile, profile.top())
    assert "48 to 100 %" in said
    assert "5 samples" in said
    assert "the share of main.spin is 48 to 100 %" in repr(answer(profile))
    assert "48 to 100 %" in repr(shares(profile))
    assert profile_json(profile, profile.top())["top"][0]["self_95"] == "48 to 100 %"


def test_samples_of_the_real_service() -> None:
    profile = read_profile(beside("real/service-profile-1.pb"))
    assert ticks_of(profile, "cpu") == ticks_of(profile, "samples") == 11_032


@pytest.mark.parametrize(
    ("name", "metric"),
    [("delta-heap.pb.gz", "inuse_space"), ("two-threads.speedscope.json", None), ("cg-suffix-before.out", None)],
)
def test_what_was_not_sampled_has_no_ticks(name: str, metric: str | None) -> None:
    profile = read_profile(beside(f"reported/{name}"))
    assert ticks_of(profile, metric) == 0
    assert "samples: self_95" not in profile_text(profile, profile.top())


def test_times_of_any_length_are_no_ticks() -> None:
    even = pprof_of([("a", 300), ("b", 50)], period=10)
    assert ticks_of(even, "cpu") == 35
    assert ticks_of(pprof_of([("a", 303), ("b", 57)], period=10), "cpu") == 0
    assert ticks_of(pprof_of([("a", 300), ("b", -50)], period=10), "cpu") == 0
    assert ticks_of(pprof_of([("a", 300)]), "cpu") == 0
    assert ticks_of(profile_of([(("a",), 3)]).but(format="callgrind")) == 0
