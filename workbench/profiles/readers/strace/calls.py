"""The lines of a log that are calls: complete, begun (``<unfinished ...>``) or ended (``<... read resumed>``).

A line is parsed from both ends: the name up to the first bracket, ``<seconds>`` at the right end, the result after the
last ``) = ``. A quoted string may contain any of these; it always stands before the last ``) = ``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.readers.strace.lines import (
    BLANK,
    PAD,
    matches,
    read_fractions,
    read_numbers,
    skip_blanks_back,
    windows,
    words,
)
from workbench.profiles.readers.strace.prefix import SECOND_NS

if TYPE_CHECKING:
    from workbench.profiles.readers.strace.lines import Block, Bytes, Mask, Places

# The kinds of lines. BROKEN: it begins like a call but does not end like one.
OTHER, WHOLE, BEGUN, ENDED, EXIT, SIGNAL, FRAME, DUMP, MESSAGE, BROKEN = range(10)

UNKNOWN = -1  # a missing duration or descriptor

_RESUMED = b"<... "
_UNFINISHED, _DETACHED = b"<unfinished ...>", b"<detached ...>"
_PID_CHANGED = re.compile(rb" <pid changed to (\d{1,8}) \.\.\.>$")
_RESTARTED = re.compile(rb"<\.\.\. resuming interrupted ([a-z0-9_]{1,31}) \.\.\.>")
_ERRNO = re.compile(rb"\(errno \d+\)")
_NAME_BYTES = 32
_ERROR_BYTES = 24
_LARGEST_SECONDS = 2**63 // SECOND_NS - 1
_ROUND, _ROUND_END, _ANGLE, _ANGLE_END, _EQUALS = 0x28, 0x29, 0x3C, 0x3E, 0x3D
_MINUS, _QUESTION, _ZERO, _DOT = 0x2D, 0x3F, 0x30, 0x2E
_EARLIER_RESULTS = 8

_NAME_CHARS = np.zeros(256, dtype=bool)
_NAME_CHARS[list(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_?")] = True
_NAME_STARTS = _NAME_CHARS.copy()
_NAME_STARTS[list(b"0123456789")] = False
_HEX_DIGITS = b"0123456789abcdef"
_ERROR_CHARS = np.zeros(256, dtype=bool)
_ERROR_CHARS[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] = True

# Calls whose first argument is a file descriptor.
_OF_DESCRIPTORS = frozenset(
    b"read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close fstat fstat64 lseek _llseek ioctl "
    b"fcntl fcntl64 flock fsync fdatasync ftruncate ftruncate64 fallocate fadvise64 getdents getdents64 fchdir fchmod "
    b"fchown dup dup2 dup3 sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg connect accept accept4 bind listen "
    b"getsockname getpeername setsockopt getsockopt shutdown epoll_wait epoll_pwait epoll_pwait2 epoll_ctl sendfile "
    b"sendfile64 splice tee vmsplice timerfd_settime timerfd_gettime io_uring_enter readahead sync_file_range "
    b"copy_file_range inotify_add_watch inotify_rm_watch recv send recvmmsg_time64 fstatfs fstatfs64 "
    b"fgetxattr fsetxattr flistxattr fremovexattr preadv64 pwritev64 pread pwrite signalfd signalfd4 io_uring_register "
    b"pidfd_send_signal pidfd_getfd setns syncfs finit_module fanotify_mark mq_timedsend mq_timedreceive mq_notify "
    b"mq_getsetattr timerfd_settime64 timerfd_gettime64".split()
)


@dataclass
class Vocabulary:
    """Numbers the distinct words of a log in the order of their first appearance."""

    words: list[bytes] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)

    def number(self, word: bytes) -> int:
        """The number of a word; a new word gets the next number."""
        number = self.numbers.setdefault(word, len(self.words))
        if number == len(self.words):
            self.words.append(word)
        return number

    def renumber(self, codes: Places, local: list[bytes]) -> Places:
        """Positions in ``local`` words, converted to numbers of this vocabulary."""
        return np.array([self.number(word) for word in local], dtype=np.int64)[codes] if local else codes


@dataclass(frozen=True, slots=True, eq=False)
class CallLines:
    """The call lines of a block, in order. ``args`` and ``result`` are pairs of places (start, end) in the block.

    ``row``: the line in the block; ``kind``: WHOLE, BEGUN or ENDED; ``pid_to``: the pid on the line where the call ends
    (another than on this line after an execve by a thread). ``value`` is valid where ``has_value``; ``returned``: there
    was a result or an error, not ``= ?``. ``decorated``: strace wrote the kind of the descriptor after it.
    """

    row: Places
    kind: Places
    pid_to: Places
    name: Places
    restarted: Mask
    fd: Places
    decorated: Mask
    args: tuple[Places, Places]
    result: tuple[Places, Places]
    value: Places
    has_value: Mask
    returned: Mask
    error: Places
    duration_ns: Places


def _kinds(block: Block, body: Places) -> tuple[Places, Places]:
    """The kind of each line of a block, and the length of the call name at its beginning. WHOLE here only means that it
    is not BEGUN."""
    buf, end = block.buf, block.end
    first = buf[body]
    kind = np.full(len(body), OTHER, dtype=np.int64)
    called = np.flatnonzero(_NAME_STARTS[first])
    name = np.zeros(len(body), dtype=np.int64)
    name[called] = _name_lengths(buf, body[called])
    kind[called[buf[body[called] + name[called]] == _ROUND]] = WHOLE
    kind[called[matches(buf, body[called], b"strace: ")]] = MESSAGE
    for byte, text, meaning in (
        (b"<", b"<... ", ENDED),
        (b"+", b"+++ ", EXIT),
        (b"-", b"--- ", SIGNAL),
        (b" ", b" > ", FRAME),
        (b" ", b" | ", DUMP),
        (b"[", b"[ Process ", MESSAGE),
    ):
        rows = np.flatnonzero(first == byte[0])
        kind[rows[matches(buf, body[rows], text)]] = meaning
    rows = np.flatnonzero((kind == WHOLE) & (buf[end - 1] == _ANGLE_END) & (buf[end - 2] == _DOT))
    begun = _ends_with(buf, end[rows], _UNFINISHED) | _ends_with(buf, end[rows], _DETACHED)
    for position in np.flatnonzero(~begun):
        row = rows[position]
        begun[position] = _PID_CHANGED.search(block.cut(int(body[row]), int(end[row]))) is not None
    kind[rows[begun]] = BEGUN
    rows = np.flatnonzero(kind == ENDED)
    name[rows] = _name_lengths(buf, body[rows] + len(_RESUMED))
    whole = matches(buf, body[rows] + len(_RESUMED) + name[rows], b" resumed>")
    kind[rows[~whole]] = BROKEN
    return kind, name


def scan_calls(
    block: Block, pid: Places, body: Places, names: Vocabulary, errors: Vocabulary
) -> tuple[Places, CallLines]:
    """The kind of each line of a block, and its parsed call lines. Call lines without a result are BROKEN."""
    buf = block.buf
    kind, name_length = _kinds(block, body)
    row = np.flatnonzero((kind == WHOLE) | (kind == BEGUN) | (kind == ENDED))
    results = _find_results(buf, body[row], block.end[row], kind[row] == BEGUN)
    whole = kind[row] != BEGUN
    kind[row[whole & (results.equals < 0)]] = BROKEN
    keep = kind[row] != BROKEN
    row, results = row[keep], results.keep(keep)
    resumed = kind[row] == ENDED
    begin = np.where(resumed, body[row] + len(_RESUMED), body[row])
    length = name_length[row]
    codes, local = words(buf, begin, length, _NAME_BYTES)
    args_start, args_end = _arguments(block, row, begin + length, resumed, kind[row] == BEGUN, results)
    restarted, codes, local = _restarted(block, codes, local, args_start, args_end)
    error = _errors(block, results, errors)
    fd, decorated = _descriptors(buf, codes, local, args_start, resumed)
    return kind, CallLines(
        row=row,
        kind=kind[row],
        pid_to=_pids_to(block, row, kind, pid),
        name=names.renumber(codes, local),
        restarted=restarted,
        fd=fd,
        decorated=decorated,
        args=(args_start, args_end),
        result=(results.start, results.end),
        value=results.value,
        has_value=results.has_value,
        returned=results.has_value | (error > 0) | results.large,
        error=error,
        duration_ns=results.duration_ns,
    )


def _name_lengths(buf: Bytes, at: Places) -> Places:
    """The length of the name at each place; 0 if there is no name, or one that is too long for a call."""
    length = np.zeros(len(at), dtype=np.int64)
    left = np.arange(len(at))
    # most names are short
    for width in (16, _NAME_BYTES):
        stops = ~_NAME_CHARS[windows(buf, at[left], width)]
        length[left] = stops.argmax(axis=1)
        left = left[(length[left] == 0) & ~stops[:, 0]]
    return length


def _ends_with(buf: Bytes, end: Places, text: bytes) -> Mask:
    return matches(buf, end - len(text), text)


# results


@dataclass(frozen=True, slots=True, eq=False)
class _Results:
    """``equals``: place of the ``=`` before the result, -1 if none; ``start``, ``end``: the places of its text;
    ``after``: the place after its number; ``large``: the number does not fit into 64 bits."""

    equals: Places
    start: Places
    end: Places
    after: Places
    value: Places
    has_value: Mask
    large: Mask
    duration_ns: Places

    def keep(self, rows: Mask) -> _Results:
        return _Results(*(getattr(self, name)[rows] for name in self.__slots__))


def _find_results(buf: Bytes, body: Places, end: Places, begun: Mask) -> _Results:
    text_end, duration = _durations(buf, end)
    signs = np.flatnonzero(buf[PAD:-PAD] == _EQUALS) + PAD
    signs = signs[(buf[signs - 1] == BLANK) & (buf[signs + 1] == BLANK)]
    order = np.searchsorted(signs, text_end) - 1
    found = _Results(
        equals=np.full(len(body), -1, dtype=np.int64),
        start=text_end.copy(),
        end=text_end,
        after=text_end.copy(),
        value=np.zeros(len(body), dtype=np.int64),
        has_value=np.zeros(len(body), dtype=bool),
        large=np.zeros(len(body), dtype=bool),
        duration_ns=duration,
    )
    open_rows = np.flatnonzero(~begun)
    for earlier in range(_EARLIER_RESULTS):
        position = order[open_rows] - earlier
        there = position >= 0
        open_rows, position = open_rows[there], position[there]
        sign = signs[position]
        inside = sign > body[open_rows]
        open_rows, sign = open_rows[inside], sign[inside]
        if not open_rows.size:
            break
        good = _take_results(buf, open_rows, sign, found)
        open_rows = open_rows[~good]
    return found


def _take_results(buf: Bytes, rows: Places, sign: Places, found: _Results) -> Mask:
    """Read the results after ``sign`` in ``rows``; returns which of them are results."""
    start = sign + 2
    end = found.end[rows]
    first = buf[start]
    unknown = first == _QUESTION
    negative = first == _MINUS
    digits = start + negative
    value, length = read_numbers(buf, digits)
    after = digits + length + unknown
    large = np.zeros(len(rows), dtype=bool)
    zero = np.flatnonzero((buf[digits] == _ZERO) & (end - digits > 1))
    if zero.size:
        large[zero], value[zero], after[zero] = _hex_or_octal(buf, digits[zero], value[zero], after[zero])
    following = buf[after]
    for place in np.flatnonzero((following >= _ZERO) & (following < _ZERO + 10) & (length > 0)):
        large[place], value[place], after[place] = _long_number(buf, int(digits[place]))
    following = buf[after]
    ended = (after >= end) | (following == BLANK) | (following == _ANGLE)
    closed = buf[skip_blanks_back(buf, sign - 1)] == _ROUND_END
    good: Mask = ((length > 0) | unknown) & ended & closed
    into = rows[good]
    found.equals[into] = sign[good]
    found.start[into] = start[good]
    found.after[into] = np.minimum(after[good], end[good])
    found.value[into] = np.where(negative, -value, value)[good]
    found.has_value[into] = ~unknown[good] & ~large[good]
    found.large[into] = large[good]
    return good


def _hex_or_octal(buf: Bytes, at: Places, value: Places, after: Places) -> tuple[Mask, Places, Places]:
    """Numbers that begin with 0: hexadecimal (0x..) or, if more digits follow, octal (modes and masks)."""
    large = np.zeros(len(at), dtype=bool)
    value, after = value.copy(), after.copy()
    hexadecimal = np.flatnonzero(buf[at + 1] == ord("x"))
    number, length = read_numbers(buf, at[hexadecimal] + 2, 16)
    value[hexadecimal], after[hexadecimal] = number, at[hexadecimal] + 2 + length
    more = hexadecimal[_is_hex(buf[after[hexadecimal]])]
    for row in more:
        large[row], value[row], after[row] = _long_number(buf, int(at[row]) + 2, 16)
    octal = np.flatnonzero((buf[at + 1] >= _ZERO) & (buf[at + 1] < _ZERO + 8))
    number, length = read_numbers(buf, at[octal], 8)
    good = at[octal] + length == after[octal]
    value[octal[good]] = number[good]
    return large, value, after


def _long_number(buf: Bytes, at: int, base: int = 10) -> tuple[bool, int, int]:
    """A number of more digits than read_numbers reads: whether it exceeds int64, its value, and the place after it."""
    chars = _HEX_DIGITS if base == 16 else _HEX_DIGITS[:10]
    end = at
    while buf[end] in chars:
        end += 1
    text = bytes(buf[at:end]).lstrip(b"0") or b"0"
    # 19 decimal or 16 hexadecimal digits hold 2^63 - 1
    large = len(text) > 19 or int(text, base) >= 1 << 63
    return large, 0 if large else int(text, base), end


def _is_hex(chars: Bytes) -> Mask:
    return np.asarray(np.isin(chars, np.frombuffer(_HEX_DIGITS, dtype=np.uint8)), dtype=bool)


def _durations(buf: Bytes, end: Places) -> tuple[Places, Places]:
    """Where the text before ``<seconds>`` ends, and the duration in nanoseconds (UNKNOWN if missing)."""
    text_end = end.copy()
    duration = np.full(len(end), UNKNOWN, dtype=np.int64)
    last = buf[end - 2]
    left = np.flatnonzero((buf[end - 1] == _ANGLE_END) & (last >= _ZERO) & (last < _ZERO + 10))
    left = _short_durations(buf, end, left, text_end, duration)
    for width in (10, 11, 12, *range(3, 10), *range(13, 24)):
        if not left.size:
            break
        here = (buf[end[left] - width] == _ANGLE) & (buf[end[left] - width - 1] == BLANK)
        rows, left = left[here], left[~here]
        begin = end[rows] - width + 1
        seconds, length = read_numbers(buf, begin)
        dotted = buf[begin + length] == _DOT
        fraction, digits = read_fractions(buf, begin + length + dotted)
        after = begin + length + np.where(dotted, 1 + digits, 0)
        good = (length > 0) & (after == end[rows] - 1) & (seconds <= _LARGEST_SECONDS)
        rows = rows[good]
        text_end[rows] = end[rows] - width - 1
        duration[rows] = seconds[good] * SECOND_NS + np.where(dotted, fraction, 0)[good]
    return text_end, duration


def _short_durations(buf: Bytes, end: Places, rows: Places, text_end: Places, duration: Places) -> Places:
    """Read durations of one digit and six decimals, such as ``<0.000003>``: nearly all have this form. Returns the
    other rows."""
    width = len("<0.000003>")
    text = windows(buf, end[rows] - width - 1, width + 1)
    good = (text[:, 0] == BLANK) & (text[:, 1] == _ANGLE) & (text[:, 3] == _DOT)
    left, rows = rows[~good], rows[good]
    at = end[rows] - width
    seconds = buf[at + 1].astype(np.int64) - _ZERO
    micros, digits = read_numbers(buf, at + 3)
    good = (seconds >= 0) & (seconds < 10) & (digits == len("000003"))
    left, rows = np.concatenate((left, rows[~good])), rows[good]
    text_end[rows] = end[rows] - width - 1
    duration[rows] = seconds[good] * SECOND_NS + micros[good] * 1000
    return left


def _errors(block: Block, results: _Results, errors: Vocabulary) -> Places:
    """The number of each call's error; 0 (the empty word) if there was none."""
    buf = block.buf
    none = errors.number(b"")
    error = np.full(len(results.after), none, dtype=np.int64)
    failed = (results.value < 0) | ~results.has_value
    rows = np.flatnonzero(failed & (results.equals >= 0) & (results.end - results.after > 2))
    at = results.after[rows] + 1
    named = buf[at] == ord("E")
    named_rows = rows[named]
    if named_rows.size:
        window = windows(buf, at[named], _ERROR_BYTES)
        length = (~_ERROR_CHARS[window]).argmax(axis=1)
        codes, local = words(buf, at[named], length, _ERROR_BYTES)
        error[named_rows] = errors.renumber(codes, local)
    for row, place in zip(rows[~named], at[~named], strict=True):
        match = _ERRNO.match(block.cut(int(place), int(results.end[row])))
        if match:
            error[row] = errors.number(match[0][1:-1])
    return error


