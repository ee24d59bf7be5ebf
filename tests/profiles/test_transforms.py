"""Transforms against plain Python on stacks: pprof's meaning of the words, and sums that reconcile."""

from __future__ import annotations

import marshal
from collections import Counter
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.make import Stack, Stacks, profile_of, stacks, stacks_of, summed
from workbench.errors import WorkbenchError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.combine import difference, merge
from workbench.profiles.transforms.group import group, legible, tidy
from workbench.profiles.transforms.select import focus, hide, ignore, prune_from, show, show_from
from workbench.profiles.transforms.shape import collapse_recursion, invert, sorted_by_weight, trim

letters = st.sampled_from("abcde")


def by_hand(rows: Stacks, change: Callable[[Stack], Stack | None]) -> Counter[Stack]:
    found: Counter[Stack] = Counter()
    for stack, cost in summed(rows).items():
        changed = change(stack)
        if changed:
            found[changed] += cost
    return found


def last(stack: Stack, name: str) -> int:
    return len(stack) - 1 - stack[::-1].index(name)


@pytest.mark.parametrize(
    ("transform", "meaning"),
    [
        (focus, lambda stack, name: stack if name in stack else None),
        (ignore, lambda stack, name: None if name in stack else stack),
        (hide, lambda stack, name: tuple(frame for frame in stack if frame != name)),
        (show, lambda stack, name: tuple(frame for frame in stack if frame == name)),
        (show_from, lambda stack, name: stack[stack.index(name) :] if name in stack else None),
        (prune_from, lambda stack, name: stack[: last(stack, name) + 1] if name in stack else stack),
    ],
    ids=["focus", "ignore", "hide", "show", "show_from", "prune_from"],
)
@given(rows=stacks, name=letters)
def test_selection_means_what_pprof_means(transform, meaning, rows: Stacks, name: str) -> None:  # type: ignore[no-untyped-def]
    profile = profile_of(rows)
    changed = transform(profile, f"^{name}$")
    wanted = by_hand(rows, lambda stack: meaning(stack, name))
    assert stacks_of(changed) == wanted
    lost = profile.total() - changed.total()
    said = [note.weight for note in changed.notes if note.what.startswith("dropped by")]
    assert sum(weight or 0 for weight in said) == lost
    if not any(name in stack for stack, _ in rows):
        assert any("matched nothing" in note.what for note in changed.notes)
    # nothing that is gone is left in the tables
    assert set(changed.functions["function"]) == {frame for stack in wanted for frame in stack}


def test_a_pattern_that_is_no_expression_is_refused() -> None:
    with pytest.raises(WorkbenchError, match=r"pattern '\('"):
        focus(profile_of([(("a",), 1)]), "(")


@given(stacks)
def test_inversion_keeps_self_costs_and_turns_back(rows: Stacks) -> None:
    profile = profile_of(rows)
    upside_down = invert(profile)
    assert stacks_of(upside_down) == by_hand(rows, lambda stack: stack[::-1])
    roots = upside_down.nodes[upside_down.nodes["parent_id"] < 0]
    names = upside_down.frames["function"].to_numpy()[roots["frame_id"]]
    own = profile.functions.set_index("function")["self_cost"]
    assert dict(zip(names, roots["total_cost"], strict=True)) == own[own > 0].to_dict()


@given(stacks)
def test_collapsed_recursion_has_no_frame_below_itself(rows: Stacks) -> None:
    collapsed = collapse_recursion(profile_of(rows))

    def once(stack: Stack) -> Stack:
        return tuple(frame for before, frame in zip((None, *stack), stack, strict=False) if frame != before)

    assert stacks_of(collapsed) == by_hand(rows, once)


@given(stacks, st.floats(0, 1))
def test_trimming_keeps_the_sum_and_says_what_went(rows: Stacks, share: float) -> None:
    profile = profile_of(rows)
    trimmed = trim(profile, share)
    assert trimmed.total() == profile.total()
    small = trimmed.nodes["total_cost"] < share * profile.total()
    names = trimmed.frames["function"].to_numpy()[trimmed.nodes["frame_id"]]
    assert set(names[small.to_numpy()]) <= {"(trimmed)"}


@given(stacks)
def test_sorting_changes_only_the_order(rows: Stacks) -> None:
    profile = profile_of(rows)
    heavy = sorted_by_weight(profile)
    assert stacks_of(heavy) == stacks_of(profile)
    for _, siblings in heavy.nodes.groupby("parent_id"):
        assert siblings["total_cost"].is_monotonic_decreasing


