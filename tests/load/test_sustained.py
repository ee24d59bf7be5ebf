"""A load that goes on, in small: memory of a generator does not follow the number of receipts, and what a slow target
does to them is told apart from what the generator did. The long form: ``python -m benchmarks.sustained``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.load.chunks import LiveRows
from workbench.load.engines.in_process import in_process
from workbench.load.outcome import OUTCOMES, Outcome
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepSpec
from workbench.nullserver.child import null_server
from workbench.settings import TargetSettings

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY = 4_000, 20_000
_PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.load.test_sustained import most_kib
print(asyncio.run(most_kib(Path(sys.argv[1]), int(sys.argv[2]))))
"""


async def most_kib(buffer: Path, count: int) -> int:
    """The most memory that this process has had when it has sent so many requests."""
    SampleBuffer.create(buffer, count)
    async with null_server() as server:
        await in_process(StepSpec(server.paid_url, TargetSettings().query, ClosedPlan(count, 32), buffer, None), None)
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_five_times_the_receipts_take_no_more_memory(tmp_path: Path) -> None:
    """Rows are in a mapped file, 56 bytes each, and nothing else is kept of a request."""
    most = {}
    for count in (FEW, MANY):
        command = [sys.executable, "-c", _PROGRAM, str(tmp_path / str(count)), str(count)]
        most[count] = int(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout)
    assert most[MANY] < 1.1 * most[FEW], most


def test_timeouts_are_told_apart_from_lag(tmp_path: Path) -> None:
    """A target that answers after two seconds, and a limit of half a second: the time is the target's, and of the
    generator's own lateness each row tells by itself."""
    SampleBuffer.create(tmp_path / "rows", 600)

    async def run() -> LiveRows:
        async with null_server(delay_ms=2000.0) as server:
            plan = OpenPlan(600, 3000.0)
            spec = StepSpec(server.paid_url, TargetSettings().query, plan, tmp_path / "rows", None, timeout_s=0.5)
            await in_process(spec, None)
        return LiveRows(tmp_path / "rows")

    (rows,) = list(asyncio.run(run()))
    assert {OUTCOMES[code] for code in rows.outcome.tolist()} == {Outcome.TIMEOUT}
    waited_ns = rows.done_ns - rows.sent_ns
    assert (waited_ns >= 500_000_000).all()
    assert np.median(rows.lag_ns) < np.median(waited_ns)
