"""The kinds of file descriptors in a log, and whether they block: from strace's decoration, or from earlier calls.

With ``-y``, ``-yy`` and ``--decode-fds`` strace writes the kind after each descriptor: ``3<pipe:[77]>``,
``3<TCP:[127.0.0.1:80->..]>``, ``3</etc/passwd>``. Without these options, the call that created the descriptor shows its
kind, if the log begins with the process. strace never writes whether it blocks: this is known from the call that
created it (``SOCK_NONBLOCK``), from ``fcntl(F_SETFL)`` and ``ioctl(FIONBIO)``, or from an EAGAIN.

All threads of a process share its descriptors. A descriptor is looked up at the line where a call begins: the last
earlier event of that process and number decides. A child inherits the descriptors its parent has at its creation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.strace.lines import Codes, Mask, Places

    Small = NDArray[np.int8]
    # which calls match a pattern, in the arguments written when the call begins, or when it ends
    Matcher = Callable[[Places, str], Mask]

# What a descriptor is.
UNSEEN, FILE, DEVICE, SOCKET, PIPE, EVENTS, TERMINAL = range(7)
# Whether it blocks.
UNKNOWN, BLOCKS, NEVER_BLOCKS = range(3)
_KEEP = -1  # the event does not change this

_AGAIN = frozenset(("EAGAIN", "EWOULDBLOCK"))
_ONCE_NS = 1_000_000  # an EAGAIN that took longer may be a time-out
_MOST_MAKERS = 16  # parent processes searched for a descriptor; also how often a copy may be copied again

_NAME = r"(?:\w+=)?"
# O_NONBLOCK and its equivalents (SOCK_NONBLOCK) are 0x800; -X raw writes a socket's type as 0x1|0x800
_HEX_NONBLOCK = r"(?:0x[0-9a-f]+\|)*0x[0-9a-f]*[89a-f][0-9a-f]{2}"
_NONBLOCK_LAST = rf'(?:NONBLOCK|NDELAY)[^"]*$|, {_NAME}{_HEX_NONBLOCK}$'
_NONBLOCK_ONLY = rf'(?:NONBLOCK|NDELAY)[^"]*$|^{_NAME}{_HEX_NONBLOCK}$'
_NONBLOCK_SECOND = rf"NONBLOCK|^[^,]*, {_NAME}{_HEX_NONBLOCK},"
_NONBLOCK_OPEN = rf'"(?:\.\.\.)?, {_NAME}(?:[^"]*(?:NONBLOCK|NDELAY)|{_HEX_NONBLOCK})'
_PATHS = (
    (FILE, r'^[^"]*"/dev/(?:null|zero|full|u?random|shm/)'),
    (TERMINAL, r'^[^"]*"/dev/(?:tty|pts/|console|ptmx)'),
    (DEVICE, r'^[^"]*"/dev/'),
    (FILE, r'"'),
    (UNSEEN, ""),  # -e raw: the path is an address
)


class _Maker(NamedTuple):
    """Calls that create a descriptor: its kind (None: by its path), and the arguments that make it non-blocking."""

    calls: str
    kind: int | None
    nonblock: str


_MAKERS = (
    _Maker("open openat openat2 creat", None, _NONBLOCK_OPEN),
    _Maker("memfd_create open_by_handle_at", FILE, ""),
    _Maker("socket", SOCKET, _NONBLOCK_SECOND),
    _Maker("accept4", SOCKET, _NONBLOCK_LAST),
    _Maker("accept", SOCKET, ""),
    _Maker("eventfd eventfd2 timerfd_create signalfd signalfd4 fanotify_init userfaultfd", EVENTS, _NONBLOCK_LAST),
    _Maker("inotify_init inotify_init1 epoll_create epoll_create1", EVENTS, _NONBLOCK_ONLY),
    _Maker("pidfd_open io_uring_setup perf_event_open", EVENTS, "NONBLOCK"),
)
_PAIRS = (_Maker("pipe pipe2", PIPE, _NONBLOCK_LAST), _Maker("socketpair", SOCKET, _NONBLOCK_SECOND))
_TWO = r"\[(\d{1,9})[^\],]*(?:\[[^\]]*\][^\],]*)?, (\d{1,9})"
_COPIES = "dup dup2 dup3"
_COPY_BY_FCNTL = rf"^[^,]*, {_NAME}(?:(?:0x[0-9a-f]+ /\* )?F_DUPFD|0,|0x406,)"
_SETS_FLAGS = rf"^[^,]*, {_NAME}(?:(?:0x[0-9a-f]+ /\* )?F_SETFL\b|0x4,)"
_SETS_BLOCKING = rf"^[^,]*, {_NAME}(?:(?:0x[0-9a-f]+ /\* )?FIONBIO|0x5421,)"
_CLEARED = r"\[0\]"
# Calls that return EAGAIN only if the descriptor does not block, or after a time-out.
_TELLING = frozenset(
    ["read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg", "accept", "accept4"]
)
_SOCKETS_ONLY = frozenset(
    ["recvfrom", "recvmsg", "recv", "recvmmsg", "recvmmsg_time64", "accept", "accept4", "connect", "sendto", "sendmsg"]
)

# What strace writes after a descriptor, in the order in which the patterns are tried.
_DECORATIONS = (
    (PIPE, r"<pipe:"),
    (EVENTS, r"<(?:anon_inode:|\{eventfd-|pid:|signalfd:|\[(?:eventfd|timerfd|signalfd|eventpoll|io_uring|pidfd))"),
    (SOCKET, r"<[A-Za-z][A-Za-z0-9-]*:\["),
    (SOCKET, r"<\[[0-9a-f:.]+\]|<[A-Z]+[A-Za-z0-9-]*:"),
    (FILE, r"</dev/(?:null|zero|full|u?random|shm/)"),
    (TERMINAL, r"</dev/(?:tty|pts/|console|ptmx)"),
    (DEVICE, r"</dev/|<char "),
    (FILE, r"</|<memfd:|<block "),
)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column with a value per line of the log, indexed by call. Only the calls asked for are looked up."""

    of_lines: NDArray[Any]
    line_of: Places

    def __getitem__(self, rows: Places) -> NDArray[Any]:
        return self.of_lines[self.line_of[rows]]


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """What the rules need to know of each call: process (a number), descriptor (-1: none), result, error and lines."""

    process: Places
    name: Codes
    error: Codes
    fd: Column
    value: Column
    has_value: Column
    duration_ns: Column
    begins: Column
    ends: Column
    decorated: Column
    names: Sequence[str]
    errors: Sequence[str]
    before: Matcher
    after: Matcher
    pairs_of: Callable[[Places, str], tuple[Places, Places]]


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    """Descriptors that are created, changed or closed: ``kind`` and ``mode`` from ``line`` on, _KEEP if unchanged."""

    process: Places
    fd: Places
    line: Places
    kind: Small
    mode: Small


