"""Work that must not stop halfway: it is completed before the caller's cancellation takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``. If this is cancelled, ``work`` continues, and the cancellation is raised when it has
    ended.

    With ``asyncio.shield`` alone it would run beside the caller's next work.
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
            task.exception()  # retrieved, so that asyncio does not complain about an unseen error
        raise cancelled
    return task.result()
