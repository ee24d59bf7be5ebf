"""Functions summed from stacks as they were recorded, against those summed from their tree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench.profiles.stacks
from tests.profiles.pprof_encoding import Call, Sample, encode
from workbench.profiles.columns import self_, total_
from workbench.profiles.frames import frame_table
from workbench.profiles.read import read_profile
from workbench.profiles.stacks import Stacks
from workbench.profiles.table import Table, plain
from workbench.profiles.tree import functions_of

NAMES = ("space", "count")
# frames 0 to 5: two lines each of three functions
FRAMES = frame_table(function=["a", "a", "b", "b", "c", "c"], line=[1, 2, 3, 4, 5, 6])


def alike(one: Table, other: Table) -> None:
    assert one.columns == other.columns
    for name in one:
        assert plain(one.column(name)) == plain(other.column(name))


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(-(2**40), 2**40), st.integers(0, 1)),
        min_size=1,
        max_size=12,
    )
)
def test_functions_need_no_tree(rows: list[tuple[list[int], int, int]]) -> None:
    offset = np.cumsum([0, *(len(stack) for stack, _, _ in rows)])
    frame = np.array([frame for stack, _, _ in rows for frame in stack], dtype=np.int32)
    recorded = Stacks(NAMES, offset, frame, np.array([values for _, *values in rows], dtype=np.int64))
    alike(recorded.functions(FRAMES, NAMES), functions_of(recorded.table(), FRAMES, NAMES))


def test_hundreds_of_thousands_of_frames_in_several_batches() -> None:
    chance = np.random.default_rng(1)
    functions = 2000
    frames = frame_table(function=[f"f{number}" for number in range(functions)], line=[1] * functions)
    lengths = chance.integers(1, 120, 12_000)
    frame = chance.integers(0, functions, lengths.sum()).astype(np.int32)
    assert len(frame) > 2 * workbench.profiles.stacks._BATCH
    values = chance.integers(0, 2**50, (len(lengths), 1))
    recorded = Stacks(("space",), np.concatenate(([0], np.cumsum(lengths))), frame, values)
    summed = recorded.functions(frames, ("space",))
    alike(summed, functions_of(recorded.table(), frames, ("space",)))
    assert summed[self_("space")].sum() == values.sum()
    assert (summed[total_("space")] >= summed[self_("space")]).all()


def test_what_a_shell_shows_of_pprof_grows_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.profiles.views.top import top_table
    from workbench.report.profile_text import profile_text

    def grown(self: Stacks) -> Table:
        raise AssertionError("the tree is not needed")

    monkeypatch.setattr(Stacks, "_grown", grown)
    main, serve, keep = ((Call(name, f"{name}.go", 1),) for name in ("main", "serve", "keep"))
    profile = read_profile(
        encode([("space", "bytes")], [Sample((keep, main, serve, main), (7,)), Sample((serve, main), (5,))])
    )
    table = top_table(profile, None, 10)
    assert dict(zip(table["name"], table["total"], strict=True)) == {"keep": 7, "serve": 12, "main": 12}
    assert "12 bytes  space" in profile_text(profile, table)
