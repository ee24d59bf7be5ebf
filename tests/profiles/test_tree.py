"""Trees of stacks against plain Python."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.make import Stacks, profile_of, stacks, stacks_of, summed
from workbench.profiles import tree


def paths(parent: np.ndarray, frame: np.ndarray) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for up, own in zip(parent.tolist(), frame.tolist(), strict=True):
        found.append((*(found[up] if up >= 0 else ()), own))
    return found


def is_preorder(parent: np.ndarray) -> bool:
    open_nodes: list[int] = []
    for node, up in enumerate(parent.tolist()):
        while open_nodes and open_nodes[-1] != up:
            open_nodes.pop()
        if up >= 0 and not open_nodes:
            return False
        open_nodes.append(node)
    return True


flat_stacks = st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=10)


@given(flat_stacks)
def test_each_stack_ends_at_its_node(given_stacks: list[list[int]]) -> None:
    offsets = np.cumsum([0, *(len(stack) for stack in given_stacks)])
    grown = tree.grow(offsets, np.asarray([frame for stack in given_stacks for frame in stack], dtype=np.int64))
    found = paths(grown.parent, grown.frame)
    assert is_preorder(grown.parent)
    assert len(set(found)) == len(found)
    assert [found[node] if node >= 0 else () for node in grown.node_of] == [tuple(stack) for stack in given_stacks]


@given(flat_stacks, st.randoms(use_true_random=False))
def test_nodes_left_out_hand_their_children_up(given_stacks: list[list[int]], chance) -> None:  # type: ignore[no-untyped-def]
    offsets = np.cumsum([0, *(len(stack) for stack in given_stacks)])
    grown = tree.grow(offsets, np.asarray([frame for stack in given_stacks for frame in stack], dtype=np.int64))
    keep = np.asarray([chance.random() < 0.6 for _ in grown.parent], dtype=bool)
    again = tree.regrow(grown.parent, grown.frame, keep)
    found = paths(again.parent, again.frame)
    assert is_preorder(again.parent)
    assert len(set(found)) == len(found)
    for node in range(len(grown.parent)):
        wanted, at = [], node
        while at >= 0:
            if keep[at]:
                wanted.append(int(grown.frame[at]))
            at = int(grown.parent[at])
        assert (found[again.node_of[node]] if again.node_of[node] >= 0 else ()) == tuple(reversed(wanted))


@given(stacks)
def test_sums_count_recursion_once(rows: Stacks) -> None:
    profile = profile_of(rows)
    truth = summed(rows)
    assert stacks_of(profile) == truth
    functions = profile.functions.set_index("function")
    for name in functions.index:
        assert functions.at[name, "self_cost"] == sum(cost for stack, cost in truth.items() if stack[-1] == name)
        assert functions.at[name, "total_cost"] == sum(cost for stack, cost in truth.items() if name in stack)
    names = profile.functions["function"].tolist()
    edges = {
        (names[caller], names[callee]): cost
        for caller, callee, cost in profile.edges[["caller_id", "callee_id", "cost_cost"]].itertuples(index=False)
    }
    wanted: dict[tuple[str, str], int] = {}
    for stack, cost in truth.items():
        for pair in set(pairwise(stack)):
            wanted[pair] = wanted.get(pair, 0) + cost
    assert edges == wanted


@given(stacks)
def test_totals_of_nodes_are_those_of_their_subtrees(rows: Stacks) -> None:
    nodes = profile_of(rows).nodes
    found = paths(nodes["parent_id"].to_numpy(), nodes["frame_id"].to_numpy())
    for node, path in enumerate(found):
        below = [other for other, longer in enumerate(found) if longer[: len(path)] == path]
        assert nodes["total_cost"][node] == nodes["self_cost"][below].sum()
        assert nodes["depth"][node] == len(path) - 1


def test_a_stack_of_ten_thousand_frames() -> None:
    frames = np.zeros(tree.MAX_DEPTH, dtype=np.int64)
    grown = tree.grow(np.asarray([0, len(frames)]), frames)
    assert len(grown.parent) == tree.MAX_DEPTH
    assert tree.outermost(grown.parent, grown.frame).sum() == 1
    assert tree.subtree_sizes(grown.parent)[0] == tree.MAX_DEPTH


@given(st.lists(st.integers(0, 6), max_size=60), st.data())
def test_any_tree_in_any_order_is_summed_measured_and_put_into_preorder(steps: list[int], data: st.DataObject) -> None:
    # most nodes follow the one before, so that there are chains; parents come before their children
    parent = [place - 1 if step else data.draw(st.integers(-1, place - 1)) for place, step in enumerate(steps)]
    ups = np.array(parent, dtype=np.int64)
    own = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=len(parent), max_size=len(parent))), dtype=np.int64)
    sums, sizes, depth = own.tolist(), [1] * len(parent), [0] * len(parent)
    for place in reversed(range(len(parent))):
        if parent[place] >= 0:
            sums[parent[place]] += sums[place]
            sizes[parent[place]] += sizes[place]
    for place, up in enumerate(parent):
        depth[place] = depth[up] + 1 if up >= 0 else 0
    assert tree.subtree_sums(ups, own[:, None])[:, 0].tolist() == sums
    assert tree.subtree_sizes(ups).tolist() == sizes
    assert tree.depths(ups).tolist() == depth

    walked: list[int] = []
    below = [[place for place, up in enumerate(parent) if up == node] for node in range(-1, len(parent))]
    todo = below[0][::-1]
    while todo:
        walked.append(todo.pop())
        todo += below[walked[-1] + 1][::-1]
    order, ordered = tree.preorder(ups)
    assert order.tolist() == walked
    assert [walked[up] if up >= 0 else -1 for up in ordered.tolist()] == [parent[node] for node in walked]
