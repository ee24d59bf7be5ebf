"""Enough GraphQL to find the root fields of a query, including those in fragments.

Arguments, directives, aliases and variables are skipped. Grammar:
https://spec.graphql.org/October2021/#sec-Document-Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 10

_TOKEN = re.compile(
    r'[\s,\ufeff]+|#[^\n\r]*|(?P<string>"""(?:\\"""|[\s\S])*?"""|"(?:\\.|[^"\\\n])*")'
    r"|(?P<token>\.\.\.|[A-Za-z_]\w*|-?\d[\w.+-]*|[!$&()*:=@\[\]{|}])"
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class QueryError(Exception):
    """The text is not a query, or uses nesting or fragments that the service refuses."""


@dataclass
class _Selection:
    fields: list[str] = field(default_factory=list)
    inline: list[_Selection] = field(default_factory=list)
    spreads: list[str] = field(default_factory=list)


def root_fields(query: str) -> list[str]:
    """Names of the root fields of all operations, in order of appearance, through fragments up to MAX_DEPTH deep.

    Raises QueryError with the service's texts for depth, circular and undefined fragments, and its own for syntax.
    """
    operations, fragments = _parse(query)
    names: list[str] = []
    for operation in operations:
        _collect(operation, fragments, set(), 0, names)
    return list(dict.fromkeys(names))


def _collect(
    selection: _Selection, fragments: dict[str, _Selection], seen: set[str], depth: int, names: list[str]
) -> None:
    if depth > MAX_DEPTH:
        raise QueryError(f"Query exceeds maximum nesting depth of {MAX_DEPTH}")
    names += selection.fields
    for inline in selection.inline:
        _collect(inline, fragments, seen, depth + 1, names)
    for spread in selection.spreads:
        if spread in seen:
            raise QueryError(f"Circular fragment reference detected: {spread}")
        seen.add(spread)
        if spread not in fragments:
            raise QueryError(f"Undefined fragment: {spread}")
        _collect(fragments[spread], fragments, seen, depth + 1, names)


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise QueryError(f"query parse error: unexpected character {text[position]!r} at {position}")
        position = match.end()
        if match.lastgroup == "string":
            yield '""'
        elif match.lastgroup == "token":
            yield match["token"]


def _parse(text: str) -> tuple[list[_Selection], dict[str, _Selection]]:
    tokens = list(_tokens(text))
    operations: list[_Selection] = []
    fragments: dict[str, _Selection] = {}
    at = 0
    while at < len(tokens):
        head = tokens[at]
        if head not in ("{", "query", "mutation", "subscription", "fragment"):
            raise QueryError(f"query parse error: unexpected `{head}`, expected a query")
        start = at
        while _at(tokens, at) != "{":
            at = _skip_group(tokens, at) if tokens[at] in _CLOSING else at + 1
        selection, at = _selection(tokens, at + 1)
        if head == "fragment":
            fragments[_at(tokens, start + 1)] = selection
        elif head in ("{", "query"):
            operations.append(selection)
    if not tokens:
        raise QueryError("query parse error: unexpected end of input")
    return operations, fragments


def _selection(tokens: list[str], at: int) -> tuple[_Selection, int]:
    """The selection set whose opening brace is just before ``at``, and the position after its closing brace."""
    selection = _Selection()
    while (piece := _at(tokens, at)) != "}":
        if piece == "...":
            following = _at(tokens, at + 1)
            if following in ("on", "{", "@"):
                while _at(tokens, at) != "{":
                    at = _skip_group(tokens, at) if tokens[at] in _CLOSING else at + 1
                inline, at = _selection(tokens, at + 1)
                selection.inline.append(inline)
                continue
            selection.spreads.append(following)
            at += 2
        elif piece.isidentifier():
            name = piece
            if _at(tokens, at + 1) == ":":
                at += 2
                name = _at(tokens, at)
            selection.fields.append(name)
            at += 1
        elif piece in _CLOSING:
            at = _skip_group(tokens, at)
            continue
        elif piece == "@":
            at += 2
        else:
            raise QueryError(f"query parse error: unexpected `{piece}`")
    return selection, at + 1


def _skip_group(tokens: list[str], at: int) -> int:
    """The position after the bracket that closes the one at ``at``."""
    closers = [_CLOSING[tokens[at]]]
    at += 1
    while closers:
        token = _at(tokens, at)
        if token in _CLOSING:
            closers.append(_CLOSING[token])
        elif token == closers[-1]:
            closers.pop()
        at += 1
    return at


def _at(tokens: list[str], at: int) -> str:
    if at >= len(tokens):
        raise QueryError("query parse error: unexpected end of input")
    return tokens[at]
