"""The generator process: one StepSpec on standard input, progress and a StepReport on standard output.

It reports when it is ready; a second input line gives the instant to start. Standard input stays open as a lifeline:
when it closes (the parent stopped the step, or died) nothing more is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import threading
import time
from dataclasses import asdict

from workbench.errors import MeasurementError, WorkbenchError
from workbench.leaving_out import bare_numpy, without_collector
from workbench.masking import ended
from workbench.receipts.keys import SigningKey

with without_collector():
    with bare_numpy():
        import numpy  # noqa: F401 - before what imports it too
    from workbench.load.drive import Progress
    from workbench.load.engines.in_process import in_process
    from workbench.load.spec import StepReport, StepSpec

PROGRESS_INTERVAL_S = 0.25
OTHER_FILES = 64
NICE = -10
"""Raised priority (nice): a generator that waits for a core is late, which is not the service's fault."""


def main() -> int:
    """Run one step; the exit code is 0 when a report was written."""
    request = json.loads(sys.stdin.readline())
    spec = StepSpec.from_json(request["spec"])
    key = SigningKey(request.pop("key")) if request["key"] else None
    progress = Progress()

    with contextlib.suppress(PermissionError):  # needs root; without it the lag is measured anyway
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    try:
        _allow_connections(spec)
        report = _run(spec, key, progress)
    except WorkbenchError as error:
        _say({"error": {"what": error.what, "where": error.where, "hint": error.hint}})
        return error.exit_code
    _say({"report": asdict(report)})
    return 0


def _allow_connections(spec: StepSpec) -> None:
    """Raise the limit of open files as far as allowed, so that our own limit does not look like an error of the
    service."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    needed = min(spec.count, spec.in_flight) + OTHER_FILES
    if soft not in (resource.RLIM_INFINITY, -1) and needed > soft:
        raise MeasurementError(
            f"{needed} open files are needed for the requests in flight, but the system allows {soft}",
            where="ulimit -n",
            hint="Raise it, or lower --concurrency or --max-in-flight",
        )


def _run(spec: StepSpec, key: SigningKey | None, progress: Progress) -> StepReport:
    async def run() -> StepReport:
        beginning: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        listening = (asyncio.get_running_loop(), beginning, progress)
        threading.Thread(target=_listen, args=listening, daemon=True).start()
        reporting = asyncio.create_task(_report_progress(progress))

        async def start() -> int:
            _say({"ready": True})
            return await beginning

        try:
            return await in_process(spec, key, progress, start)
        finally:
            reporting.cancel()
            _say_progress(progress)

    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.run(run())
    return uvloop.run(run())


def _listen(loop: asyncio.AbstractEventLoop, beginning: asyncio.Future[int], progress: Progress) -> None:
    """Read the parent's input: the instant to start; its end means stop."""

    def begin(at_ns: int) -> None:
        if not beginning.done():
            beginning.set_result(at_ns)

    with contextlib.suppress(RuntimeError):  # the loop has ended, and the process will too
        for line in sys.stdin:
            loop.call_soon_threadsafe(begin, json.loads(line)["start_ns"])
        progress.stop = True
        loop.call_soon_threadsafe(begin, time.monotonic_ns())


async def _report_progress(progress: Progress) -> None:
    while True:
        _say_progress(progress)
        await asyncio.sleep(PROGRESS_INTERVAL_S)


def _say_progress(progress: Progress) -> None:
    _say({"pid": os.getpid(), "sent": progress.sent, "done": progress.done, "ok": progress.ok})


def _say(message: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone; standard input shows it too
        print(json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.exit(ended(main))
