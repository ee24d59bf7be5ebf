"""Whether a text is a GraphQL query for graphql-parser 0.4, with that parser's error texts.

Its messages do not name all tokens that would be valid at a position.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from workbench.standin.graphql.roots import QueryError
from workbench.standin.rust import debug

RECURSION_LIMIT = 50

_DEFINITION = "{, query, mutation, subscription or fragment"
_AFTER_KIND = "{, Name, (, $, :, = or )"
_VALUE = "IntValue, FloatValue, StringValue, BlockString, true, false, null or Name"
_SPREAD = "{, on or Name"
_VARIABLE = "$, Name, :, = or )"
_TYPE = "Name or ["
# Where a character that begins no token is also reported as an end.
_ALSO_END = {_DEFINITION, _AFTER_KIND, _VALUE, _SPREAD, _TYPE, "{", "first Name"}

_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
_NUMBER = re.compile(r"[-0-9][^ \n\r\t,#!$:=@|&()\[\]{}]*")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
# An exponent without sign may begin with 1 to 8 only: so it is written there.
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+1-8][0-9]*)?")
_BLOCK = re.compile(r'"""[\s\S]*?(?<!\\)"""')
_STRING = re.compile(r'"(?:\\[^\n]|[^"\\\n])*"')


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: str
    line: int
    column: int
    problem: str = ""

    def is_one_of(self, *values: str) -> bool:
        return self.kind in ("Punctuator", "Name") and self.value in values


def check(query: str) -> None:
    """Raise QueryError with the parser's message if the text is not a query."""
    _Parser(_Lexer(query)).document()


class _Lexer:
    """Tokens one by one; a tab counts as eight columns, as in the parser."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at, self._line, self._column = 0, 1, 1
        self._depth = RECURSION_LIMIT

    def next(self) -> _Token:
        """The next token; of kind ``end`` at the end, ``bad`` with its problem for invalid text."""
        self._skip()
        line, column = self._line, self._column
        kind, value = self._read()
        if kind in ("end", "bad"):
            return _Token(kind, "", line, column, value)
        self._at += len(value)
        newlines = value.count("\n") if kind == "BlockString" else 0
        if newlines:
            self._line += newlines
            self._column = len(value) - value.rfind("\n")
        else:
            self._column += len(value)
        return _Token(kind, value, line, column)

    def _read(self) -> tuple[str, str]:
        text, at = self._text, self._at
        first = text[at : at + 1]
        if not first:
            return "end", ""
        if first in "([{":
            self._depth -= 1
            return ("Punctuator", first) if self._depth >= 0 else ("bad", "Recursion limit exceeded")
        if first in ")]}":
            self._depth += 1
            return "Punctuator", first
        if first in "!$:=@|&":
            return "Punctuator", first
        if first == ".":
            fits = text.startswith("...", at)
            return ("Punctuator", "...") if fits else ("bad", "bare dot '.' is not supported, only \"...\"")
        if name := _NAME.match(text, at):
            return "Name", name[0]
        if number := _NUMBER.match(text, at):
            return _number(number[0])
        if first == '"':
            return self._string()
        shown = debug(first, "'")
        return "bad", f"unexpected character {shown}"

    def _string(self) -> tuple[str, str]:
        if self._text.startswith('"""', self._at):
            block = _BLOCK.match(self._text, self._at)
            return ("BlockString", block[0]) if block else ("bad", "unterminated block string value")
        string = _STRING.match(self._text, self._at)
        return ("StringValue", string[0]) if string else ("bad", "unterminated string value")

    def _skip(self) -> None:
        while (character := self._text[self._at : self._at + 1]) and character in "\ufeff\r\t\n ,#":
            self._at += 1
            if character == "#":
                end = re.compile(r"[\r\n]").search(self._text, self._at)
                self._at = end.end() if end else len(self._text)
                if end:
                    self._line, self._column = self._line + 1, 1
            elif character == "\n":
                self._line, self._column = self._line + 1, 1
            else:
                self._column += {"\t": 8, " ": 1, ",": 1}.get(character, 0)


def _number(value: str) -> tuple[str, str]:
    if any(mark in value for mark in ".eE"):
        fits = _FLOAT.fullmatch(value)
        return ("FloatValue", value) if fits else ("bad", f"unsupported float {debug(value)}")
    return ("IntValue", value) if _INTEGER.fullmatch(value) else ("bad", f"unsupported integer {debug(value)}")


