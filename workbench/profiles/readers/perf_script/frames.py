"""The frames of perf script's text: ``55d0c1a0 f+0x10 (/srv/app)``, inlined ones, those with a source line below.

Depending on its options perf writes an address, a symbol with its offset, the object in brackets, `` (inlined)`` after
an inlined frame, and the source line on a separate line. Symbols contain blanks and brackets, objects may be
``[kernel.kallsyms]`` or ``/tmp/app (deleted)``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.model import frame_table
from workbench.profiles.names import tidy_rust
from workbench.profiles.readers.folded.stacks import NO_NAME
from workbench.profiles.readers.perf_script.texts import encoded, extracted, lengths, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_STACK = b"[no stack]"
_IP = r"^\s*(?P<ip>[0-9a-f]{1,16})"
_END = r"[ \t\r\n]*$"
# Of several brackets at the end, the object is the last that begins like a path or a kernel name.
_FRAME = (
    _IP + r"\s+(?P<sym>.*?)\s(?P<inlined>\(inlined\))" + _END,
    _IP + r"\s+(?:(?P<sym>.*\S)\s+)?\((?P<dso>[/\[].*)\)" + _END,
    _IP + r"\s+(?:(?P<sym>.*\S)\s+)?\((?P<dso>[^()]*(?: \(deleted\))?)\)" + _END,
    _IP + r"(?:\s+(?P<sym>.*?))?" + _END,
)
# longer text is not a path; the pattern takes quadratic time
_MOST_PATH = 4096
_SOURCE = re.compile(rb"(.*?)(?::(\d{1,9}))?(?: \(discriminator \d+\))?( \(inlined\))?", re.DOTALL)
_OFFSET = re.compile(rb"\+0x[0-9a-f]+$")
# An address before the instruction's (-F addr) in a line without call chains
_ADDRESS_FIRST = re.compile(rb"[0-9a-f]{1,16}\s{1,64}(?=\S)")
# Java's names are unfolded by perf-map-agent: ``outer->inlined->inlined``
_JITTED = re.compile(rb"/perf-\d+\.map$|/jitted-|\.dump$")


@dataclass(frozen=True, slots=True)
class Entries:
    """The frames of all samples as the file has them: ``sample`` of each (ascending), ``text`` (its number among
    ``texts``, an Arrow array) and ``source``, its number among ``sources``, -1 if there is none."""

    sample: NDArray[np.int64]
    text: NDArray[np.int64]
    texts: Any
    source: NDArray[np.int64]
    sources: list[bytes]
    oneline: bool


@dataclass(frozen=True, slots=True)
class Stacks:
    """Stacks, root first, as :func:`workbench.profiles.tree.grow` takes them, and their frames; ``physical`` is how
    many frames perf recorded of each, without inlined ones."""

    offsets: NDArray[np.int64]
    codes: NDArray[np.int64]
    frames: Any
    physical: NDArray[np.int64]


def stacks_of(entries: Entries, samples: int) -> Stacks:
    """The stacks of ``samples`` samples. One without frames gets the frame ``[no stack]``."""
    fields = extracted(entries.texts, _FRAME, ("ip", "sym", "dso", "inlined"))
    name, names = _names(fields, entries.oneline)
    dso, dsos = encoded(fields["dso"])
    inlined = (lengths(fields["inlined"]) > 0)[entries.text]
    sources = [_SOURCE.fullmatch(text.strip()[:_MOST_PATH]) for text in entries.sources]
    below = np.array([bool(match and match[3]) for match in sources] or [False], dtype=bool)
    inlined |= below[entries.source] & (entries.source >= 0)
    key, (by_name, by_dso, by_inlined, by_source) = _unique(
        name[entries.text], _object_of(dso[entries.text], inlined, entries.sample), inlined, entries.source
    )
    places = [(match[1], int(match[2] or 0)) if match else (b"", 0) for match in sources]
    frames = [
        _Frame(names[one], dsos[object], bool(flag), *(places[source] if source >= 0 else (b"", 0)))
        for one, object, flag, source in zip(by_name, by_dso, by_inlined, by_source, strict=True)
    ]
    first, unfolded = _unfolded(frames)
    physical = np.bincount(entries.sample[~inlined], minlength=samples)
    sample, codes = _expanded(entries.sample, key, first)
    empty = np.flatnonzero(np.bincount(sample, minlength=samples) == 0)
    if len(empty):
        sample = np.concatenate((sample, empty))
        codes = np.concatenate((codes, np.full(len(empty), len(unfolded))))
        unfolded.append(_Frame(NO_STACK, b"", False, b"", 0))
        order = np.argsort(sample, kind="stable")
        sample, codes = sample[order], codes[order]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(sample, minlength=samples)))).astype(np.int64)
    turned = np.repeat(offsets[:-1] + offsets[1:] - 1, np.diff(offsets)) - np.arange(len(codes))
    return Stacks(offsets, codes[turned], _table(unfolded), physical)


@dataclass(frozen=True, slots=True)
class _Frame:
    name: bytes
    object: bytes
    inlined: bool
    file: bytes
    line: int


def _names(fields: dict[str, Any], oneline: bool) -> tuple[NDArray[np.int64], list[bytes]]:
    """The number of each text's symbol among the distinct symbols without offsets. A text without a symbol has its
    address instead."""
    import pyarrow as pa
    import pyarrow.compute as pc

    symbols = fields["sym"]
    bare = np.flatnonzero(lengths(symbols) == 0)
    order = np.arange(len(symbols))
    order[bare] = len(symbols) + np.arange(len(bare))
    addresses = pc.replace_substring_regex(take(fields["ip"], bare), r"^(.+)$", r"0x\1")
    symbols = take(pa.concat_arrays([symbols, addresses]), order)
    code, names = encoded(symbols)
    seen: dict[bytes, int] = {}
    number = np.empty(len(names), dtype=np.int64)
    for place, name in enumerate(names):
        if oneline:
            first = _ADDRESS_FIRST.match(name)
            name = name[first.end() :] if first else name
        number[place] = seen.setdefault(_OFFSET.sub(b"", name), len(seen))
    return number[code], list(seen)


def _object_of(dso: NDArray[np.int64], inlined: NDArray[np.bool_], sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """perf gives no object for an inlined frame: it is that of the next frame that is not inlined."""
    if not inlined.any():
        return dso
    size = len(dso)
    own = np.where(inlined, size, np.arange(size))
    following = np.minimum.accumulate(own[::-1])[::-1]
    known = inlined & (following < size)
    known[known] = sample[following[known]] == sample[known]
    out = dso.copy()
    out[known] = dso[following[known]]
    return out


def _unique(*columns: NDArray[Any]) -> tuple[NDArray[np.int64], list[list[int]]]:
    """The number of each row among the distinct rows, and these as columns. Values are whole numbers from -1 on."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        shifted = column.astype(np.int64) + 1
        # no more numbers than rows, so that the product fits
        key = numbered(key)[0] * (int(shifted.max(initial=0)) + 1) + shifted
    place, known = numbered(key)
    some = np.zeros(len(known), dtype=np.int64)
    some[place] = np.arange(len(place))
    return place, [column[some].tolist() for column in columns]


