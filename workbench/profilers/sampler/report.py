"""All samples since the start, as plain data for both files of a report."""

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
    """``count`` samples of one stack. ``functions`` are indexes into the report's table, leaf first; ``task`` is "" if
    no asyncio task ran."""

    thread: str
    task: str
    functions: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """All samples from ``began_ns`` (since 1970) on, for ``duration_ns``: ``frequency`` samples per second of CPU time.

    ``comments``: which program wrote it; ``taken_ns``: when it was taken (since 1970).
    """

    functions: tuple[Function, ...]
    stacks: tuple[Stack, ...]
    frequency: int
    began_ns: int
    duration_ns: int
    taken_ns: int
    comments: tuple[str, ...] = ()
