"""Any profile as pprof's protobuf, for google/pprof, Pyroscope, Parca, speedscope and Perfetto.

Every metric becomes a sample type, so that ``-sample_index`` chooses among them. What pprof cannot express is noted in
the file's comments: fractions are rounded (times to nanoseconds), and stacks built from a call graph are partly
assumed.

Source: profile.proto of google/pprof.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile
from workbench.profiles.names import base_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNITS = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_LEVEL = 6  # of gzip: 9 takes three times as long for one percent


def to_pprof(profile: Profile, *, compress: bool = True) -> bytes:
    """The profile as bytes of profile.proto, gzipped like pprof's files, or raw.

    Functions keep their raw names. Objects become mappings, inlined frames lines of the location they were inlined into
    (an inlined frame without a caller becomes a plain one), labels stay with their samples. Reading the bytes gives the
    same profile, except for notes and the format's own tables.

    Raises WorkbenchError if a value does not fit int64.
    """
    strings = _Strings()
    frames = profile.frames
    metrics, values, rounded = _whole_numbers(profile)
    locations, location_of, above = _locations(profile)
    nodes, tags = _sampled(profile, values)
    comments = [str(comment) for comment in profile.meta.get("comments", ())]
    if rounded:
        comments.append(f"rounded to whole numbers: {', '.join(rounded)}")
    if profile.basis == "graph":
        comments.append(f"stacks built from a call graph ({profile.format}): shares of shared callees are assumed")
        comments += [str(note) for note in profile.tree_notes()]
    objects = _objects(profile)
    functions = frames[["raw_function", "file", "object", "function_id"]].drop_duplicates("function_id")

    out: list[bytes] = []
    for metric in metrics:
        out.append(_message(1, [(1, strings[metric.name]), (2, strings[_UNITS.get(metric.unit, metric.unit)])]))
    out.append(_samples(nodes, tags, values, location_of, above, _labels(profile, strings)))
    for number, name in enumerate(objects, start=1):
        flags = [(flag, 1) for flag in (7, 8, 9, 10)]
        out.append(_message(3, [(1, number), (5, strings[name]), *flags]))
    out.append(_location_messages(locations, frames, {name: number for number, name in enumerate(objects, start=1)}))
    for number, name, file in functions[["function_id", "raw_function", "file"]].itertuples(index=False):
        out.append(_message(5, [(1, number + 1), (2, strings[name]), (3, strings[name]), (4, strings[file])]))
    out.append(_header(profile, strings, comments))
    out.extend(_tagged_text(6, text) for text in strings.texts)
    data = b"".join(out)
    return gzip.compress(data, _LEVEL, mtime=0) if compress else data


@dataclass
class _Strings:
    """The string table: text to its number, in order of first use; number 0 is the empty text."""

    numbers: dict[str, int] = field(default_factory=lambda: {"": 0})

    def __getitem__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    @property
    def texts(self) -> Iterable[str]:
        return self.numbers


def _whole_numbers(profile: Profile) -> tuple[list[Metric], NDArray[np.int64], list[str]]:
    """Metrics and self values of the samples as int64, and the names of those that had to be rounded."""
    source = profile.samples if len(profile.samples) else profile.nodes
    metrics: list[Metric] = []
    columns: list[NDArray[np.int64]] = []
    rounded: list[str] = []
    for metric in profile.metrics:
        values = source[self_(metric.name)].to_numpy()
        if values.dtype.kind == "f":
            rounded.append(metric.name)
            factor = _NANOSECONDS.get(metric.unit)
            metric = metric if factor is None else Metric(metric.name, "ns")
            values = np.rint(values * (factor or 1))
            if not (np.abs(values) < 2**63).all():
                raise WorkbenchError(f"a value of {metric.name} does not fit 64 bits", where=profile.name)
        metrics.append(metric)
        columns.append(values.astype(np.int64))
    return metrics, np.column_stack(columns) if columns else np.zeros((len(source), 0), np.int64), rounded


def _objects(profile: Profile) -> list[str]:
    """The objects, of which pprof treats the first as the program. The first is that of the file's first mapping or
    command, otherwise the one with the largest self cost; the others follow in order of appearance."""
    frames = profile.frames
    names = [name for name in dict.fromkeys(frames["object"].tolist()) if name]
    if len(names) < 2 or not profile.metrics:
        return names
    mappings = profile.tables.get("mappings")
    mapped = "" if mappings is None or mappings.empty else str(mappings["file"].iloc[0])
    command = str(profile.meta.get("cmd") or "").split(maxsplit=1)
    program = {base_name(path) for path in (mapped, *command[:1]) if path}
    main = next((name for name in names if base_name(name) in program), "")
    if not main:
        object_of = frames["object"].to_numpy()[profile.nodes["frame_id"].to_numpy()]
        costs = profile.nodes[self_(profile.default_metric)].groupby(object_of).sum().reindex(names, fill_value=0)
        main = names[int(np.argmax(np.abs(costs.to_numpy())))]
    return [main, *(name for name in names if name != main)]


def _sampled(profile: Profile, values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Node and labels of each row of ``values``."""
    if len(profile.samples):
        return profile.samples["node_id"].to_numpy(np.int64), profile.samples["tags_id"].to_numpy(np.int64)
    return np.arange(len(values)), np.zeros(len(values), np.int64)


