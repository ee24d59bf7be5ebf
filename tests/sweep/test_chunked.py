"""A step looked at in chunks gives the figures of the whole frame, to the last digit, whatever the chunks are."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks import whole_frame
from workbench.analysis.limit import find_denial, heard_denial
from workbench.errors import RunFolderError
from workbench.load.chunks import LiveRows, StoredRows, chunk_of
from workbench.load.outcome import CODE_OF, OUTCOMES, Outcome
from workbench.load.plan import OpenPlan
from workbench.load.samples import PARQUET, SampleBuffer, nonces, nonces_from, to_frame
from workbench.load.spec import StepReport
from workbench.load.summary import histogram_table, summarise, tally
from workbench.runs.atomic import write_parquet_parts
from workbench.sweep.series import per_second
from workbench.sweep.watch import Clock

pytestmark = pytest.mark.slow

REPORT = StepReport(0, 10**9, 0.2, 1, 0, 1, 0, 0, False, 1)
CLOCK = Clock(0, 0, 0)
PAYER, VALUE = "0xabc", 0.001


def random_rows(count: int, seed: int, *, spread_ns: int, kinds: int, measured: float, sorted_plan: bool) -> np.ndarray:
    """Rows as a generator leaves them; a small spread makes many equal times."""
    rng = np.random.default_rng(seed)
    intended = 10**15 + rng.integers(0, max(1, spread_ns * count), count)
    if sorted_plan:
        intended.sort()
    sent = intended + rng.integers(0, spread_ns + 1, count)
    done = sent + rng.integers(0, 5 * spread_ns + 1, count)
    outcome = rng.choice(rng.permutation(len(OUTCOMES))[:kinds], count) if count else np.empty(0, dtype=np.int64)
    outcome[rng.random(count) < 0.5] = CODE_OF[Outcome.OK]
    status = np.where(rng.random(count) < 0.8, 200, rng.choice([0, 402, 503], count))
    rows = np.stack([intended, sent, sent, done, status, outcome, rng.integers(0, 5000, count)], axis=1)
    rows[rng.random(count) >= measured] = 0
    return rows


CASES = st.fixed_dictionaries(
    {
        "count": st.integers(1, 400),
        "seed": st.integers(0, 1 << 32),
        "spread_ns": st.sampled_from((0, 3, 10**6, 10**8, 2 * 10**9)),
        "kinds": st.integers(1, len(OUTCOMES)),
        "measured": st.sampled_from((0.0, 0.3, 1.0)),
        "sorted_plan": st.booleans(),
    }
)


def live_rows(folder: str | Path, rows: np.ndarray, chunk_rows: int) -> LiveRows:
    buffer = SampleBuffer.create(Path(folder) / "step-000.live", len(rows))
    buffer.rows[:] = rows
    return LiveRows(buffer.path, chunk_rows)


def whole(rows: np.ndarray) -> pd.DataFrame:
    return whole_frame.frame_of(rows, step=0, seed=1, payer=PAYER, value_grt=VALUE)


def frames_of(live: LiveRows) -> list[pd.DataFrame]:
    return [
        to_frame(rows, step=0, nonce=nonces_from(1, 0, first, len(rows)), payer=PAYER, value_grt=VALUE, first=first)
        for first, rows in live.blocks()
    ]


def same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert {name: repr(value) for name, value in found.items()} == {
        name: repr(value) for name, value in expected.items()
    }


@given(CASES, st.integers(1, 500))
def test_summary(case, chunk_rows):
    rows = random_rows(**case)
    samples = whole(rows)
    with TemporaryDirectory() as folder:
        live = live_rows(folder, rows, chunk_rows)
        tallied = tally(live)
        summary = summarise(live, OpenPlan(len(rows), 100), REPORT)
    expected = whole_frame.summary(samples)
    assert tallied.unsure == expected["unsure"]
    assert summary.outcomes == expected["outcomes"]
    assert summary.sent == len(samples)
    assert repr(summary.duration_s) == repr(expected["duration_s"])
    for clock in ("response", "service", "lag"):
        found = {name.removesuffix("_ms"): value for name, value in asdict(getattr(summary, clock)).items()}
        same(found, expected[clock])


@given(CASES, st.integers(1, 500), st.none() | st.integers(0, 450), st.integers(0, 1 << 32))
def test_denial(case, chunk_rows, budget, moment):
    rows = random_rows(**case)
    samples = whole(rows)
    money = {"spent_wei": 3 * 10**15, "value_wei": 10**15, "budget": budget}
    with TemporaryDirectory() as folder:
        live = live_rows(folder, rows, chunk_rows)
        denial = find_denial(live, **money)
        expected = whole_frame.denial(samples, **money)
        same(asdict(denial), expected)
        if len(samples):
            spread = int(samples["done_ns"].max() - samples["intended_ns"].min())
            denied_ns = int(samples["intended_ns"].min()) + moment % (spread + 1)
            heard = heard_denial(live, denial, denied_ns)
            same(asdict(heard), whole_frame.heard(samples, expected["crossing_index"], denied_ns))


@given(CASES, st.integers(1, 500), st.sampled_from((1, 7, 100, 10**6)))
@example({"count": 1, "seed": 0, "spread_ns": 0, "kinds": 1, "measured": 0.0, "sorted_plan": True}, 1, 1)
def test_series(case, chunk_rows, window):
    rows = random_rows(**case)
    samples = whole(rows)
    with TemporaryDirectory() as folder:
        found = per_second(live_rows(folder, rows, chunk_rows), 0, CLOCK, window=window)
    expected = whole_frame.series(samples, 0, 0) if len(samples) else pd.DataFrame()
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("chunk_rows", [1, 64, 1000, 5000])
@pytest.mark.parametrize("measured", [0.0, 0.002, 1.0])
def test_parquet_in_row_groups_reads_as_one_frame(tmp_path, chunk_rows, measured):
    count = 30 if chunk_rows == 1 else 3000
    rows = random_rows(count, 5, spread_ns=10**6, kinds=16, measured=measured, sorted_plan=True)
    live = live_rows(tmp_path, rows, chunk_rows)
    path, plain = tmp_path / "parts.parquet", tmp_path / "plain.parquet"
    assert write_parquet_parts(path, frames_of(live), **PARQUET) == len(whole(rows))
    whole(rows).to_parquet(plain, index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(plain))
    stored = StoredRows(path)
    assert len(stored) == -(-count // chunk_rows)
    assert tally(stored).outcomes == tally(live).outcomes
    pd.testing.assert_frame_equal(histogram_table(stored, 0), histogram_table(live, 0))
    pd.testing.assert_frame_equal(histogram_table([chunk_of(whole(rows))], 0), histogram_table(live, 0))


@given(st.integers(0, 1 << 62), st.integers(0, 50), st.integers(0, 300), st.integers(0, 300))
def test_nonces_of_a_chunk_are_those_of_the_step(seed, step, first, count):
    assert nonces_from(seed, step, first, count).tolist() == nonces(seed, step, first + count)[first:].tolist()


def test_what_is_no_buffer_is_refused(tmp_path):
    path = tmp_path / "x.live"
    path.write_bytes(b"123")
    for wrong in (path, tmp_path / "absent"):
        with pytest.raises(RunFolderError, match="not a sample buffer"):
            LiveRows(wrong)
    with pytest.raises(RunFolderError, match="cannot be read as Parquet"):
        StoredRows(path)


def test_an_outcome_of_a_later_release_counts_as_none_of_ours():
    frame = whole(random_rows(100, 3, spread_ns=10**6, kinds=4, measured=1.0, sorted_plan=True))
    chunk = chunk_of(frame.assign(outcome="brand_new"))
    assert not chunk.accepted.any()
    assert not chunk.paid.any()
    assert not chunk.unsure.any()
    assert math.isnan(find_denial([chunk], spent_wei=0, value_wei=1, budget=None).refusal_index)
