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
from typing import Any

MARK = "PROFILED_BY_WORKBENCH"
"""Variable in the environment of all that is guarded: a process is known by it that was started and not told of yet,
when the workbench was killed in between."""


class Guardian:
    """The workbench's side: started with the first state, told each later one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, state: dict[str, Any]) -> None:
        """What would have to be done now."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workbench.profilers.backends.guarding"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._say(state)

    def release(self) -> None:
        """Tell it that nothing is left to do, and wait until it has ended."""
        if self._process is None:
            return
        self._say(None)
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()
        self._process = None

    def _say(self, state: dict[str, Any] | None) -> None:
        # it was killed: then nothing guards, as before it was started
        with contextlib.suppress(OSError):
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(json.dumps(state).encode() + b"\n")
                self._process.stdin.flush()
