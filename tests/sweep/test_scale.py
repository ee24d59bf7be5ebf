"""A large step: finished in bounded memory, read a part at a time, whole after a kill, in a small report."""

from __future__ import annotations

import asyncio
import itertools
import threading
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import workbench
from benchmarks.scale import make_rows
from workbench import charts, open_run
from workbench.analysis.limit import find_denial, heard_denial
from workbench.errors import RunFolderError
from workbench.load.chunks import LiveRows
from workbench.load.plan import OpenPlan
from workbench.load.samples import SampleBuffer, to_frame
from workbench.load.spec import StepReport
from workbench.load.summary import Tally, summarise, tally
from workbench.runs.folder import RunFolder
from workbench.runs.read import Run
from workbench.settings import Settings
from workbench.sweep import record as record_module
from workbench.sweep import series as series_module
from workbench.sweep.record import Record
from workbench.sweep.series import per_second
from workbench.sweep.steps import parse_steps
from workbench.sweep.watch import pause_s

pytestmark = pytest.mark.slow

REPORT = StepReport(0, 10**9, 0.2, 1, 0, 1, 0, 0, False, 1)
CHUNK = 8_192


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "LiveRows", partial(LiveRows, chunk_rows=CHUNK))
    monkeypatch.setattr(record_module, "per_second", partial(per_second, window=series_module.WINDOW // 32))


def begun(path: Path, receipts: str = "20000,30000") -> Record:
    settings = Settings.resolve(receipts=receipts)
    record = Record(settings, RunFolder.at(path), None)
    steps = parse_steps(receipts)
    record.begin(steps, [20_000.0] * len(steps), None)
    return record


def finished(path: Path) -> Record:
    """A run of two steps whose rows are kept; their rows in steps.parquet are not part of this."""
    record = begun(path)
    for step, count in enumerate((20_000, 30_000), 1):
        record.give(step, f"0x{step:040x}", 0)
        make_rows(record.folder.live_samples(step), count)
        record.keep_rows(step, tally(record.live(step)))
    return record


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "made"
    finished(path)
    return path


def peak_of_finishing(path: Path, count: int) -> int:
    """Most bytes that numpy, pandas and Arrow hold while a step of ``count`` rows is looked at and kept."""
    record = begun(path, str(count))
    make_rows(record.folder.live_samples(1), count)
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        live = record.live(1)
        tallied = tally(live)
        denial = find_denial(live, spent_wei=0, value_wei=10**15, budget=int(0.9 * count))
        summarise(live, OpenPlan(count, 20_000), REPORT, tallied)
        heard_denial(live, denial, 10**15 + 10**9)
        record.keep_rows(1, tallied)
        return tracemalloc.get_traced_memory()[1] + (pool.max_memory() or 0)
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


def test_memory_of_finishing_a_step_does_not_grow_with_it(tmp_path: Path) -> None:
    peak_of_finishing(tmp_path / "warm", 1_000)  # what is imported on the way stays
    small = peak_of_finishing(tmp_path / "small", 30_000)
    large = peak_of_finishing(tmp_path / "large", 240_000)
    assert large < 1.5 * small
    assert large < 240_000 * 70 / 3  # as one frame it has 70 bytes a row
    run = open_run(tmp_path / "large")
    assert len(run.samples_of(1)) == 240_000
    assert pa.parquet.read_metadata(run.folder.samples(1)).num_row_groups == 30


def test_a_run_is_read_whole_by_the_step_and_in_batches(made: Path) -> None:
    run = open_run(made)
    samples = run.samples
    assert samples.groupby("step").size().to_dict() == {1: 20_000, 2: 30_000}
    assert not samples["nonce"].duplicated().any()
    assert set(samples["payer"]) == {f"0x{step:040x}" for step in (1, 2)}
    one = run.samples_of(2)
    pd.testing.assert_series_equal(one["done_ns"], samples.loc[samples["step"] == 2, "done_ns"].reset_index(drop=True))
    assert list(run.samples_of(2, ["index", "outcome"])) == ["index", "outcome"]
    parts = list(run.sample_batches(["index", "done_ns"], rows=7_000))
    assert max(map(len, parts)) <= 7_000
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), samples[["index", "done_ns"]])
    assert sum(map(len, run.sample_batches(step=1))) == 20_000
    with pytest.raises(RunFolderError, match=r"step 7 has no samples") as caught:
        run.samples_of(7)
    assert "1, 2" in str(caught.value.hint)


def test_counts_and_distributions_are_those_of_the_samples(made: Path) -> None:
    run = open_run(made)
    counts = run.samples.groupby(["step", run.samples["outcome"].astype(str)]).size()
    assert {(row.step, row.outcome): row.receipts for row in run.outcomes.itertuples()} == counts.to_dict()
    assert run.outcomes.groupby("step")["receipts"].is_monotonic_decreasing.all()
    accepted = (run.samples["outcome"] == "ok").groupby(run.samples["step"]).sum().to_dict()
    buckets = run.histograms
    sums = buckets.groupby(["step", "clock"])["count"].sum()
    assert {step: sums[step, "response"] for step in (1, 2)} == accepted
    assert {step: sums[step, "lag"] for step in (1, 2)} == {1: 20_000, 2: 30_000}