def descriptors_of(calls: Calls, rows: Places, made_by: Mapping[int, tuple[int, int]]) -> tuple[Small, Small]:
    """The kind of each call's descriptor, and whether it blocks. ``made_by`` maps a process to its parent and the line
    of its creation."""
    kind, mode = np.full(len(rows), UNSEEN, np.int8), np.full(len(rows), UNKNOWN, np.int8)
    has = np.flatnonzero(calls.fd[rows] >= 0)
    if not has.size:
        return kind, mode
    asked = rows[has]
    known = _History(_events(calls, made_by), made_by)
    kind[has], mode[has] = known.look_up(calls.process[asked], calls.fd[asked], calls.begins[asked])
    sockets = _named(calls, rows, _SOCKETS_ONLY) & (kind == UNSEEN)
    kind[sockets] = SOCKET
    written = np.flatnonzero(calls.decorated[rows])
    for what, pattern in _DECORATIONS:
        if not written.size:
            break
        fits = calls.before(rows[written], rf"^{_NAME}(?:0x)?[0-9a-f]+{pattern}")
        kind[written[fits]] = what
        written = written[~fits]
    return kind, mode


def _named(calls: Calls, rows: Places, wanted: frozenset[str]) -> Mask:
    """Which of these calls have one of the names."""
    is_wanted = np.array([name in wanted for name in calls.names], dtype=bool)
    return is_wanted[calls.name[rows]]


def _rows_of(calls: Calls, names: str) -> Places:
    numbers = [number for number, name in enumerate(calls.names) if name in names.split()]
    if not numbers:
        return np.zeros(0, dtype=np.int64)
    wanted = np.zeros(len(calls.names), dtype=bool)
    wanted[numbers] = True
    return np.flatnonzero(wanted[calls.name])


