"""Reads pprof profiles: profile.proto of google/pprof, gzipped or raw, of Go, pprof-rs, gperftools and others.

Source of the format: proto/profile.proto and profile/encode.go of google/pprof; what that decoder refuses is refused
here too, with the byte position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import self_
from workbench.profiles.distinct import numbered
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_nodes
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.pprof import rs as pprof_rs
from workbench.profiles.readers.pprof import schema
from workbench.profiles.readers.pprof.frames import Frames, frames_of
from workbench.profiles.readers.pprof.legacy import legacy_hint, legacy_kind
from workbench.profiles.readers.pprof.prune import prune
from workbench.profiles.readers.pprof.samples import Samples, read_samples
from workbench.profiles.readers.pprof.stacks import stacks_of
from workbench.profiles.readers.pprof.tables import (
    Strings,
    read_functions,
    read_locations,
    read_mappings,
    read_strings,
)
from workbench.profiles.readers.pprof.wire import (
    WIRES,
    Kind,
    TopLevel,
    as_int64,
    decode,
    field_at,
    top_level,
)
from workbench.profiles.stacks import Stacks
from workbench.profiles.table import Deferred, Table
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "pprof"

_UNITS = {
    "nanoseconds": "ns",
    "nanosecond": "ns",
    "microseconds": "us",
    "microsecond": "us",
    "milliseconds": "ms",
    "millisecond": "ms",
    "seconds": "s",
    "second": "s",
    "byte": "bytes",
}
_HEAD_FIELDS = 64


def recognise(source: Source) -> str | None:
    """profile.proto by trial: the first fields have its numbers and types, and the first string is empty. Legacy
    profiles are recognised too, so that they can be refused by name."""
    kind = legacy_kind(source.data)
    if kind is not None:
        return kind
    return "the fields of profile.proto" if _looks_like_proto(source) else None


def read(source: Source) -> Profile:
    """The profile: metrics are its sample types, labels are in ``samples`` and ``tags``, mapped files in
    ``tables["mappings"]``.

    ``meta``: ``start_s``, ``time_ns``, ``duration_ns``, ``period``, ``period_type``, ``period_unit``, ``comments``,
    ``doc_url``, ``drop_frames``, ``keep_frames`` if present; ``samples``: how many there are before equal ones are
    summed; ``dialect``, ``pprof-rs`` or "".

    Raises ReadError for damage, legacy formats and several profiles in one file.
    """
    kind = legacy_kind(source.data)
    if kind is not None:
        raise ReadError(
            f"this is a {kind}, not profile.proto",
            where=source.name,
            hint=legacy_hint(source.data),
        )
    notes = NoteBook()
    top = top_level(source, schema.PROFILE_FIELDS)
    _check_single(source, top)
    strings = read_strings(source, top, notes)
    types = _value_types(source, top, schema.SAMPLE_TYPE, strings)
    if not types:
        raise ReadError("there are no sample types", where=source.name, hint="This is not a complete pprof profile")
    metrics = _metrics(types, notes)
    wanted = _text(top, schema.DEFAULT_SAMPLE_TYPE, strings)
    mappings = read_mappings(source, top, strings)
    functions = read_functions(source, top, strings)
    locations = read_locations(source, top, mappings, functions, notes)
    samples = read_samples(source, top, strings, locations.ids, len(metrics), notes)
    default = _default_metric(wanted, types, metrics, (samples.values != 0).any(axis=0), notes)
    meta = _meta(source, top, strings)
    if not len(samples):
        notes.add("there are no samples: the profile is empty")
    dialect = ""
    # the workbench's own sampler writes the same form with reliable lines, marked by a comment
    period = meta.get("period", 0)
    if "comments" not in meta and pprof_rs.is_pprof_rs(types, period, len(mappings), locations, functions, samples):
        dialect = pprof_rs.DIALECT
        pprof_rs.note_limits(locations, functions, samples, metrics[-1].name, period, notes)
    meta |= {"samples": len(samples), "dialect": dialect}
    if "drop_frames" in meta:
        drop, keep = meta["drop_frames"], meta.get("keep_frames", "")
        locations, samples = prune(locations, samples, functions, drop, keep, metrics[-1].name, notes)
    bare = bool((np.diff(samples.offset) == 0).any())
    frames = frames_of(locations, functions, with_lines=not dialect, no_stack=bare, notes=notes)
    return _profile(source, metrics, default, frames, samples, mappings, meta, notes)


def _profile(
    source: Source,
    metrics: list[Metric],
    default: str,
    frames: Frames,
    samples: Samples,
    mappings: Table,
    meta: dict[str, Any],
    notes: NoteBook,
) -> Profile:
    names = [metric.name for metric in metrics]
    stacks = Stacks(names, *stacks_of(source, frames, samples, names[-1], notes), samples.values)
    tagged = len(samples.tags) > 0
    return from_nodes(
        FORMAT,
        source.name,
        metrics=metrics,
        default_metric=default,
        frames=frames.table,
        nodes=stacks,
        samples=Deferred(lambda: _summed(stacks.node_of(), samples.tags_id, samples.values, names)) if tagged else None,
        tags=samples.tags if tagged else None,
        tables={"mappings": mappings} if len(mappings) else {},
        meta=meta,
        notes=notes.notes(),
    )


def _summed(
    node: NDArray[np.int64], tags_id: NDArray[np.int64], values: NDArray[np.int64], names: Sequence[str]
) -> Table:
    """One row for each stack with its labels, in the order of the tree."""
    width = int(tags_id.max()) + 1
    codes, keys = numbered(node * width + tags_id)
    order = np.argsort(keys)
    keys, sums = keys[order], add_at(len(keys), codes, values)[order]
    costs = {self_(name): sums[:, position] for position, name in enumerate(names)}
    return Table({"node_id": keys // width, "tags_id": keys % width, **costs})


def _check_single(source: Source, top: TopLevel) -> None:
    """Two profiles in one file are recognised by two times, as in pprof."""
    times = top.numbers[schema.TIME_NANOS]
    if len(times) > 1 and any(times[:-1]):
        raise ReadError(
            "several profiles follow one another",
            where=source.at(offset=top.offsets[schema.TIME_NANOS][1]),
            hint="Merge them with `pprof -proto A B > AB.pb.gz`",
        )


def _value_types(source: Source, top: TopLevel, number: int, strings: Strings) -> list[tuple[str, str]]:
    spans = top.spans[number]
    columns = decode(source, spans, schema.VALUE_TYPE_FIELDS)
    return list(zip(strings.many(columns[1].last(), spans), strings.many(columns[2].last(), spans), strict=True))


def _metrics(types: list[tuple[str, str]], notes: NoteBook) -> list[Metric]:
    metrics: list[Metric] = []
    names: set[str] = set()
    for number, (kind, unit) in enumerate(types, start=1):
        name = kind or "value"
        if name in names:
            notes.add(f"several sample types are called {name!r}: they are numbered")
            name = f"{name}_{number}"
        names.add(name)
        metrics.append(Metric(name, _UNITS.get(unit, unit or "count")))
    return metrics


def _default_metric(
    wanted: str, types: list[tuple[str, str]], metrics: list[Metric], counted: NDArray[np.bool_], notes: NoteBook
) -> str:
    """The type pprof shows first; if that is 0 in every sample, the last type that is not. ``counted``: which types
    have a value."""
    chosen = _pprofs_choice(wanted, types, notes)
    if counted[chosen] or not counted.any():
        return metrics[chosen].name
    other = int(np.flatnonzero(counted)[-1])
    notes.add(f"{metrics[chosen].name}, which pprof shows, is 0 in every sample: {metrics[other].name} is shown first")
    return metrics[other].name


def _pprofs_choice(wanted: str, types: list[tuple[str, str]], notes: NoteBook) -> int:
    """The profile's default type, otherwise the last, as in pprof."""
    for place, (kind, _) in enumerate(types):
        if wanted and kind in (wanted, f"inuse_{wanted}"):
            return place
    if wanted:
        notes.add(f"the default sample type {wanted!r} is not among the sample types: the last one is taken")
    return len(types) - 1


