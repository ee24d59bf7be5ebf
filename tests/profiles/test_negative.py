"""Costs below 0, as differences have them, are costs in every transform, view and export."""

from __future__ import annotations

import pstats
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.make import Stacks, profile_of, stacks_of, summed
from tests.profiles.samples import beside
from workbench.charts.flame import flame_graph
from workbench.charts.flame.graph import top_functions
from workbench.errors import WorkbenchError
from workbench.profiles.exports.tables import read_tables, write_tables
from workbench.profiles.exports.write import export_notes, exported
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_graph
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.combine import difference, merge
from workbench.profiles.transforms.group import group, tidy, without_levels
from workbench.profiles.transforms.select import focus, hide, ignore, prune_from, show, show_from
from workbench.profiles.transforms.shape import TRIMMED, collapse_recursion, invert, sorted_by_weight, trim
from workbench.profiles.views.lines import source_lines
from workbench.profiles.views.neighbours import callees, callers, hot_path, hottest
from workbench.report.profile_text import profile_text

signed: st.SearchStrategy[Stacks] = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(tuple),
        st.integers(-100, 100).filter(bool),
    ),
    min_size=1,
    max_size=12,
)


def own_of(profile: Profile) -> dict[str, int]:
    """Self costs by function, zeros left out."""
    functions = profile.functions
    return {name: cost for name, cost in zip(functions["function"], functions["self_cost"], strict=True) if cost}


@pytest.mark.parametrize(
    "keeps_all",
    [
        sorted_by_weight,
        collapse_recursion,
        tidy,
        without_levels,
        lambda profile: group(profile, "function"),
        lambda profile: trim(profile, 0.0),
    ],
)
@given(rows=signed)
def test_transforms_that_keep_all_keep_self_costs(keeps_all: Callable[[Profile], Profile], rows: Stacks) -> None:
    profile = profile_of(rows)
    changed = keeps_all(profile)
    assert changed.total() == profile.total()
    assert own_of(changed) == own_of(profile)


@given(signed)
def test_stacks_come_back_from_an_inversion(rows: Stacks) -> None:
    wanted = Counter({stack: cost for stack, cost in summed(rows).items() if cost})
    assert stacks_of(invert(invert(profile_of(rows)))) == wanted


@pytest.mark.parametrize("select", [focus, ignore, hide, show, show_from, prune_from])
@given(rows=signed)
def test_selections_say_what_they_drop(select: Callable[[Profile, str], Profile], rows: Stacks) -> None:
    profile = profile_of(rows)
    changed = select(profile, "^b$")
    said = [note.weight or 0 for note in changed.notes if note.what.startswith("dropped by")]
    assert profile.total() - changed.total() == sum(said)


@given(rows=signed, share=st.sampled_from([0.01, 0.2, 0.7]))
def test_what_cancels_out_is_not_small(rows: Stacks, share: float) -> None:
    profile = profile_of(rows)
    cut = trim(profile, share)
    assert cut.total() == profile.total()
    size = sum(abs(cost) for cost in summed(rows).values())
    for stack, cost in summed(rows).items():
        if abs(cost) >= share * size:
            assert stacks_of(cut)[stack] == cost
    assert all(TRIMMED not in stack[:-1] for stack in stacks_of(cut))


@given(signed)
def test_tables_begin_with_the_largest(rows: Stacks) -> None:
    profile = profile_of(rows)
    for sort in ("self", "total"):
        sizes = profile.top(sort=sort)[sort].abs().tolist()  # type: ignore[arg-type]
        assert sizes == sorted(sizes, reverse=True)
    assert profile.top()["self"].sum() == profile.total()
    for view in (callers, callees):
        costs = view(profile, str(profile.functions["function"].iloc[0]))["cost"].abs().tolist()
        assert costs[1:] == sorted(costs[1:], reverse=True)
    assert abs(own_of(profile).get(hottest(profile), 0)) == max(map(abs, own_of(profile).values()), default=0)
    graph = flame_graph(profile).data
    drawn = top_functions(graph, 0)["self" if graph.before is None else "change"].abs().tolist()
    assert drawn == sorted(drawn, reverse=True)
    # what rose and what fell have widths of their own
    fell = 0 if graph.before is None else graph.before.sum()
    assert graph.costs.sum() - fell == profile.total()
    lines = source_lines(profile)
    assert lines["self"].sum() == profile.total()


@given(signed)
def test_the_hot_path_leads_to_what_changed_most(rows: Stacks) -> None:
    path = hot_path(profile_of(rows))
    found = [cost for cost in summed(rows).values() if cost]
    assert (len(path) > 0) == bool(found)
    if found and all(cost < 0 for cost in found):
        mirrored = hot_path(profile_of([(stack, -cost) for stack, cost in rows]))
        assert path["name"].tolist() == mirrored["name"].tolist()


@given(signed)
def test_percentages_are_of_a_whole_or_none(rows: Stacks) -> None:
    table = profile_of(rows).top()
    shares = table["self_pct"].dropna()
    assert shares.between(-1, 101).all()


@given(signed, signed)
def test_differences_and_sums_reconcile(one: Stacks, other: Stacks) -> None:
    before, after = profile_of(one), profile_of(other)
    changes = difference(before, after)
    assert changes.functions["change_self"].sum() == after.total() - before.total()
    assert changes.nodes["after_self"].sum() - changes.nodes["before_self"].sum() == after.total() - before.total()
    assert merge([before, after]).total() == before.total() + after.total()
    sizes = changes.functions["change_self"].abs().tolist()
    assert sizes == sorted(sizes, reverse=True)


