"""The compiled loops over massif's heap trees beside those in numpy, which say what is right; and what is known of a
profile before its tree is grown beside the grown tree."""

from __future__ import annotations

import os
import random
import re
from array import array
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.damage import damaged
from tests.fuzz.seeds import seeds
from tests.profiles.samples import SAMPLES
from tests.profiles.test_massif import SMALL
from tests.profiles.test_massif_lines import PARTS, RIGHT
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.massif import kernel, places, plain
from workbench.profiles.readers.massif.text import Texts
from workbench.profiles.tree import functions_of
from workbench.profiles.views.top import top_table

needs_kernel = pytest.mark.skipif(kernel._kernel is None, reason="installed without a C compiler")
EXAMPLE = Path(__file__).parents[2] / "data" / "profiles" / "demo-massif.out"
TEXTS = 5
# few texts and little room, so that whatever there is comes again
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, TEXTS - 1), st.integers(0, 9) | st.just(2**62)), min_size=1, max_size=25
)
FACTS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2**64 - 1]), st.sampled_from([0, 0, 3]), st.booleans(), st.booleans()),
    min_size=TEXTS,
    max_size=TEXTS,
)


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="only continuous integration must have a compiler")
def test_continuous_integration_reads_with_the_compiled_loops() -> None:
    assert kernel._kernel is not None


@needs_kernel
@settings(max_examples=200, deadline=None)
@given(st.lists(RIGHT | st.tuples(*PARTS).map(b"".join), max_size=6), st.booleans(), st.integers(0, 3))
def test_both_read_the_same_lines(lines: list[bytes], ended: bool, start: int) -> None:
    data = b"abc"[:start] + b"\n".join(lines) + (b"\n" if ended and lines else b"")
    found = kernel.kernel().lines(data, start, len(data))
    assert found == plain.lines(data, start, len(data))
    if found is not None:
        ours, theirs = Texts(), Texts()
        arguments = (data, found[3], found[4])
        assert kernel.kernel().numbers(*arguments, ours) == plain.numbers(*arguments, theirs)
        assert list(ours.items()) == list(theirs.items())


def columns_of(steps: list[tuple[int, int, int]]) -> tuple[bytes, ...]:
    """A tree in preorder: each step hangs a node, of a text and bytes, so many levels above the one before."""
    parents, depths, path = [-1], [0], [0]
    for row, (up, _, _) in enumerate(steps[1:], 1):
        del path[max(len(path) - up, 1) :]
        parents.append(path[-1])
        depths.append(len(path))
        path.append(row)
    held, text = [step[2] for step in steps], [step[1] for step in steps]
    return tuple(np.array(column, dtype=np.int64).tobytes() for column in (parents, depths, held, text))


@needs_kernel
@settings(max_examples=200, deadline=None)
@given(STEPS, FACTS, st.lists(st.integers(0, 5), min_size=3 * TEXTS, max_size=3 * TEXTS))
def test_both_judge_and_sum_a_tree_alike(
    steps: list[tuple[int, int, int]], facts: list[tuple[int, int, bool, bool]], functions: list[int]
) -> None:
    columns = columns_of(steps)
    address, small = array("Q", [fact[0] for fact in facts]), array("q", [fact[1] for fact in facts])
    known, unnamed = (bytes([fact[which] for fact in facts]) for which in (2, 3))
    seen = [bytearray([1, 0] * 2 * TEXTS) for _ in range(2)]
    stamp = bytearray(8 * TEXTS + 8)
    # an earlier tree leaves stamps behind
    kernel.kernel().judge(*columns, address, small, known, unnamed, bytearray(4 * TEXTS), stamp)
    ours, theirs = (
        one.judge(*columns, address, small, known, unnamed, was, stamp)
        for one, was in zip((kernel.kernel(), plain), seen, strict=True)
    )
    large = any(high or low >= 2**63 for high, low in (theirs[5][1:], theirs[6]))
    # the file is refused where sums leave 64 bits: then only these count
    assert ours[5:6] == theirs[5:6]
    if not large:
        assert ours == theirs
        assert seen[0] == seen[1]
        arguments = (*columns, theirs[0], small, array("q", functions), 6)
        assert kernel.kernel().held_by(*arguments) == plain.held_by(*arguments)


