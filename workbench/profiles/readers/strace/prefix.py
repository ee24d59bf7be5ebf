"""The prefix of each line, before the call: process id, thread name, time stamp, call number, instruction pointer.

The order is that of strace's ``printleader``: ``[pid N]`` or a bare ``N`` (either with ``<comm>`` after it), the time
of day (``-t``, ``-tt``) or seconds since 1970 (``-ttt``), the time since the line before (``-r``, in brackets beside
another stamp), ``[ 12]`` (``-n``) and ``[00007f..]`` (``-i``). Each is optional; lines of one log may differ in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.readers.strace.lines import (
    BLANK,
    find,
    matches,
    read_fractions,
    read_numbers,
    skip_blanks,
    windows,
    words,
)

if TYPE_CHECKING:
    from workbench.profiles.readers.strace.lines import Block, Bytes, Places

NO_PID = -1
NO_STAMP, OF_DAY, SINCE_1970, SINCE_LINE_BEFORE = 0, 1, 2, 3
SECOND_NS = 1_000_000_000

# A pid has at most 7 digits (2^22); seconds since 1970 have 9 from 1973 on.
_PID_DIGITS = 8
_SECONDS_SINCE_1970 = 100_000_000
_LARGEST_SECONDS = 2**63 // SECOND_NS - 1
_COMM_BYTES = 16
_DOT, _COLON, _ZERO, _NINE = 0x2E, 0x3A, 0x30, 0x39
_ROUND, _ROUND_END, _SQUARE, _SQUARE_END, _ANGLE, _ANGLE_END = 0x28, 0x29, 0x5B, 0x5D, 0x3C, 0x3E


@dataclass(frozen=True, slots=True, eq=False)
class Prefixes:
    """For each line: ``pid`` (or NO_PID), ``stamp_ns`` with its ``clock``, and ``body``, the place where the rest
    begins. ``comms`` are the pairs of pid and thread name seen; a pid's last name comes last."""

    pid: Places
    clock: Places
    stamp_ns: Places
    body: Places
    comms: list[tuple[int, bytes]]


def scan_prefixes(block: Block) -> Prefixes:
    """The prefixes of all lines of a block. Text that is not a valid prefix is part of the body."""
    buf = block.buf
    at = block.start.copy()
    pid = np.full(len(at), NO_PID, dtype=np.int64)
    comms = _take_pids(buf, at, pid)
    clock = np.zeros(len(at), dtype=np.int64)
    stamp = np.zeros(len(at), dtype=np.int64)
    _take_times_of_day(buf, at, clock, stamp)
    _take_seconds(buf, at, clock, stamp)
    _drop_brackets(buf, at)
    return Prefixes(pid, clock, stamp, at, comms)


def _take_pids(buf: Bytes, at: Places, pid: Places) -> list[tuple[int, bytes]]:
    """Move ``at`` over the process ids."""
    first = buf[at]
    comms: list[tuple[int, bytes]] = []
    square = np.flatnonzero(first == _SQUARE)
    square = square[matches(buf, at[square], b"[pid ")]
    if square.size:
        digits = skip_blanks(buf, at[square] + 5)
        value, length = read_numbers(buf, digits)
        after, named = _over_comm(buf, digits + length)
        good = (length > 0) & matches(buf, after, b"] ")
        pid[square[good]] = value[good]
        comms += _comms(buf, value[good], (digits + length)[good], after[good], named[good])
        at[square[good]] = after[good] + 2
    bare = np.flatnonzero((first >= _ZERO) & (first <= _NINE))
    if bare.size:
        value, length = read_numbers(buf, at[bare])
        digits_end = at[bare] + length
        after, named = _over_comm(buf, digits_end)
        good = (length <= _PID_DIGITS) & (buf[after] == BLANK)
        pid[bare[good]] = value[good]
        comms += _comms(buf, value[good], digits_end[good], after[good], named[good])
        at[bare[good]] = skip_blanks(buf, after[good])
    return comms


def _over_comm(buf: Bytes, at: Places) -> tuple[Places, Places]:
    """The places after a ``<comm>``, and which lines have one."""
    named = np.flatnonzero(buf[at] == _ANGLE)
    mask = np.zeros(len(at), dtype=np.int64)
    if named.size:
        close = find(buf, at[named], _ANGLE_END)
        named, close = named[close >= 0], close[close >= 0]
        at = at.copy()
        at[named] = close + 1
        mask[named] = 1
    return at, mask


