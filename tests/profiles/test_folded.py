"""Folded stacks: what is a count, a comment, a frame; encodings; bad input."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.limited import limited, needs_limits
from tests.profiles.samples import needs_samples, sample
from tests.profiles.stacks import stacks_of
from workbench.errors import ReadError
from workbench.profiles import memory
from workbench.profiles.memory import MIB
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.folded import lines
from workbench.profiles.readers.folded import reader as folded
from workbench.profiles.source import Source
from workbench.profiles.tree import MAX_DEPTH

PUBLIC = {
    "inferno__bad-lines.txt": 607,
    "inferno__grey-frames.txt": 333,
    "inferno__rust-dcpu-all.txt": 6_850_637,
    "inferno__tricky-stack.txt": 3,
    "inferno__vertx-unsorted.txt": 286,
    "pprofutils__folded.in.txt": 12,
    "speedscope__alternating.txt": 182,
    "speedscope__recursion.txt": 10,
    "speedscope__simple.txt": 14,
    "speedscope__simple-with-invalids.txt": 14,
    "speedscope__tall.txt": 1,
    "gprof2dot__keywords.collapse": 65,
}


def read(text: str | bytes) -> Profile:
    return read_profile(text.encode() if isinstance(text, str) else text, format="folded")


def notes_of(profile: Profile) -> str:
    return "\n".join(map(str, profile.notes))


@needs_samples
@pytest.mark.parametrize(("name", "total"), PUBLIC.items())
def test_public_files_are_recognised_and_sum_to_their_counts(name: str, total: int) -> None:
    profile = read_profile(sample(f"folded/{name}"))
    assert profile.format == "folded"
    assert profile.total() == total


@needs_samples
@pytest.mark.parametrize("twin", ["crlf", "utf16-be", "utf16-le", "with-invalids"])
def test_encodings_do_not_change_the_stacks(twin: str) -> None:
    plain = stacks_of(read_profile(sample("folded/speedscope__simple.txt")))
    assert stacks_of(read_profile(sample(f"folded/speedscope__simple-{twin}.txt"))) == plain
    assert plain == {("a", "b", "c"): 5, ("a", "b", "d"): 4, ("a", "b"): 5}


@needs_samples
def test_the_twin_in_pprof_is_equal() -> None:
    pytest.importorskip("workbench.profiles.readers.pprof.reader")
    twin = read_profile(sample("pprof/pprofutils__folded.in.pprof"))
    ours = read_profile(sample("folded/pprofutils__folded.in.txt"))
    assert stacks_of(twin) == stacks_of(ours)


@needs_samples
def test_two_counts_are_before_and_after() -> None:
    profile = read_profile(sample("folded/inferno__diff-2col.txt"))
    assert profile.metric_names == ("before", "after")
    assert (profile.total("before"), profile.total("after"), profile.default_metric) == (333, 513, "after")


@needs_samples
def test_fractions_are_kept() -> None:
    profile = read_profile(sample("folded/inferno__fractional.txt"))
    assert profile.total() == pytest.approx(334.618)
    assert stacks_of(profile)["noploop", "main"] == 274.321


def test_a_number_at_the_end_of_some_stacks_belongs_to_the_name() -> None:
    profile = read("main;worker 1 5\nmain;idle 2\n")
    assert stacks_of(profile) == {("main", "worker 1"): 5, ("main", "idle"): 2}
    assert profile.metric_names == ("samples",)


def test_array_types_are_not_split() -> None:
    profile = read("main;<[u8; 32] as Hash>::hash;core::fill::<[[u8; 4]; 16]> 3\nmain;a;b 1\n")
    assert stacks_of(profile) == {
        ("main", "<[u8; 32] as Hash>::hash", "core::fill::<[[u8; 4]; 16]>"): 3,
        ("main", "a", "b"): 1,
    }


def test_lines_without_a_count_are_ignored_and_noted() -> None:
    profile = read("a;b 3\nnot a stack\n# comment 7\n\na;c x1\n")
    assert profile.total() == 3
    assert "line without a count, ignored, 2 times, first at <bytes>:2" in notes_of(profile)
    assert profile.meta["comments"] == "# comment 7"


def test_python_lines_of_py_spy_are_one_function() -> None:
    profile = read("main (app.py:3);fit (lib/als.py:10) 2\nmain (app.py:3);fit (lib/als.py:12) 5\n")
    fit = profile.functions.set_index("function").loc["fit"]
    assert (fit["file"], fit["self_samples"]) == ("lib/als.py", 7)
    assert sorted(profile.frames["line"]) == [3, 10, 12]


def test_negative_and_signed_counts_are_read() -> None:
    assert stacks_of(read("a;b -3\na;c +4\n")) == {("a", "b"): -3, ("a", "c"): 4}


def test_the_metric_can_be_named() -> None:
    profile = read_profile(b"a;b 3\n", format="folded", metric="alloc", unit="bytes")
    assert (profile.metrics[0].name, profile.metrics[0].unit, profile.total("alloc")) == ("alloc", "bytes", 3)


def test_bytes_that_are_not_text_are_noted() -> None:
    profile = read(b"a;b\xff 3\nc 1\n")
    assert stacks_of(profile) == {("a", "b\\xff"): 3, ("c",): 1}
    assert "not UTF-8" in notes_of(profile)
    assert "byte 3" in notes_of(profile)


def test_frames_without_a_name_are_noted() -> None:
    profile = read("a;;b 3\n")
    assert profile.frames["function"].tolist() == ["a", "(no name)", "b"]
    assert "frame without a name, at <bytes>:1" in notes_of(profile)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "a;b", "main;c d", "é;f"]), st.integers(1, 9999)), min_size=1), st.data()
)
def test_a_file_cut_at_any_byte_keeps_its_whole_lines(lines: list[tuple[str, int]], data: st.DataObject) -> None:
    whole = "".join(f"{stack} {count}\n" for stack, count in lines).encode()
    cut = data.draw(st.integers(whole.index(b"\n") + 1, len(whole)))
    profile = read_profile(whole[:cut], format="folded")
    full = whole[:cut].count(b"\n")
    known = sum(count for _, count in lines[:full])
    said = {note.what for note in profile.notes}
    if profile.total() == known:
        assert whole[:cut].endswith(b"\n") or said
    else:
        assert known < profile.total() <= known + lines[full][1]
        assert any("has no end" in what for what in said)


def test_runaway_recursion_is_cut_at_the_leaf() -> None:
    profile = read("f;" * (MAX_DEPTH + 5) + "leaf 7\nf 1\n")
    assert profile.nodes["depth"].max() == MAX_DEPTH - 1
    assert profile.total() == 8
    assert "weight 7 samples" in notes_of(profile)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a;b\nc;d\n", "<bytes>:1: no line ends in a count"),
        ("\n \n", "no line with a stack"),
        ("a 1\na;b 9223372036854775808\n", "<bytes>:2: the count is more than 64 bits can hold"),
        (f"a {'9' * 400}\n", "<bytes>:1"),
        (f"a {'9' * 400}.5\n", "<bytes>:1"),
        ("a 9223372036854775807\nb 9223372036854775807\n", "add up to more than 64 bits"),
    ],
)
def test_bad_files_are_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"hello\nworld\n",
        b"\x00\x01 5\n",
        b"{}",
        b"one line of prose that ends in words\nand another\n",
        b"\xff\xfe\x00\x01",
    ],
)
def test_other_text_is_not_taken_for_stacks(text: bytes) -> None:
    assert folded.recognise(Source(text, "x")) is None


def test_one_line_longer_than_the_head_is_recognised() -> None:
    line = b"a;" * 60_000 + b"leaf 3"
    assert folded.recognise(Source(line, "x")) is not None
    assert folded.recognise(Source(b"a;" * 60_000 + b"leaf\n" + line, "x")) is None


@needs_limits
def test_a_small_file_that_unpacks_to_many_equal_lines_is_read(tmp_path: Path) -> None:
    path = tmp_path / "same.gz"
    path.write_bytes(gzip.compress(b"a;b 1\n" * 10_000_000, 1))
    assert limited(f"read_profile({str(path)!r}).total()", memory_bytes=1536 * MIB) == "10000000"


def test_what_would_not_fit_is_refused_before_it_is_made() -> None:
    """Distinct names take more than the eighth of the memory that the file's size is held against."""
    data = b"".join(b"%x 1\n" % name for name in range(20_000))
    assert len(read(data).nodes) == 20_000
    with mock.patch.object(memory, "free_bytes", return_value=5 * MIB), pytest.raises(ReadError) as caught:
        read(data)
    assert "the profile would take about 9 MiB of memory, but only 5 are free" in str(caught.value)


