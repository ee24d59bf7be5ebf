"""Who made the calls: processes and threads, their names and who made whom.

Names come from where the kernel's own come from: an execve sets the base name of its file, ``prctl(PR_SET_NAME)`` a
new one, and a new task has its maker's. ``--decode-pids=comm`` writes them out, which wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.profiles.readers.strace.join import MAKERS

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.strace.join import Pairs
    from workbench.profiles.readers.strace.lines import Places
    from workbench.profiles.readers.strace.log import Log
    from workbench.profiles.source import Source

_NAME_BYTES = 15  # the kernel's limit
_SET_NAME = re.compile(r'PR_SET_NAME, "((?:[^"\\]|\\.)*)"')
_FILE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_EXECS = frozenset(("execve", "execveat"))
_THREAD = "CLONE_THREAD"


@dataclass
class _Family:
    name: dict[int, str] = field(default_factory=dict)
    parent: dict[int, int] = field(default_factory=dict)
    process: dict[int, int] = field(default_factory=dict)
    kind: dict[int, str] = field(default_factory=dict)

    def add_child(self, parent: int, child: int, *, thread: bool) -> None:
        self.parent[child] = parent
        self.kind[child] = "thread" if thread else "process"
        self.process[child] = self.process.get(parent, parent) if thread else child
        if parent in self.name:
            self.name[child] = self.name[parent]


def task_table(
    log: Log, pairs: Pairs, start_ns: pd.Series, shift: Mapping[int, int], source: Source, notes: NoteBook
) -> pd.DataFrame:
    """The ``threads`` of a log, one row a task in order of appearance.

    ``process`` is the pid of the task's process (its thread group leader) as far as the log shows it, ``kind`` is
    ``root`` (nobody in the log made it), ``process`` or ``thread``. ``shift`` is what to add to the stamps of exits,
    by line, those without a stamp left out.
    """
    pid = log.pid[pairs.first]
    family = _family(log, pairs, source, notes)
    exits = {event.pid: event for event in log.exits if "superseded" not in event.text}
    tasks = list(dict.fromkeys([*pd.unique(pid).tolist(), *(event.pid for event in (*log.exits, *log.signals))]))
    started = start_ns.groupby(pid).min()
    ended = [
        exits[task].stamp_ns + shift[exits[task].line] if task in exits and exits[task].line in shift else None
        for task in tasks
    ]
    return pd.DataFrame(
        {
            "pid": np.array(tasks, dtype=np.int64),
            "name": pd.Series([family.name.get(task, "") for task in tasks], dtype="str"),
            "process": np.array([family.process.get(task, task) for task in tasks], dtype=np.int64),
            "parent_pid": pd.array([family.parent.get(task) for task in tasks], dtype="Int64"),
            "kind": pd.Categorical(
                [family.kind.get(task, "root") for task in tasks], categories=["root", "process", "thread"]
            ),
            "started_ns": started.reindex(tasks).array,
            "ended_ns": pd.array(ended, dtype="Int64"),
            "exit": pd.Series([exits[task].text if task in exits else "" for task in tasks], dtype="str"),
        }
    )


def _family(log: Log, pairs: Pairs, source: Source, notes: NoteBook) -> _Family:
    """Names and parents, from the few calls that set them, in the order these began."""
    family = _Family()
    wanted = [number for number, name in enumerate(log.names) if name in MAKERS | _EXECS | {"prctl"}]
    rows = np.flatnonzero(np.isin(log.name[pairs.first], wanted) & (pairs.last >= 0))
    first, last = pairs.first[rows], pairs.last[rows]
    arguments = log.args.take(first).to_pylist()
    gone = {event.pid: event.line for event in log.exits}
    for begin, end, text in zip(first.tolist(), last.tolist(), arguments, strict=True):
        if not log.has_value[end]:
            continue
        value, pid, name = int(log.value[end]), int(log.pid[end]), log.names[log.name[begin]]
        if name in MAKERS:
            if value > 0:
                if gone.get(value, log.lines + 1) < log.line[begin]:
                    notes.add(
                        "a pid was used again for another task; both are shown as one", source.at(int(log.line[begin]))
                    )
                family.add_child(pid, value, thread=_THREAD in text)
        elif value == 0:
            # only the first string can be the file: a search would look for one from each quote on
            match = _SET_NAME.search(text) if name == "prctl" else _FILE.match(text, max(0, text.find('"')))
            if match:
                family.name[pid] = _task_name(match[1], is_file=name in _EXECS)
    family.name.update(log.comms)
    return family


def _task_name(text: str, *, is_file: bool) -> str:
    return (text.rpartition("/")[2] if is_file else text)[:_NAME_BYTES]


def labels(tasks: pd.DataFrame) -> pd.Series:
    """What each task is called in tables and charts: its name, else its pid."""
    return tasks["name"].where(tasks["name"] != "", "pid " + tasks["pid"].astype("str"))


def rows_of(tasks: pd.DataFrame, pid: Places) -> Places:
    """The row of each pid in the table of tasks."""
    return np.asarray(pd.Index(tasks["pid"]).get_indexer(pid), dtype=np.int64)
