"""Follows the run folder of a run that another process measures: gives its status at each call.

Nothing is read twice: events are read from where the last call ended, and of the running step only the incomplete
chunks of rows.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import RunFolderError
from workbench.load.chunks import LiveRows
from workbench.load.histogram import Histogram, rank_of
from workbench.load.outcome import OUTCOME_NAMES
from workbench.runs.folder import EVENTS, RunFolder
from workbench.runs.status import ENDED, Event, Live, RunStatus, status_of

RECENT_NS = 2_000_000_000
"""The time over which the live rate is taken, in nanoseconds."""

CHUNK_ROWS = 1 << 16
"""Rows of the running step that are read at a time: 3.5 MB."""

_OF_STEPS = (
    "step", "kind", "receipts", "sent", "accepted", "denied", "failed", "duration_s", "throughput_per_s",
    "response_p50_ms", "response_p99_ms", "verdict", "reason",
)  # fmt: skip


class RunFollower:
    """The run in a folder. It is only read, which does not disturb the measurement."""

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)
        self._events = _Events(path / EVENTS)
        self._tables: dict[str, tuple[tuple[int, int], list[dict[str, Any]]]] = {}
        self._rows: LiveTail | None = None

    def read(self, now_ns: int | None = None) -> RunStatus:
        """The run's status. ``now_ns``: the machine's monotonic clock, for the live rate (None: now). Raises
        RunFolderError if the folder is not a run."""
        manifest = self.folder.manifest()
        state = self.folder.state_now(str(manifest.get("state", "new")))
        events = self._events.read()
        live = None if state != "running" else self._live(events, time.monotonic_ns() if now_ns is None else now_ns)
        planned = self._table("plan.parquet", _OF_PLAN)
        rates = {int(row["step"]): float(row["rate_per_s"]) for row in planned if row["rate_per_s"] is not None}
        rows = self._table("steps.parquet", _OF_STEPS)
        kept = self._kept() if state in ENDED else {}
        return status_of(self.folder.path.name, manifest, state, events, rows, rates, live, kept)

    def _kept(self) -> dict[int, int]:
        """The number of rows of each cut-off step, from its last attempt."""
        import pyarrow.parquet as pq

        found: dict[int, tuple[int, Path]] = {}
        for path in (self.folder.path / "interrupted").glob("step-*-*.parquet"):
            _, number, attempt = path.stem.split("-")
            found[int(number)] = max(found.get(int(number), (0, path)), (int(attempt), path))
        kept = {}
        for step, (_, path) in found.items():
            with contextlib.suppress(OSError, ValueError):
                kept[step] = int(pq.read_metadata(path).num_rows)
        return kept

    def _live(self, events: list[Event], now_ns: int) -> Live | None:
        """The figures from the rows of the running step, or the last ones after the rows were written as Parquet."""
        number = next((int(facts["step"]) for kind, facts in reversed(events) if kind == "step_started"), None)
        if number is None:
            return None
        path = self.folder.live_samples(number)
        if self._rows is None or self._rows.path != path:
            if not path.exists():
                return None
            self._rows = LiveTail(path)
        return self._rows.read(now_ns)

    def _table(self, name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
        """The rows of a small table, read again if its file has changed; empty if it is missing or incomplete."""
        import pyarrow.parquet as pq

        path = self.folder.path / name
        try:
            found = path.stat()
            known = (found.st_mtime_ns, found.st_size)
            if self._tables.get(name, (None,))[0] != known:
                self._tables[name] = (known, pq.read_table(path, columns=list(columns)).to_pylist())
        except (OSError, ValueError, KeyError):
            return []
        return self._tables[name][1]


_OF_PLAN = ("step", "rate_per_s")


class LiveTail:
    """The rows of a running step. Chunks that are complete, and whose rows are older than the live rate's window, are
    counted once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._first = 0
        self._histogram = Histogram()
        self._counts = np.zeros(len(OUTCOME_NAMES), dtype=np.int64)
        self._begun_ns = self._newest_ns = 0
        self._last = Live()

    def read(self, now_ns: int) -> Live:
        """The figures from the rows now, or the last ones after the file was removed."""
        with contextlib.suppress(RunFolderError):  # removed: the step has ended, and its rows are Parquet now
            self._last = self._read(LiveRows(self.path, CHUNK_ROWS), now_ns)
        return self._last

    def _read(self, rows: LiveRows, now_ns: int) -> Live:
        counts, histogram, recent = self._counts.copy(), _copied(self._histogram), 0
        for number in range(self._first, len(rows)):
            chunk = rows.chunk(number)
            if not len(chunk):
                break  # rows are filled from the first on
            of_chunk = np.bincount(chunk.outcome[chunk.outcome >= 0], minlength=len(counts))
            counts += of_chunk
            histogram.add(chunk.response_ns)
            recent += int((chunk.done_ns > now_ns - RECENT_NS).sum())
            self._begun_ns = self._begun_ns or int(chunk.sent_ns.min())
            self._newest_ns = max(self._newest_ns, int(chunk.done_ns.max()))
            whole = len(chunk) == min(CHUNK_ROWS, rows.rows - number * CHUNK_ROWS)
            if number == self._first and whole and int(chunk.done_ns.max()) <= now_ns - RECENT_NS:
                self._first += 1
                self._counts += of_chunk
                self._histogram.add(chunk.response_ns)
        answered = int(counts.sum())
        if answered == rows.rows:  # no more rows come, so the live rate falls
            recent, seconds = answered, (self._newest_ns - self._begun_ns) / 1e9
        else:
            seconds = min(RECENT_NS, now_ns - self._begun_ns) / 1e9
        return Live(
            answered=answered,
            by_outcome=dict(zip(OUTCOME_NAMES, counts.tolist(), strict=True)),
            rate_per_s=recent / seconds if answered and seconds > 0 else math.nan,
            p50_ms=_percentile_ms(histogram, 50),
            p99_ms=_percentile_ms(histogram, 99),
        )


class _Events:
    """The complete lines of events.jsonl, continued at each call; only the last progress of a step is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._kept: list[Event] = []

    def read(self) -> list[Event]:
        """All of them so far."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except OSError:
            return self._kept
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            facts = _object(line)
            if facts is None:
                continue
            kind = str(facts.get("kind", ""))
            if kind == "progress" and self._kept and self._kept[-1][0] == "progress":
                self._kept.pop()
            self._kept.append((kind, facts))
        return self._kept


def _object(line: bytes) -> Mapping[str, Any] | None:
    """A line as an object; None if it was cut off by a kill."""
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def _copied(histogram: Histogram) -> Histogram:
    return Histogram(histogram.counts.copy(), histogram.minimum, histogram.maximum)


def _percentile_ms(histogram: Histogram, percent: int) -> float:
    """A percentile in ms, within the width of a bucket (0.8 %); NaN where fewer than ten values lie beyond it."""
    n = histogram.total
    if n * (100 - percent) < 1000:
        return math.nan
    span = histogram.span(int(rank_of(n, percent)))
    return (span.lower + span.upper - 1) / 2 / 1e6
