"""The compiled loops over a callgrind file's bytes beside those in Python, which say what is right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.samples import SAMPLES, needs_samples
from workbench.errors import ReadError
from workbench.profiles.read import read_callgrind
from workbench.profiles.readers.callgrind import plain, scan
from workbench.profiles.readers.callgrind.scan import MARK, RUN

needs_kernel = pytest.mark.skipif(scan._kernel is None, reason="installed without a C compiler")

NUMBERS = (2**31, 2**32 + 4, 123456789012345678, 1234567890123456789, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) + 1)
FULL = ("0x" + "f" * 16, "0x1" + "0" * 16, "0x7" + "f" * 15, "0x8" + "0" * 15, str(2**64 + 3), str(10 * 2**64))
ODD = ("*", "**", "+", "-", "+3", "-4", "0x1f", "+0x10", "-0x2", "0x", "5:9", "5+9", "12-3", "1x", "x", "0" * 41 + "1")
WORDS = st.sampled_from(["0", "1", "12", *map(str, NUMBERS), *FULL, *ODD])
COSTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
NAMED = (
    "fn=a",
    "fn=b",
    "fn=(1) a",
    "fn=(1)",
    "cfn=b",
    "fi=f",
    "fe=g",
    "fl=h",
    "ob=o",
    "cob=p",
    "jfn=b",
    "# no",
    "junk",
    "",
)
CALLED = ("calls=2 1", "calls=x", "calls=", "rcalls=3 1", "jump=1 2", "jcnd=1/2 3")
MARKS = st.sampled_from([*NAMED, *CALLED])
ENDS = st.sampled_from(["\n", "\r\n", " \n", "\t\n", "\n\n", "\x00\n"])
LINES = st.tuples(st.sampled_from(["", " ", "\t"]), COSTS | MARKS, ENDS).map("".join)
TEXTS = st.tuples(st.lists(LINES, max_size=12).map("".join), COSTS | MARKS | st.just("")).map("".join)
LAYOUTS = st.sampled_from([(1, 0, -1, 1), (2, 1, -1, 3), (2, 1, 0, 2), (1, -1, 0, 1), (3, 2, 0, 2), (1, 0, -1, 0)])


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="only continuous integration must have a compiler")
def test_continuous_integration_reads_with_the_compiled_loops() -> None:
    assert scan._kernel is not None


def summed(kernel: Any, data: bytes, layout: tuple[int, int, int, int], room: int, each: bool) -> list[Any]:
    """All that the two functions say of a text."""
    blob, texts = kernel.marks(data, 0, len(data), 7)
    marks = np.frombuffer(blob, dtype=MARK)
    own = np.arange(len(marks)) % 3
    call = own + 3
    state, table = np.zeros(2, dtype=np.int64), np.zeros((max(room, 6), layout[3]), dtype=np.int64)
    sums, sizes, runs = np.zeros(layout[3], dtype=np.int64), np.zeros(layout[3]), np.zeros(room, dtype=RUN)
    count, fault, at, odd = kernel.costs(
        data, len(data), marks, own, call, layout, state, table, sums, sizes, runs, each
    )
    if fault:
        return [marks.tolist(), texts, fault, at]
    values = [state.tolist(), table.tolist(), sums.tolist(), sizes.tolist(), runs.tolist()]
    return [marks.tolist(), texts, fault, at, count, odd, *values]


@needs_kernel
@settings(max_examples=500, deadline=None)
@given(TEXTS, LAYOUTS, st.sampled_from([0, 2, 40]), st.booleans())
def test_both_say_the_same_of_any_lines(text: str, layout: tuple[int, int, int, int], room: int, each: bool) -> None:
    data = text.encode()
    assert summed(scan._kernel, data, layout, room, each) == summed(plain, data, layout, room, each)


@needs_kernel
@settings(max_examples=250, deadline=None)
@given(
    st.binary(max_size=60) | st.lists(st.sampled_from([b"1 ", b"\n", b"calls=1", b"\xff", b"fn=", b"+"])).map(b"".join)
)
def test_both_say_the_same_of_any_bytes(data: bytes) -> None:
    assert summed(scan._kernel, data, (1, 0, -1, 2), 0, False) == summed(plain, data, (1, 0, -1, 2), 0, False)


@needs_kernel
@pytest.mark.parametrize("short", ["own", "table", "state", "sums"])
def test_buffers_that_are_too_small_are_refused(short: str) -> None:
    data = b"fn=a\n1 2\n"
    sizes = {"own": 2, "table": 2, "state": 2, "sums": 1} | {short: 0}
    marks = np.frombuffer(scan.kernel().marks(data, 0, len(data), 0)[0], dtype=MARK)
    own, table, state, sums = (np.zeros(sizes[name], dtype=np.int64) for name in ("own", "table", "state", "sums"))
    runs = np.zeros(0, dtype=RUN)
    arguments = (data, len(data), marks, own, own, (1, 0, -1, 1), state, table, sums, np.zeros(1), runs, False)
    if short == "table":
        assert scan.kernel().costs(*arguments)[1] == plain.NO_ROOM
    else:
        with pytest.raises(ValueError, match="do not fit"):
            scan.kernel().costs(*arguments)


def tables(path: Path) -> list[Any]:
    """All of a profile that is read from bytes; what is said where it is refused."""
    try:
        profile = read_callgrind(path.read_bytes(), instr=True, jumps=True)
    except ReadError as error:
        return [str(error)]
    frames = [profile.functions, profile.edges, profile.lines, *profile.tables.values()]
    return [profile.notes, *(frame.astype(str).values.tolist() for frame in frames)]


@pytest.mark.slow
@needs_kernel
@needs_samples
@pytest.mark.parametrize("path", sorted((SAMPLES or Path()).glob("callgrind/*")), ids=lambda path: path.name)
def test_every_sample_is_read_alike(path: Path) -> None:
    compiled = tables(path)
    with mock.patch.object(scan, "_kernel", None):
        assert tables(path) == compiled


USUAL = st.lists(st.sampled_from(["0", "7", "12", "+3", "-2", "*", "123456789012345678"]), min_size=1, max_size=1)
FIGURES = st.lists(st.sampled_from(["0", "1", "345", "9999999999", "999999999999999999"]), max_size=3)
USUAL_LINES = st.tuples(USUAL, FIGURES).map(lambda words: " ".join([*words[0], *words[1]])) | MARKS


@needs_kernel
@settings(max_examples=250, deadline=None)
@given(st.lists(USUAL_LINES, max_size=20).map("\n".join), st.booleans())
def test_what_numpy_adds_up_at_once_is_the_same(text: str, each: bool) -> None:
    layout = (1, 0, -1, 3)
    assert summed(scan._kernel, text.encode(), layout, 0, each) == summed(plain, text.encode(), layout, 0, each)