class _Parser:
    """Parses the tokens by the grammar of executable documents."""

    def __init__(self, lexer: _Lexer) -> None:
        self._lexer = lexer
        self._token = lexer.next()

    def document(self) -> None:
        """The whole text."""
        self._definition()
        while self._token.kind != "end":
            if not self._token.is_one_of("{", "query", "mutation", "subscription", "fragment"):
                raise self._problem("end of input")
            self._definition()

    def _definition(self) -> None:
        if self._token.is_one_of("{"):
            self._selections()
        elif self._token.is_one_of("query", "mutation", "subscription"):
            self._advance()
            self._operation()
        elif self._token.is_one_of("fragment"):
            self._advance()
            self._name("Name")
            self._take("on", "on")
            self._name("Name")
            self._directives()
            self._selections()
        else:
            raise self._problem(_DEFINITION)

    def _operation(self) -> None:
        begun = False
        if self._token.kind == "Name":
            self._advance()
            begun = True
        if self._token.is_one_of("("):
            begun = True
            self._advance()
            self._variable("$")
            while not self._token.is_one_of(")"):
                self._variable(_VARIABLE)
            self._advance()
        begun = self._directives() or begun
        self._selections("{" if begun else _AFTER_KIND)

    def _variable(self, expected: str) -> None:
        self._take("$", expected)
        self._name("Name")
        self._take(":", ":")
        self._type()
        if self._token.is_one_of("="):
            self._advance()
            self._value(constant=True)

    def _type(self) -> None:
        if self._token.is_one_of("["):
            self._advance()
            self._type()
            self._take("]", "]")
        else:
            self._name(_TYPE)
        if self._token.is_one_of("!"):
            self._advance()

    def _selections(self, expected: str = "{") -> None:
        self._take("{", expected)
        self._selection("first Name")
        while not self._token.is_one_of("}"):
            self._selection("}")
        self._advance()

    def _selection(self, expected: str) -> None:
        if self._token.is_one_of("..."):
            self._advance()
            self._spread()
            return
        self._name(expected)
        if self._token.is_one_of(":"):
            self._advance()
            self._name("Name")
        self._arguments()
        self._directives()
        if self._token.is_one_of("{"):
            self._selections()

    def _spread(self) -> None:
        begun = False
        if self._token.is_one_of("on"):
            self._advance()
            self._name("Name")
            begun = True
        elif self._token.kind == "Name":
            self._advance()
            self._directives()
            return
        begun = self._directives() or begun
        self._selections("{" if begun else _SPREAD)

    def _directives(self) -> bool:
        """Parse directives; returns whether there were any."""
        found = False
        while self._token.is_one_of("@"):
            found = True
            self._advance()
            self._name("Name")
            self._arguments()
        return found

    def _arguments(self) -> None:
        if not self._token.is_one_of("("):
            return
        self._advance()
        self._member(lambda: self._value(constant=False), "Name")
        while not self._token.is_one_of(")"):
            self._member(lambda: self._value(constant=False), "Name, : or )")
        self._advance()

    def _member(self, value: Callable[[], None], expected: str) -> None:
        self._name(expected)
        self._take(":", ":")
        value()

    def _value(self, constant: bool, expected: str = _VALUE) -> None:
        token = self._token
        if token.is_one_of("$") and not constant:
            self._advance()
            self._name("Name")
        elif token.is_one_of("["):
            self._advance()
            while not self._token.is_one_of("]"):
                self._value(constant, "]")
            self._advance()
        elif token.is_one_of("{"):
            self._advance()
            while not self._token.is_one_of("}"):
                self._member(lambda: self._value(constant), "Name, : or }")
            self._advance()
        elif token.kind in ("IntValue", "FloatValue", "StringValue", "BlockString", "Name"):
            self._literal(token)
            self._advance()
        else:
            raise self._problem(expected)

    def _literal(self, token: _Token) -> None:
        """Raise QueryError if a number does not fit or a string has an invalid escape."""
        if token.kind == "IntValue" and not -(2**63) <= int(token.value) < 2**63:
            size = "small" if token.value.startswith("-") else "large"
            raise _error(token, f"number too {size} to fit in target type")
        if token.kind != "StringValue":
            return
        inner = token.value[1:-1]
        for escape in re.finditer(r"\\(u.{0,4}|.)", inner, re.DOTALL):
            found = escape[1]
            if found[0] == "u" and len(found) < 5:
                what = f"\\u must have 4 characters after it, only found '{found[1:]}'"
            elif found[0] == "u":
                if re.fullmatch(r"u\+?[0-9a-fA-F]+", found) and not re.fullmatch(r"u[dD][89a-fA-F]..", found):
                    continue
                what = f"{found[1:]} is not a valid unicode code point"
            elif found in '"\\/bfnrt':
                continue
            else:
                shown = debug(found, "'")
                what = f"bad escaped char {shown}"
            raise _error(token, f"Unexpected {what}")

    def _take(self, value: str, expected: str) -> None:
        if not self._token.is_one_of(value):
            raise self._problem(expected)
        self._advance()

    def _name(self, expected: str) -> None:
        if self._token.kind != "Name":
            raise self._problem(expected)
        self._advance()

    def _advance(self) -> None:
        self._token = self._lexer.next()

    def _problem(self, expected: str) -> QueryError:
        token, lines = self._token, []
        shown = f"Expected {expected.removeprefix('first ')}"
        if token.kind == "end":
            lines = ["Unexpected end of input", shown]
        elif token.problem == "Recursion limit exceeded":
            lines = [shown, token.problem]
        elif token.kind != "bad":
            lines = [f"Unexpected `{token.value}[{token.kind}]`", shown]
        elif expected == "end of input":
            lines = [shown]
        else:
            also = ["Unexpected end of input"] if expected in _ALSO_END else []
            lines = [f"Unexpected {token.problem}", *also, shown]
        return _error(token, *lines)


def _error(token: _Token, *lines: str) -> QueryError:
    text = "".join(f"{line}\n" for line in lines)
    return QueryError(f"query parse error: Parse error at {token.line}:{token.column}\n{text}")
