"""The generator process: one StepSpec on standard input, progress and a StepReport on standard output.

Standard input stays open as a lifeline: at its end (the parent stopped the step, or died) nothing more is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import threading
from dataclasses import asdict

from workbench.errors import MeasurementError, WorkbenchError
from workbench.load.drive import Progress
from workbench.load.engines.in_process import in_process
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey

PROGRESS_INTERVAL_S = 0.25
OTHER_FILES = 64
NICE = -10
"""A generator that waits for a core is late, and its lateness is not the service's."""


def main() -> int:
    """Run one step; the exit code is 0 when a report was written."""
    request = json.loads(sys.stdin.readline())
    spec = StepSpec.from_json(request["spec"])
    key = SigningKey(request.pop("key")) if request["key"] else None
    progress = Progress()

    def watch_parent() -> None:
        sys.stdin.read()
        progress.stop = True

    threading.Thread(target=watch_parent, daemon=True).start()
    with contextlib.suppress(PermissionError):  # only root may; what the lag is without it is measured anyway
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    try:
        _allow_connections(spec)
        report = _run(spec, key, progress)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    _say({"report": asdict(report)})
    return 0


def _allow_connections(spec: StepSpec) -> None:
    """As many open files as the system lets us have; an error of our own must not look like one of the service."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    needed = min(spec.plan.count, spec.in_flight) + OTHER_FILES
    if soft not in (resource.RLIM_INFINITY, -1) and needed > soft:
        raise MeasurementError(
            f"{needed} open files are needed for that many requests in flight, the system allows {soft}",
            where="ulimit -n",
            hint="Raise it, or lower --concurrency or --max-in-flight",
        )


def _run(spec: StepSpec, key: SigningKey | None, progress: Progress) -> StepReport:
    async def run() -> StepReport:
        reporting = asyncio.create_task(_report_progress(progress))
        try:
            return await in_process(spec, key, progress)
        finally:
            reporting.cancel()

    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.run(run())
    return uvloop.run(run())


async def _report_progress(progress: Progress) -> None:
    while True:
        _say({"pid": os.getpid(), "sent": progress.sent, "done": progress.done, "ok": progress.ok})
        await asyncio.sleep(PROGRESS_INTERVAL_S)


def _say(message: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone; standard input says so too
        print(json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.exit(main())