def _unfolded(frames: list[_Frame]) -> tuple[NDArray[np.int64], list[_Frame]]:
    """The frames, with Java's split, innermost first, and where each begins."""
    first = [0]
    out: list[_Frame] = []
    for frame in frames:
        parts = [frame.name]
        if b"->" in frame.name and _JITTED.search(frame.object) and b"operator->" not in frame.name:
            parts = [part for part in frame.name.split(b"->") if part] or parts
        for place, part in reversed(list(enumerate(parts))):
            out.append(_Frame(part, frame.object, frame.inlined or place > 0, frame.file, frame.line))
        first.append(len(out))
    return np.asarray(first, dtype=np.int64), out


def _expanded(
    sample: NDArray[np.int64], key: NDArray[np.int64], first: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples and frames, with all the frames that a line stands for."""
    count = np.diff(first)[key]
    if (count == 1).all():
        return sample, first[key]
    inside = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(sample, count), np.repeat(first[key], count) + inside


def _table(frames: list[_Frame]) -> Any:
    """The table of frames. A function has one file, that of most of its lines: code from other files in it was inlined
    by the compiler and gets no line."""
    votes: dict[tuple[bytes, bytes], Counter[bytes]] = {}
    for frame in frames:
        if frame.line:
            votes.setdefault((frame.name, frame.object), Counter())[frame.file] += 1
    home = {function: files.most_common(1)[0][0] for function, files in votes.items()}
    files = [home.get((frame.name, frame.object), b"") for frame in frames]
    raw = [_text(frame.name) for frame in frames]
    return frame_table(
        [tidy_rust(name) or NO_NAME for name in raw],
        [_text(file) for file in files],
        [frame.line if frame.file == file else 0 for frame, file in zip(frames, files, strict=True)],
        [_text(frame.object) for frame in frames],
        [frame.inlined for frame in frames],
        raw,
    )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
