"""``perf script`` text to Profile: events are metrics, threads are labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import self_
from workbench.profiles.distinct import numbered
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.folded.stacks import cut_deep
from workbench.profiles.readers.perf_script.frames import stacks_of
from workbench.profiles.readers.perf_script.lines import header_comments, lines_of
from workbench.profiles.readers.perf_script.samples import Samples, samples_of
from workbench.profiles.readers.threads import thread_tags
from workbench.profiles.table import Deferred
from workbench.profiles.timeline import Moments, timeline
from workbench.profiles.tree import add_at, depths, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "perf_script"
_SEEN_BYTES = 1 << 17
_MOST_EVENTS = 64
_MOST = 2**63 - 1
# kernel.perf_event_max_stack: what perf records of a stack unless told otherwise
_PERF_DEPTH = 127
_CLOCKS = re.compile(r"(?:cpu|task)-clock(?:$|[:/])")
_TIMED = re.compile(
    rb"^[^\n]*?(?:^|\s)(?:-?\d+/)?-?\d+\s+(?:\[\d+\]\s+)?(?:[A-Z]{1,4}\s+)?\d{1,10}\.\d{6,9}:"
    rb"\s*(?:\d+\s+)?(?:PERF_RECORD_|\S+:(?:\s|$)|\s+[0-9a-f]{1,16}\s[^\n]*\)|\d+\s|$)",
    re.MULTILINE,
)
_FRAMED = re.compile(
    rb"^[^\n#]*:[ \t]*\r?\n\s*[0-9a-f]{1,16}\s+\S[^\n]*\((?:[/\[][^\n]*|inlined)\)[ \t]*\r?$", re.MULTILINE
)
_ALIGNED = re.compile(
    rb"^\t(?:(?=.{16}(?:[ \r\n]|$)) {0,15}[0-9a-f]{1,16}| *[0-9a-f]{1,16} [^\n]*\)\r?$)", re.MULTILINE
)
_COMMENTED = re.compile(rb"# ={8}\r?\n# captured on\s*:")
_REPORT = re.compile(rb"^# (?:Overhead|Children) +(?:Self|Command|Shared|Symbol|Samples|Pid|sys|usr)", re.MULTILINE)
_HINT = "Write it with: perf script -i perf.data > out.perf"


def recognise(source: Source) -> str | None:
    """The header of ``perf script --header``, or a sample among the first lines."""
    seen = source.data[:_SEEN_BYTES]
    if b"\0" in seen[:4096]:
        return None
    if _COMMENTED.match(seen):
        return "perf's header"
    if _REPORT.search(seen):
        return "a report of perf"
    if _TIMED.search(seen):
        return "a sample of perf script"
    if _FRAMED.search(seen) or len(_ALIGNED.findall(seen[:8192])) >= 2:
        return "frames of perf script"
    return None


def read(source: Source) -> Profile:
    """The samples of ``perf script``.

    If the file has periods, each event is a metric with its name: the sum of its periods (``ns`` for cpu-clock and
    task-clock); ``samples`` counts samples, for several events ``samples:EVENT`` each. The event with most samples is
    shown first. Threads are labels: ``thread`` (comm and tid), ``comm``, ``pid`` and ``tid``. If samples have times,
    the table ``timeline`` has what ran when.

    Raises ReadError if there is no sample.
    """
    data = source.data
    notes = NoteBook()
    found = samples_of(lines_of(data), source, notes)
    if not len(found):
        if _REPORT.search(data[:_SEEN_BYTES]):
            raise ReadError(
                "this is a report of perf, which has sums instead of samples", where=source.name, hint=_HINT
            )
        raise ReadError("there is no complete sample", where=source.name, hint=_HINT)
    counted = _counted(found, source, notes)
    stacks = stacks_of(found.entries, len(found))
    _note_depth(stacks.physical, notes)
    ones = np.ones((len(found), 1), dtype=np.int64)
    offsets, codes = cut_deep(stacks.offsets, stacks.codes, ones, counted.metrics[counted.count], notes, source.name)
    tree = grow(offsets, codes)
    rows, tags_id, costs = _summed(found, tree.node_of, counted)
    tables: dict[str, Any] = {}
    if (found.time_ns >= 0).all():
        labels = [thread.label for thread in found.threads]
        moments = Moments(found.thread, found.time_ns, tree.node_of)
        tables["timeline"] = Deferred(lambda: timeline(moments, labels, tree.parent, tree.frame, depths(tree.parent)))
    return from_stacks(
        FORMAT,
        source.name,
        metrics=counted.metrics,
        default_metric=counted.metrics[counted.default].name,
        frames=stacks.frames,
        parent=tree.parent,
        frame=tree.frame,
        self_costs=add_at(len(tree.parent), rows, costs),
        samples=_samples(rows, tags_id, costs, counted.metrics),
        tags=thread_tags(found.threads),
        tables=tables,
        meta={"samples": len(found), "threads": len(found.threads), **header_comments(data)},
        notes=notes.notes(),
    )


@dataclass(frozen=True, slots=True)
class _Counted:
    """The metrics of the events: ``period_at`` and ``count_at`` are the columns in which an event's periods and samples
    are summed (-1: none). ``default`` is shown first, ``count`` counts samples of the event shown first."""

    metrics: list[Metric]
    period_at: NDArray[np.int64]
    count_at: NDArray[np.int64]
    default: int
    count: int


def _counted(found: Samples, source: Source, notes: NoteBook) -> _Counted:
    size = len(found.events)
    times = np.bincount(found.event, minlength=size)
    weight = np.bincount(found.event, weights=found.period.astype(np.float64), minlength=size)
    if weight.max(initial=0.0) >= float(_MOST):
        raise ReadError("the periods of an event add up to more than 64 bits can hold", where=source.name, hint=_HINT)
    periodic = np.bincount(found.event[found.has_period], minlength=size) > 0
    seen = [event for event in np.argsort(-times, kind="stable").tolist() if times[event]]
    if len(seen) > _MOST_EVENTS:
        notes.add("events beyond the 64 with most samples are left out", count=len(seen) - _MOST_EVENTS)
    kept = sorted(seen[:_MOST_EVENTS])
    metrics: list[Metric] = []
    period_at, count_at = np.full(size, -1, dtype=np.int64), np.full(size, -1, dtype=np.int64)
    names: set[str] = set()
    for event in kept:
        name = found.events[event]
        if periodic[event]:
            period_at[event] = len(metrics)
            unit = "ns" if _CLOCKS.match(name) else "count"
            metrics.append(Metric(_free(name or "period", names), unit, "sum of the periods of its samples"))
        count_at[event] = len(metrics)
        one = "samples" if len(kept) == 1 or not name else f"samples:{name}"
        metrics.append(Metric(_free(one, names), "count", "how often it was sampled"))
    first = seen[0]
    return _Counted(
        metrics,
        period_at,
        count_at,
        int(period_at[first] if periodic[first] else count_at[first]),
        int(count_at[first]),
    )


def _free(name: str, names: set[str]) -> str:
    while name in names:
        name += "'"
    names.add(name)
    return name


def _summed(
    found: Samples, node: NDArray[np.int64], counted: _Counted
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Samples of one node and thread as one row: node, labels and costs, a column per metric."""
    pair = node * len(found.threads) + found.thread
    row, known = numbered(pair)
    costs = np.zeros((len(known), len(counted.metrics)), dtype=np.int64)
    for places, amount in ((counted.period_at, found.period), (counted.count_at, np.ones_like(found.period))):
        column = places[found.event]
        here = column >= 0
        np.add.at(costs, (row[here], column[here]), amount[here])
    return known // len(found.threads), known % len(found.threads) + 1, costs


def _samples(
    node: NDArray[np.int64], tags_id: NDArray[np.int64], costs: NDArray[np.int64], metrics: list[Metric]
) -> dict[str, Any]:
    columns = {"node_id": node, "tags_id": tags_id}
    return {**columns, **{self_(metric.name): costs[:, at] for at, metric in enumerate(metrics)}}


def _note_depth(physical: NDArray[np.int64], notes: NoteBook) -> None:
    cut = int((physical == _PERF_DEPTH).sum())
    if cut:
        notes.add(
            f"stack of {_PERF_DEPTH} frames: perf keeps no more (sysctl kernel.perf_event_max_stack), so the outermost "
            "callers are missing",
            count=cut,
        )