def _locations(profile: Profile) -> tuple[list[tuple[int, ...]], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct locations, each as frames from the innermost inlined one to the physical one; the location each node
    ends in; and the node above that location (-1: none)."""
    parent = profile.nodes["parent_id"].to_numpy()
    frame = profile.nodes["frame_id"].to_numpy()
    inlined = profile.frames["inlined"].to_numpy()[frame] & (parent >= 0) if len(frame) else np.zeros(0, bool)
    used, location = np.unique(frame, return_inverse=True)
    locations: list[tuple[int, ...]] = [(number,) for number in used.tolist()]
    location = location.astype(np.int64)
    above = parent.copy()
    # in preorder an inlined node's parent already has its location; they are few, so a loop is enough
    known: dict[tuple[int, ...], int] = {}
    for node in np.flatnonzero(inlined).tolist():
        up = int(parent[node])
        key = (int(frame[node]), *locations[location[up]])
        number = known.get(key)
        if number is None:
            number = known[key] = len(locations)
            locations.append(key)
        location[node] = number
        above[node] = above[up]
    return locations, location, above


def _labels(profile: Profile, strings: _Strings) -> list[list[int]]:
    """The labels of each tags_id as encoded bytes for a sample; id 0 has none."""
    if not len(profile.tags):
        return [[]]
    out: list[list[int]] = [[] for _ in range(int(profile.tags["tags_id"].max()) + 1)]
    for tags_id, key, value, number, unit in profile.tags[["tags_id", "key", "value", "number", "unit"]].itertuples(
        index=False
    ):
        body: list[tuple[int, int]] = [(1, strings[key])]
        if pd.isna(number):
            body.append((2, strings[value]))
        else:
            body += [(3, int(number)), (4, strings[unit])]
        tokens = _tokens(body)
        out[tags_id] += [3 << 3 | 2, sum(_size(token) for token in tokens), *tokens]
    return out


def _samples(
    node: NDArray[np.int64],
    tags: NDArray[np.int64],
    values: NDArray[np.int64],
    location_of: NDArray[np.int64],
    above: NDArray[np.int64],
    labels: Sequence[Sequence[int]],
) -> bytes:
    """All samples that are not zero, as one array of varints: no loop over samples."""
    kept = (values != 0).any(axis=1)
    node, tags, values = node[kept], tags[kept], values[kept]
    count, width = values.shape
    if not count:
        return b""
    depth = _location_depths(above)[node]
    label_count = np.array([len(tokens) for tokens in labels], dtype=np.int64)[tags]
    # sample tag, size, stack tag, size, the stack, value tag, size, the values, the labels
    length = 4 + depth + 2 + width + label_count
    first = np.cumsum(length) - length
    tokens = np.zeros(int(length.sum()), dtype=np.uint64)
    tokens[first] = 2 << 3 | 2
    tokens[first + 2] = 1 << 3 | 2
    place, here, at = first + 4, node, np.arange(count)
    while len(here):
        tokens[place] = location_of[here] + 1
        here = above[here]
        on = here >= 0
        place, here, at = place[on] + 1, here[on], at[on]
    after = first + 4 + depth
    tokens[after] = 2 << 3 | 2
    for column in range(width):
        tokens[after + 2 + column] = values[:, column].view(np.uint64)
    blob = np.array([token for each in labels for token in each], dtype=np.uint64)
    blob_first = np.cumsum([0, *(len(each) for each in labels)])[tags]
    inside = np.arange(int(label_count.sum())) - np.repeat(np.cumsum(label_count) - label_count, label_count)
    tokens[np.repeat(after + 2 + width, label_count) + inside] = blob[np.repeat(blob_first, label_count) + inside]

    sizes = _sizes(tokens)
    bytes_before = np.concatenate(([0], np.cumsum(sizes)))
    tokens[first + 3] = bytes_before[after] - bytes_before[first + 4]
    tokens[after + 1] = bytes_before[after + 2 + width] - bytes_before[after + 2]
    sizes[first + 3], sizes[after + 1] = _sizes(tokens[first + 3]), _sizes(tokens[after + 1])
    bytes_before = np.concatenate(([0], np.cumsum(sizes)))
    tokens[first + 1] = bytes_before[first + length] - bytes_before[first + 2]
    sizes[first + 1] = _sizes(tokens[first + 1])
    return _varints(tokens, sizes)


def _location_depths(above: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many locations lie from each node to its root, its own included."""
    from workbench.profiles.tree import depths

    return depths(above) + 1


def _location_messages(locations: Sequence[tuple[int, ...]], frames: pd.DataFrame, mapping: dict[str, int]) -> bytes:
    function = (frames["function_id"] + 1).tolist()
    line = frames["line"].tolist()
    mapped = [mapping.get(name, 0) for name in frames["object"].tolist()]
    out: list[bytes] = []
    for number, stack in enumerate(locations, start=1):
        lines = b"".join(_message(4, [(1, function[each]), (2, line[each])]) for each in stack)
        head = _encoded(_tokens([(1, number), (2, mapped[stack[-1]])]))
        out.append(_tagged(4, head + lines))
    return b"".join(out)


def _header(profile: Profile, strings: _Strings, comments: Sequence[str]) -> bytes:
    meta = profile.meta
    start_ns = meta.get("time_ns") or round(float(meta.get("start_s") or 0) * 1e9)
    head = [
        (7, strings[meta.get("drop_frames") or ""]),
        (8, strings[meta.get("keep_frames") or ""]),
        (9, start_ns),
        (10, int(meta.get("duration_ns") or 0)),
        (12, int(meta.get("period") or 0)),
        *((13, strings[comment]) for comment in comments),
        (14, strings[profile.default_metric]),
        (15, strings[meta.get("doc_url") or ""]),
    ]
    out = _encoded(_tokens(head))
    if meta.get("period_type"):
        unit = str(meta.get("period_unit") or "")
        out += _message(11, [(1, strings[str(meta["period_type"])]), (2, strings[_UNITS.get(unit, unit)])])
    return out


def _tokens(fields: Iterable[tuple[int, int]]) -> list[int]:
    """Varint fields as tags and values; zeros are left out, as in proto3."""
    return [token for number, value in fields if value for token in (number << 3, value & (1 << 64) - 1)]


def _message(number: int, fields: Iterable[tuple[int, int]]) -> bytes:
    return _tagged(number, _encoded(_tokens(fields)))


def _tagged(number: int, content: bytes) -> bytes:
    return _encoded([number << 3 | 2, len(content)]) + content


def _tagged_text(number: int, text: str) -> bytes:
    return _tagged(number, text.encode("utf-8", "replace"))


def _encoded(tokens: Iterable[int]) -> bytes:
    out = bytearray()
    for token in tokens:
        while token > 0x7F:
            out.append(token & 0x7F | 0x80)
            token >>= 7
        out.append(token)
    return bytes(out)


def _size(token: int) -> int:
    return max(1, (token.bit_length() + 6) // 7)


def _sizes(tokens: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bytes of each varint."""
    sizes = np.ones(len(tokens), dtype=np.int64)
    for bits in range(7, 64, 7):
        longer = tokens >= np.uint64(1 << bits)
        if not longer.any():
            break
        sizes += longer
    return sizes


def _varints(tokens: NDArray[np.uint64], sizes: NDArray[np.int64]) -> bytes:
    out = np.zeros(int(sizes.sum()), dtype=np.uint8)
    place = np.cumsum(sizes) - sizes
    left = np.arange(len(tokens))
    rest = tokens
    while len(left):
        more = rest > 0x7F
        out[place] = (rest & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << 7)
        left, rest, place = left[more], rest[more] >> np.uint64(7), place[more] + 1
    return out.tobytes()