# arguments


def _arguments(
    block: Block, row: Places, name_end: Places, resumed: Mask, begun: Mask, results: _Results
) -> tuple[Places, Places]:
    """Where the arguments of each line begin and end."""
    buf = block.buf
    start = name_end + 1
    rows = np.flatnonzero(resumed)
    if rows.size:
        # "<... read resumed>": older versions have a blank after it
        start[rows] = name_end[rows] + len(" resumed>")
        start[rows] += buf[start[rows]] == BLANK
    end = np.where(begun, block.end[row], results.equals)
    rows = np.flatnonzero(~begun)
    end[rows] = skip_blanks_back(buf, end[rows] - 1)
    rows = np.flatnonzero(begun)
    if rows.size:
        tail = np.where(_ends_with(buf, end[rows], _UNFINISHED), len(_UNFINISHED), len(_DETACHED))
        end[rows] -= tail
        end[rows] -= buf[end[rows] - 1] == BLANK
    # killed inside the call: "<... read resumed> <unfinished ...>) = ?"
    rows = np.flatnonzero(resumed)
    rows = rows[_ends_with(buf, end[rows], _UNFINISHED)]
    end[rows] = start[rows]
    return start, np.maximum(end, start)


def _restarted(
    block: Block, codes: Places, local: list[bytes], start: Places, end: Places
) -> tuple[Mask, Places, list[bytes]]:
    """Give a continuation (restart_syscall) the name of the call that was interrupted."""
    restarted = np.zeros(len(codes), dtype=bool)
    if b"restart_syscall" not in local:
        return restarted, codes, local
    vocabulary = Vocabulary()
    codes = vocabulary.renumber(codes, local)
    for row in np.flatnonzero(codes == vocabulary.number(b"restart_syscall")):
        match = _RESTARTED.match(block.cut(int(start[row]), int(end[row])))
        if match:
            codes[row] = vocabulary.number(match[1])
            restarted[row] = True
    return restarted, codes, vocabulary.words


