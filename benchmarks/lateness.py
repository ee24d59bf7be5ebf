"""How late requests are sent in an open loop: ours and vegeta's, by the same rule.

A client with R requests per second plans to send the i-th at t0 + i / R. Only ours reports t0, so for both t0 is the
latest time at which no request was early: the smallest (time of sending - i / R). The lateness of a request is its
delay after that plan. vegeta's times of sending are from its results, taken by the sending goroutine just before
sending. wrk2 cannot be compared: it stores no times, and plans each connection separately.
"""

from __future__ import annotations

import asyncio
import csv
import io
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.load.engines.child import child_process
from workbench.load.plan import OpenPlan
from workbench.load.samples import COLUMNS, SampleBuffer
from workbench.load.spec import StepSpec

SENT_SHARE = "sent per second, percent of the planned rate"
P50, P99 = "lateness p50, microseconds", "lateness p99, microseconds"
LAG_P50, LAG_P99 = "lag p50, microseconds", "lag p99, microseconds"
CPU = "client CPU microseconds per request"
SPUN = "of it spun"
FAILED = "requests that failed, percent"
MAX_IN_FLIGHT = 1000


def lateness_us(sent_ns: npt.NDArray[np.int64], rate: float) -> npt.NDArray[np.float64]:
    """The lateness of requests in the order of the plan, in microseconds."""
    after = (sent_ns - sent_ns[0]) - np.arange(len(sent_ns)) * (1e9 / rate)
    late: npt.NDArray[np.float64] = (after - after.min()) / 1e3
    return late


def figures(sent_ns: npt.NDArray[np.int64], rate: float) -> dict[str, float]:
    """The figures that both clients are compared by."""
    late = lateness_us(sent_ns, rate)
    seconds = float(sent_ns.max() - sent_ns.min()) / 1e9
    share = 100 * (len(sent_ns) - 1) / seconds / rate
    return {SENT_SHARE: share, P50: float(np.percentile(late, 50)), P99: float(np.percentile(late, 99))}


def ours(spec: StepSpec, rate: float, seconds: int, *, spin: bool) -> Mapping[str, float]:
    """The generator process in an open loop; its lag is counted from the plan's own start."""
    count = int(rate * seconds)
    spec = replace(spec, plan=OpenPlan(count, rate), spin=spin)
    buffer = SampleBuffer.create(spec.buffer, count)
    try:
        report = asyncio.run(child_process(spec, None))
        rows = buffer.rows.copy()
        if buffer.paid() != count:
            raise SystemExit(f"workbench: only {buffer.paid()} of {count} requests were answered with success")
    finally:
        buffer.path.unlink()
    intended_ns, sent_ns = (rows[:, COLUMNS.index(name)] for name in ("intended_ns", "sent_ns"))
    lag = np.percentile((sent_ns - intended_ns) / 1e3, (50, 99))
    cpu = {CPU: report.cpu_s / count * 1e6, SPUN: report.spun_s / count * 1e6}
    return {**figures(sent_ns, rate), LAG_P50: float(lag[0]), LAG_P99: float(lag[1]), **cpu}


def vegeta(url: str, body: str, rate: int, seconds: int, folder: Path) -> Mapping[str, float]:
    """vegeta on one processor, by its results, with as many requests in flight as ours may have."""
    (folder / "body").write_text(body)
    target = f"POST {url}\nContent-Type: application/json\n@{folder / 'body'}\n"
    attack = [
        *("env", "GOMAXPROCS=1", "vegeta", "attack", f"-rate={rate}", f"-duration={seconds}s"),
        *(f"-max-workers={MAX_IN_FLIGHT}", "-max-body=0"),
    ]
    results = subprocess.run(attack, input=target.encode(), capture_output=True, check=True).stdout
    text = subprocess.run(["vegeta", "encode", "-to=csv"], input=results, capture_output=True, check=True).stdout
    rows = list(csv.reader(io.StringIO(text.decode())))
    if not rows:
        raise SystemExit("vegeta sent nothing")
    bad = sum(row[1] != "200" for row in rows)
    by_number = sorted((int(row[8]), int(row[0])) for row in rows)  # columns: time of sending, ..., number
    sent_ns = np.array([sent for _, sent in by_number], dtype=np.int64)
    return {**figures(sent_ns, rate), FAILED: 100 * bad / len(rows)}
