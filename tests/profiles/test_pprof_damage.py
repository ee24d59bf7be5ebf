"""Damaged and unusual pprof files: what is refused, and what is read of the rest."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.profiles.pprof_encoding import Sample, encode, message, tagged, varint
from tests.profiles.test_pprof import CPU, A, B, C, read, stacks
from workbench.errors import ReadError
from workbench.profiles.readers.pprof import reader as pprof
from workbench.profiles.source import Source
from workbench.profiles.tree import MAX_DEPTH

# what is refused

WHOLE = encode(
    CPU, [Sample((A, B), (1, 10), (("thread", "t", ""),)), Sample(((A[0], B[0]), C), (2, 20))], header=[(9, 1), (10, 2)]
)


def test_a_file_cut_anywhere_is_an_error_or_a_smaller_profile() -> None:
    refused = 0
    for size in range(1, len(WHOLE)):
        try:
            assert read(WHOLE[:size]).total("samples") <= 3
        except ReadError:
            refused += 1
    assert refused > len(WHOLE) // 2


def strings(*texts: str) -> bytes:
    return b"".join(tagged(6, text.encode()) for text in ("", *texts))


TYPE = tagged(1, message([(1, 1), (2, 2)]))
NAMES = strings("samples", "count", "main", "main.go")
FUNCTION = tagged(5, message([(1, 1), (2, 3), (4, 4)]))
LOCATION = tagged(4, message([(1, 1), (4, message([(1, 1), (2, 9)]))]))
SAMPLE = tagged(2, message([(1, 1), (2, 5)]))


def test_the_hand_made_profile_is_good() -> None:
    profile = read(TYPE + SAMPLE + LOCATION + FUNCTION + NAMES)
    assert stacks(profile) == {((("main", "main.go", 9, False),), (), "samples"): 5}


@pytest.mark.parametrize(
    ("data", "what", "offset_of"),
    [
        (TYPE + NAMES + tagged(2, message([(1, 7), (2, 5)])) + LOCATION + FUNCTION, "location 7", SAMPLE[:1]),
        (TYPE + NAMES + SAMPLE + tagged(4, message([(1, 1), (4, message([(1, 9)]))])), "function 9", None),
        (TYPE + NAMES + SAMPLE + tagged(4, message([(1, 1), (4, message([(2, 9)]))])), "function 0", None),
        (TYPE + NAMES + SAMPLE + LOCATION + tagged(5, message([(1, 1), (2, 77)])), "string 77", None),
        (TYPE + NAMES + SAMPLE + LOCATION + tagged(5, message([(1, 1), (2, -5)])), "string -5", None),
        (TYPE + NAMES + tagged(2, message([(1, 1)])) + LOCATION + FUNCTION, "0 values", None),
        (TYPE + NAMES + tagged(2, message([(1, 1), (2, 1), (2, 1)])) + LOCATION + FUNCTION, "2 values", None),
        (TYPE + NAMES + SAMPLE + LOCATION + LOCATION + FUNCTION, "has id 1", None),
        (TYPE + NAMES + SAMPLE + LOCATION + FUNCTION + FUNCTION, "has id 1", None),
        (TYPE + NAMES + tagged(4, message([(2, 1)])) + FUNCTION, "reserved id 0", None),
        (TYPE + NAMES + varint(3 << 3 | 3), "wire type 3", None),
        (TYPE + NAMES + varint(2 << 3 | 5) + b"abcd", "wire type 5", None),
        (TYPE + NAMES + tagged(2, varint(1 << 3 | 1) + b"12345678"), "wire type 1", None),
        (TYPE + NAMES + tagged(2, b"\x08" + b"\xff" * 11 + b"\x01"), "more than ten bytes", None),
        (TYPE + NAMES + tagged(2, b"\x08\xff"), "cut off", None),
        (TYPE + NAMES + tagged(2, b"\x0a\x50\x01"), "needs 80 bytes", None),
        (TYPE + tagged(6, b"x") + NAMES, 'first string is not ""', None),
        (NAMES + SAMPLE + LOCATION + FUNCTION, "no sample types", None),
        (TYPE + NAMES + LOCATION + FUNCTION + tagged(2, message([(1, 1), (2, 2**62)])) * 3, "more than 64 bits", None),
        ((TYPE + NAMES + tagged(9, 5)) * 2, "several profiles", None),
    ],
)  # fmt: skip
def test_damage_is_named_with_its_byte(data: bytes, what: str, offset_of: bytes | None) -> None:
    with pytest.raises(ReadError, match=re.escape(what)) as caught:
        read(data)
    assert caught.value.hint
    if "sample types" not in what:
        place = re.search(r"byte (\d+)", str(caught.value.where))
        assert place is None or 0 <= int(place[1]) <= len(data)
        assert place is not None or what.startswith("string")


def test_two_gzipped_profiles_in_one_file_are_an_error() -> None:
    one = gzip.compress(TYPE + NAMES + SAMPLE + LOCATION + FUNCTION + tagged(9, 5))
    with pytest.raises(ReadError, match=r"several profiles|has id 1"):
        read(one + one)


def test_few_bytes_cannot_stand_for_endless_frames() -> None:
    lines = tagged(4, message([(1, 1)])) * 9_000
    rows = b"".join(tagged(2, message([(1, 1), (1, 2 + row), (2, 1)])) for row in range(4000))
    others = b"".join(tagged(4, message([(1, 2 + row), (4, message([(1, 1), (2, row)]))])) for row in range(4000))
    data = TYPE + NAMES + FUNCTION + tagged(4, message([(1, 1)]) + lines.replace(b"\x22", b"\x22")) + rows + others
    with pytest.raises(ReadError, match="expand to more than"):
        read(data)


@pytest.mark.parametrize("count", [2_000, 60_000])
def test_fields_that_alternate_endlessly_are_read(count: int) -> None:
    body = b"".join((b"\x08\x01", b"\x9a\x06\x00")[number % 2] for number in range(count))
    profile = read(TYPE + NAMES + tagged(2, body + tagged(2, 3)) + LOCATION + FUNCTION)
    assert profile.total() == 3
    assert len(profile.nodes) == min(count // 2, MAX_DEPTH)


def test_thousands_of_labels_on_a_sample_are_cut_and_noted() -> None:
    label = tagged(3, message([(1, 3), (2, 4)]))
    profile = read(TYPE + NAMES + tagged(2, message([(1, 1), (2, 1)]) + label * 5_000) + LOCATION + FUNCTION)
    assert len(profile.tags) == 1000
    assert [note.count for note in profile.notes if "left out" in note.what] == [4000]


@pytest.mark.parametrize("place", range(3))
def test_a_label_that_says_nothing_leaves_the_others_what_they_are(place: int) -> None:
    each = [tagged(3, message([(1, 3), (2, text)])) for text in (3, 4)]
    each.insert(place, tagged(3, message([(1, 4)])))
    sample = tagged(2, message([(1, 1), (2, 1)]) + b"".join(each))
    profile = read(TYPE + NAMES + sample + LOCATION + FUNCTION)
    assert sorted(zip(profile.tags["key"], profile.tags["value"], strict=True)) == [
        ("main", "main"),
        ("main", "main.go"),
    ]
    (note,) = (note for note in profile.notes if "left out" in note.what)
    assert note.count == 1


def test_other_formats_are_not_taken() -> None:
    others = [b"# callgrind format\nevents: Ir\n", b"desc: --time-unit=B\n", b"a;b;c 1\n", b'{"version":1}', b"hello"]
    others += [b"2345 12:00:00.000000 read(3) = 0 <0.1>\n", b"\0" * 64, b"\xff" * 64, b"2", b"@@@@@@@@@@"]
    for data in others:
        assert pprof.recognise(Source(data, "x")) is None, data


def test_a_profile_is_recognised_by_its_content() -> None:
    for seed in range(20):
        data = encode(CPU, [Sample((A, B), (1, 2))], seed=seed, header=[(9, 3)])
        assert pprof.recognise(Source(data, "x")) == "the fields of profile.proto"
