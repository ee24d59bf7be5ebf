"""The header lines of a callgrind file: events, units and origin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.errors import ReadError
from workbench.profiles.metrics import Metric

# One of these keys after the body of a part begins the next part.
OPENS_PART = frozenset(("version", "creator", "pid", "cmd", "part", "thread", "positions", "events"))
MAX_EVENTS = 64

# Xdebug up to 2.3 writes 0.9.6
_VERSION = re.compile(r"[01](\.\d{1,9})*")
_NUMBER = re.compile(r"-?\d{1,40}", re.ASCII)
_EVENT = re.compile(r"^(\S+)\s*(?:=\s*([^:]*?))?\s*(?::\s*(.*))?$")
_NAMED_UNIT = re.compile(r"\((\d*)\s*(ns|us|ms|s|sec|seconds|B|bytes|kB|MB|GB)\)$")
_LONG_UNIT = re.compile(r"\b(ns|us|ms|s|bytes|Bytes|microseconds|milliseconds|seconds)\)?$")
_UNITS = {
    "ns": ("ns", 1),
    "us": ("us", 1),
    "ms": ("ms", 1),
    "s": ("s", 1),
    "sec": ("s", 1),
    "seconds": ("s", 1),
    "microseconds": ("us", 1),
    "milliseconds": ("ms", 1),
    "B": ("bytes", 1),
    "bytes": ("bytes", 1),
    "Bytes": ("bytes", 1),
    "kB": ("bytes", 1 << 10),
    "MB": ("bytes", 1 << 20),
    "GB": ("bytes", 1 << 30),
}
_RATIO = re.compile(r"/\s*hit|\bper[ -]hit\b|perhit$|^usphit$|%", re.IGNORECASE)
# Callgrind's own events, which its files do not explain.
_KNOWN = {
    "Ir": "instructions",
    "Dr": "data reads",
    "Dw": "data writes",
    "I1mr": "misses of the first-level instruction cache",
    "D1mr": "read misses of the first-level data cache",
    "D1mw": "write misses of the first-level data cache",
    "ILmr": "instruction misses of the last-level cache",
    "DLmr": "data read misses of the last-level cache",
    "DLmw": "data write misses of the last-level cache",
    "I2mr": "instruction misses of the second-level cache",
    "D2mr": "data read misses of the second-level cache",
    "D2mw": "data write misses of the second-level cache",
    "Bc": "conditional branches",
    "Bcm": "mispredicted conditional branches",
    "Bi": "indirect branches",
    "Bim": "mispredicted indirect branches",
    "Ge": "global bus events: locked instructions",
    "sysCount": "system calls",
}


@dataclass
class Part:
    """One part of a file: a dump, or one thread of a dump. ``positions`` and ``events`` give the meaning of its cost
    lines, ``own`` the sum of its self costs by event; ``totals`` and ``summary`` are the tool's own sums.
    """

    positions: tuple[str, ...] = ("line",)
    events: tuple[str, ...] = ()
    creator: str = ""
    pid: str = ""
    cmd: str = ""
    part: int | None = None
    thread: int | None = None
    about: dict[str, str] = field(default_factory=dict)
    totals: tuple[int, ...] | None = None
    summary: tuple[int, ...] | None = None
    own: dict[str, int] = field(default_factory=dict)
    has_body: bool = False

    def next(self) -> Part:
        """The part that follows this one: its lines mean the same until its own header says otherwise."""
        return Part(self.positions, self.events, self.creator, self.pid, self.cmd)


@dataclass
class Headers:
    """The header lines read so far: the file's ``parts``, and what its ``event:`` lines say of ``events``."""

    parts: list[Part] = field(default_factory=lambda: [Part()])
    events: dict[str, Event] = field(default_factory=dict)

    def read(self, line: bytes) -> str:
        """Read one header line. Returns the text of a note, or "".

        Raises ReadError without a position for an unknown version, or invalid positions or events.
        """
        key, _, value = line.decode("utf-8", "backslashreplace").partition(":")
        value = value.strip()
        part = self.parts[-1]
        if part.has_body and (key in OPENS_PART or key.startswith("=")):
            part = part.next()
            self.parts.append(part)
        if key == "version":
            if not _VERSION.fullmatch(value):
                raise ReadError(
                    f"version {value[:40]!r} of the format",
                    hint="Version 1 is known: write the file with a valgrind of 3.x",
                )
        elif key == "positions":
            part.positions = _positions(value)
        elif key == "events":
            part.events = _events(value)
        elif key == "event":
            if (event := event_line(value)) is not None:
                self.events[event[0]] = event[1]
        elif key in ("totals", "summary"):
            numbers = whole_numbers(value)
            setattr(part, key, numbers)
            return "" if numbers is not None else f"{key}: is not all numbers and was left out"
        elif key in ("part", "thread"):
            if not (value.isascii() and value.isdigit() and len(value) < 19):
                return f"{key}: is not a number and was left out"
            setattr(part, key, int(value))
        elif key in ("creator", "pid"):
            setattr(part, key, value)
        elif key == "cmd":
            part.cmd = unescaped(value)
        elif key == "desc":
            name, _, text = value.partition(":")
            part.about[name.strip()] = text.strip()
        elif not key.startswith("="):
            part.about[key] = value
        return ""


