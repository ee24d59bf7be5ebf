"""Small profiles for the tests: of stacks as text, of random trees, and their plain-Python truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks
from workbench.profiles.tree import add_at, grow

Stack = tuple[str, ...]
Stacks = list[tuple[Stack, int]]

stacks: st.SearchStrategy[Stacks] = st.lists(
    st.tuples(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(tuple), st.integers(1, 100)), max_size=12
)


def profile_of(rows: Sequence[tuple[Stack, int]], *, crates: bool = False) -> Profile:
    """A profile of stacks with one metric ``cost``; file and object of a function follow from its name."""
    names = sorted({name for stack, _ in rows for name in stack})
    number = {name: position for position, name in enumerate(names)}
    frames = frame_table(
        [f"crate_{name}::{name}" for name in names] if crates else names,
        file=[f"{name}.rs" for name in names],
        line=[position + 1 for position in range(len(names))],
        object=[f"lib{'even' if ord(name[0]) % 2 else 'odd'}" for name in names],
    )
    offsets = np.cumsum([0, *(len(stack) for stack, _ in rows)])
    tree = grow(offsets, np.asarray([number[name] for stack, _ in rows for name in stack], dtype=np.int64))
    costs = np.asarray([[cost] for _, cost in rows], dtype=np.int64).reshape(len(rows), 1)
    own = add_at(len(tree.parent), tree.node_of, costs)
    return from_stacks(
        "folded",
        "made",
        metrics=[Metric("cost")],
        frames=frames,
        parent=tree.parent,
        frame=tree.frame,
        self_costs=own,
    )


def stacks_of(profile: Profile, metric: str = "cost") -> Counter[Stack]:
    """The stacks of a profile with their self costs, zeros left out."""
    names = profile.frames["function"].tolist()
    paths: list[Stack] = []
    found: Counter[Stack] = Counter()
    for parent, frame, cost in zip(
        profile.nodes["parent_id"], profile.nodes["frame_id"], profile.nodes[f"self_{metric}"], strict=True
    ):
        paths.append((*(paths[parent] if parent >= 0 else ()), names[frame]))
        found[paths[-1]] += cost
    assert len(set(paths)) == len(paths), "two siblings with one frame"
    return Counter({stack: cost for stack, cost in found.items() if cost})


def summed(rows: Sequence[tuple[Stack, int]]) -> Counter[Stack]:
    """The same stacks summed by plain Python."""
    found: Counter[Stack] = Counter()
    for stack, cost in rows:
        found[tuple(stack)] += cost
    return found