class _History:
    """The events in order, for looking up a descriptor at a line."""

    def __init__(self, events: _Events, made_by: Mapping[int, tuple[int, int]]) -> None:
        self._lines = int(max(events.line.max(initial=0), *(line for _, line in made_by.values()), 0)) + 2
        self._keys, pair = np.unique(_key(events.process, events.fd), return_inverse=True)
        self._told = [
            _Told.of(said != _KEEP, pair * self._lines + events.line, said) for said in (events.kind, events.mode)
        ]
        processes = np.array(sorted(made_by), dtype=np.int64)
        self._made = processes
        self._makers = np.array([made_by[process][0] for process in processes.tolist()], dtype=np.int64)
        self._made_on = np.array([made_by[process][1] for process in processes.tolist()], dtype=np.int64)

    def look_up(self, process: Places, fd: Places, line: Places) -> tuple[Small, Small]:
        """Kind and mode of the descriptors at these lines."""
        kind, mode = (
            self._ask(told, process, fd, line, default)
            for told, default in zip(self._told, (UNSEEN, UNKNOWN), strict=True)
        )
        return kind, mode

    def _ask(self, told: _Told, process: Places, fd: Places, line: Places, default: int) -> Small:
        out = np.full(len(fd), _KEEP, dtype=np.int8)
        live = np.arange(len(fd))
        process, line = process.copy(), np.minimum(line, self._lines - 1)
        for _ in range(_MOST_MAKERS):
            out[live] = self._last(told, process[live], fd[live], line[live])
            live = live[out[live] == _KEEP]
            if not live.size or not len(self._made):
                break
            at = np.minimum(np.searchsorted(self._made, process[live]), len(self._made) - 1)
            has_maker = self._made[at] == process[live]
            live, at = live[has_maker], at[has_maker]
            process[live], line[live] = self._makers[at], np.minimum(line[live], self._made_on[at])
        out[out == _KEEP] = default
        return out

    def _last(self, told: _Told, process: Places, fd: Places, line: Places) -> Small:
        if not len(told.order) or not len(process):
            return np.full(len(process), _KEEP, dtype=np.int8)
        key = _key(process, fd)
        pair = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        seen = self._keys[pair] == key
        position = np.searchsorted(told.order, pair * self._lines + line, side="left") - 1
        there = seen & (position >= 0) & (told.order[position] // self._lines == pair)
        return np.where(there, told.says[position], np.int8(_KEEP))


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    order: Places
    says: Small

    @classmethod
    def of(cls, chosen: Mask, order: Places, says: Small) -> _Told:
        order, says = order[chosen], says[chosen]
        by_order = np.argsort(order, kind="stable")
        return cls(order[by_order], says[by_order])


def _key(process: Places, fd: Places) -> Places:
    return (process << np.int64(30)) | fd


# events


def _events(calls: Calls, made_by: Mapping[int, tuple[int, int]]) -> _Events:
    parts = [*_made(calls), *_made_in_pairs(calls), _closed(calls), *_changed(calls)]
    events = _put_together(parts)
    events = _with_evidence(calls, events, made_by)
    return _with_copies(calls, events, made_by)


def _put_together(parts: Sequence[_Events]) -> _Events:
    return _Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Events.__slots__))


def _event(calls: Calls, rows: Places, fd: Places, line: Places, kind: int | Small, mode: int | Small) -> _Events:
    good = (fd >= 0) & (fd < 1 << 30)
    size = len(rows)
    kinds, modes = (np.broadcast_to(np.asarray(said, dtype=np.int8), size) for said in (kind, mode))
    return _Events(calls.process[rows][good], fd[good], line[good], kinds[good], modes[good])


def _modes(calls: Calls, rows: Places, nonblock: str) -> Small:
    mode = np.full(len(rows), BLOCKS, dtype=np.int8)
    if nonblock:
        mode[calls.before(rows, nonblock) | calls.after(rows, nonblock)] = NEVER_BLOCKS
    return mode


def _succeeded(calls: Calls, rows: Places) -> Places:
    return rows[calls.has_value[rows] & (calls.value[rows] >= 0)]


def _made(calls: Calls) -> list[_Events]:
    parts = []
    for maker in _MAKERS:
        rows = _succeeded(calls, _rows_of(calls, maker.calls))
        kind: int | Small = FILE if maker.kind is None else maker.kind
        if maker.kind is None:
            kind = np.full(len(rows), FILE, dtype=np.int8)
            rest = np.arange(len(rows))
            for what, pattern in _PATHS:
                fits = calls.before(rows[rest], pattern)
                kind[rest[fits]] = what
                rest = rest[~fits]
        parts.append(
            _event(calls, rows, calls.value[rows], calls.ends[rows], kind, _modes(calls, rows, maker.nonblock))
        )
    return parts


