"""The tree behind a flame graph: merging by function, joining two profiles, cutting; and its bytes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.charts.profiles import CPU, HOSTILE, SAMPLES, folded, large
from workbench.charts.flame import CallTree, flame_graph
from workbench.charts.flame.calltree import ASSUMED, TRIMMED, call_tree, difference, trimmed
from workbench.charts.flame.graph import top_functions
from workbench.charts.flame.packing import NAME_LENGTH, clean, pack
from workbench.errors import WorkbenchError
from workbench.profiles.columns import FUNCTION_COLUMNS
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_graph

NAMES = st.sampled_from("abcde")
STACKS = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=6).map(";".join), st.integers(0, 1000), min_size=1, max_size=25
)


def paths(tree: CallTree, which: str = "costs") -> Counter[str]:
    """Self cost of the first metric by path of names; nodes without cost are left out."""
    names = tree.functions["function"].tolist()
    walked: list[str] = []
    found: Counter[str] = Counter()
    for parent, function, own in zip(tree.parent, tree.function, getattr(tree, which)[:, 0], strict=True):
        walked.append(f"{walked[parent]};{names[function]}" if parent >= 0 else names[function])
        found[walked[-1]] += own
    assert len(set(walked)) == len(walked)  # siblings differ
    return +found


@settings(deadline=None)
@given(STACKS)
def test_a_tree_of_one_profile_keeps_every_stack(stacks: dict[str, int]) -> None:
    assert paths(call_tree(folded(stacks))) == +Counter(stacks)


def test_lines_of_one_function_are_one_node_which_keeps_the_line_that_all_have() -> None:
    tree = call_tree(folded({"main@m.rs:1;f@m.rs:3;g@m.rs:8": 5, "main@m.rs:2;~f@m.rs:3": 2}))
    assert paths(tree) == {"main;f;g": 5, "main;f": 2}
    assert tree.line.tolist() == [0, 3, 8]
    assert (tree.flags & ASSUMED).tolist() == [0, ASSUMED, 0]


@settings(deadline=None)
@given(STACKS, STACKS)
def test_two_profiles_are_joined_by_their_paths(after: dict[str, int], before: dict[str, int]) -> None:
    both = difference(call_tree(folded(after)), call_tree(folded(before)))
    here, there = ({name for path in side for name in path.split(";")} for side in (after, before))

    def shared(side: Mapping[str, int]) -> Counter[str]:
        """The paths without functions of one side only, which may be stepped over."""
        found: Counter[str] = Counter()
        for path, cost in side.items():
            found[";".join(name for name in path.split(";") if name in here & there)] += cost
        return +found

    assert shared(paths(both)) == shared(after)
    assert shared(paths(both, "before")) == shared(before)
    if here == there:
        assert paths(both) == +Counter(after)
        assert paths(both, "before") == +Counter(before)


def test_files_and_lines_may_move_between_two_builds() -> None:
    both = difference(call_tree(folded({"main@a.rs:1;f@b.rs:2": 5})), call_tree(folded({"main@a.rs:9;f@c.rs:2": 3})))
    assert len(both) == 2
    assert both.line.tolist() == [0, 2]
    assert both.functions["file"].tolist() == ["a.rs", "b.rs"]


def test_before_can_be_scaled_to_the_same_total_and_says_so() -> None:
    after, before = call_tree(folded({"a": 30, "b": 10})), call_tree(folded({"a": 1, "b": 1}))
    both = difference(after, before, "total")
    assert both.before is not None
    assert both.before[:, 0].tolist() == [20.0, 20.0]
    assert "equal: by 20 in cpu" in " ".join(both.remarks)
    assert difference(after, before).before.tolist() == [[1], [1]]  # type: ignore[union-attr]


def test_what_cannot_be_compared_or_drawn_is_an_error_that_says_why() -> None:
    with pytest.raises(WorkbenchError, match=r"cpu in ns.*samples in count"):
        flame_graph(folded({"a": 1}), before=folded({"a": 1}, metrics=(SAMPLES,)))
    ratio = Metric("hit", "us", additive=False)
    with pytest.raises(WorkbenchError, match="summed"):
        flame_graph(folded({"a": 1}, metrics=(ratio,)))
    with pytest.raises(WorkbenchError, match="hit cannot be drawn"):
        flame_graph(folded({"a": 1}, metrics=(CPU, ratio)), metric="hit")
    with pytest.raises(WorkbenchError, match="no metric 'Ir'"):
        flame_graph(folded({"a": 1}), metric="Ir")
    with pytest.raises(WorkbenchError, match="at least 2 nodes"):
        flame_graph(folded({"a": 1}), max_nodes=1)


def test_what_is_left_out_is_said() -> None:
    ratio = Metric("hit", "us", additive=False)
    graph = flame_graph(folded({"a": 500, "a;b": -3}, metrics=(CPU, ratio)))
    assert [metric.name for metric in graph.data.metrics] == ["cpu"]
    assert "hit is left out" in repr(graph)
    assert "1 nodes have a negative self cost of cpu, -3 ns" in repr(graph)


def light(wcslen: int = 18, name: str = "made-up") -> Profile:
    """A call graph of which wcslen is too light for the tree."""
    functions = frame_table(["main", "work", "wcslen"]).frame()[list(FUNCTION_COLUMNS)]
    functions["calls"] = pd.array([1, 1, 1], dtype="Int64")
    functions["self_Ir"] = [10, 100_000_000, wcslen]
    edges = pd.DataFrame({"caller_id": [0, 1], "callee_id": [1, 2], "calls": [1, 1]})
    edges["cost_Ir"] = [100_000_000 + wcslen, wcslen]
    return from_graph("callgrind", name, metrics=(Metric("Ir"),), functions=functions, edges=edges)


def test_the_table_of_a_call_graph_has_what_was_measured_and_the_graph_says_what_its_tree_lacks() -> None:
    graph = flame_graph(light())
    assert "wcslen" not in {graph.data.functions["function"][each] for each in graph.data.function}
    table = top_functions(graph.data, 0).set_index("function")
    assert table.loc["wcslen"].tolist() == [18, 18]
    assert table.loc["work"].tolist() == [100_000_000, 100_000_018]
    assert "Too small for the call tree: added to the caller's self cost, weight 18 Ir." in graph.data.remarks
    trimmed_table = top_functions(flame_graph(light(), max_nodes=2).data, 0)
    assert trimmed_table["self"].sum() == 100_000_028


@pytest.mark.parametrize(
    ("scale", "before"), [({}, [8, 100_000_018]), ({"per": (2, 1)}, [4, 50_000_009])], ids=["plain", "per"]
)
def test_a_difference_of_call_graphs_has_what_was_measured_too(scale: dict[str, Any], before: list[int]) -> None:
    tree = flame_graph(light(), before=light(8), **scale).data
    table = top_functions(tree, 0).set_index("function")
    assert table.loc["wcslen", ["before", "total"]].tolist() == [before[0], 18]
    assert table.loc["main", ["before", "total"]].tolist() == [before[1], 100_000_028]
    mixed = flame_graph(light(), before=folded({"main;work": 5}, metrics=(Metric("Ir"),))).data
    table = top_functions(mixed, 0).set_index("function")
    assert table.loc["wcslen", ["before", "total"]].tolist() == [0, 18]
    assert table.loc["main", ["before", "total"]].tolist() == [5, 100_000_028]


def test_metrics_are_the_same_where_name_and_unit_are_whatever_is_said_of_them() -> None:
    after = folded({"main;f": 9}, metrics=(Metric("heap", "bytes", "in use at snapshot 23"),))
    before = folded({"main;f": 4}, metrics=(Metric("heap", "bytes", "in use at snapshot 16"),))
    tree = flame_graph(after, before=before).data
    assert (paths(tree), paths(tree, "before")) == ({"main;f": 9}, {"main;f": 4})
    assert tree.metrics == after.metrics
    with pytest.raises(WorkbenchError, match="nothing to compare"):
        flame_graph(after, before=folded({"main;f": 4}, metrics=(Metric("heap", "count"),)))


@settings(deadline=None)
@given(STACKS, STACKS, st.integers(2, 30))
def test_cutting_keeps_every_sum_and_the_heaviest_nodes(
    after: dict[str, int], before: dict[str, int], most: int
) -> None:
    whole = difference(call_tree(folded(after)), call_tree(folded(before)))
    small = trimmed(whole, most)
    assert len(small) <= most
    assert small.costs.sum() == whole.costs.sum()
    assert small.before is not None
    assert whole.before is not None
    assert small.before.sum() == whole.before.sum()
    stand_ins = (small.flags & TRIMMED) > 0
    assert small.dropped.nodes == len(whole) - int((~stand_ins).sum())
    kept = {path: cost for path, cost in paths(small).items() if "(trimmed)" not in path}
    assert kept == {path: paths(whole)[path] for path in kept}
    if small.dropped.weights:
        assert small.dropped.weights["cpu"] == small.costs[stand_ins, 0].sum()


def test_a_cut_tree_loses_its_smallest_parts() -> None:
    stacks = {f"main;f{n:02d}": n + 1 for n in range(40)}
    graph = flame_graph(folded(stacks), max_nodes=12)
    assert paths(graph.data)["main;(trimmed)"] == sum(range(1, 31))
    assert {path for path in paths(graph.data) if path.startswith("main;f")} == {f"main;f{n}" for n in range(30, 40)}
    assert graph.dropped.weights == {"cpu": 465}
    assert "30 of 41 nodes are too small to keep: 465 ns of cpu together, 56.71%" in repr(graph)


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_some_hundred_kilobytes() -> None:
    graph = flame_graph(large())
    assert len(graph.data) > 90_000
    assert len(graph.payload) < 500_000
    assert len(flame_graph(large(), max_nodes=1_000).data) in range(900, 1_001)


def read(packed: bytes) -> tuple[dict[str, Any], dict[str, list[float]]]:
    data = gzip.decompress(packed)
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    kinds = {"u8": "<u1", "u16": "<u2", "u32": "<u4", "f64": "<f8"}
    arrays = {
        key: np.frombuffer(data, kinds[kind], count, 4 + length + offset).tolist()
        for key, (kind, offset, count) in header["arrays"].items()
    }
    assert (4 + length) % 8 == 0
    return header, arrays


def test_packed_columns_hold_what_the_tree_holds() -> None:
    stacks = {"main;a": 2**40, "main;b@x.rs:70000": 300, "c": 0}
    tree = call_tree(folded(stacks, metrics=(CPU, SAMPLES)))
    header, arrays = read(pack(tree, title="t", metric=1))
    assert (header["title"], header["metric"], header["compared"]) == ("t", 1, False)
    assert [metric["unit"] for metric in header["metrics"]] == ["ns", "count"]
    assert arrays["depth"] == [0, 1, 1, 0]
    assert arrays["cost.0"] == [0, 2**40, 300, 0]
    assert arrays["cost.1"] == [0, 1, 1, 1]
    assert arrays["line"] == [0, 0, 70000, 0]
    assert [header["names"][int(n)] for n in arrays["function.function"]] == ["main", "a", "b", "c"]
    assert pack(tree) == pack(tree)


def test_names_that_cannot_be_seen_are_shown_as_escapes() -> None:
    shown = clean(HOSTILE)
    assert "\\u2028\\u202e\\x00" in shown
    assert shown.isprintable()
    assert clean("ordinary::<T>::näme") == "ordinary::<T>::näme"
    assert clean("\udc80") == "\\udc80"
    assert len(clean("x" * 10_000)) == NAME_LENGTH + 1


@pytest.mark.parametrize("profile", [folded({"main": 0}), folded({"main;a": 1, "b": 2})])
def test_html_cannot_be_broken_by_names(profile: Profile) -> None:
    graph = flame_graph(profile, title=HOSTILE)
    html = graph._repr_html_()
    assert html.count("<script") == html.count("</script>") == 2
    assert "alert('x')" not in html.replace("&#x27;", "'").partition("<p ")[0]
    assert "&lt;/script&gt;" in html


def test_a_difference_can_be_for_as_much_work() -> None:
    before = folded({"main;serve": 100, "main;other": 10})
    after = folded({"main;serve": 200, "main;other": 60})
    graph = flame_graph(after, before=before, per=(50, 100))
    table = top_functions(graph.data, 0).set_index("function")
    assert table.loc["serve", "change"] == 0  # twice the cost for twice the work
    assert table.loc["other", "change"] == 40
    assert sum("Before is scaled by 2" in remark for remark in graph.data.remarks) == 1
    for units in ((0, 1), (1, float("nan")), (-1, 2)):
        with pytest.raises(WorkbenchError, match="per unit of work"):
            flame_graph(after, before=before, per=units)
