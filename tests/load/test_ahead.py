"""What lies ahead of the sending: each receipt in time, with its own nonce and a timestamp that is not too old."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.load.ahead import CHUNK, Ahead, Asked
from workbench.load.pace import FEWEST, MOST, Freshness
from workbench.load.plan import NS_PER_S, OpenPlan
from workbench.load.samples import nonces

MS = NS_PER_S // 1000
TICK_MS = 20
START_NS = 1_700_000_000 * NS_PER_S
FRESH = Freshness.within(15.0)


def signed(asked: Asked) -> list[bytes]:
    """Headers that say what was signed."""
    return [b"%d %d" % pair for pair in zip(asked.stamps_ns, asked.nonces.tolist(), strict=True)]


class Signers:
    """Signers in another time: each takes ``takes_ms`` for a chunk, and one of ``dying`` chunks is the last of its
    signer."""

    def __init__(self, ahead: Ahead, takes_ms: int, dying: int) -> None:
        self._ahead, self._takes, self._dying = ahead, takes_ms, dying
        self._busy: list[tuple[int, Asked]] = []
        self._asked = 0

    def work(self, now_ns: int, end: int, at_once: int = 50) -> None:
        """Hand over what is ready by ``now_ns``, take what is asked for."""
        for due, asked in [busy for busy in self._busy if busy[0] <= now_ns]:
            self._busy.remove((due, asked))
            self._asked += 1
            lost = self._dying and self._asked % self._dying == 0
            self._ahead.put(asked.number, None if lost else signed(asked))
        while len(self._busy) < at_once and (asked := self._ahead.next(end, now_ns)) is not None:
            self._busy.append((now_ns + self._takes * MS, asked))


def paced(rates: list[tuple[int, int]]) -> Iterator[int]:
    """How many are sent in each tick, of stretches of so many milliseconds at so many a second; to the end at the last
    of these paces, or 1,000 a second."""
    owed = 0.0
    for length_ms, per_s in [*rates, (1 << 60, rates[-1][1] or 1000)]:
        for _ in range(0, length_ms, TICK_MS):
            owed += per_s * TICK_MS / 1000
            yield int(owed)
            owed -= int(owed)


def drive(
    ahead: Ahead, count: int, rates: list[tuple[int, int]], signers: Signers
) -> Iterator[tuple[int, int, bytes | None]]:
    """Send ``count`` receipts at ``rates``: position, time and header of each."""
    now_ns, position = START_NS, 0
    before = ahead.before()
    while ahead.ready < before:
        now_ns += TICK_MS * MS
        signers.work(now_ns, before)
    for some in paced(rates):
        for _ in range(min(some, count - position)):
            yield position, now_ns, ahead.take(position, now_ns)
            position += 1
        if position == count:
            return
        now_ns += TICK_MS * MS
        signers.work(now_ns, ahead.wanted(now_ns, now_ns))


rates = st.lists(st.tuples(st.integers(1, 15_000), st.sampled_from([0, 10, 200, 5000])), min_size=1, max_size=5)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 4000),
    st.none() | st.sampled_from([50, 1000, 20_000]),
    rates,
    st.integers(1, 30),
    st.sampled_from([0, 0, 2, 7]),
    st.sampled_from([0.5, 15.0, 60.0]),
)
def test_whatever_the_pace_each_receipt_is_its_own_and_fresh(count, plan, rates, takes_ms, dying, window_s):
    fresh, wanted = Freshness.within(window_s), nonces(1, 0, count)
    offsets = None if plan is None else OpenPlan(count, plan).offsets_ns()
    ahead = Ahead(wanted, offsets, fresh)
    for position, now_ns, header in drive(ahead, count, rates, Signers(ahead, takes_ms, dying)):
        if header is None:
            continue
        stamp, nonce = map(int, header.split())
        assert nonce == wanted[position]
        assert abs(now_ns - stamp) <= fresh.max_age_ns
        assert offsets is None or stamp >= START_NS + offsets[position]
    assert ahead.done
    assert not ahead.ready


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([2, 30, 400, 2000]), st.integers(1, 60), st.booleans(), st.sampled_from([0, 3]))
def test_at_a_steady_pace_none_is_late_and_none_signed_twice(per_s, takes_ms, planned, dying):
    count = min(per_s * 20, 10_000)
    offsets = OpenPlan(count, per_s).offsets_ns() if planned else None
    ahead = Ahead(nonces(1, 0, count), offsets, Freshness.within(15.0))
    stamps = []
    for _, _, header in drive(ahead, count, [(1, per_s), (1 << 40, per_s)], Signers(ahead, takes_ms, dying)):
        assert header is not None
        stamps.append(int(header.split()[0]))
    assert ahead.signed_anew == 0 or not planned  # a closed loop's were signed before its pace was known
    if planned and not dying:
        assert min(after - before for before, after in pairwise(stamps)) >= 0


def test_a_stall_longer_than_receipts_are_good_for_is_survived_by_signing_anew():
    ahead = Ahead(nonces(1, 0, 3000), None, FRESH)
    rates = [(200, 1000), (60_000, 0), (1000, 1000)]
    headers = [header for _, _, header in drive(ahead, 3000, rates, Signers(ahead, 6, 0))]
    assert None not in headers
    assert ahead.signed_anew >= FEWEST


def test_a_start_that_is_put_off_makes_no_receipt_late_and_no_timestamp_wrong():
    """Several generators wait for each other; with the plan signed from the start that was expected first."""
    offsets = OpenPlan(3000, 100).offsets_ns()
    ahead = Ahead(nonces(1, 0, 3000), offsets, FRESH)
    begun, stamps = 0, []
    for _, now_ns, header in drive(ahead, 3000, [(25_000, 0), (1 << 40, 100)], Signers(ahead, 6, 0)):
        begun = begun or now_ns
        assert header is not None
        stamps.append(int(header.split()[0]))
    early_ns = begun + offsets - np.array(stamps)
    assert early_ns.max() <= FRESH.renew_ns + TICK_MS * MS
    assert abs(early_ns[1500:]).max() <= 2 * TICK_MS * MS


def test_before_the_step_as_much_as_stays_good_is_signed():
    def before(count: int, per_s: float | None, window_s: float = 15.0) -> int:
        offsets = None if per_s is None else OpenPlan(count, per_s).offsets_ns()
        return Ahead(nonces(1, 0, count), offsets, Freshness.within(window_s)).before()

    assert before(100_000, 1000) == 12_001  # 0.8 x 15 s
    assert before(200_000, 20_000) == MOST
    assert before(100_000, 1) == FEWEST
    assert before(100, 1) == 100
    assert before(1_000_000, None) == MOST
    assert before(1000, None) == 1000


@pytest.mark.slow
def test_ten_million_receipts_take_the_memory_of_those_that_lie_ahead():
    count, sends, per_s = 10_000_000, 150_000, 50_000
    offsets = np.arange(count, dtype=np.int64) * (NS_PER_S // per_s)
    ahead = Ahead(np.broadcast_to(np.uint64(7), count), offsets, FRESH)
    held = []
    tracemalloc.start()
    try:
        for position, _, header in drive(ahead, sends, [(1 << 40, per_s)], Signers(ahead, 1, 0)):
            assert header is not None
            if position % (sends // 10) == 0:
                assert 100_000 <= ahead.ready <= MOST + CHUNK
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held) < MOST * 400
    assert max(held[5:]) < 1.1 * max(held[:5])
