"""The generator alone, with receipts signed before: ``benchmarks/load.py`` compares it with other clients.

Reads a JSON object from standard input (``spec``: the worker's input, ``receipts``: a file of header values, which are
sent repeatedly) and prints the report of the step as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import uvloop

from workbench.load.client import ReceiptClient
from workbench.load.drive import Progress, drive_closed
from workbench.load.plan import ClosedPlan
from workbench.load.samples import RowWriter, SampleBuffer
from workbench.load.spec import StepReport, StepSpec


async def signed_before(spec: StepSpec, receipts: list[bytes]) -> StepReport:
    """One closed step."""
    plan = spec.plan
    if not isinstance(plan, ClosedPlan):
        raise SystemExit("expected a closed plan")
    rows = RowWriter(SampleBuffer.open(spec.buffer), spec.share)
    client, progress, there = ReceiptClient(spec.url, spec.body, timeout_s=spec.timeout_s), Progress(), len(receipts)
    try:
        opened = await client.open_connections(spec.connections)
        began_ns, cpu_s = time.monotonic_ns(), time.process_time()
        await drive_closed(
            plan.count, plan.concurrency, client, lambda position: receipts[position % there], rows, progress
        )
        ended_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu_s
    finally:
        await client.close()
    return StepReport(
        started_ns=began_ns,
        ended_ns=ended_ns,
        cpu_s=cpu_s,
        connections=opened,
        sent=progress.sent,
        in_flight_max=progress.in_flight_max,
        cap_hits=0,
        signed_late=0,
        interrupted=False,
        pid=0,
    )


def run(spec: StepSpec, receipts: Path) -> StepReport:
    """:func:`signed_before` in a separate process."""
    request = json.dumps({"spec": spec.to_json(), "receipts": str(receipts)})
    command = [sys.executable, "-m", "benchmarks.generator"]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the generator ended with code {done.returncode}: {done.stderr[-500:]}")
    return StepReport(**json.loads(done.stdout))


def main() -> int:
    """Run the step from standard input."""
    request = json.loads(sys.stdin.read())
    receipts = Path(request["receipts"]).read_bytes().split()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(signed_before(StepSpec.from_json(request["spec"]), receipts))
    print(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
