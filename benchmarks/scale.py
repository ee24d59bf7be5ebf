"""Ten million samples in a run: time and memory of finishing the step, of opening the run and of its report.

The rows are generated in the form of a step's mapped file; everything after that is the package's own code. Compared on
the same rows: the whole step as one DataFrame, and ``vegeta report`` on the same results in vegeta's format.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.harness import WORKBENCH, arguments, interleave, median_of, run_process, table, write
from workbench.analysis.conclude import conclude_limit, conclude_run
from workbench.load.chunks import LiveRows
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.plan import OpenPlan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepReport
from workbench.receipts.address import parse_address
from workbench.runs.folder import RunFolder
from workbench.service.connect import Target
from workbench.settings import Settings
from workbench.standin.accounts import payer
from workbench.sweep.measure import finish, plan_step
from workbench.sweep.record import Record
from workbench.sweep.setup import Setup
from workbench.sweep.steps import Step
from workbench.sweep.watch import Watch

ROWS = 10_000_000
RATE = 20_000
START_NS = 10**15
REPORT_TARGET_S, REPORT_TARGET_BYTES = 60.0, 8_000_000

FINISH, OPEN, REPORT = "finish", "open", "report"
ELAPSED, CPU, PEAK = "s", "cpu_s", "peak_mib"
PAGE = "report_bytes"
STORED = "stored_bytes_a_row"


def make_rows(path: Path, count: int, chunk: int = 250_000) -> None:
    """An open loop at 20,000/s: most accepted, with a tail; half of the last tenth denied; a few errors and timeouts.

    Times have some 20 significant bits, as measured ones have.
    """
    rows = SampleBuffer.create(path, count).rows
    rng = np.random.default_rng(1)
    for first in range(0, count, chunk):
        index = np.arange(first, min(first + chunk, count))
        n = len(index)
        intended = START_NS + index * (10**9 // RATE)
        sent = intended + 1_000 + rng.exponential(60_000, n).astype(np.int64)
        service = (rng.lognormal(0.4, 0.4, n) * 1e6).astype(np.int64)
        service[rng.random(n) < 0.001] *= 30
        outcome, status = np.zeros(n, dtype=np.int64), np.full(n, 200)
        chance = rng.random(n)
        denied = (index > 0.9 * count) & (chance < 0.5)
        for some, kind, code in (
            (denied, Outcome.DENIED, 402),
            (~denied & (chance > 0.998), Outcome.HTTP_ERROR, 503),
            (~denied & (chance > 0.99995), Outcome.TIMEOUT, 0),
        ):
            outcome[some], status[some] = CODE_OF[kind], code
        service[denied] //= 5
        service[status == 0] = 10**10
        first_byte = np.where(status > 0, sent + service - 20_000, 0)
        rows[index] = np.stack([intended, sent, first_byte, sent + service, status, outcome, np.full(n, 1834)], axis=1)


def make_vegeta(rows: Path, path: Path) -> None:
    """The same results in vegeta's format: its CSV, converted to its binary format."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    csv = path.with_suffix(".csv")
    with csv.open("wb") as file:
        for chunk in LiveRows(rows):
            n = len(chunk)
            columns: list[Any] = [
                chunk.intended_ns, chunk.status, chunk.done_ns - chunk.sent_ns, np.zeros(n, dtype=np.int64),
                np.full(n, 1834), np.where(chunk.status == 200, "", "refused"), [""] * n, [""] * n, chunk.index,
                ["POST"] * n, ["http://127.0.0.1/"] * n, [""] * n,
            ]  # fmt: skip
            batch = pa.table([pa.array(column) for column in columns], names=[str(number) for number in range(12)])
            pacsv.write_csv(batch, file, pacsv.WriteOptions(include_header=False, quoting_style="none"))
    subprocess.run(["vegeta", "encode", "-to=gob", f"-output={path}", csv], check=True)
    csv.unlink()


