"""The JSON of a DHAT file: decoded, of both versions, also the complete part of a file that was cut off.

Source: the file format notes in ``dhat/dh_main.c`` of Valgrind 3.15 (version 1) and 3.17 (version 2), and the writer of
the Rust crate dhat. The frame table is at the end of the file, behind the program points that use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from workbench.errors import ReadError
from workbench.profiles.json_nesting import require_decodable

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

VERSIONS = (1, 2)
_ROOT = "[root]"
_TABLE = re.compile(r'"ftbl"\s*:\s*\[')
_TEXT = re.compile(r'\s*,?\s*("(?:[^"\\]|\\.)*")(?=\s*[,\]])', re.DOTALL)
_MOST_NESTING = 100
_WRITE_AGAIN = "DHAT writes when the program ends: let it end by itself or by SIGTERM, and do not kill Valgrind"


@dataclass(frozen=True, slots=True)
class Document:
    """A DHAT file. ``points`` are the program points as decoded, ``frames`` the texts of the frame table; ``whole`` is
    False if the table was cut off, so that a point may use frames after its end."""

    version: int
    fields: Mapping[str, Any]
    points: Sequence[Any]
    frames: Sequence[str]
    whole: bool


def document_of(source: Source, notes: NoteBook) -> Document:
    """The file decoded. Raises ReadError for JSON that is damaged or cut off before the frame table, another version,
    and a file without program points or frame table."""
    require_decodable(source.data, source, _MOST_NESTING, _WRITE_AGAIN)
    text = _text(source, notes)
    whole = True
    try:
        fields = _decoded(text)
    except json.JSONDecodeError as error:
        if not _was_cut(text, error):
            raise ReadError(
                f"damaged JSON: {error.msg}", where=source.at(error.lineno), hint="Fetch the file again"
            ) from error
        fields, whole = _before_cut(text, source, notes), False
    except ValueError as error:
        raise ReadError(f"damaged JSON: {error}", where=source.name, hint="Fetch the file again") from error

    def fail(what: str) -> NoReturn:
        raise ReadError(what, where=source.name, hint="Give the file that valgrind --tool=dhat or dhat-rs wrote")

    if not isinstance(fields, dict):
        fail("expected a JSON object")
    version = fields.get("dhatFileVersion")
    if version not in VERSIONS or isinstance(version, bool):
        fail(f"dhatFileVersion is {_shown(version)}; 1 and 2 are known")
    points = fields.get("pps" if version > 1 else "aps")
    frames = fields.get("ftbl")
    if not isinstance(points, list):
        fail(f"there is no list of program points, {'pps' if version > 1 else 'aps'}")
    if not isinstance(frames, list) or not all(isinstance(frame, str) for frame in frames):
        fail("there is no frame table, ftbl, of texts")
    return Document(version, fields, points, frames, whole)


def _text(source: Source, notes: NoteBook) -> str:
    """The text, with bytes escaped that are not UTF-8 (in paths)."""
    data = source.data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        notes.add("bytes that are not UTF-8, shown escaped", source.at(offset=error.start))
        # a backslash would escape the next character
        return data.decode(errors="backslashreplace").replace("\\x", "\\\\x")


def _decoded(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    return json.loads(text, parse_constant=refuse, strict=False)


def _was_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the text ends before the object ends, and is not wrong inside."""
    told = text.rstrip()
    return not told.endswith("}") or error.pos >= len(told) or error.msg.startswith("Unterminated string")


def _before_cut(text: str, source: Source, notes: NoteBook) -> Any:
    """The file up to the last complete text of its frame table."""
    table = _TABLE.search(text)
    if table is None:
        raise ReadError(
            "the file was cut off before its frame table, which is at its end: nothing in it has a name",
            where=source.at(text.count("\n") + 1),
            hint=_WRITE_AGAIN,
        )
    end = table.end()
    while (frame := _TEXT.match(text, end)) is not None:
        end = frame.end()
    notes.add("the file was cut off in its frame table: some frames have no name", source.at(text.count("\n") + 1))
    try:
        return _decoded(text[:end] + "]}")
    except ValueError as error:
        raise ReadError("damaged JSON, and cut off", where=source.name, hint=_WRITE_AGAIN) from error


def _shown(value: Any) -> str:
    return repr(value)[:40]
