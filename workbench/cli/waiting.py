"""What has to be awaited, on a loop of its own. asyncio is imported when there is something to wait for."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def awaited(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives."""
    import asyncio

    return asyncio.run(work)
