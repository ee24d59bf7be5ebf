"""Call graphs against the call trees they came from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.profiles import call_tree
from workbench.profiles.columns import FUNCTION_COLUMNS
from workbench.profiles.cycles import components
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_graph, from_stacks
from workbench.profiles.notes import Note
from workbench.profiles.table import Deferred
from workbench.profiles.tree import preorder

METRICS = (Metric("Ir"), Metric("Dr"))
NAMES = [metric.name for metric in METRICS]


def graph_of(tree: Profile) -> Profile:
    """What a profiler that only counts calls would have kept of this tree."""
    functions = tree.functions.drop(columns=["total_Ir", "total_Dr", "cycle"])
    return from_graph("callgrind", "test", metrics=METRICS, functions=functions, edges=tree.edges)


def by_hand(own: list[int], calls: list[tuple[int, int, int]]) -> Profile:
    """A graph of one metric: self cost of each function, and calls as caller, callee, cost."""
    functions = frame_table([f"f{i}" for i in range(len(own))]).frame()[list(FUNCTION_COLUMNS)]
    functions["calls"] = pd.array([pd.NA] * len(own), dtype="Int64")
    functions["self_Ir"] = np.asarray(own, dtype=np.int64)
    edges = pd.DataFrame(calls, columns=["caller_id", "callee_id", "cost_Ir"], dtype=np.int64)
    edges["calls"] = pd.array([1] * len(edges), dtype="Int64")
    return from_graph("callgrind", "test", metrics=METRICS[:1], functions=functions, edges=edges)


@st.composite
def trees(draw: st.DrawFn, *, repeat: bool = True) -> Profile:
    """A call tree with costs; a function can be called from several places only with ``repeat``."""
    size = draw(st.integers(1, 40))
    shape = draw(st.lists(st.integers(-1, size), min_size=size, max_size=size))
    parent = np.asarray([min(up, position - 1) for position, up in enumerate(shape)], dtype=np.int64)
    costs = draw(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 5)), min_size=size, max_size=size))
    label = draw(st.lists(st.integers(0, 12), min_size=size, max_size=size)) if repeat else list(range(size))
    order, parent = preorder(parent)
    codes, names = pd.factorize(np.asarray(label)[order])
    return from_stacks(
        "folded",
        "test",
        metrics=METRICS,
        frames=frame_table([f"f{name}" for name in names]),
        parent=parent,
        frame=codes.astype(np.int64),
        self_costs=np.asarray(costs, dtype=np.int64).reshape(size, 2)[order],
    )


@settings(deadline=None, max_examples=60)
@given(trees())
def test_totals_and_tree_of_any_graph_reconcile(tree: Profile) -> None:
    profile = graph_of(tree)
    nodes, functions = profile.nodes, profile.functions
    roots = nodes[nodes["parent_id"] < 0]
    for name in NAMES:
        whole = functions[f"self_{name}"].sum()
        assert roots[f"total_{name}"].sum() == whole
        assert nodes[f"self_{name}"].sum() == whole
        assert (nodes[f"self_{name}"] >= 0).all()
        assert (nodes[f"total_{name}"] <= whole).all()
        assert (functions[f"total_{name}"] <= whole).all()
        assert (functions[f"total_{name}"] >= functions[f"self_{name}"]).all()
    inner = nodes[nodes["parent_id"] >= 0]
    assert (inner["depth"].to_numpy() == nodes["depth"].to_numpy()[inner["parent_id"]] + 1).all()
    assert (inner["parent_id"] < inner.index).all()


@settings(deadline=None, max_examples=60)
@given(trees())
def test_totals_without_cycles_are_those_of_the_tree(tree: Profile) -> None:
    functions = graph_of(tree).functions
    plain = functions["cycle"].to_numpy() < 0
    for name in NAMES:
        assert (functions[f"total_{name}"][plain] == tree.functions[f"total_{name}"][plain]).all()
        # all members of a cycle have the cycle's total, which is at least that of any of them
        for _, members in functions[~plain].groupby("cycle"):
            assert members[f"total_{name}"].nunique() == 1
            assert (members[f"total_{name}"] >= tree.functions[f"total_{name}"][members.index]).all()
            assert len(members) > 1


@settings(deadline=None, max_examples=60)
@given(trees(repeat=False))
def test_with_one_caller_each_the_tree_is_the_true_one(tree: Profile) -> None:
    nodes, truth = graph_of(tree).nodes, tree.nodes
    share = pd.concat([truth[f"total_{name}"] / max(truth[f"self_{name}"].sum(), 1) for name in NAMES], axis=1)
    shown = truth[share.max(axis=1) >= call_tree.CUT_SHARE]
    assert nodes["exact"].all()
    columns = ["total_Ir", "total_Dr"]
    assert nodes.set_index("frame_id")[columns].sort_index().equals(shown.set_index("frame_id")[columns].sort_index())
    function_above = nodes["frame_id"].to_numpy()[nodes["parent_id"]]
    true_above = dict(zip(truth["frame_id"], truth["frame_id"].to_numpy()[truth["parent_id"]], strict=True))
    inner = nodes["parent_id"].to_numpy() >= 0
    assert all(true_above[f] == up for f, up in zip(nodes["frame_id"][inner], function_above[inner], strict=True))


@settings(deadline=None, max_examples=20)
@given(trees())
def test_a_tree_is_built_the_same_way_every_time(tree: Profile) -> None:
    assert graph_of(tree).nodes.equals(graph_of(tree).nodes)


def test_a_total_is_at_least_what_calls_to_the_function_cost() -> None:
    # half of what f (1) did was not recorded; g (2) and h (3) are a cycle of which nothing was
    profile = by_hand([1, 20, 0, 0], [(0, 1, 40), (0, 2, 7), (0, 3, 2), (2, 3, 5), (3, 2, 1)])
    assert profile.functions["total_Ir"].tolist() == [50, 40, 9, 9]
    # costs below 0 bound nothing
    assert by_hand([-5, 1], [(0, 1, 4)]).functions["total_Ir"].tolist() == [-1, 1]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=150))
def test_components_are_functions_that_reach_each_other_and_callers_have_higher_numbers(
    count: int, calls: list[tuple[int, int]]
) -> None:
    pairs = np.asarray(calls, dtype=np.int64).reshape(-1, 2) % count
    component = components(count, pairs[:, 0], pairs[:, 1])
    reach = np.eye(count, dtype=bool)
    reach[pairs[:, 0], pairs[:, 1]] = True
    for between in range(count):
        reach |= reach[:, [between]] & reach[[between]]
    assert ((component[:, None] == component) == (reach & reach.T)).all()
    assert (component[pairs[:, 0]] >= component[pairs[:, 1]]).all()
    assert set(component) == set(range(len(set(component))))


def test_a_shared_callee_is_split_by_the_cost_of_its_calls_and_says_so() -> None:
    # main calls a and b; both call shared, which calls leaf
    profile = by_hand([0, 10, 20, 40, 80], [(0, 1, 40), (0, 2, 110), (1, 3, 30), (2, 3, 90), (3, 4, 80)])
    nodes = profile.nodes
    assert nodes["frame_id"].tolist() == [0, 1, 3, 4, 2, 3, 4]
    assert nodes["total_Ir"].tolist() == [150, 40, 30, 20, 110, 90, 60]
    assert nodes["self_Ir"].tolist() == [0, 10, 10, 20, 20, 30, 60]
    assert nodes["exact"].tolist() == [True, True, False, False, True, False, False]
    (note,) = profile.tree_notes()
    assert note.count == 4
    assert note.weight == 120


def test_a_leaf_with_several_callers_is_exact() -> None:
    profile = by_hand([0, 10, 20, 40], [(0, 1, 20), (0, 2, 50), (1, 3, 10), (2, 3, 30)])
    assert profile.nodes["exact"].all()
    assert profile.tree_notes() == ()


def test_a_thread_is_a_root_of_its_own() -> None:
    # clone costs its caller 72, and the thread it starts runs below it
    profile = by_hand([28, 72, 1000], [(0, 1, 72), (1, 2, 1000)])
    roots = profile.nodes[profile.nodes["parent_id"] < 0]
    assert roots["frame_id"].tolist() == [1, 0]
    assert roots["total_Ir"].tolist() == [1000, 100]


def test_calls_to_itself_are_not_counted_twice() -> None:
    profile = by_hand([100, 4480], [(0, 1, 4480), (1, 1, 16536)])
    assert profile.functions["total_Ir"].tolist() == [4580, 4480]
    assert profile.functions["cycle"].tolist() == [-1, -1]
    assert profile.nodes["total_Ir"].tolist() == [4580, 4480]


def test_a_cycle_is_entered_once_and_shares_its_total() -> None:
    # main -> even <-> odd -> leaf; the calls inside the cycle repeat the cost at every level
    profile = by_hand([1, 50, 50, 100], [(0, 1, 200), (1, 2, 624), (2, 1, 600), (2, 3, 100)])
    assert profile.functions["total_Ir"].tolist() == [201, 200, 200, 100]
    assert profile.functions["cycle"].tolist() == [-1, 0, 0, -1]
    nodes = profile.nodes
    assert nodes["frame_id"].tolist() == [0, 1, 2, 3]
    assert nodes["total_Ir"].tolist() == [201, 200, 150, 100]
    assert "cycle" in " ".join(map(str, profile.tree_notes()))


def test_a_cycle_nobody_calls_is_still_in_the_tree() -> None:
    profile = by_hand([5, 7], [(0, 1, 100), (1, 0, 90)])
    assert profile.nodes["total_Ir"].tolist() == [12, 7]


def test_callers_that_claim_too_much_are_scaled_down() -> None:
    profile = by_hand([0, 10], [(0, 1, 40)])
    assert profile.nodes["total_Ir"].tolist() == [10, 10]
    assert not profile.nodes["exact"].iloc[1]
    claims = [note for note in profile.tree_notes() if "scaled down" in note.what]
    assert [(note.count, note.weight) for note in claims] == [(1, 30)]


def test_light_calls_stay_with_their_caller() -> None:
    profile = by_hand([1_000_000, 1, 1], [(0, 1, 1), (0, 2, 1)])
    assert profile.nodes["self_Ir"].tolist() == [1_000_002]
    (note,) = profile.tree_notes()
    assert (note.count, note.weight) == (2, 2)


def test_the_tree_keeps_what_functions_cost_by_themselves_but_for_very_light_calls() -> None:
    # a flat program: each of 200 functions has half a thousandth, and calls a helper that has a hundred-thousandth
    size, heavy, light = 200, 4_975, 25
    calls = [(0, 1 + i, heavy + light) for i in range(size)] + [(1 + i, 1 + size + i, light) for i in range(size)]
    profile = by_hand([0] + [heavy] * size + [light] * size, calls)
    own = profile.nodes.groupby("frame_id")["self_Ir"].sum()
    assert own.tolist() == profile.functions["self_Ir"].tolist()
    assert profile.tree_notes() == ()


def test_costs_that_rounding_moves_are_said() -> None:
    # shared calls two others, and thirds of them are no whole numbers
    profile = by_hand([0, 0, 0, 0, 0, 10], [(0, 1, 5), (0, 2, 5), (1, 3, 5), (2, 3, 5), (3, 4, 10), (4, 5, 10)])
    assert profile.nodes.groupby("frame_id")["self_Ir"].sum().tolist() == [0, 0, 0, 0, 0, 10]
    calls = [(0, up, 1) for up in (1, 2, 3)] + [(up, 4, 1) for up in (1, 2, 3)] + [(4, 5, 1), (4, 6, 1), (4, 7, 1)]
    profile = by_hand([0, 0, 0, 0, 0, 1, 1, 1], calls)
    assert profile.nodes.groupby("frame_id")["self_Ir"].sum()[4] == 3
    rounded = [note for note in profile.tree_notes() if "rounded" in note.what]
    assert [(note.count, note.weight) for note in rounded] == [(1, 3)]


@pytest.mark.slow
def test_a_long_chain_needs_no_stack() -> None:
    size = 30_000
    profile = by_hand([1] * size, [(i, i + 1, size - 1 - i) for i in range(size - 1)])
    assert profile.functions["total_Ir"].tolist() == list(range(size, 0, -1))
    assert profile.nodes["depth"].max() == 9_999
    assert profile.nodes["total_Ir"].iloc[0] == size


def test_the_number_of_nodes_is_bounded() -> None:
    # 14 layers of two functions, each calling both of the next: 2**14 paths, and twice as many nodes
    width, layers = 2, 16
    cost = [width ** (layers - layer) * 1000 for layer in range(layers + 1)]
    calls, size = [], 1
    above = [0]
    for _ in range(layers):
        here = list(range(size, size + width))
        calls += [(up, down, cost[0] // (width * len(above))) for up in above for down in here]
        above, size = here, size + width
    own = [0] * (size - width) + [cost[0] // width] * width
    profile = by_hand(own, calls)
    assert profile.nodes["total_Ir"].iloc[0] == cost[0]
    assert 1000 < len(profile.nodes) <= call_tree.MAX_NODES
    assert any("too small" in note.what for note in profile.tree_notes())


@pytest.mark.parametrize("size", [2, 300])
def test_one_cycle_of_all(size: int) -> None:
    profile = by_hand([10] * size, [(i, (i + 1) % size, 1000) for i in range(size)])
    assert profile.functions["total_Ir"].tolist() == [10 * size] * size
    assert profile.nodes["total_Ir"].tolist() == list(range(10 * size, 0, -10))


def test_floats_reconcile() -> None:
    profile = by_hand([1, 2, 3], [(0, 1, 4), (0, 2, 1), (1, 2, 2)])
    functions = profile.functions.drop(columns=["total_Ir", "cycle"]).astype({"self_Ir": float})
    edges = profile.edges.astype({"cost_Ir": float})
    seconds = from_graph("pstats", "test", metrics=METRICS[:1], functions=functions, edges=edges)
    assert seconds.nodes["total_Ir"].tolist() == [6.0, 4.0, 2.0, 1.0]


def test_a_deferred_table_of_lines_is_made_once_and_only_when_asked_for() -> None:
    made: list[int] = []

    def make() -> pd.DataFrame:
        made.append(1)
        return pd.DataFrame({"function_id": [0], "file": ["a.c"], "line": [3], "self_Ir": [7], "called_Ir": [0]})

    plain = by_hand([7], [])
    profile = from_graph(
        "callgrind",
        "made",
        metrics=plain.metrics,
        functions=plain.functions,
        edges=plain.edges,
        lines=Deferred(make),
    )
    noted = profile.with_notes(Note("odd")).with_meta(by="hand")
    assert (noted.meta, len(noted.notes), len(profile.notes), made) == ({"by": "hand"}, 1, 0, [])
    assert noted.lines is profile.lines
    assert noted.but(name="other").lines["line"].tolist() == [3]
    assert made == [1]
