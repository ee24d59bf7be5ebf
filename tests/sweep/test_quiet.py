"""What processes do, told from the outside."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from workbench.sweep.quiet import until_old, until_quiet

AGE_S = 1.5


async def test_a_process_is_waited_for_until_it_is_old_enough_and_no_longer() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = psutil.Process(process.pid).create_time()
        await until_old([process.pid], AGE_S)
        assert time.time() - born >= AGE_S
        started = time.monotonic()
        await until_old([process.pid], AGE_S)
        assert time.monotonic() - started < AGE_S
        process.communicate(b"\n")
    await until_old([process.pid], 3600)  # it is gone


async def test_a_process_that_works_is_not_quiet_and_one_that_waits_is() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        assert not await until_quiet([busy.pid], 1.0)
        busy.kill()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as waiting:
        assert await until_quiet([waiting.pid], 30.0)
        waiting.communicate(b"\n")
