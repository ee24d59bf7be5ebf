"""The process that runs one notebook: a request as one JSON line on standard input, events as JSON lines on
standard output.

Standard input stays open. When it is closed (the parent stopped the run, or died), or at the time limit, the
kernel is interrupted, so that the cell can clean up and the notebook is saved; what does not end then is
killed. This is a separate process because papermill changes the working directory and runs its own event loop.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

import psutil

from workbench import keyring
from workbench.leaving_out import OF_PAPERMILL, left_out, without_collector
from workbench.masking import ended
from workbench.report.record import Ending, first_line

INTERRUPT_GRACE_S = 20.0
KILL_GRACE_S = 5.0
_SOCKET_PATH_BYTES = 107


class NoMoreCells(Exception):
    """The run was stopped before a cell began."""


@dataclass
class Course:
    """How far the run is, and why it was stopped from outside, if it was.

    An idle kernel ignores an interrupt, so a run stopped between two cells does not begin the next one. ``write``
    and ``flush`` make this the file to which papermill writes what cells print.
    """

    say: Callable[[dict[str, Any]], None]
    answered: int = 0
    cell_running: bool = False
    stopped: str = ""
    finished: threading.Event = field(default_factory=threading.Event)

    def before_cell(self, **cell: Any) -> None:
        """Called by nbclient before a code cell is sent to the kernel."""
        if self.stopped:
            raise NoMoreCells
        self.cell_running = True

    def after_cell(self, **cell: Any) -> None:
        """Called by nbclient when the kernel has answered, with a result or an error."""
        self.cell_running = False
        self.answered += 1
        self.say({"answered": self.answered})

    def write(self, text: str) -> None:
        """Tell the parent what a cell printed."""
        self.say({"output": text})

    def flush(self) -> None:
        """Nothing is buffered."""


def main() -> int:
    """Run the requested notebook; the exit code is 0 if its ending was reported, whatever it was."""
    request = json.loads(sys.stdin.readline())
    keyring.hold(request.pop("keys"))
    say = _events(_take_standard_output())
    course = Course(say)
    threading.Thread(target=_stop_in_time, args=(course, request["timeout_s"]), daemon=True).start()
    ending = _execute(request, course)
    course.finished.set()
    shutil.rmtree(request["runtime"], ignore_errors=True)  # the parent does so too, but may be dead
    if course.stopped == "timeout":
        ending = Ending("timeout", "TimeoutError", f"the notebook took longer than {request['timeout_s']:g} s")
    elif course.stopped:
        ending = Ending("killed", "Interrupted", course.stopped)
    say({"ending": asdict(ending)})
    return 0


def _execute(request: dict[str, Any], course: Course) -> Ending:
    with without_collector(), left_out(*OF_PAPERMILL):
        import papermill
        from nbclient.exceptions import DeadKernelError
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config

        from workbench.report.engine import register
        from workbench.report.kernel import KernelWithKeys

    try:
        papermill.execute_notebook(
            _literal(request["notebook"]),
            _literal(request["output"]),
            parameters=request["parameters"],
            engine_name=register(),
            kernel_name="python3",
            progress_bar=False,
            stdout_file=course,
            stderr_file=course,
            on_cell_execute=course.before_cell,
            on_cell_executed=course.after_cell,
            config=Config({"KernelManager": _connection(request["runtime"])}),
            kernel_manager_class=KernelWithKeys,
        )
    except PapermillExecutionError as error:
        return Ending("failed", error.ename, first_line(error.evalue))
    except DeadKernelError:
        return Ending("dead_kernel", "DeadKernelError", "the kernel process ended while a cell was running")
    except Exception as error:  # papermill, nbclient, jupyter_client and zmq have no common base
        return Ending("failed", type(error).__name__, first_line(str(error)))
    return Ending("ok")


def _stop_in_time(course: Course, timeout_s: float | None) -> None:
    """Wait until standard input is closed or the time is over, then interrupt the kernel, and kill it if needed."""
    ended, _, _ = select.select([sys.stdin], [], [], timeout_s)
    if course.finished.is_set():
        return
    course.stopped = "the run was stopped" if ended else "timeout"
    if course.cell_running:
        _signal(psutil.Process().children(), signal.SIGINT)
    if not course.finished.wait(INTERRUPT_GRACE_S):
        _signal(psutil.Process().children(recursive=True), signal.SIGKILL)
        if not course.finished.wait(KILL_GRACE_S):
            os._exit(1)


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _connection(runtime: str) -> dict[str, str]:
    """How the kernel is reached: by sockets in the folder ``runtime``, which no other kernel uses.

    Without a connection file jupyter_client names them ``kernel-ipc-1`` … in the working directory, the same for
    two kernels there. A socket's path has 107 characters at most; temporary folders outside of Linux are too
    long for that, and some on Linux: then encrypted TCP is used.
    """
    if sys.platform == "linux" and len(os.fsencode(os.path.join(runtime, "kernel-ipc-5"))) <= _SOCKET_PATH_BYTES:
        return {"transport": "ipc", "connection_file": os.path.join(runtime, "kernel.json")}
    return {"transport_encryption": "auto"}


def _literal(path: str) -> str:
    """papermill passes paths through str.format, so braces are doubled."""
    return path.replace("{", "{{").replace("}", "}}")


def _take_standard_output() -> TextIO:
    """The real standard output, for events alone: whatever else prints here or in the kernel goes to
    stderr.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _events(stream: TextIO) -> Callable[[dict[str, Any]], None]:
    def say(event: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # the parent is gone; standard input is closed too
            print(json.dumps(event), file=stream, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(ended(main))
