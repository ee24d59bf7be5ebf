"""A step driven by a process of its own (:mod:`workbench.load.worker`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable

from workbench.errors import EXIT_INVALID, MeasurementError, ToolError
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey

OnProgress = Callable[[dict[str, int]], None]
STOP_WITHIN_S = 10.0


async def child_process(spec: StepSpec, key: SigningKey | None, on_progress: OnProgress | None = None) -> StepReport:
    """Run one step in a process of its own and wait for it.

    The key goes down the pipe and nowhere else. Being cancelled (Ctrl-C) stops the sending, waits for the answers in
    flight and then raises CancelledError; the rows are complete. Raises ToolError when the process dies.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workbench.load.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours to handle, the generator is told to stop
    )
    request = {"spec": spec.to_json(), "key": None if key is None else key.reveal()}
    reading = asyncio.ensure_future(_read(process, on_progress))
    try:
        assert process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        # end of input is the worker's sign to stop sending
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ToolError, TimeoutError):  # one that does not stop in time is killed below
            await asyncio.wait_for(reading, timeout=STOP_WITHIN_S)
        raise
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _read(process: asyncio.subprocess.Process, on_progress: OnProgress | None) -> StepReport:
    assert process.stdout is not None  # noqa: S101 - for the type checker
    assert process.stderr is not None  # noqa: S101 - likewise
    errors = asyncio.ensure_future(process.stderr.read())
    report = None
    async for line in process.stdout:
        message = json.loads(line)
        if "report" in message:
            report = StepReport.from_json(message["report"])
        elif on_progress is not None:
            on_progress(message)
    code = await process.wait()
    stderr = (await errors).decode(errors="replace").strip().splitlines()
    if report is None and code == EXIT_INVALID and stderr:
        raise MeasurementError(stderr[-1])
    if report is None:
        raise ToolError(
            f"the load generator ended with code {code} in mid-step: {stderr[-1] if stderr else 'no message'}",
            hint="What it measured up to then is kept; the step can be run again with --resume",
        )
    return report
