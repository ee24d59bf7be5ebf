"""What has been sampled since the start: plain data, from which both files of a report are written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """A Python function: ``name`` with its module, ``file``, and the ``line`` of its ``def``."""

    name: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Stack:
    """``count`` samples of one stack. ``functions`` are numbers into the report's table, leaf first; ``task`` is ""
    where no asyncio task ran."""

    thread: str
    task: str
    functions: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """All samples from ``began_ns`` (since 1970) on, for ``duration_ns``: ``frequency`` for each second of CPU time.

    ``comments`` say what wrote it; the time at which it was taken is ``taken_ns`` (since 1970).
    """

    functions: tuple[Function, ...]
    stacks: tuple[Stack, ...]
    frequency: int
    began_ns: int
    duration_ns: int
    taken_ns: int
    comments: tuple[str, ...] = ()