@needs_kernel
@pytest.mark.parametrize("which", range(10))
@pytest.mark.parametrize("wrong", [-2, 0, 99])
def test_columns_that_do_not_fit_are_refused(which: int, wrong: int) -> None:
    columns = [*columns_of([(0, 0, 3), (0, 1, 3), (0, 2, 3)])]
    texts = [array("Q", [0] * TEXTS), array("q", [0] * TEXTS), bytes(TEXTS), bytes(TEXTS), bytearray(4 * TEXTS)]
    texts.append(bytearray(8 * TEXTS + 8))
    if which in (0, 3) and wrong:
        columns[which] = np.array([wrong, wrong, wrong], dtype=np.int64).tobytes()
    elif which < 4:
        columns[which] = columns[which][:8]
    else:
        texts[which - 4] = texts[which - 4][:1]
    with pytest.raises(ValueError, match="do not fit"):
        kernel.kernel().judge(*columns, *texts)


@needs_kernel
def test_texts_beyond_the_data_and_functions_that_are_not_there_are_refused() -> None:
    far = np.array([2**40], dtype=np.int64).tobytes()
    with pytest.raises(ValueError, match="beyond the data"):
        kernel.kernel().numbers(b"abc", far, far, Texts())
    with pytest.raises(ValueError, match="beyond the data"):
        kernel.kernel().lines(b"abc", 0, 4)
    columns = columns_of([(0, 0, 3), (0, 1, 3)])
    with pytest.raises(ValueError, match="do not fit"):
        kernel.kernel().held_by(*columns, bytes(2), array("q", [0] * 2), array("q", [-1] * 6), 1)


NAMES = st.lists(
    st.sampled_from(["main", " ", " (", "(", ")", ":", "in ", "/x", "a.c", "12", "???", "\u00e9", "\n"]), max_size=9
)


@settings(max_examples=200, deadline=None)
@given(
    NAMES.map("".join),
    st.sampled_from(["0x4A: ", "0x0: ", "0xg: ", ""]),
    st.sampled_from(["", " (a.c:12)", " (in /x)"]),
)
def test_the_usual_place_is_what_any_place_is(name: str, address: str, where: str) -> None:
    text = f"{address}{name}{where}"
    with mock.patch.object(places, "_USUAL", re.compile("(?!)")):
        expected = places.place_of(text)
    assert places.place_of(text) == expected


def said(data: bytes) -> list[Any]:
    """All that is read of a file: notes, meta, every table with its types; what is said where it is refused."""
    try:
        profile = read_profile(data, format="massif")
    except ReadError as error:
        return [str(error)]
    frames = [profile.functions, profile.frames, profile.nodes, profile.edges, *profile.tables.values()]
    tables = [(frame.dtypes.tolist(), frame.astype(str).values.tolist()) for frame in frames]
    return [profile.notes, profile.meta, profile.total(), *tables]


def same(data: bytes) -> None:
    compiled = said(data)
    with mock.patch.object(kernel, "_kernel", None):
        assert said(data) == compiled


@needs_kernel
def test_damaged_files_are_read_alike() -> None:
    chance, starts = random.Random(11), seeds("massif")
    for _ in range(80):
        same(damaged(starts, chance, "massif"))


@needs_kernel
@pytest.mark.slow
def test_a_file_cut_off_at_any_byte_is_read_alike() -> None:
    data = SMALL.encode()
    for at in range(1, len(data), 11):
        same(data[:at])


def samples() -> list[Path]:
    """Our example and, where they are, those of the corpus and beside it."""
    found = [EXAMPLE]
    if SAMPLES is not None:
        found += (path for path in (SAMPLES / "massif").iterdir() if b"\ntime_unit:" in path.read_bytes()[:4096])
        found += (path for folder in ("reported", "real") for path in (SAMPLES.parent / folder).glob("*massif*"))
    return sorted(found)


def grown_functions(profile: Profile) -> list[Any]:
    arrays = profile.arrays
    table = functions_of(arrays.nodes, arrays.frames, profile.metric_names)
    return [table.values(name) for name in table]


@needs_kernel
@pytest.mark.slow
@pytest.mark.parametrize("path", samples(), ids=lambda path: path.name)
def test_every_sample_is_read_alike_and_as_its_grown_tree_says(path: Path) -> None:
    same(path.read_bytes())
    profile = read_profile(path, format="massif")
    functions = [profile.arrays.functions.values(name) for name in profile.arrays.functions]
    assert functions == grown_functions(profile)
    assert profile.total() == sum(profile.arrays.nodes.values(f"self_{profile.default_metric}"))
    listed = top_table(profile, None, None)
    as_arrays = top_table(profile.but(_functions=profile.functions.copy()), None, None)
    assert [listed.values(name) for name in listed] == [as_arrays.values(name) for name in as_arrays]
