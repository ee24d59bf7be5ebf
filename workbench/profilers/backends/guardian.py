"""A process that guards a profiled service: if the workbench is killed, it stops the service in order, so that the tool
writes its files, and restores what ran before.

Its standard input is a pipe from the workbench. Each line is the backend's state; the last one is ``null`` when all was
stopped in order. If the pipe closes without it, the workbench was killed. The process runs ``guarding``.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from typing import Any

MARK = "PROFILED_BY_WORKBENCH"
"""A variable in the environment of all guarded processes. It identifies a process that was started just before the
workbench was killed and is not in the state yet."""

MOST_AGAIN = 10
"""How often its process is restarted before the next state is sent: where it cannot run, it ends at once each time."""


class Guardian:
    """The workbench's side: started with the first state, and sent each later one. If its process is killed, it is
    restarted at once, so that nothing is left unguarded."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._state: dict[str, Any] | None = None
        self._again = 0
        self._lock = threading.Lock()

    def tell(self, state: dict[str, Any]) -> None:
        """Send the current state."""
        with self._lock:
            self._state, self._again = state, 0
            if self._process is None or self._process.poll() is not None:
                self._begin()
            else:
                _say(self._process, state)

    def release(self) -> None:
        """Send that nothing is left to do, and wait until it has ended."""
        with self._lock:
            process, self._process, self._state = self._process, None, None
        if process is None:
            return
        _say(process, None)
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        process.wait()

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.profilers.backends.guarding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _say(self._process, self._state)
        threading.Thread(target=self._follow, args=(self._process,), name="guardian", daemon=True).start()

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a process ends: because nothing is left to do (0), or because it was killed."""
        code = process.wait()
        with self._lock:
            if code and self._process is process and self._again < MOST_AGAIN:
                self._again += 1
                self._begin()


def _say(process: subprocess.Popen[bytes], state: dict[str, Any] | None) -> None:
    with contextlib.suppress(OSError):  # it was just killed
        if process.stdin is not None:
            process.stdin.write(json.dumps(state).encode() + b"\n")
            process.stdin.flush()
