"""Makes samples of lines: which frames belong to which header, and whether the last sample is complete."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.readers.perf_script.frames import Entries
from workbench.profiles.readers.perf_script.lines import (
    BLANK,
    FRAME,
    HEADER,
    OTHER,
    RECORD,
    Lines,
    header_fields,
)
from workbench.profiles.readers.perf_script.texts import encoded, lengths, matches, of_bytes, take, whole_numbers
from workbench.profiles.readers.threads import Thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

_SOURCE = r"^  \S.*(?::\d+|\[[0-9a-fx+]+\]|\?\?:0)(?: \(discriminator \d+\))?(?: \(inlined\))?[ \t\r\n]*$"
_ONE_LINE = r"^\s*(?:[0-9a-f]{1,16}\s+){0,2}[0-9a-f]{1,16}(?:\s|$)"
_WHO = re.compile(rb"\s*(.*?)(?:(?:^|\s+)(?:(-?\d{1,10})/)?(-?\d{1,10}))?(?:\s*\[\d+\])?(?:\s+[A-Z]{1,4})?\s*")
# a comm has 15 bytes; the pattern takes quadratic time
_MOST_WHO = 200
_VM = re.compile(rb"^VM:\s*\d+ ")
_OBJECT_LAST = re.compile(rb"\([/\[][^()]*(?: \(deleted\))?\)(?: \(inlined\))?[ \t\r]*$")
# a longer name is only searched at the beginning
_MOST_FRAME = 4096
# In a one-line sample the frame comes after fields that are not kept; a branch is followed by its target.
_KEPT = re.compile(rb"(?:^|.*?\s)([0-9a-f]{1,16}\s\S.*\([/\[].*\))")


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples of a file. ``event`` is a number among ``events``; ``period`` is 1 if ``has_period`` is False;
    ``time_ns`` is -1 if a file has no times; ``thread`` is a number among ``threads``; ``entries`` are their frames."""

    event: NDArray[np.int64]
    events: list[str]
    period: NDArray[np.int64]
    has_period: NDArray[np.bool_]
    time_ns: NDArray[np.int64]
    thread: NDArray[np.int64]
    threads: list[Thread]
    entries: Entries

    def __len__(self) -> int:
        return len(self.event)


def samples_of(lines: Lines, source: Source, notes: NoteBook) -> Samples:
    """The complete samples of a file. Left-out lines are noted."""
    source_of, sources = _source_lines(lines)
    _note_left_out(lines, source_of, source, notes)
    used = np.flatnonzero(np.isin(lines.kind, (BLANK, FRAME, HEADER)))
    source_of = source_of[used]
    lines = lines.only(used)
    sample, headed = _sample_of(lines.kind)
    lines, source_of, sample = _without_strays(lines, source_of, sample, headed, source, notes)
    lines, source_of, sample = _without_cut(lines, source_of, sample, source, notes)
    count = int(sample.max(initial=-1)) + 1
    header = np.full(count, -1, dtype=np.int64)
    heads = lines.kind == HEADER
    header[sample[heads]] = lines.code[heads]
    return _told(lines, source_of, sources, sample, header, source, notes)


def _note_left_out(lines: Lines, source_of: NDArray[np.int64], source: Source, notes: NoteBook) -> None:
    """Notes lines that are neither a sample nor part of one. Source lines, which ``source_of`` has, are part of one."""
    below = np.concatenate(([False], source_of[:-1] >= 0)) if len(source_of) else np.zeros(0, dtype=bool)
    for what, which in (
        ("line of another record (a mapping, a task), left out", lines.kind == RECORD),
        ("line that is neither a sample nor a frame, left out", (lines.kind == OTHER) & ~below),
    ):
        found = np.flatnonzero(which)
        if len(found):
            notes.add(what, source.at(int(lines.number[found[0]]) + 1), count=len(found))


def _source_lines(lines: Lines) -> tuple[NDArray[np.int64], list[bytes]]:
    """For each line the number of the source line below it, -1 if there is none; and the source lines. These no longer
    count as separate lines."""
    of = np.full(len(lines.code), -1, dtype=np.int64)
    others = np.flatnonzero(lines.kind[1:] == OTHER) + 1
    others = others[np.isin(lines.kind[others - 1], (FRAME, HEADER))]
    if not len(others):
        return of, []
    texts = lines.texts(others)
    fits = matches(texts, _SOURCE)
    code, distinct = encoded(take(texts, fits))
    of[others[fits] - 1] = code
    return of, distinct


