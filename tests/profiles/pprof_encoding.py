"""profile.proto written by hand for the tests: packed or not, in any order of fields, with fields nobody knows."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

Fields = list[tuple[int, Any]]


def varint(value: int) -> bytes:
    """A number as protobuf writes it; negative ones in two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tagged(number: int, content: int | bytes) -> bytes:
    """One field: a number, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(fields: Fields) -> bytes:
    """Fields in this order; bytes and numbers."""
    return b"".join(tagged(number, content) for number, content in fields)


@dataclass
class Encoder:
    """Writes one profile; ``chance`` decides packing, order of fields, and what a decoder must skip."""

    chance: random.Random
    strings: dict[str, int] = field(default_factory=lambda: {"": 0})

    def text(self, text: str) -> int:
        """The number of a string."""
        return self.strings.setdefault(text, len(self.strings))

    def repeated(self, number: int, values: list[int]) -> list[bytes]:
        """A repeated number: packed, unpacked, or both."""
        cut = self.chance.choice([0, len(values), self.chance.randint(0, len(values))])
        parts = [tagged(number, b"".join(varint(value) for value in values[:cut]))] if cut else []
        return parts + [tagged(number, value) for value in values[cut:]]

    def shuffled(self, *parts: list[bytes]) -> bytes:
        """Parts mixed, each in its own order, with unknown fields between them."""
        lists = [list(part) for part in parts if part]
        lists.append([self._unknown() for _ in range(self.chance.choice([0, 0, 1, 2]))])
        out = []
        while any(lists):
            chosen = self.chance.choice([each for each in lists if each])
            out.append(chosen.pop(0))
        return b"".join(out)

    def _unknown(self) -> bytes:
        number = self.chance.randint(40, 3000)
        return self.chance.choice(
            [
                tagged(number, self.chance.getrandbits(self.chance.randint(1, 64))),
                tagged(number, self.chance.randbytes(self.chance.randint(0, 12))),
                varint(number << 3 | 1) + self.chance.randbytes(8),
                varint(number << 3 | 5) + self.chance.randbytes(4),
            ]
        )

    def scalars(self, fields: Fields) -> list[list[bytes]]:
        """Numbers, zeros left out, each free to move."""
        return [[tagged(number, value)] for number, value in fields if value]


@dataclass(frozen=True)
class Call:
    """A line of a location."""

    name: str
    file: str = ""
    line: int = 0


Location = tuple[Call, ...]
Label = tuple[str, str | int, str]


@dataclass(frozen=True)
class Sample:
    """A stack, leaf first, of locations, each with its innermost call first."""

    stack: tuple[Location, ...]
    values: tuple[int, ...]
    labels: tuple[Label, ...] = ()


def encode(
    types: list[tuple[str, str]],
    samples: list[Sample],
    *,
    seed: int = 0,
    header: Fields | None = None,
    texts: dict[int, str] | None = None,
    wild_ids: bool = False,
) -> bytes:
    """A profile. ``header`` has further numbers, ``texts`` further strings, by field number."""
    chance = random.Random(seed)
    encoder = Encoder(chance)
    functions: dict[tuple[str, str], int] = {}
    locations: dict[Location, int] = {}

    def fresh(table: dict[Any, int], key: Any) -> int:
        if key not in table:
            table[key] = chance.getrandbits(63) * 2 + len(table) % 2 + 2 if wild_ids else len(table) + 1
        return table[key]

    top: list[list[bytes]] = [
        [tagged(1, encoder.shuffled(*encoder.scalars([(1, encoder.text(kind)), (2, encoder.text(unit))])))
         for kind, unit in types]
    ]  # fmt: skip
    rows = []
    for sample in samples:
        ids = [fresh(locations, location) for location in sample.stack]
        labels = []
        for key, value, unit in sample.labels:
            fields = [(1, encoder.text(key))]
            if isinstance(value, str):
                fields.append((2, encoder.text(value)))
            else:
                fields += [(3, value), (4, encoder.text(unit))]
            labels.append(tagged(3, encoder.shuffled(*encoder.scalars(fields))))
        rows.append(
            tagged(2, encoder.shuffled(encoder.repeated(1, ids), encoder.repeated(2, list(sample.values)), labels))
        )
    top.append(rows)
    written = []
    for location, number in locations.items():
        lines = []
        for call in location:
            function = fresh(functions, (call.name, call.file))
            lines.append(tagged(4, encoder.shuffled(*encoder.scalars([(1, function), (2, call.line)]))))
        written.append(tagged(4, encoder.shuffled([tagged(1, number)], lines)))
    top.append(written)
    written = []
    for (name, file), number in functions.items():
        fields = [(1, number), (2, encoder.text(name)), (4, encoder.text(file))]
        written.append(tagged(5, encoder.shuffled(*encoder.scalars(fields))))
    top.append(written)
    numbers = [*(header or []), *((number, encoder.text(text)) for number, text in (texts or {}).items())]
    top += encoder.scalars(numbers)
    top.append([tagged(6, text.encode()) for text in encoder.strings])
    return encoder.shuffled(*top)
