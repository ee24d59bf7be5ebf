"""Splits long background work into pieces, between which the service runs.

A busy Python thread keeps the interpreter lock for 5 ms at a time, and the service waits for it after each of its
system calls. So a report of thousands of stacks would add 5 ms to many requests.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_PIECE = 32


def breathing(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, releasing the interpreter lock after every few."""
    for number, item in enumerate(items, start=1):
        yield item
        if not number % _PIECE:
            time.sleep(0)
