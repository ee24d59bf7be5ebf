"""Warm-up: found where there is one, none where there is not, and said where a series does not settle."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import latencies
from workbench.stats.warmup import warm_up


@pytest.mark.parametrize(("rows", "strength"), [(500, 0.0), (1_000, 0.0), (1_000, 0.8), (20_000, 0.8)])
def test_a_slow_start_is_found_where_it_ends(rows: int, strength: float) -> None:
    planted = rows // 10
    values = latencies(rows, strength, np.random.default_rng(rows))
    values[:planted] *= 4
    found = warm_up(values)
    assert found.settles
    assert found.rows == pytest.approx(planted, abs=max(15, rows // 40))
    assert found.before > 3 * found.after


def test_a_start_that_fades_is_found() -> None:
    values = latencies(2_000, 0.0, np.random.default_rng(1)) + 10 * np.exp(-np.arange(2_000) / 60)
    found = warm_up(values)
    assert found.settles
    assert 100 <= found.rows <= 450


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9])
def test_a_steady_series_has_none(strength: float) -> None:
    found = [warm_up(latencies(1_000, strength, np.random.default_rng(seed))) for seed in range(60)]
    assert sum(one.rows > 0 for one in found) <= 3


def test_a_series_that_keeps_growing_does_not_settle() -> None:
    found = warm_up(latencies(2_000, 0.0, np.random.default_rng(1)) + np.arange(2_000) / 200)
    assert found.settles is False
    assert found.rows == 1_000


def test_few_rows_say_nothing() -> None:
    assert warm_up(np.arange(99.0)).settles is None
    assert warm_up([]).rows == 0
    assert warm_up(np.ones(500)).settles is True
