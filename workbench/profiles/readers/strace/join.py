"""Makes calls of lines: joins the beginning and the end of a call that other lines interrupted.

A task (process or thread) has at most one open call, and lines are in the order of events. So the next call line of the
same task after a beginning is the end of that call; if it is another call, the end is missing.
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
MAKERS = frozenset(("clone", "clone2", "clone3", "fork", "vfork"))  # calls that create processes and threads
_RESTART = "restart_syscall"
_MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """One row per call: the lines on which it begins and ends, both as rows of the log; ``last`` is -1 for a call
    without an end."""

    first: Places
    last: Places

    @property
    def end(self) -> Places:
        """The last line of each call: where it ends, or where it begins if it has no end."""
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
    """For each begun call whose task has a later line: the call's line, and the task's next line."""
    codes, _ = numbered(task)
    order = stable_order(codes)
    place = np.flatnonzero(begun[order[:-1]])
    here, following = order[place], order[place + 1]
    same = codes[here] == codes[following]
    return here[same], following[same]


def name_the_restarted(log: Log) -> Log:
    """If a continuation was interrupted too, give the next one the name of the original call."""
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
    """Give a pid to lines without one. On a terminal, strace writes no pid while only one process is left.

    It is ``pid`` if given. Otherwise it is that of the only task left at that line; if several are left, that of the
    first task, which no task in the log created.
    """
    without = log.pid == NO_PID
    if not without.any() and not any(event.pid == NO_PID for event in (*log.exits, *log.signals)):
        return log
    first = _first_pid(log) if pid is None else pid
    pids = log.pid.copy()
    pids[without] = first
    if pid is None and (log.pid != NO_PID).any():
        where = source.at(int(log.line[without][0])) if without.any() else None
        notes.add("lines without a pid are counted for the only task left", where)
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
    """The first task that no task in the log created; 0 if no line names such a task."""
    named = log.pid[log.pid != NO_PID]
    makers = [number for number, name in enumerate(log.names) if name in MAKERS]
    made = set(log.value[np.isin(log.name, makers) & log.has_value].tolist())
    return next((pid for pid in dict.fromkeys(named.tolist()) if pid not in made), 0)


def _left_alone(log: Log, first: int) -> Places:
    """For each line the only task left; ``first`` if there is not exactly one."""
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
    """What to add to times of day, in ns: one day more after each jump back of more than twelve hours, one less after
    such a jump forward. Only ``known`` stamps count. Raises ReadError for an impossible number of days."""
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
    """Raises ReadError if the sum of the durations does not fit into 64 bits."""
    known = durations[durations != UNKNOWN]
    if float(known.sum(dtype=np.float64)) >= float(2**63):
        raise ReadError(
            "the sum of the times in calls does not fit into 64 bits",
            where=source.at(int(lines[durations.argmax()])),
            hint="strace does not write such times",
        )
