"""speedscope's JSON: shared frames and one or more profiles, sampled (whole stacks) or evented (frames open and close).

Written by speedscope, py-spy, pyinstrument, memray, rbspy and others; the schema is at
https://www.speedscope.app/file-format-schema.json. Files of version 0.0.1 may keep frames in each profile.

Most writers make a separate profile for each thread, so all are read: their costs add up, and their names become the
label ``thread`` of the samples.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.memory import require
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks
from workbench.profiles.names import tidy_rust
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.folded.stacks import NO_NAME
from workbench.profiles.readers.speedscope.document import HINT, Document, Fail, One, decode, profile_of
from workbench.profiles.readers.speedscope.joined import Joined, join
from workbench.profiles.readers.speedscope.threads import MOST, Part, evented, is_index, is_number, nothing, sampled
from workbench.profiles.readers.speedscope.timeline import Lane, timeline_table
from workbench.profiles.readers.speedscope.units import (
    METRIC_WRITERS,
    counted,
    is_known,
    kind_of,
    metrics_of,
    name_of,
    unit_of,
)
from workbench.profiles.table import Deferred

if TYPE_CHECKING:
    from workbench.profiles.source import Source

# Metrics, which of them is the default, the tree, and the lanes of the timeline.
_Read = tuple[list[Metric], int, Joined, list[Lane]]

FORMAT = "speedscope"
_SEEN_BYTES = 4096
_OBJECT = re.compile(rb'(?:\xef\xbb\xbf)?[ \t\r\n]*+\{[ \t\r\n]*+["}]')
_LONGEST_NAME = 200
_MOST_METRICS = 64
# A profile is a thread. Reading more of them than any program has would take hours.
_MOST_PROFILES = 10_000


def recognise(source: Source) -> str | None:
    """A JSON object that names speedscope's schema or program, or has its keys, near its beginning or end."""
    data = source.data
    # a marshalled dict begins with a brace too, but is never followed by a quote
    if _OBJECT.match(data[:_SEEN_BYTES]) is None:
        return None
    seen = data[:_SEEN_BYTES] + data[-_SEEN_BYTES:]
    if b"speedscope" in seen:
        return "JSON that names speedscope"
    return "JSON with speedscope's keys" if b'"profiles"' in seen and b'"frames"' in seen else None


def read(source: Source, *, profile: int | str | None = None) -> Profile:
    """All profiles of a speedscope file together, or one of them.

    ``profile`` is the position or name of the one to read; left out, all are read, and the label ``thread`` of a sample
    names its profile. Profiles in units of one kind add up; each kind is a metric. Profiles with equal stacks that
    count different things (one per metric, as memray and the workbench write) are read as the metrics of one profile.

    Tables: if times are recorded ``timeline``, made on first use (see
    :func:`~workbench.profiles.readers.speedscope.timeline.timeline_table`).

    Raises ReadError, with the number of the sample or event, for a file that breaks the schema.
    """

    def fail(what: str, hint: str = HINT) -> NoReturn:
        raise ReadError(what, where=source.name, hint=hint)

    notes = NoteBook()
    document = decode(source, notes)
    if not document.profiles:
        fail("the list of profiles is empty", "Was anything sampled?")
    chosen = _chosen(document, profile, fail)
    if len(chosen) > _MOST_PROFILES:
        fail(f"{len(chosen):,} profiles, up to {_MOST_PROFILES:,} are read together", "Read one of them with profile=")
    ones = [profile_of(document, place, fail) for place in chosen]
    frames = _frames(document, ones, notes, fail)
    for one in ones:
        if not is_known(one):
            notes.add(f"unknown unit {unit_of(one)!r}")
    made = _as_metrics if len(ones) > 1 and _are_metrics(ones, document.exporter) else _as_threads
    metrics, default, joined, lanes = made(document, chosen, ones, frames, notes, fail)
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        default_metric=metrics[default].name,
        frames=frames.table,
        parent=joined.parent,
        frame=joined.frame,
        self_costs=joined.costs,
        samples=joined.samples,
        tags=joined.tags,
        tables={"timeline": Deferred(partial(timeline_table, lanes))} if lanes else {},
        meta=_meta(document, chosen, ones),
        notes=notes.notes(),
    )


def _as_metrics(
    document: Document, chosen: list[int], ones: list[One], frames: _Frames, notes: NoteBook, fail: Fail
) -> _Read:
    """Profiles on the same stacks: each is a metric."""
    metrics = metrics_of(ones, document.exporter)
    part = sampled(ones, f"profile {chosen[0]}", frames.size[0], metrics[0], notes, fail, cut=document.cut)
    _check_idle(ones[0], float(part.costs[:, 0].sum()) + part.idle, metrics[0], notes)
    part = part.moved(frames.begin[0])
    default = document.active if is_index(document.active, len(metrics)) else 0
    return metrics, default, Joined(part.parent, part.frame, part.costs), [part.lane] if part.lane else []


def _as_threads(
    document: Document, chosen: list[int], ones: list[One], frames: _Frames, notes: NoteBook, fail: Fail
) -> _Read:
    """Profiles of threads: their costs add up, kind by kind."""
    what = counted(ones, document.exporter)
    threads = _threads(document, chosen, ones)
    parts = _parts(document, chosen, ones, frames, notes, fail)
    lanes = [replace(part.lane, thread=thread) for part, thread in zip(parts, threads, strict=True) if part.lane]
    names = [metric.name for metric in what.metrics]
    if len(names) > 1:
        notes.add(f"the profiles count different things, each is a metric: {', '.join(names)}", count=len(ones))
    if len(parts) == 1:
        return what.metrics, 0, Joined(parts[0].parent, parts[0].frame, parts[0].costs), lanes
    scaled = [part.scaled(scale) for part, scale in zip(parts, what.scale, strict=True)]
    if sum(float(np.abs(part.costs.astype(np.float64)).sum()) for part in scaled) >= float(MOST):
        fail("the costs of all profiles add up to more than 64 bits can hold", "Read one of them with profile=")
    default = what.column[chosen.index(document.active)] if is_index(document.active, len(ones)) else 0
    return what.metrics, default, join(scaled, what.column, names, threads), lanes


