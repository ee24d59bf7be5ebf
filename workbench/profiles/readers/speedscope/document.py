"""speedscope's JSON decoded into plain objects, and the completion of a file that was cut off.

Most of such a file is events or stacks. They are decoded directly into small structs and lists of numbers, a profile at
a time; everything else is small. The schema is at https://www.speedscope.app/file-format-schema.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import msgspec
import numpy as np

from workbench.errors import ReadError
from workbench.profiles.json_nesting import depths, require_decodable, structure
from workbench.profiles.source import line_number

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

HINT = "Write the file again with the tool it is from"
Fail = Callable[..., NoReturn]

_MOST_NESTING = 100
_PLACE = re.compile(r" - at `\$(.*)`$")
_EVENT = re.compile(r"\.events\[(\d+)\](?:\.(\w+))?")
_SAMPLE = re.compile(r"\.samples\[(\d+)\](\[)?")
_WEIGHT = re.compile(r"\.weights\[(\d+)\]")
_WRONG = {
    "frame": "has a frame that is not a whole number",
    "at": "is not at a number that fits 64 bits",
    "type": "is neither O (open) nor C (close)",
}
# An escape in a string; a surrogate without its other half.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_CLOSED_BY = {ord("{"): b"}", ord("["): b"]"}
# the file, its list of profiles, a profile
_DEPTH_OF_PROFILE = 3


class Event(msgspec.Struct, gc=False):
    """A frame that opens (``O``) or closes (``C``)."""

    type: Literal["O", "C"]
    frame: int
    at: int | float


class One(msgspec.Struct):
    """One profile. Fields that are small are checked where they are used."""

    type: Any = None
    name: Any = ""
    unit: Any = "none"
    startValue: Any = None
    endValue: Any = None
    frames: Any = None
    events: list[Event] | None = None
    samples: list[list[int]] | None = None
    weights: list[int | float] | None = None


class _Listed(msgspec.Struct):
    profiles: list[msgspec.Raw]


class _About(msgspec.Struct):
    shared: Any = None
    name: Any = None
    exporter: Any = None
    version: Any = None
    activeProfileIndex: Any = None


class Document(msgspec.Struct):
    """A file. ``profiles`` are not decoded yet; ``cut``: the file was cut off."""

    profiles: list[msgspec.Raw]
    frames: Any
    name: Any
    exporter: str
    version: Any
    active: Any
    cut: bool


def decode(source: Source, notes: NoteBook) -> Document:
    """Decode the file. Of a file that ends early complete parts are kept, with a note. Raises ReadError if it is not
    JSON, or another kind of JSON."""
    data = source.data.removeprefix(b"\xef\xbb\xbf")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[1:2] == b"\0" or data[:1] == b"\0":
        data = _recoded(data, source)
    require_decodable(data, source, _MOST_NESTING, "speedscope writes four levels")
    try:
        return _document(data, source, cut=False)
    except msgspec.DecodeError as error:
        data, before = _whole_characters(data), data
        if data != before:
            return decode(source._replace(data=data), notes)
        ended = None if isinstance(error, msgspec.ValidationError) else _ended(data)
        if ended is not None:
            try:
                document = _document(ended, source, cut=True)
            except msgspec.DecodeError:
                pass
            else:
                notes.add("the file was cut off: complete parts are read", source.at(offset=len(data)))
                return document
        raise _not_json(error, source, data) from error


def profile_of(document: Document, place: int, fail: Fail) -> One:
    """The profile at this position. Raises ReadError with the position of a value that does not fit the schema."""
    try:
        return msgspec.json.decode(document.profiles[place], type=One)
    except msgspec.ValidationError as error:
        fail(_what(str(error), f"profile {place}"))
    except msgspec.DecodeError as error:
        fail(f"profile {place}: not JSON: {str(error)[:200]}")


def _document(data: bytes, source: Source, *, cut: bool) -> Document:
    try:
        listed = msgspec.json.decode(data, type=_Listed).profiles
    except msgspec.ValidationError as error:
        if not str(error).endswith((" - at `$.profiles`", "missing required field `profiles`")):
            raise ReadError("JSON, but not a speedscope file", where=source.name, hint=HINT) from error
        what = "the file was cut off before its profiles" if cut else "no list of profiles"
        raise ReadError(what, where=source.name, hint=HINT) from error
    # metadata is before or after the profiles, so these are not decoded twice
    about = msgspec.json.decode(data, type=_About)
    shared = about.shared
    return Document(
        profiles=listed,
        frames=shared.get("frames") if isinstance(shared, dict) else None,
        name=about.name,
        exporter=str(about.exporter or ""),
        version=about.version,
        active=about.activeProfileIndex,
        cut=cut,
    )


def _whole_characters(data: bytes) -> bytes:
    """JSON without lone surrogates, which some writers produce and msgspec refuses."""
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], data) if b"\\u" in data else data


def _recoded(data: bytes, source: Source) -> bytes:
    """JSON may be UTF-16 or UTF-32 too."""
    import json

    try:
        return data.decode(json.detect_encoding(data)).encode()
    except UnicodeError as error:
        raise ReadError(f"not JSON: {str(error)[:200]}", where=source.name, hint=HINT) from error


def _not_json(error: msgspec.DecodeError, source: Source, data: bytes) -> ReadError:
    said = str(error)[:200]
    at = re.search(r"\(byte (\d+)\)", said)
    line = line_number(data, int(at[1]) if at else len(data))
    return ReadError(f"not whole JSON: {said}", where=source.at(line), hint=HINT)


def _what(said: str, where: str) -> str:
    """A clear message from msgspec's error, with the number of the event, sample or weight."""
    place = _PLACE.search(said)
    path = "" if place is None else place[1]
    if event := _EVENT.match(path):
        return f"{where}: event {event[1]} {_WRONG.get(event[2] or '', _WRONG['type'])}"
    if sample := _SAMPLE.match(path):
        wrong = "has a frame that is not a whole number" if sample[2] else "is not a list of frames"
        return f"{where}: sample {sample[1]} {wrong}"
    if weight := _WEIGHT.match(path):
        return f"{where}: weight {weight[1]} is not a number that fits 64 bits"
    for name in ("events", "samples", "weights"):
        if path == f".{name}":
            return f"{where} has no {name}"
    return f"{where} is not a profile: {said[:100]}"


def _ended(data: bytes) -> bytes | None:
    """Truncated JSON with its complete parts, properly closed. None if nothing is open at its end: then it was not cut
    off."""
    places, kinds = structure(data)
    depth = depths(kinds)
    whole = np.flatnonzero((kinds != ord("[")) & (kinds != ord("{")))
    if not len(whole) or depth[-1] <= 0 or int(depth.min()) < 0 or int(depth.max()) > _MOST_NESTING:
        return None
    last = int(whole[-1])
    cut = int(places[last]) + 1
    kinds, depth = kinds[: last + 1], depth[: last + 1]
    # a bracket is still open if the depth never falls below its own again
    behind = np.minimum.accumulate(depth[::-1])[::-1]
    still = np.flatnonzero(((kinds == ord("[")) | (kinds == ord("{"))) & (behind >= depth)).tolist()
    # incomplete frames, events and stacks are dropped
    while len(still) > _DEPTH_OF_PROFILE and kinds[still[-2]] == ord("["):
        cut = int(places[still.pop()])
    return data[:cut].rstrip(b", \t\r\n") + b"".join(_CLOSED_BY[int(kinds[place])] for place in reversed(still))
