"""Tree lines of massif are taken apart a column at a time, and mean what a regular expression for one line says."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from workbench.profiles.readers.massif.lines import tree_lines

ONE_LINE = re.compile(rb"( *)n(\d{1,9}): (\d{1,19}) ([^\n]+)")
# mostly right, each part sometimes wrong or at its limits
PARTS = (
    st.sampled_from([b"", b" ", b"   ", b"\t", b"  x"]),
    st.sampled_from([b"n", b"n", b"n", b"m", b""]),
    st.sampled_from([b"0", b"1", b"12", b"999999999", b"1000000000", b"", b"-1"]),
    st.sampled_from([b": ", b": ", b": ", b":", b" ", b""]),
    st.sampled_from([b"0", b"1234", b"9223372036854775808", b"9" * 19, b"1" + b"0" * 19, b"", b"1/2"]),
    st.sampled_from([b" ", b" ", b" ", b"  ", b""]),
    st.sampled_from([b"0x1: f (a.c:1)", b"x", b" ", b"", b"\xff", b"n1: 2 y", b"0x1: ???\r"]),
)
RIGHT = st.builds(
    lambda depth, children, held, text: b"%sn%d: %d %s" % (b" " * depth, children, held, text),
    st.integers(0, 40),
    st.integers(0, 10**9 - 1),
    st.integers(0, 10**19 - 1),
    st.binary(min_size=1, max_size=12).filter(lambda text: b"\n" not in text),
)


@given(st.lists(RIGHT | st.tuples(*PARTS).map(b"".join), max_size=6), st.booleans())
def test_lines_are_read_as_a_regular_expression_reads_them(lines: list[bytes], ended: bool) -> None:
    block = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    matches = [ONE_LINE.fullmatch(line) for line in block.removesuffix(b"\n").split(b"\n")]
    found = tree_lines(block)
    if not all(matches):
        assert found is None
        return
    assert found is not None
    parts = zip(found.depth.tolist(), found.children.tolist(), found.held.tolist(), strict=True)
    texts = [block[begin:end] for begin, end in zip(found.begin.tolist(), found.end.tolist(), strict=True)]
    assert [(*numbers, text) for numbers, text in zip(parts, texts, strict=True)] == [
        (len(match[1]), int(match[2]), int(match[3]), match[4]) for match in matches if match
    ]
