"""The formats gperftools, Go and Java wrote before profile.proto: recognised, and refused by name.

They contain only addresses. Names need the program itself, and finding them is the work of pprof.

Source: the legacy parsers of google/pprof.
"""

from __future__ import annotations

import re
import struct

_HEAD_BYTES = 4096
_TEXTS = (
    (re.compile(rb"heap profile: *\d+: *\d+ *\[ *\d+: *\d+ *\] *@ *growth"), "growth profile"),
    (re.compile(rb"heap profile: *\d+: *\d+ *\[ *\d+: *\d+ *\] *@ *fragmentation"), "fragmentation profile"),
    (re.compile(rb"heap profile: *\d+: *\d+ *\[ *\d+: *\d+ *\] *@"), "heap profile"),
    (re.compile(rb"--- heapz \d+ ---"), "Java heap profile"),
    (re.compile(rb"--- contentionz \d+ ---\s+format *= *java"), "Java contention profile"),
    (re.compile(rb"--- (?:contentionz \d|mutex:|contention:)"), "contention profile"),
    (re.compile(rb"--- threadz \d+ ---|--- Thread [0-9a-fA-F]+ \(name: "), "thread profile"),
)
_GO_COUNT = re.compile(rb"([A-Za-z_][\w./-]*) profile: total \d+\s")
# header of a CPU profile: 0, 3 words follow, version, period in µs, 0; in words of the machine that wrote it
_WORDS = ("<5I", ">5I", "<5Q", ">5Q")


def legacy_kind(data: bytes) -> str | None:
    """The legacy format that begins like this, or None."""
    head = data[:_HEAD_BYTES].lstrip()
    for pattern, kind in _TEXTS:
        if pattern.match(head):
            return f"legacy text {kind}"
    if match := _GO_COUNT.match(head):
        return f"legacy Go {match[1].decode('ascii', 'replace')} profile"
    for form in _WORDS:
        if len(data) >= struct.calcsize(form):
            zero, words, version, period, end = struct.unpack_from(form, data)
            if (zero, words, end) == (0, 3, 0) and version in (0, 1) and period > 0:
                return "legacy binary CPU profile" if version == 0 else "legacy binary Java CPU profile"
    return None


def legacy_hint(data: bytes) -> str:
    """What to do with a legacy profile: Go writes the current format unless text is requested."""
    convert = "Convert it where the profiled program is: `pprof -proto PROGRAM OLD > new.pb.gz`"
    if _GO_COUNT.match(data[:_HEAD_BYTES].lstrip()) or b"\n#\t0x" in data[:_HEAD_BYTES]:
        return f"{convert}. Or fetch it without debug=1, which makes it a text"
    return convert
