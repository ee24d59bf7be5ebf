"""The ``workbench`` command from a notebook: a separate process, read line by line; keys are passed through a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from workbench import keyring
from workbench.masking import masked

Heard = Callable[[str], None]
LINE_LIMIT_BYTES = 1 << 22
STOP_S = 30.0


async def run_command(words: Sequence[str], heard: Heard) -> int:
    """Run ``workbench`` with ``words``; ``heard`` gets each line of its output, without keys. Returns its exit code.

    Cancelling interrupts it like Ctrl-C and waits until it has ended in order.
    """
    for word in words:
        keyring.refuse(word, "an argument")
    with keyring.handed_on() as (keys, descriptors):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "workbench.cli",
            *words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **keys},
            pass_fds=descriptors,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,  # an interrupted cell is not an interrupted command
        )
    if process.stdout is None:
        raise RuntimeError("it was asked for as a pipe")
    try:
        async for line in process.stdout:
            heard(masked(line.decode(errors="replace").rstrip("\n")))
        return await process.wait()
    except BaseException:
        await _stopped(process, heard)
        raise


async def _stopped(process: asyncio.subprocess.Process, heard: Heard) -> None:
    """Interrupt a command, and kill it if that does not end it."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_S):
            rest, _ = await process.communicate()
        for line in rest.decode(errors="replace").splitlines():
            heard(masked(line))
    except TimeoutError:
        process.kill()
        await process.wait()
