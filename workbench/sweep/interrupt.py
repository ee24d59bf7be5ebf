"""An interrupted run: which folder has the measurements, and how to resume.

An interrupt arrives as a cancellation (or as KeyboardInterrupt) and is raised on as one, since a caller's timeout
arrives the same way. The facts about the run are attached to the exception, which keeps its type.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TypeVar

from workbench.progress import in_notebook, where_somebody_looks
from workbench.sweep.record import OnEvent

T = TypeVar("T")
_FOLDER, _GO_ON = "workbench_folder", "workbench_go_on"


def mark(error: BaseException, folder: Path, go_on: str) -> None:
    """Attach to an interrupt the ``folder`` with the measurements and the command that resumes."""
    setattr(error, _FOLDER, folder)
    setattr(error, _GO_ON, go_on)


def folder_of(error: BaseException | None) -> Path | None:
    """The run folder attached to an interrupt, or to an exception in its chain."""
    return next((found for each in _chain(error) if (found := getattr(each, _FOLDER, None)) is not None), None)


def how_to_go_on(error: BaseException | None) -> str:
    """One line: where the measurements are, and the command that resumes; "" if nothing was begun."""
    folder = folder_of(error)
    if folder is None:
        return ""
    go_on = next(found for each in _chain(error) if (found := getattr(each, _GO_ON, None)) is not None)
    return f"Everything measured is in {folder}; go on with `{go_on}`"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


async def for_a_person(
    work: Callable[[OnEvent | None], Awaitable[T]], on_event: OnEvent | None, opened: Callable[[Path], T], name: str
) -> T:
    """Run ``work`` and show its progress: to ``on_event``, otherwise in a notebook or terminal.

    If a notebook's kernel is interrupted, the result is what was measured so far, as ``opened`` reads it from the
    folder, and one line says where it is: a cell that assigns the result gets it. Any other cancellation is raised on.
    ``name``: the function that takes ``resume``.
    """
    showing = contextlib.nullcontext() if on_event is not None else where_somebody_looks()
    with showing as progress, _kernel_interrupt() as interrupted:
        heard = on_event if progress is None else progress.event
        try:
            return await work(heard)
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            folder = folder_of(error)
            if folder is None or not interrupted.is_set():
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            call = f"await workbench.{name}(resume={str(folder)!r})"
            line = f"Interrupted. Everything measured is in {folder} and in the result; go on with {call}"
            print(line) if progress is None else progress(line)
            return opened(folder)


@contextlib.contextmanager
def _kernel_interrupt() -> Iterator[threading.Event]:
    """An event that is set when a notebook's kernel gets SIGINT; the previous handler is still called."""
    happened = threading.Event()
    if not in_notebook() or threading.current_thread() is not threading.main_thread():
        yield happened
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        happened.set()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield happened
    finally:
        signal.signal(signal.SIGINT, before)
