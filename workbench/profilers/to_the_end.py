"""Work that must not be left half done: it ends before the caller's cancellation takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which goes on when this is cancelled; the cancellation is raised when it has ended.

    ``asyncio.shield`` alone would let it run beside whatever the caller does next.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # heard, so that asyncio does not complain that nobody did
        raise cancelled
    return task.result()
