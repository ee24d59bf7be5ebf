"""A position in a JSON text: reads strings, numbers and names from there, with serde_json's error positions."""

from __future__ import annotations

import math
import re

U64_MAX = 2**64 - 1

NAMES = {0x6E: (b"ull", None), 0x74: (b"rue", True), 0x66: (b"alse", False)}
"""The names (true, false, null) by first byte: the rest, and the value."""

_SPACE = re.compile(rb"[ \n\t\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_ESCAPES = {0x22: '"', 0x5C: "\\", 0x2F: "/", 0x62: "\b", 0x66: "\f", 0x6E: "\n", 0x72: "\r", 0x74: "\t"}


class BodyError(Exception):
    """The body does not have the route's form: serde's text and position (line 0 if serde gives none)."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(what, line, column)
        self.what, self.line, self.column = what, line, column

    def __str__(self) -> str:
        return f"{self.what} at line {self.line} column {self.column}" if self.line else self.what


class Tokens:
    """Reads ``data`` from its start."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _place(self, what: str, at: int) -> BodyError:
        start = self._data.rfind(b"\n", 0, at) + 1
        return BodyError(what, 1 + self._data.count(b"\n", 0, start), at - start)

    def _error(self, what: str) -> BodyError:
        """An error at the byte just read."""
        return self._place(what, self._at)

    def _peek_error(self, what: str) -> BodyError:
        """An error at the next byte."""
        return self._place(what, min(len(self._data), self._at + 1))

    def _peek(self) -> int:
        """The next byte; -1 at the end."""
        return self._data[self._at] if self._at < len(self._data) else -1

    def _next(self) -> int:
        byte = self._peek()
        if byte >= 0:
            self._at += 1
        return byte

    def _skip_space(self) -> int:
        """The next byte that is not white space; -1 at the end."""
        match = _SPACE.match(self._data, self._at)
        self._at = match.end() if match else self._at
        return self._peek()

    def end(self) -> None:
        """Require that only white space follows."""
        if self._skip_space() >= 0:
            raise self._peek_error("trailing characters")

    def _plain(self) -> bytes:
        match = _PLAIN.match(self._data, self._at)
        found = match[0] if match else b""
        self._at += len(found)
        return found

    def _string(self) -> str:
        """A string whose opening quote was read."""
        pieces = []
        while True:
            pieces.append(self._plain())
            byte = self._next()
            if byte == 0x22:
                break
            if byte < 0:
                raise self._error("EOF while parsing a string")
            if byte != 0x5C:
                raise self._error("control character (\\u0000-\\u001F) found while parsing a string")
            pieces.append(self._escape().encode())
        try:
            return b"".join(pieces).decode()
        except UnicodeDecodeError:
            raise self._error("invalid unicode code point") from None

    def _escape(self) -> str:
        byte = self._next()
        if byte == 0x75:
            return self._unicode_escape()
        if byte not in _ESCAPES:
            raise self._error("EOF while parsing a string" if byte < 0 else "invalid escape")
        return _ESCAPES[byte]

    def _unicode_escape(self) -> str:
        high = self._hex()
        if 0xDC00 <= high <= 0xDFFF:
            raise self._error("lone leading surrogate in hex escape")
        if not 0xD800 <= high <= 0xDBFF:
            return chr(high)
        for expected in (0x5C, 0x75):
            byte = self._next()
            if byte != expected:
                raise self._error("EOF while parsing a string" if byte < 0 else "unexpected end of hex escape")
        low = self._hex()
        if not 0xDC00 <= low <= 0xDFFF:
            raise self._error("lone leading surrogate in hex escape")
        return chr(0x10000 + ((high - 0xD800) << 10 | (low - 0xDC00)))

    def _hex(self) -> int:
        digits = self._data[self._at : self._at + 4]
        self._at += len(digits)
        if len(digits) < 4:
            raise self._error("EOF while parsing a string")
        if not all(byte in b"0123456789abcdefABCDEF" for byte in digits):
            raise self._error("invalid escape")
        return int(digits, 16)

    def _ignore_string(self) -> None:
        while True:
            self._plain()
            byte = self._peek()
            if byte < 0:
                raise self._error("EOF while parsing a string")
            if byte == 0x22:
                self._at += 1
                return
            if byte != 0x5C:
                raise self._error("control character (\\u0000-\\u001F) found while parsing a string")
            self._at += 1
            byte = self._next()
            if byte == 0x75:
                self._hex()
            elif byte not in _ESCAPES:
                raise self._error("EOF while parsing a string" if byte < 0 else "invalid escape")

    def _digits(self) -> bytes:
        match = _DIGITS.match(self._data, self._at)
        found = match[0] if match else b""
        self._at += len(found)
        return found

    def _number(self) -> int | float:
        negative = self._peek() == 0x2D
        self._at += negative
        first = self._next()
        if first < 0:
            raise self._error("EOF while parsing a value")
        if not 0x30 <= first <= 0x39:
            raise self._error("invalid number")
        if first == 0x30 and 0x30 <= self._peek() <= 0x39:
            raise self._peek_error("invalid number")
        whole = bytes([first]) + (self._digits() if first != 0x30 else b"")
        decimals = b""
        if self._peek() == 0x2E:
            self._at += 1
            decimals = self._digits()
            if not decimals:
                raise self._peek_error("EOF while parsing a value" if self._peek() < 0 else "invalid number")
        has_exponent = self._peek() in (0x45, 0x65)
        significand, exponent = _parts(whole, decimals)
        if not decimals and not has_exponent and int(whole) <= U64_MAX:
            if not negative:
                return int(whole)
            if 0 < int(whole) <= 2**63:
                return -int(whole)
        size = self._scaled(significand, exponent, has_exponent)
        return -size if negative else size

    def _scaled(self, significand: int, exponent: int, has_exponent: bool) -> float:
        if has_exponent:
            self._at += 1
            negative = self._peek() == 0x2D
            self._at += self._peek() in (0x2B, 0x2D)
            first = self._next()
            if not 0x30 <= first <= 0x39:
                raise self._error("EOF while parsing a value" if first < 0 else "invalid number")
            power = first - 0x30
            while 0x30 <= (digit := self._peek()) <= 0x39:
                self._at += 1
                power = power * 10 + digit - 0x30
                if power > 2**31 - 1:
                    if significand and not negative:
                        raise self._error("number out of range")
                    self._digits()
                    return 0.0
            exponent += -power if negative else power
        size = float(significand)
        if not size:
            return size
        while exponent < -308:
            size /= 1e308
            exponent += 308
        size = size / float(f"1e{-exponent}") if exponent < 0 else size * float(f"1e{exponent}")
        if math.isinf(size):
            raise self._error("number out of range")
        return size

    def _ignore_number(self) -> None:
        first = self._next()
        if first == 0x30:
            if 0x30 <= self._peek() <= 0x39:
                raise self._peek_error("invalid number")
        elif 0x31 <= first <= 0x39:
            self._digits()
        else:
            raise self._error("invalid number")
        if self._peek() == 0x2E:
            self._at += 1
            if not self._digits():
                raise self._peek_error("invalid number")
        if self._peek() in (0x45, 0x65):
            self._at += 1
            self._at += self._peek() in (0x2B, 0x2D)
            if not 0x30 <= self._next() <= 0x39:
                raise self._error("invalid number")
            self._digits()


def _parts(whole: bytes, decimals: bytes) -> tuple[int, int]:
    """The significand as far as it fits into 64 bits, and the exponent of ten; further digits are cut off."""
    significand, exponent = 0, 0
    for count, digit in enumerate(whole):
        larger = significand * 10 + digit - 0x30
        if larger > U64_MAX:
            exponent = len(whole) - count
            break
        significand = larger
    for digit in decimals:
        larger = significand * 10 + digit - 0x30
        if larger > U64_MAX:
            break
        significand, exponent = larger, exponent - 1
    return significand, exponent
