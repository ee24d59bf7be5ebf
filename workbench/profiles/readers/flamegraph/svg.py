"""The drawn frames of a flame graph SVG: titles and rectangles, nothing else.

The file is taken as untrusted XML: entities and a DTD inside the file are refused, an external DTD is never fetched,
scripts are never run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from workbench.errors import ReadError
from workbench.profiles.memory import require
from workbench.profiles.source import Source

# `` (1,234 samples, 5.67%)``, and in a comparison ``; +8.90%`` before the bracket; read from the end, since names and
# the counted thing's name are free text.
_SHARE = re.compile(r", ([0-9.]{1,12})%(?:; ([+-]?[0-9.]{1,12})%)?\)\Z")
_COUNT = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?) (.*)\Z", re.DOTALL)
_TITLE_END = 60
# Memory is checked after this many boxes.
_LOOK_EVERY = 1 << 12
_MOST_BRACKETS = 16
_INVERTED = re.compile(r"\binverted\s*=\s*(true|false)\b")
# expat's errors for a document that ends inside a tag, a character, an element, or before the last one is closed.
_ENDS_EARLY = {
    expat.errors.codes[getattr(expat.errors, name)]
    for name in (
        "XML_ERROR_NO_ELEMENTS",
        "XML_ERROR_UNCLOSED_TOKEN",
        "XML_ERROR_PARTIAL_CHAR",
        "XML_ERROR_UNCLOSED_CDATA_SECTION",
    )
}
_HINT = "Save the file again from the profiler; a browser's copy or an editor may have changed it"


@dataclass(frozen=True, slots=True)
class Title:
    """The parsed title of a frame. Without a count (``--nameattr`` replaces titles) ``name`` is the whole title.

    ``share`` and ``delta`` are in percent; ``delta`` is None without a comparison.
    """

    name: str
    count: float | None = None
    counted: str = ""
    share: float | None = None
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A drawn frame: its title, line in the file, geometry as written, and inferno's exact ``fg:x`` and ``fg:w``."""

    title: Title
    line: int
    x: float
    y: float
    width: float
    exact: tuple[int, int] | None


@dataclass
class Drawing:
    """All of a flame graph. ``inverted``: according to its script (None: not given); ``texts``: text outside of frames:
    title, subtitle, an error. ``is_whole``: all frames are complete; ``cut_at``: where a file ends early."""

    boxes: list[Box] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    total_samples: int | None = None
    inverted: bool | None = None
    generator: str = ""
    is_whole: bool = False
    cut_at: str = ""


def draw(source: Source) -> Drawing:
    """The frames of an SVG. Raises ReadError with the line if it is not XML, is cut off or declares entities."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    handler = _Handler(source, parser)
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.characters
    parser.StartDoctypeDeclHandler = handler.doctype
    parser.EntityDeclHandler = handler.entity
    try:
        parser.Parse(source.data, True)
    except expat.ExpatError as error:
        if error.code in _ENDS_EARLY:
            if handler.drawing.is_whole:
                handler.drawing.cut_at = source.at(error.lineno)
                return handler.drawing
            raise ReadError(
                f"the picture was cut off, after {len(handler.drawing.boxes):,} frames",
                where=source.at(error.lineno),
                hint="A frame may be drawn before its callers, so the rest cannot be used: save the file again",
            ) from error
        raise ReadError(
            f"not whole XML: {expat.errors.messages[error.code]}", where=source.at(error.lineno), hint=_HINT
        ) from error
    except (LookupError, ValueError) as error:
        # an encoding that Python lacks, or a multi-byte one
        raise ReadError(f"the XML cannot be decoded: {error}", where=source.name, hint=_HINT) from error
    return handler.drawing


def parse_title(text: str) -> Title:
    """Parse a title from its end."""
    share = _SHARE.search(text, max(0, len(text) - _TITLE_END))
    if share is None:
        return Title(text)
    head = text[: share.start()]
    end = len(head)
    for _ in range(_MOST_BRACKETS):
        end = head.rfind(" (", 0, end)
        if end < 0:
            break
        count = _COUNT.match(head, end + 2)
        if count:
            try:
                delta = None if share[2] is None else float(share[2])
                return Title(head[:end], float(count[1].replace(",", "")), count[2], float(share[1]), delta)
            except ValueError:
                break
    return Title(text)


class _Handler:
    """Called by expat. A title inside a group belongs to the next rectangle of that group."""

    def __init__(self, source: Source, parser: expat.XMLParserType) -> None:
        self.drawing = Drawing()
        self._source = source
        self._parser = parser
        self._groups = 0
        self._title: str | None = None
        self._text: list[str] | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "rect":
            if self._title is not None and self._groups:
                self.drawing.boxes.append(self._box(self._title, attributes))
                if not len(self.drawing.boxes) % _LOOK_EVERY:
                    require()
                self._title = None
        elif tag in ("title", "script"):
            self._text = []
        elif tag == "text":
            # the label inside a frame only repeats its title
            self._text = None if self._groups else []
        elif tag in ("g", "a"):
            self._groups += 1
        elif tag == "svg" and "total_samples" in attributes:
            self.drawing.total_samples = self._integer(attributes["total_samples"])

    def end(self, tag: str) -> None:
        if tag == "svg":
            self.drawing.is_whole = bool(self.drawing.boxes)
        if tag in ("g", "a"):
            self._groups -= 1
            self._title = None
        elif self._text is not None and tag in ("title", "script", "text"):
            text = "".join(self._text)
            self._text = None
            if tag == "title" and self._groups:
                self._title = text
            elif tag == "script":
                told = _INVERTED.search(text)
                if told:
                    self.drawing.inverted = told[1] == "true"
            elif len(self.drawing.texts) < 10:
                self.drawing.texts.append(text.strip()[:200])

    def characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def doctype(self, name: str, system: str | None, public: str | None, inside: bool) -> None:
        if inside:
            raise self._refused("a DTD inside the file")

    def entity(self, *declaration: object) -> None:
        raise self._refused("an XML entity")

    def _refused(self, what: str) -> ReadError:
        return ReadError(
            f"{what} is declared here; no flame graph has that",
            where=self._here(),
            hint="It was not read, since such files can do harm",
        )

    def _here(self) -> str:
        return self._source.at(self._parser.CurrentLineNumber)

    def _box(self, title: str, attributes: dict[str, str]) -> Box:
        exact = None
        if "fg:w" in attributes:
            exact = (self._integer(attributes.get("fg:x", "")), self._integer(attributes["fg:w"]))
        return Box(
            title=parse_title(title),
            line=self._parser.CurrentLineNumber,
            x=self._length(attributes.get("x", "")),
            y=self._length(attributes.get("y", "")),
            width=self._length(attributes.get("width", "")),
            exact=exact,
        )

    def _integer(self, text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63:
            return int(text)
        raise ReadError(f"{text[:40]!r} is not a count that fits 64 bits", where=self._here(), hint=_HINT)

    def _length(self, text: str) -> float:
        try:
            length = float(text.removesuffix("%"))
        except ValueError:
            length = float("nan")
        if not abs(length) < 1e12:
            raise ReadError(f"{text[:40]!r} is not a length", where=self._here(), hint=_HINT)
        return length
