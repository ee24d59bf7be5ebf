"""How far ahead is signed: seconds of the plan or of the pace, never past what is left, never without bound."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.load.pace import FEWEST, MARK_NS, MOST, Freshness, pace, paced_ahead, planned_ahead, remember
from workbench.load.plan import NS_PER_S, OpenPlan

AHEAD_NS = 3 * NS_PER_S
counts = st.integers(1, 10_000_000)


@given(st.floats(0.01, 600))
def test_what_is_signed_ahead_and_renewed_in_time_is_never_too_old(window_s):
    fresh = Freshness.within(window_s)
    assert fresh.max_age_ns < window_s * NS_PER_S
    assert 0 < fresh.ahead_ns <= AHEAD_NS
    assert 2 * fresh.ahead_ns <= fresh.renew_ns  # at a steady pace nothing is signed twice, though it halve
    assert fresh.renew_ns + fresh.ahead_ns <= fresh.max_age_ns  # as long to renew as it takes to send them


@given(counts, st.data(), st.floats(0, 1e7))
def test_a_closed_loop_has_the_seconds_of_its_pace_ready(count, data, per_s):
    sent = data.draw(st.integers(0, count))
    ahead = paced_ahead(count, sent, per_s, AHEAD_NS)
    assert ahead <= min(count - sent, MOST)
    assert ahead >= min(count - sent, MOST, max(FEWEST, 3 * per_s) - 1)
    assert ahead <= max(FEWEST, 3 * per_s + 1)


@given(st.integers(1, 3000), st.floats(0.1, 1e6), st.sampled_from(["constant", "poisson"]), st.data())
def test_an_open_loop_has_the_seconds_of_its_plan_ready(count, rate, arrivals, data):
    offsets = OpenPlan(count, rate, arrivals).offsets_ns() if count / rate < 86400 else np.arange(count) * NS_PER_S
    sent = data.draw(st.integers(0, count))
    end = sent + planned_ahead(offsets, sent, AHEAD_NS)
    assert end <= count
    if sent < count:
        due = int((offsets[sent:] - offsets[sent] <= AHEAD_NS).sum())
        assert end - sent == min(max(due, FEWEST), count - sent)


@given(st.lists(st.tuples(st.integers(1, 2 * NS_PER_S), st.integers(0, 100_000)), min_size=1, max_size=50))
def test_the_pace_is_one_that_was_kept_in_the_last_seconds(steps):
    marks, at, sent = [], 0, 0
    for gap, more in steps:
        marks = remember(marks, (at, sent), AHEAD_NS)
        at, sent = at + gap, sent + more
        found = pace(marks, (at, sent))
        assert marks == sorted(set(marks))
        assert len(marks) <= AHEAD_NS // MARK_NS + 1
        begun = marks[0]
        assert found >= (sent - begun[1]) * NS_PER_S / (at - begun[0] + MARK_NS) * 0.999
        assert found <= (sent - begun[1]) * NS_PER_S / MARK_NS


@given(st.integers(1, 50_000), st.integers(4, 100))
def test_a_steady_pace_is_told_as_it_is(per_s, ticks):
    tick_ns = NS_PER_S // 50
    marks: list[tuple[int, int]] = []
    for tick in range(ticks * 10):
        marks = remember(marks, (tick * tick_ns, per_s * tick // 50), AHEAD_NS)
    now = (ticks * 10 * tick_ns, per_s * ticks * 10 // 50)
    assert abs(pace(marks, now) - per_s) <= per_s * 0.05 + 1 / (MARK_NS / NS_PER_S)


def test_a_pace_that_jumps_is_seen_at_once_and_forgotten_after_seconds():
    marks = [(i * MARK_NS, i * 5) for i in range(12)]  # 20 a second
    at, sent = marks[-1]
    assert pace(marks, (at + NS_PER_S // 50, sent + 100)) == 400  # 20 ms at 5,000 a second
    assert pace(marks, (at + NS_PER_S, sent + 5000)) == 5000
    fast = remember(marks, (at + NS_PER_S, sent + 5000), AHEAD_NS)
    stalled = remember(fast, (at + 2 * NS_PER_S, sent + 5000), AHEAD_NS)
    assert pace(stalled, (at + 3 * NS_PER_S, sent + 5000)) == 5000
    later = remember(stalled, (at + 5 * NS_PER_S, sent + 5000), AHEAD_NS)
    assert pace(later, (at + 5 * NS_PER_S, sent + 5000)) == 0


def test_nothing_was_sent_and_nothing_is_left():
    assert pace([], (5, 0)) == 0
    assert paced_ahead(10, 10, 100.0, AHEAD_NS) == 0
    assert planned_ahead(np.zeros(3, dtype=np.int64), 3, AHEAD_NS) == 0
    assert planned_ahead(np.zeros(300_000, dtype=np.int64), 0, AHEAD_NS) == MOST
