"""strace's log: every system call of every thread, with its time in the kernel.

Format: the sources of strace 4.x to 7.x (``strace.c``, ``syscall.c``) and logs they wrote. All styles of time stamps
and process ids are read; ``strace -f -tt -T -o FILE`` is best. The modules, in the order in which they process a log:
``lines`` (blocks of lines as arrays), ``prefix`` (pid and stamp), ``calls`` (name, arguments, result), ``log`` (all of
it), ``join`` (interrupted calls), ``tasks`` (threads), ``tree`` (the profile); ``summary`` reads the table of
``strace -c``.

A time is wall clock time in the call *including strace's own stops*: compare proportions, not absolute times.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.strace import summary as strace_summary
from workbench.profiles.readers.strace.calls import ENDED, UNKNOWN
from workbench.profiles.readers.strace.head import plain, recognise
from workbench.profiles.readers.strace.join import (
    check_sum,
    clock_of,
    day_starts,
    name_the_pidless,
    name_the_restarted,
    pair,
)
from workbench.profiles.readers.strace.judge import judge
from workbench.profiles.readers.strace.log import Log, scan
from workbench.profiles.readers.strace.prefix import NO_STAMP, OF_DAY, SECOND_NS, SINCE_1970, SINCE_LINE_BEFORE
from workbench.profiles.readers.strace.tables import coded
from workbench.profiles.readers.strace.tasks import find_tasks, task_table
from workbench.profiles.readers.strace.timeline import lane_labels, timeline_table
from workbench.profiles.readers.strace.tree import build, costs, read_stacks
from workbench.profiles.readers.strace.waiting import JUDGEMENTS
from workbench.profiles.table import Counts, Deferred, Table, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.strace.join import Pairs
    from workbench.profiles.readers.strace.judge import Judgement
    from workbench.profiles.readers.strace.lines import Mask, Places
    from workbench.profiles.readers.strace.summary import Summary
    from workbench.profiles.readers.strace.tasks import Tasks
    from workbench.profiles.readers.strace.tree import CallTree
    from workbench.profiles.source import Source

__all__ = ["read", "recognise"]

FORMAT = "strace"

TIME = Metric("time", "ns", "wall clock time in the call, strace's own overhead included")
CALLS = Metric("calls", "count", "system calls, also those that did not return")

# What ``start_ns`` counts from: the texts of ``meta["clock"]``.
CLOCKS = {
    NO_STAMP: "none",
    OF_DAY: "midnight of the first day",
    SINCE_1970: "1970-01-01 UTC",
    SINCE_LINE_BEFORE: "the first line",
}

_PID_SUFFIX = re.compile(r"\.(\d{1,8})$")


def read(
    source: Source,
    *,
    date: str | datetime.date | None = None,
    utc_offset_s: float = 0,
    pid: int | None = None,
) -> Profile:
    """Read a log, or the table of ``strace -c``.

    ``date`` (of the first line, ``YYYY-MM-DD``) converts times of day (-t, -tt) to nanoseconds since 1970; they are
    taken to be of a zone that is ``utc_offset_s`` seconds ahead of UTC. ``pid`` is the pid of lines without one (a file
    of ``-ff``); by default the file's suffix, if it is a number.

    Tables: ``calls`` (one row per call), ``threads`` and ``signals``; with -T and time stamps ``timeline`` (one row per
    span), with -C also ``summary``. ``calls`` and ``timeline`` are made on first use. ``meta["clock"]`` says what
    ``start_ns`` counts from. Raises ReadError.
    """
    midnight_ns = None if date is None else _midnight(date, utc_offset_s)
    notes = NoteBook()
    data = plain(source.data, source, notes)
    data, summary = strace_summary.split(data, source, notes)
    if len(summary) and not data.strip():
        return strace_summary.profile(summary, source, notes)
    try:
        log = scan(data, source, notes)
    except ReadError:
        if not len(summary):
            raise
        # the text before the table is the program's output
        return strace_summary.profile(summary, source, notes)
    log = name_the_pidless(log, _pid_of(source) if pid is None else pid, source, notes)
    return _of_log(name_the_restarted(log), summary, midnight_ns, source, notes)


def _of_log(log: Log, summary: Summary, midnight_ns: int | None, source: Source, notes: NoteBook) -> Profile:
    """The profile of a log, and of the table below it."""
    pairs = pair(log, source, notes)
    check_sum(log.duration_ns, log.line, source)
    clock = clock_of(log)
    shift = _shift(log, clock, midnight_ns, source, notes)
    times = _times(log, pairs, clock, shift)
    event_shift = _event_shift(log, clock, shift, midnight_ns)
    tasks = find_tasks(log, pairs, source, notes)
    judged = judge(log, pairs, tasks.process[tasks.row], tasks.made_by)
    stacks = read_stacks(log, np.where(pairs.last >= 0, log.line[pairs.last], 0), source, notes)
    tree = build(judged.means, tasks.row, tasks.labels, log.name[pairs.first], log.names, stacks)
    timed = bool((log.duration_ns != UNKNOWN).any())
    tables: dict[str, Any] = {
        "calls": Deferred(lambda: _call_columns(log, pairs, times, judged, tree.node_of)),
        "threads": task_table(tasks, times.start_ns, times.started, event_shift),
        "signals": _signal_columns(log, event_shift),
    }
    meta = _meta(log, len(tasks.pid), times, clock, midnight_ns, timed)
    if timed and meta["ended_ns"] is not None:
        tables["timeline"] = Deferred(lambda: _timeline(tasks, pairs, times, tree, meta["ended_ns"]))
    if len(summary):
        tables["summary"] = summary.columns()
        strace_summary.compare(summary, log, pairs, notes)
    _note_times(log, pairs, times, clock, timed, source, notes)
    metrics = [TIME, CALLS] if timed else [CALLS]
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        frames=tree.frames,
        parent=tree.parent,
        frame=tree.frame,
        self_costs=costs(len(tree.parent), tree.node_of, np.maximum(times.duration_ns, 0) if timed else None),
        tables=tables,
        meta=meta,
        notes=notes.notes(),
    )


# tables


@dataclass(frozen=True, slots=True, eq=False)
class _Times:
    """For each call: ``start_ns``, valid where ``started`` is true; ``duration_ns``, UNKNOWN if the log has none."""

    start_ns: Places
    started: Mask
    duration_ns: Places


def _times(log: Log, pairs: Pairs, clock: int, shift: Places) -> _Times:
    first, last = pairs.first, pairs.last
    duration = log.duration_ns[pairs.end]
    alone = (last >= 0) & (log.kind[first] == ENDED)
    start = log.stamp_ns[first] + shift[first] - np.where(alone & (duration != UNKNOWN), duration, 0)
    known = (log.clock[first] == clock) & (clock != NO_STAMP) & ~(alone & (duration == UNKNOWN))
    return _Times(start, known, duration)


def _call_columns(log: Log, pairs: Pairs, times: _Times, judged: Judgement, node_of: Places) -> dict[str, Any]:
    """One row per call, in the order in which calls begin."""
    first, last, end = pairs.first, pairs.last, pairs.end
    ended = last >= 0
    return {
        "call_id": np.arange(len(first), dtype=np.int64),
        "pid": log.pid[end],
        "start_ns": Counts(times.start_ns, times.started),
        "duration_ns": Counts(times.duration_ns, times.duration_ns != UNKNOWN),
        "syscall": coded(log.name[first], log.names),
        "args": _arguments(log, first, last),
        "result": Counts(log.value[end], ended & log.has_value[end]),
        "result_text": log.result.objects(end),
        "error": coded(log.error[end], log.errors),
        "judged": coded(judged.means, JUDGEMENTS),
        "why": coded(judged.why, judged.words),
        "returned": ended & log.returned[end],
        "open": ~ended,
        "restarted": log.restarted[first],
        "fd": Counts(log.fd[first], log.fd[first] != UNKNOWN),
        "line": log.line[first],
        "node_id": node_of,
    }


def _timeline(tasks: Tasks, pairs: Pairs, times: _Times, tree: CallTree, log_end_ns: int) -> Table:
    """The calls whose start is known, as spans; calls without an end last until the log ends."""
    is_open = pairs.last < 0
    rows = np.flatnonzero(times.started & (is_open | (times.duration_ns != UNKNOWN)))
    start = times.start_ns[rows]
    end = np.where(is_open[rows], log_end_ns, start + times.duration_ns[rows])
    labels = lane_labels(tasks.labels, tasks.pid)
    return timeline_table(tasks.row[rows], labels, start, end, tree.node_of[rows], tree.parent, tree.frame)


def _arguments(log: Log, first: Places, last: Places) -> NDArray[Any]:
    """The arguments as the log has them; the two parts of an interrupted call are joined."""
    begun = log.args.objects(first)
    joined = np.flatnonzero((last >= 0) & (last != first))
    # where it interrupts a call, strace neither drops nor adds text
    begun[joined] = begun[joined] + log.args.objects(last[joined])
    return begun


def _signal_columns(log: Log, shift: dict[int, int]) -> dict[str, Any]:
    """One row per signal that arrived, or stop by a signal: pid, signal, at_ns, text, line."""
    rows = log.signals
    at = [event.stamp_ns + shift[event.line] if event.line in shift else None for event in rows]
    return {
        "pid": np.array([event.pid for event in rows], dtype=np.int64),
        "signal": text([_signal_name(event.text) for event in rows]),
        "at_ns": Counts.of(at),
        "text": text([event.text for event in rows]),
        "line": np.array([event.line for event in rows], dtype=np.int64),
    }


def _signal_name(text: str) -> str:
    return next((word for word in text.split(" ") if word.startswith("SIG")), "")


# times


def _midnight(date: str | datetime.date, utc_offset_s: float) -> int:
    try:
        day = datetime.date.fromisoformat(date) if isinstance(date, str) else date
        return (day - datetime.date(1970, 1, 1)).days * 86_400 * SECOND_NS - round(utc_offset_s * SECOND_NS)
    except (ValueError, TypeError, OverflowError) as error:
        raise ReadError(f"{date!r} is not a date", where="date", hint="Give it as YYYY-MM-DD") from error


def _shift(log: Log, clock: int, midnight_ns: int | None, source: Source, notes: NoteBook) -> Places:
    """The nanoseconds to add to the stamp of each line."""
    other = np.flatnonzero(log.clock != clock)
    if other.size:
        notes.add(
            "a line has another kind of time stamp than most; its time is not known",
            source.at(int(log.line[other[0]])),
            count=other.size,
        )
    if clock != OF_DAY:
        return np.zeros(len(log.line), dtype=np.int64)
    days = day_starts(log, log.clock == clock, source)
    return days + (midnight_ns or 0)


def _event_shift(log: Log, clock: int, shift: Places, midnight_ns: int | None) -> dict[int, int]:
    """The nanoseconds to add to the stamps of exits and signals, by line: as for the call line before."""
    events = [event for event in (*log.exits, *log.signals) if event.clock == clock != NO_STAMP]
    before = np.searchsorted(log.line, [event.line for event in events]) - 1
    first = (midnight_ns or 0) if clock == OF_DAY else 0
    return {
        event.line: int(shift[row]) if row >= 0 else first for event, row in zip(events, before.tolist(), strict=True)
    }


def _note_times(
    log: Log, pairs: Pairs, times: _Times, clock: int, timed: bool, source: Source, notes: NoteBook
) -> None:
    """Note which calls have no time, and how much time is not counted."""
    if not timed:
        notes.add("the log has no times of calls; it was written without -T", source.at(1))
    if clock == NO_STAMP:
        notes.add("the log has no time stamps; it was written without -tt", source.at(1))
    is_open = pairs.last < 0
    still = np.flatnonzero(is_open)
    if still.size:
        notes.add(
            "a call has no end in the log; at least this much of its time is not counted",
            source.at(int(log.line[pairs.first[still[0]]])),
            count=still.size,
            metric=TIME.name if timed else None,
            weight=float(_open_ns(times, is_open)) if timed and clock != NO_STAMP else None,
        )
    missing = np.flatnonzero((times.duration_ns == UNKNOWN) & ~is_open & log.returned[pairs.last])
    if timed and missing.size:
        notes.add(
            "a call that returned has no time", source.at(int(log.line[pairs.first[missing[0]]])), count=missing.size
        )


def _open_ns(times: _Times, is_open: Mask) -> int:
    """How long the open calls had been open at the last time stamp of the log."""
    opened = times.start_ns[is_open & times.started]
    end = times.start_ns[times.started].max(initial=0)
    return int(np.maximum(0, end - opened).sum()) if len(opened) else 0


def _meta(log: Log, tasks: int, times: _Times, clock: int, midnight_ns: int | None, timed: bool) -> dict[str, Any]:
    start = times.start_ns[times.started]
    end = start + np.maximum(times.duration_ns[times.started], 0)
    dated = clock == OF_DAY and midnight_ns is not None
    return {
        "clock": CLOCKS[SINCE_1970 if dated else clock],
        "started_ns": int(start.min()) if len(start) else None,
        "ended_ns": int(end.max()) if len(end) else None,
        "timed": timed,
        "lines": log.lines,
        "pids": tasks,
        "calls": len(times.start_ns),
    }


# the source


def _pid_of(source: Source) -> int | None:
    match = _PID_SUFFIX.search(source.name)
    return int(match[1]) if match else None
