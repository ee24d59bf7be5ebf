"""Limits the memory that reading a profile may take.

A small file can need much: a million names, a line of a million frames, JSON of only empty objects. The need is known
only while reading, so readers call :func:`require` before large allocations, at the few places that can need many times
the file's size: names, trees, decoded JSON. Memory already taken is asked from the system.
"""

from __future__ import annotations

import os
from _thread import get_ident  # that of threading, whose import takes longer
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import ReadError, SettingsError

MIB = 1 << 20
MEMORY_BYTES = 4096 * MIB
"""The default limit for reading one profile: the memory that a machine with 8 GB has free beside a browser, and several
times the memory that profiles of an hour need."""

VARIABLE = "WORKBENCH_MEMORY_MIB"
"""Variable with another default in MiB, for every command, notebook and program that reads profiles."""

MOST_MIB = 1 << 20

_SMALL_BYTES = 8 * MIB
_DIGITS = 12  # a longer number is not a number of MiB, and int() of thousands of digits is slow
_SHOWN = 40
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_LESS = "Profile a shorter window"
MORE = f"raise the limit: --memory-mib, {VARIABLE} (memory_bytes)"
"""What to do if a profile needs more memory than the limit."""


class _Reading:
    """The profile that is being read, the process's memory when reading began, and the sum of small needs that were not
    checked yet."""

    __slots__ = ("before_bytes", "most_bytes", "name", "small_bytes")

    def __init__(self, name: str, most_bytes: int) -> None:
        self.name = name
        self.most_bytes = most_bytes
        self.before_bytes = _resident_bytes()
        self.small_bytes = 0

    def put_off(self, more_bytes: int) -> bool:
        """Add this need to the small ones before it; whether all of them are still too small to be checked."""
        self.small_bytes += more_bytes
        if more_bytes > 0 and self.small_bytes < min(_SMALL_BYTES, self.most_bytes // 16):
            return True
        self.small_bytes = 0
        return False


_under_way: dict[int, _Reading] = {}
"""What each thread reads."""


def most_bytes() -> int:
    """The default limit for reading one profile: WORKBENCH_MEMORY_MIB if it is set, else MEMORY_BYTES.

    Raises SettingsError if the variable is not a number of MiB.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return MEMORY_BYTES
    if not (given.isdecimal() and len(given) <= _DIGITS and 1 <= int(given) <= MOST_MIB):
        raise SettingsError(
            f"1 to {MOST_MIB:,} MiB is allowed, found {given[:_SHOWN]!r}", where=VARIABLE, hint="Correct or unset it"
        )
    return int(given) * MIB


@contextmanager
def reading(name: str, most_bytes: int) -> Iterator[None]:
    """Within the block, :func:`require` limits reading to ``most_bytes`` of memory; ``name`` is for messages."""
    thread = get_ident()
    outer = _under_way.get(thread)
    _under_way[thread] = _Reading(name, most_bytes)
    try:
        yield
    finally:
        if outer is None:
            del _under_way[thread]
        else:
            _under_way[thread] = outer


def require(more_bytes: int = 0, *, name: str | None = None) -> None:
    """Raise ReadError if ``more_bytes`` would exceed the profile's limit or the free memory. Small needs are summed
    first: the system is asked when they come to 8 MiB.

    ``name``: the profile's name outside of :func:`reading`; then only free memory counts.
    """
    at = _under_way.get(get_ident())
    if at is not None and at.put_off(more_bytes):
        return
    where = at.name if at is not None else name or "profile"
    if at is not None:
        taken = max(0, _resident_bytes() - at.before_bytes)
        if taken + more_bytes > at.most_bytes:
            raise ReadError(
                f"the profile would take about {(taken + more_bytes) // MIB:,} MiB of memory, but the limit is "
                f"{at.most_bytes // MIB:,}",
                where=where,
                hint=f"{_LESS}, or {MORE}",
            )
    if more_bytes and more_bytes > (free := free_bytes()):
        raise ReadError(
            f"the profile would take about {more_bytes // MIB:,} MiB of memory, but only {free // MIB:,} are free",
            where=where,
            hint=f"{_LESS}, or read it on a machine with more memory",
        )


def free_bytes() -> int:
    """The memory that the machine, the container and ``ulimit -v`` still allow this process."""
    free = _available_bytes()
    for path in _GROUP_LIMITS:
        try:
            free = min(free, int(_text(path)))
        except (OSError, ValueError):
            continue  # no such group, or "max": no limit
    most = _most_mapped_bytes()
    return free if most is None else min(free, max(0, most - _mapped_bytes()))


def _available_bytes() -> int:
    """The machine's memory for a new process. On Linux from a file that is fast to read."""
    try:
        for line in _text("/proc/meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                return int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    import psutil

    return int(psutil.virtual_memory().available)


def _most_mapped_bytes() -> int | None:
    """How much address space this process may take (``ulimit -v``); None: as much as there is. On Linux from a file,
    which is read faster than ``resource`` is imported."""
    try:
        for line in _text("/proc/self/limits").splitlines():
            if line.startswith("Max address space"):
                soft = line.split()[3]
                return None if soft == "unlimited" else int(soft)
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if most == resource.RLIM_INFINITY else most


def _text(path: str) -> str:
    """The text of one of the kernel's small files."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def _mapped_bytes() -> int:
    """How much address space this process has taken."""
    return _of_this_process(0)


def _resident_bytes() -> int:
    """How much memory this process has."""
    return _of_this_process(1)


def _of_this_process(column: int) -> int:
    """A column of statm, see proc(5): 0 is mapped memory, 1 is resident memory."""
    try:
        return int(_text("/proc/self/statm").split()[column]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import psutil

        memory = psutil.Process().memory_info()
        return int(memory.rss if column else memory.vms)