def _positions(value: str) -> tuple[str, ...]:
    words = tuple(value.split())
    if not words or not set(words) <= {"instr", "bb", "line"} or len(set(words)) != len(words):
        raise ReadError(f"positions {value[:40]!r}", hint="Known are instr, bb and line")
    return words


def _events(value: str) -> tuple[str, ...]:
    events = tuple(value.split())
    if not events or len(set(events)) != len(events) or len(events) > MAX_EVENTS:
        raise ReadError(f"events {value[:80]!r}", hint=f"Up to {MAX_EVENTS} different names are expected")
    return events


@dataclass(frozen=True, slots=True)
class Event:
    """What an ``event:`` line says of an event."""

    formula: str = ""
    description: str = ""


def event_line(value: str) -> tuple[str, Event] | None:
    """The name and the meaning in the value of an ``event:`` line; None if it has none."""
    match = _EVENT.match(value.strip())
    return None if match is None else (match[1], Event((match[2] or "").strip(), (match[3] or "").strip()))


def metric_of(name: str, event: Event | None) -> tuple[Metric, int]:
    """The metric of an event, and the factor that brings its values to the metric's unit (``Time_(10ns)``: 10 ns).

    Callgrind tells the unit of ``sysTime`` in its long name only, and it depends on ``--collect-systime``.
    """
    text = event.description if event else ""
    unit, factor = "count", 1
    if match := _NAMED_UNIT.search(name):
        unit, factor = _UNITS[match[2]]
        factor *= int(match[1] or 1)
    elif match := _LONG_UNIT.search(text) or _LONG_UNIT.search(name):
        unit, factor = _UNITS[match[1]]
    ratio = bool(_RATIO.search(text) or _RATIO.search(name))
    return Metric(name, "ratio" if ratio else unit, text or _KNOWN.get(name, ""), additive=not ratio), factor


def whole_numbers(text: str) -> tuple[int, ...] | None:
    """The numbers of a ``totals:`` or ``summary:`` line; None if any of them is not a number."""
    words = text.split()
    return tuple(map(int, words)) if all(map(_NUMBER.fullmatch, words)) else None


def unescaped(text: str) -> str:
    r"""A ``cmd:`` as it was typed: callgrind writes ``\\`` for a backslash and ``\n`` for a line end."""
    return re.sub(r"\\([\\n])", lambda match: "\n" if match[1] == "n" else "\\", text)


def default_metric(metrics: Sequence[Metric], totals: Sequence[int]) -> str:
    """The metric shown first: Ir, otherwise the first that can be summed and is not all 0."""
    names = [metric.name for metric in metrics]
    if "Ir" in names:
        return "Ir"
    counted = [metric.name for metric, total in zip(metrics, totals, strict=True) if metric.additive and total]
    return (counted or names or [""])[0]
