"""Little's law holds in a steady state, and fails where requests pile up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.stats.littles_law import NOTHING, LittlesLaw, littles_law


def check(sent_ms: np.ndarray, took_ms: np.ndarray, parts: int = 1) -> LittlesLaw:
    sent = (sent_ms * 1e6).astype(np.int64)
    done = sent + (took_ms * 1e6).astype(np.int64)
    pairs = zip(np.array_split(sent, parts), np.array_split(done, parts), strict=True)
    return littles_law(pairs, int(sent.min()), int(sent.max()))


def test_it_holds_in_a_steady_state_however_the_rows_come() -> None:
    rng = np.random.default_rng(1)
    sent, took = np.cumsum(rng.exponential(2.5, 4_000)), rng.lognormal(3.5, 0.5, 4_000)
    law = check(sent, took)
    assert law.holds
    assert law.in_flight == check(sent, took, parts=7).in_flight
    assert abs(law.per_s - 400) < 20
    assert law.sentence.startswith("Little's law holds: ")


@pytest.mark.parametrize("behind", [0.1, 0.5])
def test_it_fails_where_requests_pile_up(behind: float) -> None:
    sent = np.arange(2_000) * 2.5
    law = check(sent, 10 + sent * behind)  # so much the service gets behind each second
    assert law.holds is False
    assert "requests piled up" in law.sentence


def test_a_short_load_cannot_be_checked() -> None:
    law = check(np.arange(20.0), np.full(20, 15.0))
    assert law.holds is None
    assert "because the step is too short" in law.sentence


def test_nothing_sent_is_nothing_said() -> None:
    assert littles_law([], 5, 5) == NOTHING
    assert littles_law([(np.array([0]), np.array([100]))], 0, 50) == NOTHING  # nothing answered meanwhile
    assert NOTHING.sentence == ""
    assert math.isnan(NOTHING.off)