def _comms(buf: Bytes, pid: Places, start: Places, after: Places, named: Places) -> list[tuple[int, bytes]]:
    """The distinct pairs of pid and name, in order of their last line."""
    rows = np.flatnonzero(named)
    if not rows.size:
        return []
    length = np.minimum(after[rows] - start[rows] - 2, _COMM_BYTES)
    codes, names = words(buf, start[rows] + 1, length, _COMM_BYTES)
    pairs = np.stack((pid[rows], codes), axis=1)
    distinct, last = np.unique(pairs[::-1], axis=0, return_index=True)
    order = np.argsort(-last, kind="stable")
    return [(int(distinct[row, 0]), names[distinct[row, 1]]) for row in order]


def _take_times_of_day(buf: Bytes, at: Places, clock: Places, stamp: Places) -> None:
    """Move ``at`` over ``HH:MM:SS`` with an optional fraction, and over ``(+ 0.000123)`` after it."""
    rows = np.flatnonzero(buf[at + 2] == _COLON)
    text = windows(buf, at[rows], 8) - np.uint8(_ZERO)
    digit = text < 10
    good = digit[:, 0] & digit[:, 1] & digit[:, 3] & digit[:, 4] & digit[:, 6] & digit[:, 7]
    good &= text[:, 5] == _COLON - _ZERO
    rows, text = rows[good], text[good].astype(np.int64)
    hour, minute, second = (text[:, column] * 10 + text[:, column + 1] for column in (0, 3, 6))
    fraction, after = _fraction(buf, at[rows] + 8)
    good = (buf[after] == BLANK) & (hour < 24) & (minute < 60) & (second <= 60)
    rows, after = rows[good], after[good]
    stamp[rows] = ((hour * 60 + minute) * 60 + second)[good] * SECOND_NS + fraction[good]
    clock[rows] = OF_DAY
    at[rows] = _over_relative(buf, after + 1)


def _take_seconds(buf: Bytes, at: Places, clock: Places, stamp: Places) -> None:
    """Move ``at`` over seconds: since 1970, or since the line before, which is padded with blanks."""
    first = buf[at]
    rows = np.flatnonzero((clock == NO_STAMP) & ((first == BLANK) | ((first >= _ZERO) & (first <= _NINE))))
    if not rows.size:
        return
    begin = skip_blanks(buf, at[rows])
    seconds, length = read_numbers(buf, begin)
    fraction, after = _fraction(buf, begin + length)
    good = (length > 0) & (seconds < _LARGEST_SECONDS) & (buf[after] == BLANK)
    rows, after, seconds, fraction = rows[good], after[good], seconds[good], fraction[good]
    stamp[rows] = seconds * SECOND_NS + fraction
    clock[rows] = np.where(seconds >= _SECONDS_SINCE_1970, SINCE_1970, SINCE_LINE_BEFORE)
    at[rows] = _over_relative(buf, after + 1)


def _fraction(buf: Bytes, at: Places) -> tuple[Places, Places]:
    """Nanoseconds of an optional ``.123456``, and the places after it."""
    dotted = np.flatnonzero(buf[at] == _DOT)
    fraction = np.zeros(len(at), dtype=np.int64)
    after = at.copy()
    value, length = read_fractions(buf, at[dotted] + 1)
    fraction[dotted] = value
    after[dotted] += 1 + length
    return fraction, after


def _over_relative(buf: Bytes, at: Places) -> Places:
    """Places after ``(+     0.000123) ``, which adds nothing to the stamp before it."""
    rows = np.flatnonzero(matches(buf, at, b"(+ "))
    if rows.size:
        close = find(buf, at[rows], _ROUND_END)
        good = (close >= 0) & (buf[close + 1] == BLANK)
        at = at.copy()
        at[rows[good]] = close[good] + 2
    return at


def _drop_brackets(buf: Bytes, at: Places) -> None:
    """Move ``at`` over call number, instruction pointer or security context, each in square brackets."""
    for _ in range(3):
        rows = np.flatnonzero(buf[at] == _SQUARE)
        if not rows.size:
            return
        close = find(buf, at[rows], _SQUARE_END)
        good = (close >= 0) & (buf[close + 1] == BLANK)
        at[rows[good]] = close[good] + 2