def _made_in_pairs(calls: Calls) -> list[_Events]:
    parts = []
    for maker in _PAIRS:
        rows = _succeeded(calls, _rows_of(calls, maker.calls))
        mode = _modes(calls, rows, maker.nonblock)
        parts += [_event(calls, rows, fd, calls.ends[rows], maker.kind or 0, mode) for fd in calls.pairs_of(rows, _TWO)]
    return parts


def _closed(calls: Calls) -> _Events:
    rows = _rows_of(calls, "close")
    return _event(calls, rows, calls.fd[rows], calls.begins[rows], UNSEEN, UNKNOWN)


def _changed(calls: Calls) -> list[_Events]:
    by_fcntl = _succeeded(calls, _rows_of(calls, "fcntl fcntl64"))
    by_fcntl = by_fcntl[calls.before(by_fcntl, _SETS_FLAGS)]
    by_ioctl = _succeeded(calls, _rows_of(calls, "ioctl"))
    by_ioctl = by_ioctl[calls.before(by_ioctl, _SETS_BLOCKING)]
    cleared = np.where(calls.before(by_ioctl, _CLEARED), BLOCKS, NEVER_BLOCKS).astype(np.int8)
    return [
        _event(calls, rows, calls.fd[rows], calls.ends[rows], _KEEP, mode)
        for rows, mode in ((by_fcntl, _modes(calls, by_fcntl, _NONBLOCK_LAST)), (by_ioctl, cleared))
    ]


def _with_evidence(calls: Calls, events: _Events, made_by: Mapping[int, tuple[int, int]]) -> _Events:
    """An immediate EAGAIN shows that a descriptor does not block: from there on, and before too unless the log shows
    its creation."""
    again = np.array([error in _AGAIN for error in calls.errors], dtype=bool)
    rows = np.flatnonzero(again[calls.error])
    rows = rows[_named(calls, rows, _TELLING) & (calls.fd[rows] >= 0) & (calls.duration_ns[rows] < _ONCE_NS)]
    if not rows.size:
        return events
    dont_wait = r'MSG_DONTWAIT[^"]*$|, \d+, (?:flags=)?0x[0-9a-f]*[4-7c-f][0-9a-f](?:,|$)'
    rows = rows[~(calls.before(rows, dont_wait) | calls.after(rows, dont_wait))]
    process, fd, line = calls.process[rows], calls.fd[rows], calls.begins[rows]
    # if the descriptor is known to block, this EAGAIN was a short time-out
    kind, mode = _History(events, made_by).look_up(process, fd, line)
    rows, unmade = rows[mode != BLOCKS], (kind == UNSEEN)[mode != BLOCKS]
    here = _event(calls, rows, calls.fd[rows], calls.begins[rows], _KEEP, NEVER_BLOCKS)
    earlier = rows[unmade]
    before = _event(calls, earlier, calls.fd[earlier], np.zeros(len(earlier), np.int64), _KEEP, NEVER_BLOCKS)
    return _put_together((events, here, before))


def _with_copies(calls: Calls, events: _Events, made_by: Mapping[int, tuple[int, int]]) -> _Events:
    """A copy (dup and similar calls) has the kind of its original. Each round finds the copies of known copies."""
    rows = _succeeded(calls, _rows_of(calls, _COPIES))
    by_fcntl = _succeeded(calls, _rows_of(calls, "fcntl fcntl64"))
    by_fcntl = by_fcntl[calls.before(by_fcntl, _COPY_BY_FCNTL)]
    rows = np.sort(np.concatenate((rows, by_fcntl)))
    rows = rows[calls.fd[rows] >= 0]
    if not rows.size:
        return events
    process, fd, line = calls.process[rows], calls.fd[rows], calls.begins[rows]
    found = events
    said = np.zeros(len(rows), dtype=np.int8)
    for _ in range(_MOST_MAKERS):
        kind, mode = _History(found, made_by).look_up(process, fd, line)
        found = _put_together((events, _event(calls, rows, calls.value[rows], calls.ends[rows], kind, mode)))
        if (said == kind).all():
            break
        said = kind
    return found
