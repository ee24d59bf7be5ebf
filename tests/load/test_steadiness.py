"""Intervals and steadiness of a step: the same however its rows come, bounded in memory, and shown with the load."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from benchmarks.coverage import latencies
from tests.load.test_summary import MS, report, samples
from workbench.load.chunks import Chunk, chunk_of
from workbench.load.histogram import Histogram
from workbench.load.plan import OpenPlan
from workbench.load.steadiness import intervals, steadiness
from workbench.load.summary import summarise
from workbench.stats.quantiles import quantiles


def values_ns(rows: int, strength: float = 0.5) -> np.ndarray:
    return (latencies(rows, strength, np.random.default_rng(rows)) * 5 * MS).astype(np.int64)


def of(values: np.ndarray, parts: int = 1, **options):
    def chunks():
        return iter(np.array_split(values, parts))

    return intervals(chunks, Histogram.of(chunks()), **options)


@pytest.mark.parametrize("parts", [1, 7])
def test_they_are_those_of_all_rows_at_once(parts: int) -> None:
    values = values_ns(4_000)
    for one, whole in zip(of(values, parts), quantiles(values / 1e6), strict=True):
        assert (one.value, one.n, one.refused) == (whole.value, whole.n, whole.refused)
        assert one.low == pytest.approx(whole.low, rel=0.03)
        assert one.high == pytest.approx(whole.high, rel=0.03)
        assert one.effective_n == pytest.approx(whole.effective_n, rel=0.1)


def test_of_many_rows_neighbours_are_one_entry_and_no_row_is_left_out() -> None:
    values = values_ns(60_000)
    for one, rows in zip(of(values, 11, entries=2_000), of(values), strict=True):
        assert one.value == rows.value
        assert one.high - one.low == pytest.approx(rows.high - rows.low, rel=0.4)


def test_nothing_accepted_is_said() -> None:
    found = of(np.empty(0, dtype=np.int64))
    assert {one.refused for one in found} == {"no receipt was accepted"}
    assert all(math.isnan(one.value) for one in found)


def step(service_ms: np.ndarray, gap_ms: float = 10.0, parts: int = 3) -> list[Chunk]:
    frame = samples(["ok"] * len(service_ms))
    frame["intended_ns"] = frame["sent_ns"] = (np.arange(len(frame)) * gap_ms * MS).astype(np.int64)
    frame["done_ns"] = frame["sent_ns"] + (service_ms * MS).astype(np.int64)
    return [chunk_of(frame.iloc[rows]) for rows in np.array_split(np.arange(len(frame)), parts)]


def test_a_warm_up_is_told_and_counted() -> None:
    service = np.concatenate([np.full(150, 40.0), 5 * latencies(1_350, 0.0, np.random.default_rng(1))])
    summary = summarise(step(service), OpenPlan(1_500, 100), report(sent=1_500))
    assert summary.response.n == 1_500
    assert summary.steady.start.rows == pytest.approx(150, abs=15)
    (said,) = summary.steady.sentences
    assert said.startswith(f"warm-up: the first {summary.steady.start.rows} of 1,500 accepted receipts took ")
    assert said.endswith("all of them are in the percentiles")


def test_a_service_that_falls_behind_has_no_steady_state() -> None:
    chunks = step(5 + np.arange(2_000) * 2.0)
    said = " ".join(steadiness(chunks, 2_000).sentences)
    assert "there is no steady state" in said
    assert "Little's law does not hold" in said
    grouped = steadiness(chunks, 2_000, entries=200)
    assert (grouped.start.n, grouped.start.settles) == (2_000, False)
    assert grouped.start.rows == pytest.approx(1_000, abs=20)


def test_a_steady_step_has_nothing_to_say() -> None:
    found = steadiness(step(30 * latencies(2_000, 0.0, np.random.default_rng(2))), 2_000)
    assert found.sentences == ()
    assert found.law.holds
    assert found.law.in_flight == pytest.approx(3.4, abs=0.2)


def test_few_receipts_say_nothing() -> None:
    found = steadiness(step(np.full(30, 5.0)), 30)
    assert found.start.settles is None
    assert found.sentences == ()
    assert steadiness([], 0).sentences == ()


def test_the_interval_is_what_histogram_and_rows_agree_on() -> None:
    values = values_ns(2_000, 0.0)
    p50 = of(values)[0]
    within = partial(np.quantile, values / 1e6, method="inverted_cdf")
    assert within(0.45) < p50.low < within(0.5) < p50.high < within(0.55)
