"""Run a coroutine from a command. asyncio is imported only by the commands that need it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def awaited(work: Coroutine[Any, Any, T]) -> T:
    """The result of the coroutine ``work``, run in a new event loop."""
    import asyncio

    return asyncio.run(work)