def _last(top: TopLevel, number: int) -> int:
    return as_int64(top.numbers[number][-1]) if top.numbers[number] else 0


def _text(top: TopLevel, number: int, strings: Strings) -> str:
    return strings[_last(top, number)]


def _meta(source: Source, top: TopLevel, strings: Strings) -> dict[str, Any]:
    """The header's fields; missing ones have no key."""
    time_ns = _last(top, schema.TIME_NANOS)
    period_type = _value_types(source, top, schema.PERIOD_TYPE, strings)[-1:] or [("", "")]
    meta: dict[str, Any] = {
        "time_ns": time_ns,
        "start_s": time_ns / 10**9,
        "duration_ns": _last(top, schema.DURATION_NANOS),
        "period": _last(top, schema.PERIOD),
        "period_type": period_type[0][0],
        "period_unit": _UNITS.get(period_type[0][1], period_type[0][1]),
        "drop_frames": _text(top, schema.DROP_FRAMES, strings),
        "keep_frames": _text(top, schema.KEEP_FRAMES, strings),
        "doc_url": _text(top, schema.DOC_URL, strings),
        "comments": [strings[number] for number in top.numbers[schema.COMMENT]],
    }
    return {key: value for key, value in meta.items() if value}


def _looks_like_proto(source: Source) -> bool:
    """Whether the first fields are those of profile.proto and the first string is empty."""
    seen = strings = messages = position = 0
    try:
        while position < len(source.data) and seen < _HEAD_FIELDS:
            number, wire, _, begin, position = field_at(source, position, len(source.data))
            kind = schema.PROFILE_FIELDS.get(number)
            if kind is None:
                # from the future; beyond one byte of tag, so that no plain text looks like it
                if number < 16:
                    return False
                continue
            if wire not in WIRES[kind]:
                return False
            if kind == "message" and not _fits(source, begin, position, schema.MESSAGES[number]):
                return False
            if number == schema.STRING and not strings and begin != position:
                return False
            strings += number == schema.STRING
            messages += kind == "message"
            seen += 1
    except ReadError:
        # cut off or damaged after a good beginning: reading it says where
        return seen > 1 and messages > 0
    return messages > 0


def _fits(source: Source, position: int, end: int, kinds: Mapping[int, Kind]) -> bool:
    for _ in range(_HEAD_FIELDS):
        if position >= end:
            break
        number, wire, _, _, position = field_at(source, position, end)
        if number in kinds and wire not in WIRES[kinds[number]]:
            return False
    return True
