"""Complete JSON values: read, or skipped like a struct's unknown members."""

from __future__ import annotations

from typing import Any

from workbench.standin.serde.tokens import NAMES, Tokens

RECURSION_LIMIT = 128


class Pairs(list[tuple[str, Any]]):
    """An object's members in order."""


class Values(Tokens):
    """Reads values."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._depth = RECURSION_LIMIT

    def _has_element(self, first: bool) -> bool:
        byte = self._skip_space()
        if byte < 0:
            raise self._peek_error("EOF while parsing a list")
        if byte == 0x5D:
            return False
        if first:
            return True
        if byte != 0x2C:
            raise self._peek_error("expected `,` or `]`")
        self._at += 1
        byte = self._skip_space()
        if byte == 0x5D:
            raise self._peek_error("trailing comma")
        if byte < 0:
            raise self._peek_error("EOF while parsing a value")
        return True

    def _has_key(self, first: bool) -> bool:
        byte = self._skip_space()
        if byte < 0:
            raise self._peek_error("EOF while parsing an object")
        if byte == 0x7D:
            return False
        if not first:
            if byte != 0x2C:
                raise self._peek_error("expected `,` or `}`")
            self._at += 1
            byte = self._skip_space()
            if byte == 0x7D:
                raise self._peek_error("trailing comma")
            if byte < 0:
                raise self._peek_error("EOF while parsing a value")
        if byte != 0x22:
            raise self._peek_error("key must be a string")
        return True

    def _colon(self) -> None:
        byte = self._skip_space()
        if byte != 0x3A:
            raise self._peek_error("EOF while parsing an object" if byte < 0 else "expected `:`")
        self._at += 1

    def _end_sequence(self) -> None:
        byte = self._skip_space()
        if byte == 0x5D:
            self._at += 1
            return
        if byte == 0x2C:
            self._at += 1
            raise self._peek_error("trailing comma" if self._skip_space() == 0x5D else "trailing characters")
        raise self._peek_error("EOF while parsing a list" if byte < 0 else "trailing characters")

    def _end_map(self) -> None:
        byte = self._skip_space()
        if byte == 0x7D:
            self._at += 1
            return
        if byte < 0:
            raise self._peek_error("EOF while parsing an object")
        raise self._peek_error("trailing comma" if byte == 0x2C else "trailing characters")

    def value(self) -> Any:
        """Any value, fully checked."""
        first = self._skip_space()
        if first < 0:
            raise self._peek_error("EOF while parsing a value")
        if first in NAMES:
            self._at += 1
            name, value = NAMES[first]
            self._name(name)
            return value
        if first == 0x2D or 0x30 <= first <= 0x39:
            return self._number()
        if first == 0x22:
            self._at += 1
            return self._string()
        if first not in (0x5B, 0x7B):
            raise self._peek_error("expected value")
        self._depth -= 1
        if not self._depth:
            raise self._peek_error("recursion limit exceeded")
        self._at += 1
        found = self._list() if first == 0x5B else self._object()
        self._depth += 1
        return found

    def _list(self) -> list[Any]:
        items: list[Any] = []
        while self._has_element(not items):
            items.append(self.value())
        self._at += 1
        return items

    def _object(self) -> Pairs:
        pairs = Pairs()
        while self._has_key(not pairs):
            self._at += 1
            key = self._string()
            self._colon()
            pairs.append((key, self.value()))
        self._at += 1
        return pairs

    def _name(self, rest: bytes) -> None:
        for expected in rest:
            byte = self._next()
            if byte != expected:
                raise self._error("EOF while parsing a value" if byte < 0 else "expected ident")

    def _ignore_value(self) -> None:
        """Skip a value of any depth: strings are not decoded, numbers not computed."""
        open_frames: list[int] = []
        while True:
            first = self._skip_space()
            if first < 0:
                raise self._peek_error("EOF while parsing a value")
            opened = first in (0x5B, 0x7B)
            if opened:
                self._at += 1
                open_frames.append(first)
            else:
                self._ignore_scalar(first)
            if not self._ignore_closings(open_frames, not opened):
                return
            if open_frames[-1] == 0x7B:
                self._ignore_key()

    def _ignore_closings(self, open_frames: list[int], after_value: bool) -> bool:
        """Skip closing brackets up to the next value; returns whether there is one."""
        while open_frames:
            is_list = open_frames[-1] == 0x5B
            byte = self._skip_space()
            if byte < 0:
                raise self._peek_error(f"EOF while parsing {'a list' if is_list else 'an object'}")
            if byte == (0x5D if is_list else 0x7D):
                self._at += 1
                open_frames.pop()
                after_value = True
                continue
            if after_value:
                if byte != 0x2C:
                    raise self._peek_error("expected `,` or `]`" if is_list else "expected `,` or `}`")
                self._at += 1
            return True
        return False

    def _ignore_key(self) -> None:
        byte = self._skip_space()
        if byte != 0x22:
            raise self._peek_error("EOF while parsing an object" if byte < 0 else "key must be a string")
        self._at += 1
        self._ignore_string()
        self._colon()

    def _ignore_scalar(self, first: int) -> None:
        if first in NAMES:
            self._at += 1
            self._name(NAMES[first][0])
        elif first == 0x2D or 0x30 <= first <= 0x39:
            self._at += first == 0x2D
            self._ignore_number()
        elif first == 0x22:
            self._at += 1
            self._ignore_string()
        else:
            raise self._peek_error("expected value")
