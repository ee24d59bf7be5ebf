"""How much memory a profile may take while it is read, and what it takes already.

A small file can need much: a million names, a line of a million frames, JSON of nothing but empty objects. How much is
only known on the way, so readers ask for what they are about to take (:func:`require`), at the few places where it is
many times the file: names, trees, decoded JSON. What was taken before is not summed up but asked of the system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from workbench.errors import ReadError

MIB = 1 << 20
MEMORY_BYTES = 4096 * MIB
"""The most that reading one profile takes unless asked otherwise: what a machine of 8 GB has beside a browser, and
several times what the profiles of an hour need."""

_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_LESS = "Profile a shorter window"


class _Reading(NamedTuple):
    """The profile that is being read, and where the process was when that began."""

    name: str
    most_bytes: int
    before_bytes: int


_under_way: ContextVar[_Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading(name: str, most_bytes: int) -> Iterator[None]:
    """While this is open, :func:`require` holds what is read to ``most_bytes`` of memory; ``name`` is for messages."""
    token = _under_way.set(_Reading(name, most_bytes, _resident_bytes()))
    try:
        yield
    finally:
        _under_way.reset(token)


def require(more_bytes: int = 0, *, name: str | None = None) -> None:
    """Raise ReadError where ``more_bytes`` would be more than the profile may take, or than is free.

    ``name`` is the profile's where none is being read (:func:`reading`); then only what is free counts.
    """
    at = _under_way.get()
    where = at.name if at is not None else name or "profile"
    if at is not None:
        taken = max(0, _resident_bytes() - at.before_bytes)
        if taken + more_bytes > at.most_bytes:
            raise ReadError(
                f"the profile would take about {(taken + more_bytes) // MIB:,} MiB of memory, and may take "
                f"{at.most_bytes // MIB:,}",
                where=where,
                hint=f"{_LESS}, or let it take more: --memory-mib (memory_bytes)",
            )
    if more_bytes and more_bytes > (free := free_bytes()):
        raise ReadError(
            f"the profile would take about {more_bytes // MIB:,} MiB of memory, {free // MIB:,} are free",
            where=where,
            hint=f"{_LESS}, or read it where there is more memory",
        )


def free_bytes() -> int:
    """What the machine, the container and ``ulimit -v`` still let this process have."""
    free = _available_bytes()
    for path in _GROUP_LIMITS:
        try:
            free = min(free, int(_text(path)))
        except (OSError, ValueError):
            continue  # no such group, or "max": no limit
    try:
        import resource
    except ImportError:
        return free
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY:
        free = min(free, max(0, most - _mapped_bytes()))
    return free


def _available_bytes() -> int:
    """What the machine has for a process that starts now. Linux says so in a file that is read in no time."""
    try:
        for line in _text("/proc/meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                return int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    import psutil

    return int(psutil.virtual_memory().available)


def _text(path: str) -> str:
    """What one of the kernel's small files says."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def _mapped_bytes() -> int:
    """How much address space this process has taken."""
    return _of_this_process(0)


def _resident_bytes() -> int:
    """How much memory this process has."""
    return _of_this_process(1)


def _of_this_process(column: int) -> int:
    """A column of proc(5)'s statm: 0 for what is mapped, 1 for what is resident."""
    try:
        return int(_text("/proc/self/statm").split()[column]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import psutil

        memory = psutil.Process().memory_info()
        return int(memory.rss if column else memory.vms)
