"""Raw profiles, as Firefox itself writes them (``MOZ_PROFILER_SHUTDOWN``, ``about:profiling``): rows with a schema,
code locations as text, children in ``processes``. They are converted to the processed format."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any

from workbench.profiles.readers.firefox.document import (
    Frames,
    Functions,
    RawThread,
    Resources,
    Rows,
    Samples,
    Stacks,
    Thread,
)

# ``name (file:line:column)[source]`` of JavaScript; ``0x7fff`` of native code
_SCRIPT = re.compile(r"(.*) \((.+?)(?::(\d{1,9}))?(?::\d{1,9})?\)(?:\[\d+\])?", re.DOTALL)
# longer text is not a code location; the pattern takes quadratic time
_MOST_TEXT = 4096
_ADDRESS = re.compile(r"0x[0-9a-f]{1,16}")


def processed(raw: RawThread, libs: Any) -> Thread:
    """The thread with the columns of a processed one. Native code without a name gets its place in its library."""
    strings: dict[str, int] = {}

    def string(text: str) -> int:
        return strings.setdefault(text, len(strings))

    mappings = _mappings(libs)
    starts = [start for start, _, _ in mappings]
    functions = Functions(name=[], resource=[], fileName=[])
    known: dict[tuple[str, str, int], int] = {}
    of: list[int | None] = []
    lines: list[int | None] = []
    places = _column(raw.frameTable, "location")
    for place, line in zip(places, _column(raw.frameTable, "line"), strict=True):
        text = raw.stringTable[place] if _is_row(place, len(raw.stringTable)) else ""
        name, file, lib = text, "", -1
        match = _SCRIPT.fullmatch(text) if len(text) <= _MOST_TEXT and text.endswith((")", "]")) else None
        if match:
            name, file = match[1], match[2]
            line = line if isinstance(line, int) else int(match[3] or 0)
        elif _ADDRESS.fullmatch(text):
            lib = bisect_right(starts, int(text, 16)) - 1
            if lib >= 0 and int(text, 16) < mappings[lib][1]:
                name = f"0x{int(text, 16) - mappings[lib][0]:x}"
            lib = mappings[lib][2] if lib >= 0 and int(text, 16) < mappings[lib][1] else -1
        function = known.setdefault((name, file, lib), len(known))
        if function == len(functions.name):
            functions.name.append(string(name))
            functions.fileName.append(string(file) if file else None)
            functions.resource.append(lib)
        of.append(function)
        lines.append(line if isinstance(line, int) and not isinstance(line, bool) else None)
    return Thread(
        stackTable=Stacks(frame=_column(raw.stackTable, "frame"), prefix=_column(raw.stackTable, "prefix")),
        frameTable=Frames(func=of, line=lines),
        funcTable=functions,
        resourceTable=Resources(lib=list(range(len(libs) if isinstance(libs, list) else 0))),
        stringArray=list(strings),
        name=raw.name,
        processName=raw.processName or raw.processType,
        pid=raw.pid,
        tid=raw.tid,
        samples=Samples(
            stack=_column(raw.samples, "stack"),
            time=_column(raw.samples, "time"),
            threadCPUDelta=_column(raw.samples, "threadCPUDelta") if "threadCPUDelta" in raw.samples.schema else None,
        ),
    )


def _column(table: Rows, name: str) -> list[Any]:
    """A column of a table; a row that ends before it has None. Values that are not numbers are None too."""
    at = table.schema.get(name, -1)
    if at < 0:
        return [None] * len(table.data)
    return [row[at] if at < len(row) and type(row[at]) in (int, float) else None for row in table.data]


def _mappings(libs: Any) -> list[tuple[int, int, int]]:
    """Start, end and position of each library, by start."""
    found = []
    for place, lib in enumerate(libs if isinstance(libs, list) else []):
        if isinstance(lib, dict) and isinstance(lib.get("start"), int) and isinstance(lib.get("end"), int):
            found.append((lib["start"], lib["end"], place))
    return sorted(found)


def _is_row(value: Any, size: int) -> bool:
    return type(value) is int and 0 <= value < size
