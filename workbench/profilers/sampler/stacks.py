"""Names of running code: the functions of a thread's stack, its asyncio task, and where suspended tasks wait."""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from types import FrameType
from typing import TYPE_CHECKING, Any

from workbench.profilers.sampler.report import Function

if TYPE_CHECKING:
    import asyncio

MOST_FRAMES = 128
"""As in upstream's sampler: deeper stacks are cut at the root side, and a frame says so."""

MOST_TASKS = 256
"""The most task names kept apart: with a name per request every request would get its own stack."""

CUT = Function(f"[more than {MOST_FRAMES} frames]", "", 0)
UNSEEN = Function("[worked between samples]", "", 0)
OTHER_TASKS = "other tasks"

# asyncio's own numbering, which is unbounded and tells nothing
_NUMBERED = re.compile(r"Task-\d+")

# Python functions that wait in C. A thread found there did its charged work somewhere else.
_WAITING = frozenset(
    (
        # the leaf while uvloop waits, which has no Python frames
        "asyncio.runners.Runner.run",
        "uvloop.run",
        "concurrent.futures.thread._worker",
        "multiprocessing.connection.Connection._recv",
        "queue.Queue.get",
        "selectors.DevpollSelector.select",
        "selectors.EpollSelector.select",
        "selectors.KqueueSelector.select",
        "selectors.SelectSelector.select",
        "selectors.SelectSelector._select",
        "selectors._PollLikeSelector.select",
        "socket.socket.accept",
        "subprocess.Popen._try_wait",
        "threading.Condition.wait",
        "threading.Event.wait",
        "threading.Thread._wait_for_tstate_lock",
        "threading.Thread.join",
    )
)


class Functions:
    """Every function seen so far and its number. Keeps files and names, not code objects."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._waiting: list[bool] = []
        self.table: list[Function] = []
        self.cut = self._add(CUT)
        self.unseen = self._add(UNSEEN)

    def stack(self, frame: FrameType | None) -> tuple[int, ...]:
        """The numbers of a frame's function and its callers', leaf first."""
        numbers: list[int] = []
        while frame is not None:
            if len(numbers) == MOST_FRAMES:
                numbers.append(self.cut)
                break
            numbers.append(self.number(frame))
            frame = frame.f_back
        return tuple(numbers)

    def number(self, frame: FrameType) -> int:
        """The number of a frame's function."""
        code = frame.f_code
        key = (code.co_filename, code.co_qualname, code.co_firstlineno)
        number = self._numbers.get(key)
        if number is None:
            function = Function(qualified(frame), code.co_filename, code.co_firstlineno)
            number = self._numbers[key] = self._add(function)
        return number

    def waits(self, number: int) -> bool:
        """Whether a thread with this leaf is waiting, not working."""
        return self._waiting[number]

    def _add(self, function: Function) -> int:
        self.table.append(function)
        self._waiting.append(function.name in _WAITING)
        return len(self.table) - 1


def qualified(frame: FrameType) -> str:
    """The name of a frame's function with its module: ``package.module.Class.method``."""
    module = frame.f_globals.get("__name__")
    return f"{module}.{frame.f_code.co_qualname}" if isinstance(module, str) else frame.f_code.co_qualname


def thread_name(ident: int) -> str:
    """The name of a thread, or its id if Python did not start it."""
    # not threading.enumerate(): it takes a lock, which the interrupted code may hold
    thread = threading._active.get(ident)  # type: ignore[attr-defined]
    return str(ident) if thread is None else str(thread.name)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread. Does not import asyncio."""
    module = sys.modules.get("asyncio")
    loop: asyncio.AbstractEventLoop | None = None if module is None else module._get_running_loop()
    return loop


class TaskNames:
    """Labels of tasks: the given name, or the coroutine's name if asyncio only numbered the task."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def running(self, loop: asyncio.AbstractEventLoop | None) -> str:
        """The label of the task that runs in ``loop`` now; "" if none does."""
        if loop is None:
            return ""
        task = sys.modules["asyncio"].current_task(loop)
        if task is None:
            return ""
        label = task_label(task)
        if label not in self._known:
            if len(self._known) >= MOST_TASKS:
                return OTHER_TASKS
            self._known.add(label)
        return label


def task_label(task: asyncio.Task[Any]) -> str:
    """The name of a task, or its coroutine if the name is asyncio's ``Task-17``."""
    name = task.get_name()
    if not _NUMBERED.fullmatch(name):
        return name
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", "") or type(coroutine).__name__)


def waiting_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Where the suspended tasks of ``loop`` wait, as folded stacks: label, then the awaits, outermost first."""
    asyncio = sys.modules["asyncio"]
    current = asyncio.current_task(loop)
    stacks = Counter(
        ";".join(text.replace(";", ",") for text in (task_label(task), *await_chain(task.get_coro())))
        for task in asyncio.all_tasks(loop)
        if task is not current
    )
    return "".join(f"{stack} {count}\n" for stack, count in sorted(stacks.items()))


def await_chain(awaited: Any) -> list[str]:
    """The functions of a suspended coroutine, from the outermost to the one that waits."""
    names: list[str] = []
    while awaited is not None and len(names) < MOST_FRAMES:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                names.append(qualified(frame))
                awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            break
    return names