@given(stacks)
def test_grouping_by_crate_sums_to_the_same(rows: Stacks) -> None:
    profile = profile_of(rows, crates=True)
    crates = group(profile, "crate")
    assert crates.total() == profile.total()
    own = profile.functions.groupby("crate")["self_cost"].sum()
    assert crates.functions.set_index("function")["self_cost"].to_dict() == own[own.index != ""].to_dict()
    objects = group(profile, "object")
    assert objects.total() == profile.total()
    assert set(objects.functions["function"]) <= {"libeven", "libodd"}


@given(stacks, stacks)
def test_merging_adds_stack_by_stack(one: Stacks, other: Stacks) -> None:
    merged = merge([profile_of(one), profile_of(other)])
    # the line of a frame is its position among the names, which differs between the two
    assert merged.total() == sum(cost for _, cost in one) + sum(cost for _, cost in other)
    again = merge([profile_of(one), profile_of(one)])
    assert stacks_of(again) == Counter({stack: 2 * cost for stack, cost in summed(one).items()})


@given(stacks)
def test_a_profile_does_not_differ_from_itself(rows: Stacks) -> None:
    changes = difference(profile_of(rows), profile_of(rows))
    assert (changes.functions["change_self"] == 0).all()
    assert (changes.functions["state"] == "both").all()
    assert (changes.nodes["before_total"] == changes.nodes["after_total"]).all()


def test_added_and_removed_functions_are_told_apart() -> None:
    before = profile_of([(("a", "b"), 10), (("a", "c"), 5)])
    after = profile_of([(("a", "b"), 30), (("a", "d"), 1)])
    changes = difference(before, after).functions.set_index("name")
    assert changes["state"].to_dict() == {"a": "both", "b": "both", "c": "removed", "d": "added"}
    assert changes["change_self"].to_dict() == {"a": 0, "b": 20, "c": -5, "d": 1}
    assert changes.at["b", "ratio_total"] == 3
    assert pd.isna(changes.at["d", "ratio_total"])


A_BUILD, ANOTHER = "h0123456789abcdef", "hfedcba9876543210"


@pytest.mark.parametrize(
    "name", ["app::f::{}", "app::f::{}.llvm.17", "app::f::{}'2", "_ZN3app1f17{}E", "<T as app::F>::f::{}"]
)
@pytest.mark.parametrize("change", [lambda profile: profile, tidy], ids=["raw", "tidy"])
def test_a_function_of_another_build_is_the_same_whatever_its_hash(
    name: str, change: Callable[[Profile], Profile]
) -> None:
    before, after = (
        change(profile_of([(("main", name.format(build)), cost)])) for build, cost in ((A_BUILD, 10), (ANOTHER, 12))
    )
    changes = difference(before, after)
    assert changes.functions["state"].tolist() == ["both", "both"]
    assert changes.functions["change_self"].tolist() == [2, 0]
    assert changes.nodes["state"].tolist() == ["both", "both"]


def test_functions_that_only_a_hash_tells_apart_stay_apart() -> None:
    third, fourth = "h1111111111111111", "h2222222222222222"
    before = profile_of([((f"f::{A_BUILD}",), 10), ((f"f::{third}",), 5)])
    # one of the two has kept its hash, so that the others are alone
    after = profile_of([((f"f::{A_BUILD}",), 11), ((f"f::{ANOTHER}",), 7)])
    changes = difference(before, after).functions
    assert (changes["state"].tolist(), changes["change_self"].tolist()) == (["both", "both"], [2, 1])
    after = profile_of([((f"f::{fourth}",), 11), ((f"f::{ANOTHER}",), 7)])
    assert sorted(difference(before, after).functions["state"]) == ["added", "added", "removed", "removed"]
    # in the sum of profiles of one build another hash is another function
    merged = merge([profile_of([((f"f::{A_BUILD}",), 10)]), profile_of([((f"f::{third}",), 5)])])
    assert len(merged.functions) == 2


def test_functions_with_another_total_follow_those_with_another_self_cost() -> None:
    before = profile_of([(("a", "b", "c"), 10), (("d",), 3)])
    after = profile_of([(("a", "b", "c"), 30), (("d",), 3)])
    assert difference(before, after).functions["name"].tolist() == ["c", "a", "b", "d"]


