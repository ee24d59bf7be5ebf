"""The tasks of a log, that is processes and threads: their names and their parents.

They are named as the kernel names them: execve sets the base name of its file, ``prctl(PR_SET_NAME)`` another name, and
a new task has the name of its parent. Names that ``--decode-pids=comm`` writes come first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.readers.strace.join import MAKERS
from workbench.profiles.readers.strace.tables import words
from workbench.profiles.table import Counts, text

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.strace.join import Pairs
    from workbench.profiles.readers.strace.lines import Mask, Places
    from workbench.profiles.readers.strace.log import Event, Log
    from workbench.profiles.source import Source

_NAME_BYTES = 15  # the kernel's limit
# by name, by number (-X raw), with both (-X verbose), with the arguments' names (-N)
_SET_NAME = re.compile(r'(?:^|^\w+=)(?:PR_SET_NAME|0xf(?: /\* PR_SET_NAME \*/)?), (?:\w+=)?"((?:[^"\\]|\\.)*)"')
_FILE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_EXECS = frozenset(("execve", "execveat"))
# CLONE_THREAD is 0x10000
_THREAD = re.compile(r"CLONE_THREAD|(?:flags=|^(?:\w+=)?)0x[0-9a-f]*[13579bdf][0-9a-f]{4}\b")


@dataclass
class _Family:
    name: dict[int, str] = field(default_factory=dict)
    parent: dict[int, int] = field(default_factory=dict)
    process: dict[int, int] = field(default_factory=dict)
    kind: dict[int, str] = field(default_factory=dict)
    made: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add_child(self, parent: int, child: int, line: int, *, thread: bool) -> None:
        self.made[child] = (self.process.get(parent, parent), line)
        self.parent[child] = parent
        self.kind[child] = "thread" if thread else "process"
        self.process[child] = self.process.get(parent, parent) if thread else child
        if parent in self.name:
            self.name[child] = self.name[parent]


@dataclass(frozen=True, slots=True, eq=False)
class Tasks:
    """The tasks of a log in order of appearance. ``process`` is the pid of a task's process (its thread group leader)
    as far as the log shows it; ``kind`` is ``root`` (no task in the log created it), ``process`` or ``thread``. ``row``
    is the position of each call's task; ``made_by`` maps a process to its parent and the line of its creation.
    """

    pid: Places
    name: Sequence[str]
    process: Places
    parent_pid: Sequence[int | None]
    kind: Sequence[str]
    exits: Mapping[int, Event]
    row: Places
    made_by: Mapping[int, tuple[int, int]]

    @property
    def labels(self) -> list[str]:
        """What each task is called in tables and charts: its name, else its pid."""
        return [name or f"pid {pid}" for name, pid in zip(self.name, self.pid.tolist(), strict=True)]


def find_tasks(log: Log, pairs: Pairs, source: Source, notes: NoteBook) -> Tasks:
    """The tasks that made the calls, and those with an exit or a signal."""
    pid = log.pid[pairs.first]
    family = _family(log, pairs, source, notes)
    exits = {event.pid: event for event in log.exits if "superseded" not in event.text}
    codes, distinct = numbered(pid)
    tasks = list(dict.fromkeys([*distinct.tolist(), *(event.pid for event in (*log.exits, *log.signals))]))
    return Tasks(
        pid=np.array(tasks, dtype=np.int64),
        name=[family.name.get(task, "") for task in tasks],
        process=np.array([family.process.get(task, task) for task in tasks], dtype=np.int64),
        parent_pid=[family.parent.get(task) for task in tasks],
        kind=[family.kind.get(task, "root") for task in tasks],
        exits=exits,
        row=codes,
        made_by={child: made for child, made in family.made.items() if family.kind.get(child) == "process"},
    )


def task_table(tasks: Tasks, start_ns: Places, known: Mask, shift: Mapping[int, int]) -> dict[str, Any]:
    """The columns of the table ``threads``, one row per task. ``start_ns`` of a call is valid where ``known``;
    ``shift`` has what to add to the stamp of an exit, by line; exits without a stamp are not in it."""
    size = len(tasks.pid)
    largest = np.iinfo(np.int64).max
    started = np.full(size, largest, dtype=np.int64)
    np.minimum.at(started, tasks.row[known], start_ns[known])
    exits = [tasks.exits.get(task) for task in tasks.pid.tolist()]
    ended = [event.stamp_ns + shift[event.line] if event and event.line in shift else None for event in exits]
    return {
        "pid": tasks.pid,
        "name": text(tasks.name),
        "process": tasks.process,
        "parent_pid": Counts.of(tasks.parent_pid),
        "kind": words(tasks.kind, ("root", "process", "thread")),
        "started_ns": Counts(started, started != largest),
        "ended_ns": Counts.of(ended),
        "exit": text([event.text if event else "" for event in exits]),
    }


def _family(log: Log, pairs: Pairs, source: Source, notes: NoteBook) -> _Family:
    """Names and parents, from the few calls that set them, in the order in which these calls began."""
    family = _Family()
    wanted = [number for number, name in enumerate(log.names) if name in MAKERS | _EXECS | {"prctl"}]
    rows = np.flatnonzero(np.isin(log.name[pairs.first], wanted) & (pairs.last >= 0))
    first, last = pairs.first[rows], pairs.last[rows]
    arguments = log.args.objects(first).tolist()
    gone = {event.pid: event.line for event in log.exits}
    for begin, end, args in zip(first.tolist(), last.tolist(), arguments, strict=True):
        if not log.has_value[end]:
            continue
        value, pid, name = int(log.value[end]), int(log.pid[end]), log.names[log.name[begin]]
        if name in MAKERS:
            if value > 0:
                if gone.get(value, log.lines + 1) < log.line[begin]:
                    notes.add(
                        "a pid was used again for another task; both are shown as one", source.at(int(log.line[begin]))
                    )
                family.add_child(pid, value, int(log.line[begin]), thread=_THREAD.search(args) is not None)
        elif value == 0:
            # only the first string can be the file; a search would also try each later quote
            match = _SET_NAME.search(args) if name == "prctl" else _FILE.match(args, max(0, args.find('"')))
            if match:
                family.name[pid] = _task_name(match[1], is_file=name in _EXECS)
    family.name.update(log.comms)
    return family


def _task_name(text: str, *, is_file: bool) -> str:
    return (text.rpartition("/")[2] if is_file else text)[:_NAME_BYTES]
