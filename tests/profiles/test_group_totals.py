"""Totals of groups of a call graph against the stacks that the graph was made from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.make import Stacks, profile_of
from tests.profiles.samples import needs_samples, sample
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_graph
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.combine import merge
from workbench.profiles.transforms.group import group
from workbench.profiles.views.top import top

FUNCTIONS = "abcdefgh"
several = st.lists(
    st.tuples(st.lists(st.sampled_from(FUNCTIONS), min_size=1, max_size=7).map(tuple), st.integers(1, 1000)),
    min_size=1,
    max_size=10,
)
# stacks that go down the alphabet only: no function is in a cycle, however groups call each other
acyclic = several.map(lambda rows: [(tuple(sorted(set(stack))), cost) for stack, cost in rows])
places = st.lists(st.integers(0, 3), min_size=len(FUNCTIONS), max_size=len(FUNCTIONS))


def grouped(profile: Profile, place: list[int]) -> Profile:
    """The profile with its functions put into files by their name."""
    files = [f"file{place[FUNCTIONS.index(name)]}" for name in profile.frames["function"]]
    return profile.but(frames=profile.frames.assign(file=files))


def graph_of(profile: Profile) -> Profile:
    """What a profiler that only counts calls would have kept."""
    functions = profile.functions.drop(columns=["total_cost", "cycle", "total_exact"])
    return from_graph("callgrind", "test", metrics=profile.metrics, functions=functions, edges=profile.edges)


def truth(rows: Stacks, place: list[int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for stack, cost in rows:
        for name in {f"file{place[FUNCTIONS.index(frame)]}" for frame in stack}:
            totals[name] = totals.get(name, 0) + cost
    return totals


def by_hand(own: list[int], calls: list[tuple[int, int, int]], files: list[str]) -> Profile:
    functions = frame_table([f"f{i}" for i in range(len(own))], file=files).frame()
    functions = functions[["function", "raw_function", "file", "object", "crate"]]
    functions["calls"] = pd.array([1] * len(own), dtype="Int64")
    functions["self_Ir"] = np.asarray(own, dtype=np.int64)
    edges = pd.DataFrame(calls, columns=["caller_id", "callee_id", "cost_Ir"], dtype=np.int64)
    edges["calls"] = pd.array([1] * len(edges), dtype="Int64")
    return from_graph("callgrind", "test", metrics=[Metric("Ir")], functions=functions, edges=edges)


@settings(deadline=None, max_examples=60)
@given(several, places)
def test_a_total_that_says_it_is_exact_is_that_of_the_stacks(rows: Stacks, place: list[int]) -> None:
    stacks = grouped(profile_of(rows), place)
    files = group(graph_of(stacks), "file")
    wanted = truth(rows, place)
    whole = sum(cost for _, cost in rows)
    for row in files.functions.itertuples():
        if row.total_exact:
            assert row.total_cost == wanted[row.function]
        assert row.self_cost <= row.total_cost <= whole
    assert files.total() == whole


@settings(deadline=None, max_examples=60)
@given(acyclic, places)
def test_without_recursion_a_group_has_at_least_what_any_of_its_functions_has(rows: Stacks, place: list[int]) -> None:
    graph = graph_of(grouped(profile_of(rows), place))
    files = group(graph, "file").functions.set_index("function")
    for name, members in graph.functions.groupby("file"):
        assert files.at[name, "total_cost"] >= members["total_cost"].max()
        # what enters it from elsewhere is the most it can be
        inside = graph.functions["file"] == name
        edges = graph.edges
        enters = ~inside.to_numpy()[edges["caller_id"]] & inside.to_numpy()[edges["callee_id"]]
        inner = edges.groupby("callee_id")["cost_cost"].sum().reindex(graph.functions.index, fill_value=0)
        roots = (graph.functions["total_cost"] - inner)[inside].sum()
        assert files.at[name, "total_cost"] <= edges["cost_cost"][enters].sum() + roots + 1


@settings(deadline=None, max_examples=60)
@given(acyclic)
def test_a_group_of_one_function_has_its_total(rows: Stacks) -> None:
    graph = graph_of(profile_of(rows))
    names = group(graph, "name").functions
    assert names["total_cost"].tolist() == graph.functions["total_cost"].tolist()
    assert names["total_exact"].all()


def test_a_group_that_is_left_and_entered_again_is_no_cycle_that_shares() -> None:
    # main (a) calls work (b) for 100, and b calls back a helper (a) for 10; b also calls a leaf of c
    profile = by_hand([900, 80, 10, 10], [(0, 1, 100), (1, 2, 10), (1, 3, 10)], ["a", "b", "a", "c"])
    files = top(profile, by="file").set_index("name")
    assert files["total"].to_dict() == {"a": 1000, "b": 100, "c": 10}
    assert files["total_exact"].all()


def test_a_share_that_must_be_assumed_is_pro_rata_and_says_so() -> None:
    # a is entered again below shared (c), which is called from a for 30 and from the root of b for 90
    profile = by_hand([10, 10, 80, 40], [(0, 2, 30), (1, 2, 90), (2, 3, 40)], ["a", "b", "c", "a"])
    files = group(profile, "file")
    table = files.functions.set_index("function")
    # all below a itself, and three quarters of what c calls of a
    assert table["total_Ir"].to_dict() == {"a": 40 + 30, "b": 100, "c": 120}
    assert table["total_exact"].to_dict() == {"a": False, "b": True, "c": True}
    (note,) = [note for note in files.notes if "entered again" in note.what]
    assert note.count == 1


def test_functions_of_one_cycle_do_not_lend_their_group_more_than_enters_it() -> None:
    # main -> even <-> odd, and odd -> log <-> odd for little
    profile = by_hand(
        [0, 500, 480, 20], [(0, 1, 1000), (1, 2, 2000), (2, 1, 2000), (2, 3, 30), (3, 2, 5)], ["m", "e", "o", "l"]
    )
    files = top(profile, by="file").set_index("name")
    assert files["total"].to_dict() == {"m": 1000, "e": 1000, "o": 1000, "l": 30}
    assert files["total_exact"].to_dict() == {"m": True, "e": False, "o": False, "l": False}


def test_merged_groups_have_the_sum_of_their_totals() -> None:
    profile = group(by_hand([900, 80, 10], [(0, 1, 90), (1, 2, 10)], ["a", "b", "a"]), "file")
    assert merge([profile, profile]).functions["total_Ir"].tolist() == [1980, 180]


@needs_samples
def test_the_runtime_of_gcc_is_not_the_whole_program() -> None:
    profile = read_profile(sample("callgrind/generated__service-flags.out"))
    objects = top(profile, by="object").set_index("name")
    whole = profile.total()
    small = objects[objects["self_pct"] < 0.1]
    assert len(small)
    assert (small["total"] < whole / 2).any()
    assert (objects["total"] >= objects["self"]).all()
    assert objects["total"].max() <= whole


@pytest.mark.parametrize("by", ["name", "file", "crate", "object"])
@needs_samples
def test_groups_of_floats_reconcile(by: str) -> None:
    profile = read_profile(sample("callgrind/google-pprof__pprof.cpu.callgrind"))
    made = group(profile, by).functions  # type: ignore[arg-type]
    for metric in profile.metric_names:
        assert (made[f"total_{metric}"] >= made[f"self_{metric}"]).all()
        assert (made[f"total_{metric}"] <= profile.total(metric)).all()