LINE = st.sampled_from(
    ["a;b 1", "a;b 2", "a;c 1.5", "a 1 2", "b;a 3 4", "", "# x", "no count", "a;;b 1", "größe;b 7", "x;[u8; 4] 1", " "]
)


@settings(deadline=None)
@given(st.lists(LINE, max_size=30), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_how_the_file_is_cut_into_chunks_does_not_matter(texts: list[str], end: str, encoding: str) -> None:
    data = end.join(texts).encode(encoding)
    assert read_in_chunks(data, 7) == read_in_chunks(data, 2**20)


def read_in_chunks(data: bytes, chunk_bytes: int) -> object:
    with mock.patch.object(lines, "CHUNK_BYTES", chunk_bytes):
        try:
            profile = read(data)
        except ReadError as error:
            return str(error)
    found = [stacks_of(profile, name) for name in profile.metric_names]
    return list(found[0]), found, sorted(map(str, profile.notes)), profile.meta["stacks"]


NAME = st.text(
    st.characters(codec="utf-8", exclude_characters=";\n\r\x1f", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]),
    min_size=1,
)
STACKS = st.lists(st.tuples(st.lists(NAME, min_size=1, max_size=6), st.integers(1, 10**12)), min_size=1, max_size=30)


@given(STACKS)
def test_every_stack_keeps_its_count(stacks: list[tuple[list[str], int]]) -> None:
    wanted: Counter[tuple[str, ...]] = Counter()
    for frames, count in stacks:
        wanted[tuple(frames)] += count
    text = "".join(f"{';'.join(frames)} {count}\n" for frames, count in stacks)
    assert stacks_of(read(text)) == wanted