def _sample_of(kind: NDArray[np.int8]) -> tuple[NDArray[np.int64], bool]:
    """The number of the sample each line belongs to (-1: to none), and whether any has a header.

    A sample begins at a header, and at a frame below a blank line unless the header is above that blank line.
    """
    size = len(kind)
    before = np.concatenate(([BLANK], kind[:-1])) if size else kind
    solid = np.where(kind != BLANK, np.arange(size), -1)
    last = np.concatenate(([-1], np.maximum.accumulate(solid)[:-1])) if size else solid
    solid_before = np.where(last >= 0, kind[last], BLANK)
    starts = (kind == HEADER) | ((kind == FRAME) & (before == BLANK) & (solid_before != HEADER))
    return np.cumsum(starts) - 1, bool((kind == HEADER).any())


def _without_strays(
    lines: Lines, source_of: NDArray[np.int64], sample: NDArray[np.int64], headed: bool, source: Source, notes: NoteBook
) -> tuple[Lines, NDArray[np.int64], NDArray[np.int64]]:
    """Drop samples without a header if others have one: they come from a cut beginning of the file or a damaged
    header."""
    if not headed:
        return lines, source_of, sample
    has = np.zeros(int(sample.max(initial=-1)) + 2, dtype=bool)
    has[sample[lines.kind == HEADER]] = True
    kept = has[sample]
    strays = np.flatnonzero(~kept & (lines.kind == FRAME))
    if len(strays):
        where = source.at(int(lines.number[strays[0]]) + 1)
        notes.add("frame without the header of a sample above it, left out", where, count=len(strays))
    rank = np.cumsum(has) - 1
    return lines.only(kept), source_of[kept], rank[sample[kept]]


def _without_cut(
    lines: Lines, source_of: NDArray[np.int64], sample: NDArray[np.int64], source: Source, notes: NoteBook
) -> tuple[Lines, NDArray[np.int64], NDArray[np.int64]]:
    """Drop the last sample if the file ends inside it.

    perf ends a sample with a blank line. Without it, the outermost frame decides: if no other stack ends with it, the
    file was cut.
    """
    kind = lines.kind
    if not len(kind) or kind[-1] == BLANK:
        return lines, source_of, sample
    end = source.at(int(lines.number[-1]) + 1)
    text: bytes = lines.texts(np.array([len(kind) - 1]))[0].as_py()
    complete = text.endswith(b"\n") or _OBJECT_LAST.search(text) is not None
    frames = np.flatnonzero(kind == FRAME)
    if not complete and kind[-1] == FRAME and len(frames) == 1 and _is_line(lines, len(kind) - 2):
        # earlier samples are one line each, so this is the beginning of such a line
        sample = sample.copy()
        sample[-1] += 1
        whole = False
    elif kind[-1] == HEADER:
        # earlier samples have stacks, so this one lost its frames
        whole = complete and not len(frames) and (len(kind) > 1 or text.rstrip().endswith(b")"))
    else:
        outermost = frames[np.flatnonzero(sample[frames[1:]] != sample[frames[:-1]])]
        others = {other.strip() for other in lines.texts(outermost).unique().to_pylist()}
        whole = text.strip() in others if others else complete and not text.rstrip().endswith(b"(inlined)")
        if whole and not others:
            notes.add("the file ends without the blank line that ends a sample: the stack may be cut", end)
    if whole:
        return lines, source_of, sample
    kept = sample != sample[-1]
    notes.add("the file ends inside a sample, which is left out", end)
    return lines.only(kept), source_of[kept], sample[kept]


def _is_line(lines: Lines, place: int) -> bool:
    """Whether a line is a complete sample: a header with its frame."""
    return (
        place >= 0 and bool(lines.kind[place] == HEADER) and lines.texts(np.array([place]))[0].as_py().endswith(b")\n")
    )


