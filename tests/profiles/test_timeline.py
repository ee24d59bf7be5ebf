"""The table of what ran when, against the plainest way to make it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.profiles.timeline import TIMELINE_COLUMNS, Moments, timeline
from workbench.profiles.tree import depths, grow

moments = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.lists(st.integers(0, 2), max_size=4).map(tuple)), max_size=15
)


def plainly(rows: list[tuple[int, int, tuple[int, ...]]]) -> list[tuple[str, int, int, int, int]]:
    """Spans by going through the samples of each thread one after another."""
    spans = []
    for thread in sorted({row[0] for row in rows}):
        own = sorted((row for row in rows if row[0] == thread), key=lambda row: row[1])
        times = [row[1] for row in own]
        times.append(times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0))
        opened: list[tuple[int, int]] = []
        for number, (_, start, stack) in enumerate([*own, (thread, times[-1], ())]):
            same = 0
            while same < min(len(opened), len(stack)) and opened[same][0] == stack[same]:
                same += 1
            while len(opened) > same:
                frame, began = opened.pop()
                spans.append((f"t{thread}", began, times[number], len(opened), frame))
            opened += [(frame, start) for frame in stack[same:]]
    return sorted(spans)


@given(moments)
def test_spans_are_those_of_the_samples(rows: list[tuple[int, int, tuple[int, ...]]]) -> None:
    offsets = np.cumsum([0, *(len(stack) for _, _, stack in rows)])
    tree = grow(offsets, np.asarray([frame for _, _, stack in rows for frame in stack], dtype=np.int64))
    of = Moments(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        tree.node_of,
    )
    table = timeline(of, ["t0", "t1", "t2"], tree.parent, tree.frame, depths(tree.parent))
    assert tuple(table) == TIMELINE_COLUMNS
    found = list(zip(*(table[name].tolist() for name in TIMELINE_COLUMNS), strict=True))
    assert sorted(found) == plainly(rows)
    assert found == sorted(found, key=lambda row: (row[0], row[1], row[3]))
