"""The bodies of the routes, as the service's structs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from workbench.standin.rust import debug
from workbench.standin.serde.tokens import NAMES, BodyError
from workbench.standin.serde.values import Values

Read = TypeVar("Read")

_CACHED_BYTES = 4096


class _Unplaced(Exception):
    """An error of a struct, not of the text: its position is after the end of the struct."""


def query_body(body: bytes) -> str:
    """``query`` of a paid query's body, ``{query, variables?}``. Raises BodyError."""
    return _cached_query_body(body) if len(body) <= _CACHED_BYTES else _query(body, "QueryBody", ("query", "variables"))


@lru_cache(maxsize=256)
def _cached_query_body(body: bytes) -> str:
    return _query(body, "QueryBody", ("query", "variables"))


def status_query(body: bytes) -> str:
    """``query`` of a status request's body. Raises BodyError."""
    return _query(body, "StatusRequest", ("query",))


def read_value(body: bytes, meaning: Callable[[Any], Read]) -> Read:
    """The value of a JSON text; objects are Pairs, since keys may be repeated. Raises BodyError.

    As with serde, the value is decoded before anything after it is checked.
    """
    reader = Values(body)
    value = meaning(reader.value())
    reader.end()
    return value


def _query(body: bytes, name: str, fields: tuple[str, ...]) -> str:
    reader = _Structs(body)
    query: str = reader.struct(name, fields, {"query": reader.owned_string, "variables": reader.raw_or_null})["query"]
    reader.end()
    return query


class _Structs(Values):
    """Reads structs."""

    def struct(self, name: str, fields: tuple[str, ...], readers: dict[str, Callable[[], Any]]) -> dict[str, Any]:
        """A struct from an object, or from an array with its fields in order. Unknown members are skipped."""
        first = self._skip_space()
        if first < 0:
            raise self._peek_error("EOF while parsing a value")
        if first not in b"[{":
            raise self._invalid_type(f"struct {name}")
        self._at += 1
        is_list = first == 0x5B
        closing = self._end_sequence if is_list else self._end_map
        try:
            values = self._from_sequence(name, fields, readers) if is_list else self._from_map(fields, readers)
        except _Unplaced as problem:
            with contextlib.suppress(BodyError):
                closing()
            raise self._error(str(problem)) from None
        closing()
        return values

    def _from_sequence(
        self, name: str, fields: tuple[str, ...], readers: dict[str, Callable[[], Any]]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for count, field in enumerate(fields):
            if not self._has_element(count == 0):
                plural = "" if len(fields) == 1 else "s"
                raise _Unplaced(f"invalid length {count}, expected struct {name} with {len(fields)} element{plural}")
            values[field] = readers[field]()
        return values

    def _from_map(self, fields: tuple[str, ...], readers: dict[str, Callable[[], Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first = True
        while self._has_key(first):
            first = False
            self._at += 1
            key = self._string()
            if key in values:
                raise _Unplaced(f"duplicate field `{key}`")
            self._colon()
            if key in fields:
                values[key] = readers[key]()
            else:
                self._ignore_value()
        if "query" not in values:
            raise _Unplaced("missing field `query`")
        return values

    def owned_string(self) -> str:
        """A string field of a struct."""
        first = self._skip_space()
        if first < 0:
            raise self._peek_error("EOF while parsing a value")
        if first != 0x22:
            raise self._invalid_type("a string")
        self._at += 1
        return self._string()

    def raw_or_null(self) -> None:
        """Any value, kept as written, or null."""
        if self._skip_space() == 0x6E:
            self._at += 1
            self._name(b"ull")
            return
        start = self._at
        self._ignore_value()
        try:
            self._data[start : self._at].decode()
        except UnicodeDecodeError:
            raise self._error("invalid unicode code point") from None

    def _invalid_type(self, expected: str) -> BodyError:
        """The error for a value of the wrong type; reading the value may find another error first."""
        first = self._peek()
        if first in NAMES:
            self._at += 1
            name, value = NAMES[first]
            self._name(name)
            found = "null" if value is None else f"boolean `{str(value).lower()}`"
        elif first == 0x2D or 0x30 <= first <= 0x39:
            number = self._number()
            found = f"integer `{number}`" if isinstance(number, int) else f"floating point `{_float(number)}`"
        elif first == 0x22:
            self._at += 1
            found = f"string {debug(self._string())}"
        elif first in (0x5B, 0x7B):
            found = "sequence" if first == 0x5B else "map"
        else:
            return self._peek_error("expected value")
        return self._error(f"invalid type: {found}, expected {expected}")


def _float(number: float) -> str:
    """A number as written by serde_json: the shortest digits, with an exponent below 1e-5 and from 1e16 on."""
    sign, text = ("-", repr(-number)) if str(number).startswith("-") else ("", repr(number))
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return sign + text
    power = int(exponent)
    if power == -5:
        digits = mantissa.replace(".", "")
        return f"{sign}0.0000{digits}"
    return f"{sign}{mantissa.removesuffix('.0')}e{power:+}"