def _told(
    lines: Lines,
    source_of: NDArray[np.int64],
    sources: list[bytes],
    sample: NDArray[np.int64],
    header: NDArray[np.int64],
    source: Source,
    notes: NoteBook,
) -> Samples:
    import pyarrow as pa

    place, used = numbered(header[header >= 0])
    texts = take(lines.distinct, used)
    # a headerless file has one empty header for all
    fields = header_fields(pa.concat_arrays([texts, of_bytes([b""])]))
    of = np.full(len(header), len(used), dtype=np.int64)
    of[header >= 0] = place
    event, events = encoded(fields["event"])
    who, whos = encoded(fields["who"])
    threads, thread = _distinct([_thread(each) for each in whos], who[of])
    period, has_period = whole_numbers(fields["period"])
    entries = _entries(lines, source_of, sources, sample, fields["rest"], of, source, notes)
    return Samples(
        event[of],
        [name.decode("utf-8", "backslashreplace") for name in events],
        np.where(has_period, period, 1)[of],
        has_period[of],
        _time_ns(fields)[of],
        thread,
        threads,
        entries,
    )


def _entries(
    lines: Lines,
    source_of: NDArray[np.int64],
    sources: list[bytes],
    sample: NDArray[np.int64],
    rest: Any,
    of: NDArray[np.int64],
    source: Source,
    notes: NoteBook,
) -> Entries:
    """The frames of all samples: those below their headers, otherwise the one in the header's line."""
    import pyarrow as pa

    below = np.flatnonzero(lines.kind == FRAME)
    text, known = numbered(lines.code[below])
    has = np.zeros(len(of), dtype=bool)
    has[sample[below]] = True
    rests, kept = encoded(rest)
    lead = [_one_line_frame(each) for each in kept]
    framed = np.array([frame is not None for frame, _ in lead], dtype=bool)[rests[of]]
    single = np.flatnonzero(~has & framed)
    _note_text(np.flatnonzero(~(~has & framed)), rests[of], kept, notes)
    branches = np.array([branch for _, branch in lead], dtype=bool)[rests[of[single]]]
    if branches.any():
        notes.add("target of a branch, left out", count=int(branches.sum()))
    texts = pa.concat_arrays([take(lines.distinct, known), of_bytes([frame or b"0" for frame, _ in lead])])
    heads = np.full(len(of), -1, dtype=np.int64)
    at = np.flatnonzero(lines.kind == HEADER)
    heads[sample[at]] = source_of[at]
    samples = np.concatenate((sample[below], single))
    order = np.argsort(samples, kind="stable")
    return Entries(
        samples[order],
        np.concatenate((text, len(known) + rests[of[single]]))[order].astype(np.int64),
        texts,
        np.concatenate((source_of[below], heads[single]))[order],
        sources,
        bool(len(single)),
    )


def _one_line_frame(rest: bytes) -> tuple[bytes | None, bool]:
    """The frame in the line of a header, and whether it is a branch; None for the text of a tracepoint."""
    frame, arrow, _ = rest.partition(b" => ")
    match = re.match(rb"\s*[0-9a-f]{1,16}(?:\s|$)", frame)
    if match:
        return frame, bool(arrow)
    frame = frame.strip()
    found = _KEPT.fullmatch(frame) if frame.endswith(b")") and len(frame) <= _MOST_FRAME else None
    return (found[1], bool(arrow)) if found else (None, False)


def _note_text(samples: NDArray[np.int64], rests: NDArray[np.int64], kept: list[bytes], notes: NoteBook) -> None:
    said = np.array([bool(text.strip()) for text in kept], dtype=bool)
    count = int(said[rests[samples]].sum())
    if count:
        notes.add("further text of an event (of a tracepoint), left out", count=count)


def _thread(who: bytes) -> Thread:
    """The thread that the text before a time or an event names."""
    who = who.strip()[:_MOST_WHO]
    match = _WHO.fullmatch(_VM.sub(b"", who, count=1))
    comm, pid, tid = match.groups(b"") if match else (who.strip(), b"", b"")
    return Thread(comm.decode("utf-8", "backslashreplace"), pid.decode(), tid.decode())


def _distinct(named: list[Thread], which: NDArray[np.int64]) -> tuple[list[Thread], NDArray[np.int64]]:
    """The distinct threads that occur, and the number of each row's thread. ``which`` are rows of ``named``."""
    place, used = numbered(which)
    known: dict[Thread, int] = {}
    number = [known.setdefault(named[row], len(known)) for row in used.tolist()]
    return list(known), np.asarray(number, dtype=np.int64)[place]


def _time_ns(fields: dict[str, Any]) -> NDArray[np.int64]:
    seconds, has = whole_numbers(fields["second"])
    length = lengths(fields["fraction"])
    fraction, _ = whole_numbers(fields["fraction"])
    return np.where(has, seconds * 10**9 + fraction * 10 ** (9 - length), -1)
