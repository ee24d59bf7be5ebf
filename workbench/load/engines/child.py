"""A generator in a separate process (:mod:`workbench.load.worker`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from workbench.errors import EXIT_INVALID, EXIT_USAGE, MeasurementError, RunFolderError, WorkbenchError
from workbench.load.engines.conduct import Counters, OnProgress, conduct, lost, name_of
from workbench.load.engines.in_process import Start
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey

_ITS_OWN: dict[int, type[WorkbenchError]] = {EXIT_USAGE: RunFolderError, EXIT_INVALID: MeasurementError}
"""Errors of a process that are reported as they are, by its exit code: its samples cannot be opened; the machine allows
too few open files."""
LAST_WORDS_S = 3.0
"""How long a process may take to write the answers in flight before it is killed."""


async def child_process(
    spec: StepSpec, key: SigningKey | None, on_progress: OnProgress | None = None, *, under: Sequence[str] = ()
) -> StepReport:
    """Run one step in one process and wait for it, see :func:`workbench.load.engines.conduct.conduct`.

    ``under``: arguments between the interpreter and its module, such as ``-m pprofile``. Raises ToolError if the
    process dies.
    """
    return await conduct([ChildGenerator(spec, key, under)], on_progress)


class ChildGenerator:
    """The process of one generator. The key is passed only through the pipe."""

    def __init__(self, spec: StepSpec, key: SigningKey | None, under: Sequence[str] = ()) -> None:
        self.counters = Counters()
        self._spec = spec
        self._key = key
        self._under = under
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = False

    async def run(self, start: Start) -> StepReport:
        """See :class:`workbench.load.engines.conduct.Generator`."""
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._under,
            "-m",
            "workbench.load.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is handled here: we tell the generator to stop
        )
        self.counters.pid = process.pid
        try:
            await self._tell({"spec": self._spec.to_json(), "key": None if self._key is None else self._key.reveal()})
            if self._stopped:
                self.stop()
            return await self._listen(process, start)
        except asyncio.CancelledError:
            # the loop may be ending, as in a Dask worker that lost its scheduler; waiting saves the rows
            self.stop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), LAST_WORDS_S)
            raise
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def stop(self) -> None:
        """Closing its input tells the process to stop sending."""
        self._stopped = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def _listen(self, process: asyncio.subprocess.Process, start: Start) -> StepReport:
        """Read the process's output to its end."""
        assert process.stdout is not None  # noqa: S101 - for the type checker
        assert process.stderr is not None  # noqa: S101 - likewise
        errors = asyncio.ensure_future(process.stderr.read())
        beginning: asyncio.Task[None] | None = None
        report = error = None
        try:
            async for line in process.stdout:
                message = json.loads(line)
                if "report" in message:
                    report = StepReport.from_json(message["report"])
                elif "error" in message:
                    error = message["error"]
                elif "ready" in message:
                    # a task: other generators may never be ready, and this one must be read meanwhile
                    beginning = asyncio.create_task(self._begin(start))
                else:
                    self.counters = Counters(**message)
            code = await process.wait()
            stderr = (await errors).decode(errors="replace").strip().splitlines()
        finally:
            errors.cancel()
            if beginning is not None:
                beginning.cancel()
        if report is not None:
            return report
        if error is not None and code in _ITS_OWN:
            raise _ITS_OWN[code](**error)
        why = WorkbenchError(**error) if error is not None else stderr[-1] if stderr else "no message"
        raise lost(self._spec, name_of(self._spec.share), f"ended with code {code} during the step: {why}")

    async def _begin(self, start: Start) -> None:
        await self._tell({"start_ns": await start()})

    async def _tell(self, message: dict[str, Any]) -> None:
        assert self._process is not None  # noqa: S101 - for the type checker
        assert self._process.stdin is not None  # noqa: S101 - likewise
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