def _pids_to(block: Block, row: Places, kind: Places, pid: Places) -> Places:
    """The pid under which a begun call will end: its own, unless an execve by a thread changes it."""
    pid_to = pid[row].copy()
    begun = np.flatnonzero(kind[row] == BEGUN)
    end = block.end[row[begun]]
    ordinary = _ends_with(block.buf, end, _UNFINISHED) | _ends_with(block.buf, end, _DETACHED)
    for position in begun[~ordinary]:
        line = int(row[position])
        match = _PID_CHANGED.search(block.cut(int(block.start[line]), int(block.end[line])))
        if match:
            pid_to[position] = int(match[1])
    return pid_to


def _is_one_of(codes: Places, local: list[bytes], wanted: frozenset[bytes]) -> Mask:
    return np.array([word in wanted for word in local], dtype=bool)[codes] if local else np.zeros(0, dtype=bool)


def _descriptors(buf: Bytes, codes: Places, local: list[bytes], start: Places, resumed: Mask) -> tuple[Places, Mask]:
    """The file descriptor that is each call's first argument, UNKNOWN if none, and whether strace wrote its kind after
    it. With -N the argument's name comes before it, and -e raw writes it as 0x3."""
    fd = np.full(len(codes), UNKNOWN, dtype=np.int64)
    decorated = np.zeros(len(codes), dtype=bool)
    rows = np.flatnonzero(_is_one_of(codes, local, _OF_DESCRIPTORS) & ~resumed)
    at = start[rows]
    named = np.flatnonzero(_NAME_STARTS[buf[at]])
    after = at[named] + _name_lengths(buf, at[named])
    at[named] = np.where(buf[after] == _EQUALS, after + 1, at[named])
    value, length = read_numbers(buf, at)
    raw = np.flatnonzero((buf[at] == _ZERO) & (buf[at + 1] == ord("x")))
    value[raw], length[raw] = read_numbers(buf, at[raw] + 2, 16)
    at[raw] += 2
    following = buf[at + length]
    good = (length > 0) & (length < 10) & (value < 1 << 30) & np.isin(following, np.frombuffer(b",)< ", dtype=np.uint8))
    fd[rows[good]] = value[good]
    decorated[rows[good]] = following[good] == _ANGLE
    return fd, decorated
