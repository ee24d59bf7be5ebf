"""Threads as labels of samples: the same keys whatever the format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.profiles.table import Counts, Table, text

_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Thread:
    """The thread that was sampled; unknown values are "". ``pid`` and ``tid`` may be other text than numbers."""

    name: str
    pid: str = ""
    tid: str = ""
    process: str = ""

    @property
    def label(self) -> str:
        """The text that distinguishes the thread from others of the same name."""
        return f"{self.name} {self.tid}".strip()


def thread_tags(threads: Sequence[Thread]) -> Table:
    """The ``tags`` of samples whose ``tags_id`` is the number of their thread, counted from 1: ``thread`` (name and
    tid), ``comm`` (its name), ``process`` (its name), ``pid`` and ``tid``, each if it is known."""
    rows: list[tuple[int, str, str, int | None]] = []
    for number, thread in enumerate(threads, start=1):
        for key, value in (("thread", thread.label), ("comm", thread.name), ("process", thread.process)):
            if value:
                rows.append((number, key, value, None))
        for key, value in (("pid", thread.pid), ("tid", thread.tid)):
            if value:
                rows.append((number, key, value, int(value) if _NUMBER.fullmatch(value) else None))
    return Table(
        {
            "tags_id": np.array([row[0] for row in rows], dtype=np.int64),
            "key": text([row[1] for row in rows]),
            "value": text([row[2] for row in rows]),
            "number": Counts(
                np.array([row[3] or 0 for row in rows], dtype=np.int64),
                np.array([row[3] is not None for row in rows], dtype=bool),
            ),
            "unit": text([row[1] if row[3] is not None else "" for row in rows]),
        }
    )
