"""A process beside a profiled service that outlives the workbench: when that is killed, it ends the service in order,
so that its tool writes, and brings back what ran before.

Its standard input is a pipe from the workbench. Each line is the backend's state, the last one ``null`` when all was
done in order; the pipe's end without it is the workbench's end. What runs in it is ``guarding``.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from typing import Any

MARK = "PROFILED_BY_WORKBENCH"
"""Variable in the environment of all that is guarded: a process is known by it that was started and not told of yet,
when the workbench was killed in between."""

MOST_AGAIN = 10
"""So often its process is started again until there is something new to tell: one that cannot run here ends at once."""


class Guardian:
    """The workbench's side: started with the first state, told each later one. Where its process is killed another
    takes its place at once, so that nothing is left unguarded while the workbench lives."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._state: dict[str, Any] | None = None
        self._again = 0
        self._lock = threading.Lock()

    def tell(self, state: dict[str, Any]) -> None:
        """What would have to be done now."""
        with self._lock:
            self._state, self._again = state, 0
            if self._process is None or self._process.poll() is not None:
                self._begin()
            else:
                _say(self._process, state)

    def release(self) -> None:
        """Tell it that nothing is left to do, and wait until it has ended."""
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
        """Until a process ends: it had nothing more to do (0), or was killed."""
        code = process.wait()
        with self._lock:
            if code and self._process is process and self._again < MOST_AGAIN:
                self._again += 1
                self._begin()


def _say(process: subprocess.Popen[bytes], state: dict[str, Any] | None) -> None:
    with contextlib.suppress(OSError):  # it was killed just now
        if process.stdin is not None:
            process.stdin.write(json.dumps(state).encode() + b"\n")
            process.stdin.flush()
