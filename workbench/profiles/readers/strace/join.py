"""From lines to calls: joins the beginning and the end of a call that other lines interrupted.

A task has at most one open call, and the file's order is the true order. So the next call line of the same task after a
beginning is its end, or there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.distinct import numbered, stable_order
from workbench.profiles.readers.strace.calls import BEGUN, ENDED, UNKNOWN
from workbench.profiles.readers.strace.prefix import NO_PID, NO_STAMP, SECOND_NS

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.strace.lines import Mask, Places
    from workbench.profiles.readers.strace.log import Event, Log
    from workbench.profiles.source import Source

DAY_NS = 86_400 * SECOND_NS
MAKERS = frozenset(("clone", "clone2", "clone3", "fork", "vfork"))  # of processes and threads
_RESTART = "restart_syscall"
_MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """One row a call: the line it begins on and the one it ends on, both as rows of the log; ``last`` is -1 for a call
    without an end."""

    first: Places
    last: Places

    @property
    def end(self) -> Places:
        """The last line of each call; without an end, that of its beginning."""
        return np.where(self.last >= 0, self.last, self.first)


def pair(log: Log, source: Source, notes: NoteBook) -> Pairs:
    """Find the end of each begun call. Unmatched beginnings and ends are kept and noted."""
    size = len(log.kind)
    begun = log.kind == BEGUN
    here, following = _neighbours(np.where(begun, log.pid_to, log.pid), begun)
    restart = log.names.index(_RESTART) if _RESTART in log.names else -1
    same_name = log.name[here] == log.name[following]
    same_name |= log.restarted[here] & (log.name[following] == restart)
    joined = (log.kind[following] == ENDED) & same_name
    last = np.arange(size)
    last[begun] = -1
    last[here[joined]] = following[joined]
    is_end = np.zeros(size, dtype=bool)
    is_end[following[joined]] = True
    alone = (log.kind == ENDED) & ~is_end
    first = np.flatnonzero(~is_end)
    abandoned = here[~joined]
    for rows, what in (
        (np.sort(abandoned), "a call has no end although its thread continued; it is kept as open"),
        (np.flatnonzero(alone), "the end of a call whose beginning is not in the log; its arguments are not known"),
    ):
        if rows.size:
            notes.add(what, source.at(int(log.line[rows[0]])), count=rows.size)
    return Pairs(first, last[first])


def _neighbours(task: Places, begun: Mask) -> tuple[Places, Places]:
    """Of each begun call whose task has another line after it: its own line, and that line."""
    codes, _ = numbered(task)
    order = stable_order(codes)
    place = np.flatnonzero(begun[order[:-1]])
    here, following = order[place], order[place + 1]
    same = codes[here] == codes[following]
    return here[same], following[same]


def name_the_restarted(log: Log) -> Log:
    """Give a repeated continuation the name of the call that was first interrupted."""
    restart = log.names.index(_RESTART) if _RESTART in log.names else -1
    rows = np.flatnonzero(log.restarted)
    if not (log.name[rows] == restart).any():
        return log
    names = log.name.copy()
    first: dict[int, int] = {}
    for row in rows.tolist():
        if names[row] == restart:
            names[row] = first.get(int(log.pid[row]), restart)
        else:
            first[int(log.pid[row])] = int(names[row])
    return replace(log, name=names)


def name_the_pidless(log: Log, pid: int | None, source: Source, notes: NoteBook) -> Log:
    """Give lines without a pid one. On a terminal, strace names no process while only one is left.

    ``pid`` is theirs if given. Otherwise they belong to the only task left at that point, or to the first one, which no
    task in the log created.
    """
    without = log.pid == NO_PID
    if not without.any() and not any(event.pid == NO_PID for event in (*log.exits, *log.signals)):
        return log
    first = _first_pid(log) if pid is None else pid
    pids = log.pid.copy()
    pids[without] = first
    if pid is None and (log.pid != NO_PID).any():
        where = source.at(int(log.line[without][0])) if without.any() else None
        notes.add("lines without a process are counted for the only one left", where)
        pids[without] = _left_alone(log, first)[without]
    lines = log.line

    def named(event: Event) -> Event:
        if event.pid != NO_PID:
            return event
        before = int(np.searchsorted(lines, event.line)) - 1
        return replace(event, pid=int(pids[before]) if before >= 0 and without[before] else first)

    return replace(
        log,
        pid=pids,
        pid_to=np.where(log.pid_to == NO_PID, pids, log.pid_to),
        exits=[named(event) for event in log.exits],
        signals=[named(event) for event in log.signals],
    )


def _first_pid(log: Log) -> int:
    """The first task nobody in the log has made; 0 where no line names one."""
    named = log.pid[log.pid != NO_PID]
    makers = [number for number, name in enumerate(log.names) if name in MAKERS]
    made = set(log.value[np.isin(log.name, makers) & log.has_value].tolist())
    return next((pid for pid in dict.fromkeys(named.tolist()) if pid not in made), 0)


def _left_alone(log: Log, first: int) -> Places:
    """For each line the one task still there, ``first`` where that is not one."""
    exits = sorted((event.line, event.pid) for event in log.exits)
    out = np.full(len(log.pid), first, dtype=np.int64)
    seen: dict[int, None] = {first: None}
    change = np.flatnonzero(np.concatenate(([True], log.pid[1:] != log.pid[:-1])))
    bounds = np.append(change, len(log.pid))
    done = 0
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        line = int(log.line[begin])
        while done < len(exits) and exits[done][0] < line:
            seen.pop(exits[done][1], None)
            done += 1
        pid = int(log.pid[begin])
        if pid != NO_PID:
            seen.setdefault(pid)
        elif len(seen) == 1:
            out[begin:end] = next(iter(seen))
    return out


def clock_of(log: Log) -> int:
    """The clock most lines have: NO_STAMP, OF_DAY, SINCE_1970 or SINCE_LINE_BEFORE."""
    return int(np.bincount(log.clock).argmax()) if len(log.clock) else NO_STAMP


def day_starts(log: Log, known: Mask, source: Source) -> Places:
    """What to add to times of day, in ns: another day from each jump back of more than twelve hours on. The stamps that
    count are those ``known``. Raises ReadError for an impossible number of days."""
    days = np.zeros(len(known), dtype=np.int64)
    rows = np.flatnonzero(known)
    if rows.size:
        jump = np.diff(log.stamp_ns[rows], prepend=log.stamp_ns[rows[0]])
        days[rows] = np.cumsum((jump < -DAY_NS // 2).astype(np.int64) - (jump > DAY_NS // 2))
        if np.abs(days).max() > _MOST_DAYS:
            raise ReadError(
                "the times of day jump back and forth",
                where=source.at(int(log.line[np.abs(days).argmax()])),
                hint="strace does not write such times",
            )
    return days * DAY_NS


def check_sum(durations: Places, lines: Places, source: Source) -> None:
    """Raises ReadError if the durations sum to more than 64 bits."""
    known = durations[durations != UNKNOWN]
    if float(known.sum(dtype=np.float64)) >= float(2**63):
        raise ReadError(
            "the times in the calls add up to more than fits 64 bits",
            where=source.at(int(lines[durations.argmax()])),
            hint="strace does not write such times",
        )
