"""Runs a command and ends it when standard input closes: for PostgreSQL, which would continue after its parent was
killed.

``python -m workbench.network.guard LOG COMMAND...``: prints the command's process id, and ends with its exit code.
SIGINT makes a fast shutdown of PostgreSQL: open transactions are rolled back, committed ones are written.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from workbench.keyring import for_foreign
from workbench.masking import ended

STOP_S = 30.0
_IPC_RMID = 0


def main(arguments: list[str]) -> int:
    """Run the command to its end and return its exit code."""
    log, *command = arguments
    with open(log, "ab", buffering=0) as output:
        process = subprocess.Popen(  # noqa: S603 - the workbench's own command
            command,
            env=for_foreign(os.environ)[0],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    threading.Thread(target=_end_with_parent, args=(process,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # the parent is already gone
        os.write(1, f"{process.pid}\n".encode())
    code = process.wait()
    _free_memory(command, process.pid)
    return code


def _free_memory(command: list[str], pid: int) -> None:
    """Free the shared memory of a killed PostgreSQL, which it would do itself only at its next start with the same
    data. The segment's number is in a file that an orderly end removes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (Path(command[command.index("-D") + 1]) / "postmaster.pid").read_text("utf-8").splitlines()
        if int(lines[0]) == pid:
            ctypes.CDLL(None).shmctl(int(lines[6].split()[1]), _IPC_RMID, None)


def _end_with_parent(process: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown, including its children


if __name__ == "__main__":
    sys.exit(ended(partial(main, sys.argv[1:])))
