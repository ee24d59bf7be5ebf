"""Ways to damage a profile. Each takes whole bytes and a source of chance and gives other bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
from collections.abc import Callable, Mapping, Sequence

import pyarrow

from tests.fuzz import json_fields
from tests.fuzz.heaps import reshaped_dhat, reshaped_jemalloc
from tests.fuzz.parts import reshaped_pstats, reshaped_svg
from tests.fuzz.wire import reshaped

Damage = Callable[[bytes, random.Random], bytes]

NUMBERS = (
    b"0", b"-1", b"+1", b"1", b"0x7fffffffffffffff", b"9223372036854775807", b"9223372036854775808",
    b"18446744073709551616", b"1" * 400, b"1e308", b"nan", b"inf", b"0x", b"4294967296", b"1.5", b"2000000",
)  # fmt: skip
PIECES = (
    b"\0", b"\xff\xfe", b"\xf0\x9f\xa6\x80", b"\xed\xa0\x80", b"\x80", b"\r\n", b"\n\n", b" ", b"\t", b"(", b")", b"=",
    b"*",     b"<!DOCTYPE a [<!ENTITY b 'cc'>]>", b"<script>alert(1)</script>",
    b'{"a":', b"[[[[[[[[", b";", b"#", b"'2",
)  # fmt: skip
_NUMBER = re.compile(rb"\d+")


def cut_end(data: bytes, chance: random.Random) -> bytes:
    """Truncation at any byte."""
    return data[: chance.randrange(len(data) + 1)]


def cut_start(data: bytes, chance: random.Random) -> bytes:
    return data[chance.randrange(len(data) + 1) :]


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if out:
            out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def change_bytes(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((1, 2, 16))):
        if out:
            out[chance.randrange(len(out))] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(out)


def change_number(data: bytes, chance: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    match = chance.choice(found)
    return data[: match.start()] + chance.choice(NUMBERS) + data[match.end() :]


def insert_piece(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(PIECES) * chance.choice((1, 1, 1, 50)) + data[place:]


def drop_slice(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.randrange(64) :]


def repeat_slice(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.randrange(1, 200)]
    return data[:start] + piece * chance.choice((2, 3, 100)) + data[start:]


def drop_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    start = chance.randrange(len(lines))
    return b"".join(lines[:start] + lines[start + chance.choice((1, 1, 2, 10)) :])


def swap_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def noise(data: bytes, chance: random.Random) -> bytes:
    """Bytes that have nothing to do with the profile but its length, sometimes behind its first bytes."""
    keep = chance.choice((0, 0, 4, 16, 64))
    return data[:keep] + chance.randbytes(chance.randrange(1, 400))


ALL: Sequence[Damage] = (
    cut_end, cut_start, flip_bits, change_bytes, change_number, insert_piece, drop_slice, repeat_slice, drop_lines,
    swap_lines, noise,
)  # fmt: skip


# Ways to change a profile in its parts, a format: half of the damage, so that the reader takes much of it.
STRUCTURED: Mapping[str, Damage] = {
    "firefox": json_fields.reshaped,
    "dhat": reshaped_dhat,
    "jemalloc": reshaped_jemalloc,
    "speedscope": json_fields.reshaped,
    "pstats": reshaped_pstats,
    "flamegraph": reshaped_svg,
}


def damaged(seeds: Sequence[bytes], chance: random.Random, format: str) -> bytes:
    """One seed, damaged one to four times, sometimes with the end of another one grafted on; of pprof half are damaged
    in their fields and stay well formed, of the formats of STRUCTURED half in their parts."""
    data = chance.choice(seeds)
    if format == "pprof" and chance.random() < 0.5:
        return reshaped(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data, chance)
    if format in STRUCTURED and chance.random() < 0.5:
        return STRUCTURED[format](data, chance)
    if chance.random() < 0.1:
        other = chance.choice(seeds)
        data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = chance.choice(ALL)(data, chance)
    return data


PACKERS: Sequence[Callable[[bytes], bytes]] = (
    lambda data: gzip.compress(data, 1),
    lambda data: bz2.compress(data, 1),
    lambda data: lzma.compress(data, preset=0),
    lambda data: bytes(pyarrow.compress(data, codec="zstd", asbytes=True)),
)


def packed(data: bytes, chance: random.Random) -> bytes:
    """The same in gzip, bzip2, xz or zstd, as one member or several, some of them empty or thousands of times there,
    now and then of different packers or with padding; half of it damaged."""
    pack = chance.choice(PACKERS)
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 0, 1, 3))))
    out = b""
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        out += pack(data[start:end])
        if chance.random() < 0.1:
            out += chance.choice(PACKERS)(b"") * chance.choice((1, 1, 10, 5000))
    if chance.random() < 0.1:
        out += b"\0" * chance.choice((1, 1000))
    return chance.choice(ALL)(out, chance) if chance.random() < 0.5 else out