@dataclass(frozen=True, slots=True)
class _Frames:
    """The table of all frames, and for each profile where its frames begin in it and how many there are."""

    table: Any
    begin: list[int]
    size: list[int]


def _chosen(document: Document, wanted: int | str | None, fail: Fail) -> list[int]:
    """The positions of the profiles to read."""
    count = len(document.profiles)
    if wanted is None:
        return list(range(count))
    if isinstance(wanted, int):
        if not is_index(wanted, count):
            fail(f"there is no profile {wanted}", f"There are {count}, counted from 0")
        return [wanted]
    names = [str(profile_of(document, place, fail).name or "") for place in range(count)]
    if wanted not in names:
        listed = ", ".join(map(repr, names[:20]))
        fail(f"there is no profile {wanted[:100]!r}", f"There are {listed[:1000]}")
    return [names.index(wanted)]


def _are_metrics(every: Sequence[One], exporter: str) -> bool:
    """Whether the profiles are several metrics of one set of stacks."""
    stacks = every[0].samples
    if len(every) > _MOST_METRICS or not all(one.type == "sampled" and one.samples == stacks for one in every):
        return False
    return len({kind_of(one) for one in every}) == len(every) or exporter.startswith(METRIC_WRITERS)


def _parts(
    document: Document, chosen: list[int], ones: list[One], frames: _Frames, notes: NoteBook, fail: Fail
) -> list[Part]:
    """The tree of each profile."""
    parts = []
    for place, one, begin, size in zip(chosen, ones, frames.begin, frames.size, strict=True):
        require()
        where = f"profile {place}"
        cut = document.cut and place == len(document.profiles) - 1
        if cut and len(ones) > 1 and (one.events is None and (one.samples is None or one.weights is None)):
            notes.add("incomplete profile, left out: the file was cut off in it", where)
            parts.append(nothing())
            continue
        own = Metric(name_of(one, document.exporter, of_metrics=False), unit_of(one))
        part = (
            sampled([one], where, size, own, notes, fail, cut=cut)
            if one.type == "sampled"
            else evented(one, where, size, own, notes, fail, cut=cut)
        )
        _check_idle(one, float(part.costs[:, 0].sum()) + part.idle, own, notes)
        parts.append(part.moved(begin))
    return parts


def _threads(document: Document, chosen: list[int], ones: list[One]) -> list[str]:
    """A unique name for each profile; equal names get the profile's number."""
    names = [str(one.name or "")[:_LONGEST_NAME] or f"profile {place}" for place, one in zip(chosen, ones, strict=True)]
    return [name if names.count(name) == 1 else f"{name} ({place})" for name, place in zip(names, chosen, strict=True)]


def _frames(document: Document, ones: list[One], notes: NoteBook, fail: Fail) -> _Frames:
    """The frames of the file, or those of its profiles in sequence."""
    raw: list[str] = []
    file: list[str] = []
    line: list[int] = []
    known: dict[int, tuple[int, int]] = {}
    spans = []
    for one in ones:
        listed = document.frames if one.frames is None else one.frames
        if id(listed) not in known:
            if not isinstance(listed, list):
                fail("the file was cut off before its list of frames" if document.cut else "no list of frames")
            known[id(listed)] = len(raw), len(listed)
            _add_frames(listed, raw, file, line, notes, fail)
        spans.append(known[id(listed)])
    table = frame_table([tidy_rust(name) or NO_NAME for name in raw], file, line, raw_function=raw)
    return _Frames(table, [begin for begin, _ in spans], [size for _, size in spans])


def _add_frames(
    listed: list[Any], raw: list[str], file: list[str], line: list[int], notes: NoteBook, fail: Fail
) -> None:
    for number, frame in enumerate(listed):
        if not isinstance(frame, dict) or not isinstance(frame.get("name"), str):
            fail(f"frame {number} has no name")
        raw.append(frame["name"])
        file.append(frame["file"] if isinstance(frame.get("file"), str) else "")
        at = frame.get("line")
        line.append(at if is_index(at, 2**31) else 0)
        if frame.get("col") is not None:
            notes.add("column of a frame, left out")


def _check_idle(one: One, told: float, metric: Metric, notes: NoteBook) -> None:
    """Note the rest of the file's own total, endValue - startValue; ``told`` of it is read or already noted."""
    begin, end = one.startValue, one.endValue
    if not is_number(begin) or not is_number(end):
        return
    missing = float(end) - float(begin) - told
    if abs(missing) > 1e-6 * max(1.0, abs(float(end))):
        notes.add("between startValue and endValue, in no frame", metric=metric.name, weight=missing)


def _meta(document: Document, chosen: list[int], ones: list[One]) -> dict[str, Any]:
    said = {"name": document.name, "exporter": document.exporter or None, "version": document.version}
    meta: dict[str, Any] = {key: value[:_LONGEST_NAME] for key, value in said.items() if isinstance(value, str)}
    if len(chosen) == 1:
        meta["profile"] = str(ones[0].name or "")[:_LONGEST_NAME]
        meta["profile_index"] = chosen[0]
    else:
        meta["profiles"] = _threads(document, chosen, ones)
    return meta