def test_a_difference_per_unit_of_work() -> None:
    before, after = profile_of([(("a",), 100)]), profile_of([(("a",), 300)])
    per_receipt = difference(before, after, per=(10, 20)).functions.iloc[0]
    assert (per_receipt["before_self"], per_receipt["after_self"]) == (10, 15)
    shares = difference(before, after, scale="total").functions.iloc[0]
    assert shares["change_self"] == pytest.approx(0)
    with pytest.raises(WorkbenchError, match="per unit of work"):
        difference(before, after, per=(0, 1))


def graph() -> Profile:
    """main calls work twice and log; work calls log; log is in another crate."""
    functions = pd.DataFrame(
        {
            "function": ["app::main", "app::work", "log::log"],
            "raw_function": ["app::main::h0123456789abcdef", "app::work", "log::log"],
            "file": ["/rustc/" + "0" * 40 + "/library/std/src/rt.rs", "work.rs", "log.rs"],
            "object": ["app", "app", "app"],
            "crate": ["app", "app", "log"],
            "calls": pd.array([1, 2, 3], dtype="Int64"),
            "self_Ir": [10, 60, 30],
        }
    )
    edges = pd.DataFrame(
        {
            "caller_id": [0, 0, 1],
            "callee_id": [1, 2, 2],
            "calls": pd.array([2, 1, 2], dtype="Int64"),
            "cost_Ir": [80, 10, 20],
        }
    )
    return from_graph("callgrind", "made", metrics=[Metric("Ir")], functions=functions, edges=edges)


def test_a_call_graph_is_grouped_exactly() -> None:
    crates = group(graph(), "crate")
    assert crates.basis == "graph"
    table = crates.functions.set_index("function")
    assert table["self_Ir"].to_dict() == {"app": 70, "log": 30}
    assert table["total_Ir"].to_dict() == {"app": 100, "log": 30}
    assert crates.edges[["caller_id", "callee_id", "calls", "cost_Ir"]].values.tolist() == [[0, 1, 3, 30]]


def test_tidying_keeps_the_raw_name() -> None:
    tidied = tidy(graph())
    assert tidied.functions["function"].tolist() == ["app::main", "app::work", "log::log"]
    assert tidied.functions["raw_function"][0].endswith("::h0123456789abcdef")
    assert tidied.functions["file"][0] == "std:std/src/rt.rs"


def test_graphs_merge_as_graphs() -> None:
    merged = merge([graph(), graph()])
    assert merged.basis == "graph"
    assert merged.functions["self_Ir"].tolist() == [20, 120, 60]
    assert merged.functions["calls"].tolist() == [2, 4, 6]
    assert merged.edges["cost_Ir"].tolist() == [160, 20, 40]


def test_profiles_of_other_metrics_do_not_merge() -> None:
    with pytest.raises(WorkbenchError, match="metrics differ"):
        merge([graph(), profile_of([(("a",), 1)])])


def test_merged_pstats_keep_primitive_calls() -> None:
    main, fib = ("f.py", 1, "main"), ("f.py", 2, "fib")
    stats = {main: (1, 1, 0.5, 1.5, {}), fib: (1, 9, 1.0, 1.0, {main: (1, 1, 0.5, 1.0), fib: (8, 0, 0.5, 0.5)})}
    one = read_profile(marshal.dumps(stats))
    both = merge([one, one])
    for table in (both.functions.set_index("function"), both.edges):
        assert table["primitive_calls"].dtype == "Int64"
    assert both.functions.set_index("function")["primitive_calls"].to_dict() == {"main": 2, "fib": 2}
    assert both.functions.set_index("function")["calls"].to_dict() == {"main": 2, "fib": 18}
    assert sorted(both.edges["primitive_calls"]) == [0, 2]
    assert read_profile(both.to_pstats()).functions["primitive_calls"].tolist() == [2, 2]


def test_code_without_a_symbol_is_named_by_its_object() -> None:
    profile = read_profile(
        b"# callgrind format\nversion: 1\npositions: line\nevents: Ir\n\n"
        b"ob=/usr/lib/libsecp.so\nfl=???\nfn=0x0000000000014400\n0 5\n"
        b"ob=/usr/bin/service\nfl=a.c\nfn=main\n1 2\nfn=app::serve\n1 3\n\ntotals: 10\n"
    )
    named = legible(profile)
    assert named.functions["function"].tolist() == ["libsecp.so+0x14400", "main", "app::serve"]
    assert named.functions["raw_function"].tolist()[0] == "0x0000000000014400"
    assert named.functions["crate"].tolist() == ["libsecp.so", "service", "app"]
    assert named.top(by="crate").set_index("name")["self"].to_dict() == {"libsecp.so": 5, "app": 3, "service": 2}
    assert named.total() == profile.total() == 10