@settings(deadline=None, max_examples=30)
@given(signed)
def test_formats_hold_them_or_refuse(rows: Stacks) -> None:
    profile = profile_of(rows)
    wanted = stacks_of(profile)
    assert stacks_of(read_profile(exported(profile, "pprof"))) == wanted
    negative = any(cost < 0 for cost in wanted.values())
    difference_or_not = np.isnan(profile.top()["self_pct"]).all()
    # callgrind has no stacks: what is below 0 in one may be above in the sum over a function's stacks
    of_functions = (profile.functions["self_cost"] < 0).any()
    for format, below in (("folded", negative), ("speedscope", negative), ("callgrind", of_functions)):
        if below and difference_or_not:
            with pytest.raises(WorkbenchError, match=f"costs below 0, which {format} does not support"):
                exported(profile, format)
        elif below == negative:
            exported(profile, format)


def test_pstats_and_tables_hold_them(tmp_path: Path) -> None:
    profile = profile_of([(("main", "hold"), -12), (("main", "grow"), 5)])
    (tmp_path / "x.prof").write_bytes(exported(profile, "pstats"))
    found = pstats.Stats(str(tmp_path / "x.prof")).stats  # type: ignore[attr-defined]
    assert {key[2]: value[2] for key, value in found.items() if value[2]} == {"hold": -12.0, "grow": 5.0}
    write_tables(profile, tmp_path / "tables")
    assert read_tables(tmp_path / "tables").total() == -7


def test_a_clock_read_twice_is_written_as_0_and_said() -> None:
    profile = profile_of([(("main", "work"), 1000), (("main", "jump"), -1)])
    assert exported(profile, "folded") == b"main;work 1000\n"
    (note,) = export_notes(profile, "folded")
    assert (note.count, note.weight) == (1, -1)
    assert export_notes(profile, "pprof") == ()


def graph_of(own: dict[str, int], calls: dict[tuple[str, str], int]) -> Profile:
    """A call graph with one metric ``cost``."""
    names = sorted(own)
    functions: dict[str, Any] = dict(
        frame_table(names).select(["function", "raw_function", "file", "object", "crate"]).items()
    )
    functions |= {"calls": np.ones(len(names), dtype=np.int64), "self_cost": np.asarray([own[name] for name in names])}
    edges = {
        "caller_id": np.asarray([names.index(caller) for caller, _ in calls], dtype=np.int64),
        "callee_id": np.asarray([names.index(callee) for _, callee in calls], dtype=np.int64),
        "calls": np.ones(len(calls), dtype=np.int64),
        "cost_cost": np.asarray(list(calls.values()), dtype=np.int64),
    }
    return from_graph("callgrind", "made", metrics=[Metric("cost")], functions=functions, edges=edges)


def test_functions_of_a_graph_that_fell_are_in_its_tree() -> None:
    profile = graph_of({"fib": -450, "walk": 30}, {})
    nodes = profile.nodes
    assert dict(zip(profile.frames["function"][nodes["frame_id"]], nodes["total_cost"], strict=True)) == {
        "fib": -450,
        "walk": 30,
    }
    assert hot_path(profile)["name"].tolist() == ["fib"]
    assert "-450" in profile_text(profile, profile.top()).split("walk")[0]
    called = graph_of({"main": 1, "fib": -450, "walk": 30}, {("main", "fib"): -450, ("main", "walk"): 30})
    assert stacks_of(called) == {("main",): 1, ("main", "fib"): -450, ("main", "walk"): 30}
    by_file = group(called, "file").functions
    assert by_file["total_cost"].tolist() == [-419]


@settings(deadline=None)
@given(
    own=st.dictionaries(st.sampled_from("abcdef"), st.integers(-100, 100), min_size=1),
    calls=st.dictionaries(st.tuples(*[st.sampled_from("abcdef")] * 2), st.integers(-300, 300), max_size=12),
)
def test_the_tree_of_any_graph_sums_to_its_self_costs(own: dict[str, int], calls: dict[tuple[str, str], int]) -> None:
    own = own | {name: 0 for pair in calls for name in pair if name not in own}
    profile = graph_of(own, calls)
    nodes = profile.nodes
    assert nodes["self_cost"].sum() == profile.total() == sum(own.values())
    assert group(profile, "object").functions["self_cost"].sum() == profile.total()
    for view in (callers, callees):
        view(profile, next(iter(own)))
    hot_path(profile)
    flame_graph(profile)


def test_go_heap_difference_begins_with_what_was_freed() -> None:
    profile = read_profile(beside("reported/delta-heap.pb.gz"))
    for sort in ("self", "total"):
        first = profile.top(sort=sort).iloc[0]  # type: ignore[arg-type]
        assert (first["name"], first["self"]) == ("main.hold", -12_000_000)
    graph = flame_graph(profile)
    assert graph.data.before is None
    assert graph.data.costs.sum() == -11_675_000
    assert top_functions(graph.data, 0)["self"].iloc[0] == -12_000_000
    assert hot_path(profile)["name"].iloc[-1] == "main.hold"
