"""The lines of perf script's text: the kind of each, and the fields of sample headers.

A sample is a header, its frames (innermost first) and a blank line; without call chains all is one line::

    app 101/102 [003] 1000.000001:     250000 cpu-clock:u: optional text
                55d0c1a0 f+0x10 (/srv/app)
      file.c:12

The fields of a header depend on ``-F``, and a comm may contain blanks, digits and colons. So the time of day, otherwise
the event, is found first, and the rest is read around it. Lines repeat often, so each distinct line is parsed once, by
regular expressions over whole Arrow arrays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.arrow import to_numbers
from workbench.profiles.memory import require
from workbench.profiles.readers.perf_script.texts import extracted, matches, pieces, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLANK, COMMENT, FRAME, HEADER, RECORD, OTHER = range(6)

# Bytes per line while distinct lines are found. Measured.
_LINE_BYTES = 120
# Bytes per distinct line while it is read: fields, name, place in the tree. Measured.
_DISTINCT_BYTES = 1000
_ENDS = r"[ \t\r\n]*$"
_EVENT = r"(?:(?P<period>\d{1,18})\s+)?(?P<event>\S+):(?:\s+(?P<rest>.*?))?" + _ENDS
_TIME = r"^\s*(?P<who>(?:.*?\s)??)(?P<second>\d{1,10})\.(?P<fraction>\d{1,9}):"
# Headers, the most certain first. Without a time a thread number is required, since other text ends in a colon too.
TIMED = _TIME + r"\s*" + _EVENT
TIMED_BARE = _TIME + r"\s*(?:(?P<period>\d{1,18})(?:\s+|$))?(?P<rest>.*?)" + _ENDS
UNTIMED = r"^\s*(?P<who>.*?\S\s+(?:-?\d{1,10}/)?-?\d{1,10}\s+(?:\[\d+\]\s+)?)" + _EVENT
# A line above frames and below a blank line is a header, with any content: -F comm,ip,sym
BARE = r"^\s*(?P<who>.*?)(?:(?:^|\s+)(?:(?P<period>\d{1,18})\s+)?(?P<event>\S+):)?" + _ENDS
HEADERS = (TIMED, TIMED_BARE, UNTIMED)
_RECORD = r":\s+PERF_RECORD_[A-Z0-9_]+"
_TABBED = r"^\t\s*[0-9a-f]{1,16}(?:\s|$)"
_SPACED = r"^\s*[0-9a-f]{1,16}\s+\S.*\)" + _ENDS
_LOOSE = r"^\s*[0-9a-f]{1,16}(?:\s+\S.*)?" + _ENDS
FIELDS = ("who", "second", "fraction", "period", "event", "rest")


@dataclass(frozen=True, slots=True)
class Lines:
    """All lines: ``code`` is the number of each among the ``distinct`` ones (an Arrow array of bytes), ``kind`` the
    kind of each, ``number`` its line number minus one."""

    code: NDArray[np.int64]
    distinct: Any
    kind: NDArray[np.int8]
    number: NDArray[np.int64]

    def only(self, chosen: NDArray[Any]) -> Lines:
        """Some of the lines."""
        return Lines(self.code[chosen], self.distinct, self.kind[chosen], self.number[chosen])

    def texts(self, chosen: NDArray[Any]) -> Any:
        """The text of some of the lines, an Arrow array."""
        return take(self.distinct, self.code[chosen])


def lines_of(data: bytes) -> Lines:
    """The lines of a file with their kinds. Headers known only by their place are found too."""
    if data[-17:].rpartition(b"\n")[2].isspace():
        # the beginning of a line; a blank one ends a sample
        data = data.rstrip(b" \t\r")
    require(data.count(b"\n") * _LINE_BYTES)
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    starts = np.concatenate(([0], ends)).astype(np.int64)
    if starts[-1] != len(data):
        starts = np.concatenate((starts, [len(data)]))
    found = pieces(data, starts).dictionary_encode()
    code, distinct = to_numbers(found.indices).astype(np.int64), found.dictionary
    require(len(distinct) * _DISTINCT_BYTES)
    kind = _kinds(distinct)[code]
    return Lines(code, distinct, _headers_by_place(kind), np.arange(len(code)))


def _kinds(distinct: Any) -> NDArray[np.int8]:
    """The kind of each distinct line by itself."""
    size = len(distinct)
    kind = np.full(size, OTHER, dtype=np.int8)
    left = np.arange(size)

    def settle(as_what: int, *patterns: str) -> None:
        nonlocal left
        for pattern in patterns:
            found = matches(take(distinct, left), pattern)
            kind[left[found]] = as_what
            left = left[~found]

    settle(BLANK, r"^[ \t\r\n]*$")
    settle(COMMENT, r"^#")
    settle(FRAME, _TABBED)
    tabbed = bool((kind == FRAME).any())
    settle(RECORD, _RECORD)
    settle(HEADER, *HEADERS)
    settle(FRAME, _SPACED if tabbed else _LOOSE)
    return kind


def _headers_by_place(kind: NDArray[np.int8]) -> NDArray[np.int8]:
    """A line between a blank one (or the beginning) and a frame is a header."""
    passed = np.flatnonzero(kind != COMMENT)
    here = kind[passed]
    before = np.concatenate(([BLANK], here[:-1]))
    after = np.concatenate((here[1:], [OTHER]))
    kind[passed[(here == OTHER) & (before == BLANK) & (after == FRAME)]] = HEADER
    return kind


def header_fields(texts: Any) -> dict[str, Any]:
    """The fields of headers: an Arrow array of bytes for each of FIELDS, empty if missing."""
    return extracted(texts, (*HEADERS, BARE), FIELDS)


_COMMENT = re.compile(
    r"# ?(captured on|hostname|os release|perf version|arch|nrcpus online|cpudesc|total memory"
    r"|cmdline|sample duration)\s*: (.*)"
)


def header_comments(data: bytes) -> dict[str, str]:
    """The lines of ``--header`` about the machine and the recording."""
    found: dict[str, str] = {}
    for line in data[:65536].decode("utf-8", "replace").splitlines():
        match = _COMMENT.match(line)
        if match:
            found.setdefault(match[1].strip(), match[2].strip()[:500])
    return found
