"""A run that is stopped by whoever started it: which folder has what was measured, and how to go on.

An interrupt arrives as a cancellation (or as KeyboardInterrupt), and goes on as one: it is a caller's timeout too. What
there is to say of the run travels with the exception, which keeps its type.
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
    """Say with an interrupt that what was measured is in ``folder``, and which command goes on."""
    setattr(error, _FOLDER, folder)
    setattr(error, _GO_ON, go_on)


def folder_of(error: BaseException | None) -> Path | None:
    """The run folder that an interrupt speaks of, or what it became on its way."""
    return next((found for each in _chain(error) if (found := getattr(each, _FOLDER, None)) is not None), None)


def how_to_go_on(error: BaseException | None) -> str:
    """One line: where what was measured is, and the command that goes on; "" where nothing was begun."""
    folder = folder_of(error)
    if folder is None:
        return ""
    go_on = next(found for each in _chain(error) if (found := getattr(each, _GO_ON, None)) is not None)
    return f"What was measured is in {folder}; go on with `{go_on}`"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


async def for_a_person(
    work: Callable[[OnEvent | None], Awaitable[T]], on_event: OnEvent | None, opened: Callable[[Path], T], name: str
) -> T:
    """What ``work`` gives, shown while it goes on: to ``on_event``, else in a notebook or terminal where there is one.

    An interrupt of a notebook's kernel ends it with what was measured, as ``opened`` reads it from its folder, and one
    line that says where that is: a cell that assigns the result has it. Any other cancellation goes on. ``name``: the
    function that takes ``resume``.
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
            line = f"Interrupted. What was measured is in {folder}, and is the result; go on with {call}"
            print(line) if progress is None else progress(line)
            return opened(folder)


@contextlib.contextmanager
def _kernel_interrupt() -> Iterator[threading.Event]:
    """Set once the kernel of a notebook was interrupted, which is told by SIGINT. The signal does all else it did."""
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