def test_a_run_of_an_earlier_release_has_its_distributions_made_of_its_samples(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    kept = Run(tmp_path / "run").histograms
    for path in (tmp_path / "run" / "histograms").iterdir():
        path.unlink()
    pd.testing.assert_frame_equal(Run(tmp_path / "run").histograms, kept)


def test_no_samples_are_no_tables(tmp_path: Path) -> None:
    run = open_run(begun(tmp_path / "run").folder.path)
    assert run.outcomes.empty
    assert run.histograms.empty
    assert run.samples.empty
    assert list(run.sample_batches()) == []


def test_rows_of_a_step_that_was_cut_off_are_kept_whatever_their_number(tmp_path: Path) -> None:
    record = begun(tmp_path / "run")
    live = record.folder.live_samples(1)
    make_rows(live, 30_000)
    SampleBuffer.open(live).rows[25_000:] = 0  # not sent yet
    SampleBuffer.open(live).rows[100:9_000:3] = 0  # not answered yet
    again = begun(tmp_path / "run")
    kept = pd.concat(pd.read_parquet(path) for path in (tmp_path / "run" / "interrupted").iterdir())
    assert kept["index"].is_unique
    assert set(kept["index"]) == set(range(25_000)) - set(range(100, 9_000, 3))
    assert not live.exists()
    assert again.sent_before() == len(kept)


def test_a_disk_that_is_full_while_rows_are_kept_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = begun(tmp_path / "run")
    live = record.folder.live_samples(1)
    make_rows(live, 20_000)
    rows = np.array(SampleBuffer.open(live).rows)

    written: list[int] = []

    def full(rows: np.ndarray, **given: object) -> pd.DataFrame:
        if written:
            raise OSError(28, "No space left on device")
        written.append(len(rows))
        return to_frame(rows, **given)

    monkeypatch.setattr(record_module, "to_frame", full)
    with pytest.raises(RunFolderError, match="No space left"):
        record.keep_rows(1, tally(record.live(1)))
    assert (SampleBuffer.open(live).rows == rows).all()
    assert list((tmp_path / "run" / "samples").iterdir()) == [live]


def test_a_step_that_is_run_again_is_in_the_series_once(tmp_path: Path) -> None:
    record = finished(tmp_path / "run")
    record.drop(1)
    make_rows(record.folder.live_samples(1), 40_000)
    record.keep_rows(1, tally(record.live(1)))
    run = Run(tmp_path / "run")
    assert run.series.groupby("step")["sent"].sum().to_dict() == {1: 40_000, 2: 30_000}
    assert run.histograms[run.histograms["clock"] == "lag"].groupby("step")["count"].sum().to_dict() == {
        1: 40_000,
        2: 30_000,
    }


def test_charts_of_a_large_run_are_small(made: Path) -> None:
    run = open_run(made)
    many = pd.concat([run.histograms.assign(step=step + 2 * part) for part in range(250) for step in (0, 1)])
    distribution, single = charts.latency_distribution(many), charts.latency_distribution(run.histograms)
    assert len(distribution.data) == 500
    assert len(distribution.to_json()) < 2_000_000
    assert len(single.to_json()) < 50_000
    assert len(charts.outcomes(run.outcomes).to_json()) < 50_000


async def test_ctrl_c_while_rows_are_kept_waits_for_them_and_the_step_is_run_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    began = threading.Event()
    keep_rows = Record.keep_rows

    def slowly(self: Record, step: int, tallied: Tally) -> None:
        began.set()
        stopped.wait(30)  # the sweep is cancelled now
        keep_rows(self, step, tallied)

    stopped = threading.Event()
    monkeypatch.setattr(Record, "keep_rows", slowly)
    task = asyncio.create_task(
        workbench.sweep(receipts="20", rate=2000.0, pinpoint=False, runs_dir=str(tmp_path), run_dir=tmp_path / "run")
    )
    assert await asyncio.to_thread(began.wait, 60)
    task.cancel()
    await asyncio.sleep(0)
    stopped.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    run = open_run(tmp_path / "run")
    assert run.manifest["state"] == "interrupted"
    assert len(run.samples_of(1)) == 20  # whole, and nothing else has touched them
    assert not list((run.path / "samples").glob("*.live"))
    done = await workbench.sweep(resume=run.path)
    assert len(done.samples) == len(pd.read_parquet(run.path / "interrupted" / "step-001-1.parquet")) == 20


def test_a_step_of_days_is_looked_at_often_enough_and_not_too_often() -> None:
    looks, elapsed_s, at = 0, 0.0, []
    while elapsed_s < 7 * 86_400:
        elapsed_s += pause_s(elapsed_s, 0.5)
        looks += 1
        at.append(elapsed_s)
    assert looks < 70_000
    assert at[:1000] == [0.5 * number for number in range(1, 1001)]  # the first minutes as ever
    assert max(later - earlier for earlier, later in itertools.pairwise(at)) <= 10.001