def _finish_run(folder: Path, rows: Path) -> None:
    """Write a run whose only step left ``rows``, through the package's own code, and measure that."""
    count = LiveRows(rows).rows
    settings = Settings.resolve(
        name="scale", num_receipts=count, rate=float(RATE), receipts=str(count), pinpoint=False,
        limit_hint_grt=str(0.9 * count / 1000), target="http://127.0.0.1:9", graph_url=None,
    )  # fmt: skip

    async def measure() -> None:
        record = Record(settings, RunFolder.at(folder), None)
        step = Step(1, count, "step")
        record.begin((step,), [float(RATE)], None)
        target = Target(
            "http://127.0.0.1:9", "http://127.0.0.1:9/", is_standin=False, allocation=parse_address("0x" + "11" * 20),
            payers=(payer(0),), settings=settings,
        )  # fmt: skip
        watch = Watch(target, record.clock)
        watch.rows = [
            (second / 2, 1, source, metric, "", float(second % 7))
            for second in range(2 * count // RATE)
            for source in ("service", "agent", "generator")
            for metric in ("cpu_percent", "rss_bytes", "threads")
        ]
        record.watch = watch
        record.folder.update_manifest(target={"sentence": "Made up.", "url": target.url, "is_standin": False})
        setup = Setup(settings, record, target, watch, None, toward_limit=True)
        planned = await plan_step(setup, step, payer(0), OpenPlan(count, RATE))
        for _ in range(count // RATE):
            record.event("progress", step=1, receipts=count, pid=1, sent=0, done=0, ok=0)
        os.link(rows, planned.spec.buffer)
        report = StepReport(START_NS, START_NS + count * (10**9 // RATE), 1.0, 32, count, 100, 0, 0, False, os.getpid())
        began = time.perf_counter()
        await finish(setup, planned, report)
        limit = conclude_limit(record.learnt.bracket, record.learnt.predicted, record.rows)
        record.finish(limit, conclude_run(record.rows, limit))
        _say(FINISH, began)

    asyncio.run(measure())


def _open_run(folder: Path) -> None:
    """Open a run and read every table that its report shows."""
    began = time.perf_counter()
    from workbench import open_run

    run = open_run(folder)
    for shown in (run.steps, run.series, run.outcomes, run.histograms, run.watch):
        len(shown)
    _say(OPEN, began)


def _report(folder: Path) -> None:
    """The command as a user runs it. Its exit code is 1 if receipts failed, as here."""
    if subprocess.run([WORKBENCH, "report", folder], check=False).returncode > 1:
        raise SystemExit("the report was not made")


def _finish_whole(folder: Path, rows: Path) -> None:
    """The same figures and files from one DataFrame."""
    from benchmarks import whole_frame

    began = time.perf_counter()
    mapped = SampleBuffer.open(rows).rows
    samples = whole_frame.frame_of(mapped, step=1, seed=1, payer="0x", value_grt=0.001)
    whole_frame.denial(samples, spent_wei=0, value_wei=10**15, budget=int(0.9 * len(mapped)))
    whole_frame.summary(samples)
    whole_frame.series(samples, 1, 0).to_parquet(folder / "series.parquet")
    samples.to_parquet(folder / "step-001.parquet", index=False)
    _say(FINISH, began)


def _open_whole(folder: Path) -> None:
    """The data for charts, from all samples."""
    import pandas as pd

    began = time.perf_counter()
    samples = pd.read_parquet(folder / "step-001.parquet")
    samples.groupby(["step", samples["outcome"].astype(str)]).size()
    accepted = samples[samples["outcome"] == "ok"]
    for since in ("intended_ns", "sent_ns"):
        np.quantile((accepted["done_ns"] - accepted[since]) / 1e6, np.linspace(0, 1, 200))
    _say(OPEN, began)


def _say(what: str, began: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(_taken(what, time.perf_counter() - began, time.process_time(), peak)))


def _taken(what: str, elapsed_s: float, cpu_s: float, peak_mib: float) -> dict[str, float]:
    return {f"{what}_{ELAPSED}": elapsed_s, f"{what}_{CPU}": cpu_s, f"{what}_{PEAK}": peak_mib}


JOBS = {"rows": make_rows, "vegeta": make_vegeta, "finish": _finish_run, "open": _open_run, "report": _report,
        "finish-whole": _finish_whole, "open-whole": _open_whole}  # fmt: skip


def job(name: str, *arguments: str | Path) -> dict[str, float]:
    """One of JOBS in a separate process, so that its memory can be measured."""
    output = run_process([sys.executable, "-m", "benchmarks.scale", "--job", name, *arguments], stderr=None).output
    return json.loads(output.splitlines()[-1]) if output else {}


def ours(rows: Path, folder: Path) -> Mapping[str, float]:
    """Finish the step, open the run, make its report."""
    shutil.rmtree(folder, ignore_errors=True)
    taken = job("finish", folder, rows) | job("open", folder)
    report = run_process([sys.executable, "-m", "benchmarks.scale", "--job", "report", folder], stderr=None)
    stored = (folder / "samples" / "step-001.parquet").stat().st_size
    taken |= _taken(REPORT, report.elapsed_s, report.cpu_s, report.peak_bytes / 1024**2)
    return taken | {
        PAGE: (folder / "report.html").stat().st_size,
        STORED: stored / LiveRows(rows).rows,
    }


def whole(rows: Path, folder: Path) -> Mapping[str, float]:
    """The same as one DataFrame, without a report."""
    folder.mkdir(exist_ok=True)
    taken = job("finish-whole", folder, rows) | job("open-whole", folder)
    return taken | {STORED: (folder / "step-001.parquet").stat().st_size / LiveRows(rows).rows}


def vegeta(results: Path) -> Mapping[str, float]:
    """vegeta's report: counts and percentiles by t-digest, which are estimates."""
    taken = run_process(["vegeta", "report", "-type=json", results])
    return _taken(FINISH, taken.elapsed_s, taken.cpu_s, taken.peak_bytes / 1024**2)


def main() -> int:
    """Measure, print, write; 1 when the report is too slow or too large."""
    if sys.argv[1:2] == ["--job"]:
        name, *given = sys.argv[2:]
        JOBS[name](*(int(one) if one.isdecimal() else Path(one) for one in given))  # type: ignore[operator]
        return 0
    parser = arguments(__doc__.splitlines()[0])
    parser.set_defaults(rounds=3)
    parser.add_argument("--rows", type=int, default=ROWS, help="samples of the step")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        rows, results = Path(folder) / "rows.live", Path(folder) / "results.gob"
        job("rows", rows, str(options.rows))
        rivals = {
            "workbench": partial(ours, rows, Path(folder) / "run"),
            "one DataFrame": partial(whole, rows, Path(folder) / "whole"),
        }
        if shutil.which("vegeta"):
            job("vegeta", rows, results)
            rivals["vegeta report"] = partial(vegeta, results)
        figures = interleave(rivals, options.rounds)
    print(table(figures))
    ratios = {
        quantity: median_of(figures, "one DataFrame", quantity) / median_of(figures, "workbench", quantity)
        for quantity in (f"{what}_{kind}" for what in (FINISH, OPEN) for kind in (ELAPSED, CPU, PEAK))
    }
    for quantity, ratio in ratios.items():
        print(f"{quantity}: one DataFrame takes {ratio:.1f} times the workbench's")
    write(options.out, "scale", figures, ratios=ratios, rows=options.rows)
    slow = median_of(figures, "workbench", f"{REPORT}_{ELAPSED}") > REPORT_TARGET_S
    return int(slow or median_of(figures, "workbench", PAGE) > REPORT_TARGET_BYTES)


if __name__ == "__main__":
    sys.exit(main())
