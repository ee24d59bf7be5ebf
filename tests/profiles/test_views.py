"""Tables of a profile: top, callers and callees, hot path, source lines, derived events."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.make import Stacks, profile_of, stacks, summed
from workbench.errors import WorkbenchError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph
from workbench.profiles.read import read_profile
from workbench.profiles.table import Listed, Table
from workbench.profiles.transforms.select import focus
from workbench.profiles.views.derived import derived
from workbench.profiles.views.lines import source_lines
from workbench.profiles.views.neighbours import callees, callers, hot_path
from workbench.profiles.views.top import top


@given(stacks)
def test_top_adds_up(rows: Stacks) -> None:
    table = top(profile_of(rows))
    assert table["self"].sum() == sum(cost for _, cost in rows)
    assert table["self"].is_monotonic_decreasing
    if len(table):
        assert table["self_pct"].sum() == pytest.approx(100)
        assert table["cumulative_pct"].iloc[-1] == pytest.approx(100)
        assert table["total_pct"].max() <= 100.0000001
    assert top(profile_of(rows), sort="total")["total"].is_monotonic_decreasing
    assert len(top(profile_of(rows), n=2)) == min(2, len(table))


@given(stacks, st.sampled_from(["self", "total"]), st.sampled_from([None, 0, 2]))
def test_the_top_of_plain_lists_is_that_of_arrays(rows: Stacks, sort: Literal["self", "total"], n: int | None) -> None:
    profile = profile_of(rows)
    functions = profile.arrays.functions
    kinds = {"O": "object", "b": "bool", "i": "int64", "f": "float64"}
    columns = {name: functions.column(name) for name in functions if name != "calls"}
    listed = {name: Listed(column.tolist(), kinds[column.dtype.kind]) for name, column in columns.items()}
    plain = profile.but(_functions=Table({**listed, "calls": Listed([None] * len(functions), "counts")}))
    assert all(isinstance(plain.arrays.functions.kept(name), Listed) for name in functions)
    pd.testing.assert_frame_equal(top(plain, n=n, sort=sort), top(profile, n=n, sort=sort))


def test_top_by_group_and_line() -> None:
    profile = profile_of([(("a", "b"), 3), (("a", "c"), 4), (("a", "b", "c"), 5)], crates=True)
    assert top(profile, by="object").set_index("name")["self"].to_dict() == {"libeven": 9, "libodd": 3}
    assert top(profile, by="crate").set_index("name")["total"].to_dict() == {"crate_a": 12, "crate_b": 8, "crate_c": 9}
    by_line = top(profile, by="line")
    assert by_line[["file", "line", "self", "total"]].values.tolist()[0] == ["c.rs", 3, 9, 9]
    with pytest.raises(WorkbenchError, match="there is no metric 'x'"):
        top(profile, "x")


@given(stacks)
def test_callers_account_for_a_function_once(rows: Stacks) -> None:
    profile = profile_of([*rows, (("a", "b"), 1)])
    truth = summed([*rows, (("a", "b"), 1)])
    below_a_caller = sum(cost for stack, cost in truth.items() if "b" in stack and stack.index("b") > 0)
    table = callers(profile, "b")
    others = table[table["name"] != "b"]
    # a stack that goes through two callers of b counts for each of them
    assert others["cost"].sum() >= below_a_caller
    assert others["cost_pct"].sum() == pytest.approx(100)
    own = callees(profile, "b")
    assert own.iloc[0]["name"] == "(self)"
    assert own.iloc[0]["cost"] == sum(cost for stack, cost in truth.items() if stack[-1] == "b")


def test_a_function_is_found_by_name_or_expression() -> None:
    profile = profile_of([(("main", "work"), 1)])
    assert callers(profile, "work")["name"].tolist() == ["main"]
    assert callers(profile, "^wor")["name"].tolist() == ["main"]
    with pytest.raises(WorkbenchError, match="no function matches 'play'"):
        callers(profile, "play")


@settings(deadline=None)
@given(rows=stacks)
def test_functions_that_match_together_count_a_stack_once(rows: Stacks) -> None:
    profile = profile_of([*rows, (("a", "b"), 1), (("b",), 1)])
    every = [*rows, (("a", "b"), 1), (("b",), 1)]
    found = {"a", "b"}
    whole = sum(cost for stack, cost in every if found & set(stack))
    wanted: Counter[str] = Counter()
    for stack, cost in every:
        wanted.update(dict.fromkeys({down for up, down in pairwise(stack) if up in found} - found, cost))
    below = callees(profile, "^[ab]$")
    shown = below[~below["name"].isin([*found, "(self)"])].set_index("name")
    assert shown["cost"].to_dict() == wanted
    assert shown["cost_pct"].to_numpy() == pytest.approx(100 * shown["cost"].to_numpy() / whole)
    assert below["cost_pct"].max() <= 100.0000001
    above: Counter[str] = Counter()
    for stack, cost in every:
        above.update(dict.fromkeys({up for up, down in pairwise(stack) if down in found} - found, cost))
    calling = callers(profile, "^[ab]$")
    assert calling[~calling["name"].isin(found)].set_index("name")["cost"].to_dict() == above


def test_functions_of_a_graph_that_match_together_have_one_total() -> None:
    profile = read_profile(b"events: Ir\nfn=main\n1 10\ncfn=a1\ncalls=1 1\n1 90\nfn=a1\n1 20\ncfn=a2\ncalls=1 1\n1 70\n"
                           b"fn=a2\n1 30\ncfn=leaf\ncalls=1 1\n1 40\nfn=leaf\n1 40\n", format="callgrind")  # fmt: skip
    table = callees(profile, "^a").set_index("name")
    assert table["cost"].to_dict() == {"(self)": 50, "a2": 70, "leaf": 40}
    assert table.at["leaf", "cost_pct"] == pytest.approx(100 * 40 / 90)
    assert table.at["(self)", "cost_pct"] == pytest.approx(100 * 50 / 90)


def test_the_hot_path_ends_where_the_time_is_spent() -> None:
    profile = profile_of([(("main", "serve", "hash"), 60), (("main", "serve"), 10), (("main", "log"), 30), (("x",), 9)])
    path = hot_path(profile)
    assert path["name"].tolist() == ["main", "serve", "hash"]
    assert path["total"].tolist() == [100, 70, 60]
    assert path["depth"].tolist() == [0, 1, 2]
    assert hot_path(profile_of([])).empty


def lined(file: str) -> Profile:
    functions = pd.DataFrame(
        {
            "function": ["main"], "raw_function": ["main"], "file": [file], "object": [""], "crate": [""],
            "calls": pd.array([1], dtype="Int64"), "self_Ir": [30], "self_Bcm": [2], "self_I1mr": [1],
        }
    )  # fmt: skip
    edges = pd.DataFrame(
        {"caller_id": [], "callee_id": [], "calls": [], "cost_Ir": [], "cost_Bcm": [], "cost_I1mr": []}
    )
    edges = edges.astype({"caller_id": "int64", "callee_id": "int64"})
    lines = pd.DataFrame(
        {
            "function_id": [0, 0], "file": [file, file], "line": [2, 4], "self_Ir": [10, 20], "called_Ir": [5, 0],
            "self_Bcm": [1, 1], "called_Bcm": [0, 0], "self_I1mr": [0, 1], "called_I1mr": [0, 0],
        }
    )  # fmt: skip
    metrics = [Metric("Ir"), Metric("Bcm"), Metric("I1mr")]
    return from_graph("callgrind", "made", metrics=metrics, functions=functions, edges=edges, lines=lines)


def test_a_selection_of_callgrind_says_why_it_has_no_lines() -> None:
    assert top(lined("a.rs"), by="line")["line"].tolist() == [4, 2]
    for ask in (lambda profile: top(profile, by="line"), lambda profile: source_lines(profile, "main")):
        with pytest.raises(WorkbenchError, match="a selection of a callgrind profile has no source lines") as caught:
            ask(focus(lined("a.rs"), "main"))
        assert "without focus" in str(caught.value)
        assert "dump-line" not in str(caught.value)


def test_source_is_shown_where_it_exists(tmp_path: Path) -> None:
    source = tmp_path / "main.c"
    source.write_text("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n")
    table = source_lines(lined("/build/main.c"), "main", roots={"/build": tmp_path}, context=1)
    assert table["line"].tolist() == [1, 2, 3, 4, 5]
    assert table["text"].tolist() == ["one", "two", "three", "four", "five"]
    assert table["self"].tolist() == [0, 10, 0, 20, 0]
    assert table["total"].tolist() == [0, 15, 0, 20, 0]
    without = source_lines(lined("/build/main.c"), "main")
    assert without["line"].tolist() == [2, 4]
    assert without["text"].isna().all()
    with pytest.raises(WorkbenchError, match="no line"):
        source_lines(lined("/build/main.c"), file="other.c")


def test_a_profile_cannot_make_other_files_be_shown(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    secret = tmp_path / "secret.txt"
    secret.write_text("one\ntwo\nthree\nfour\n")
    for path in (str(secret), f"{tmp_path}/source/../secret.txt"):
        assert source_lines(lined(path), "main")["text"].isna().all()
        shown = source_lines(lined(path), "main", roots={f"{tmp_path}/source": tmp_path / "source"})
        assert shown["text"].isna().all()


def test_derived_events_have_kcachegrinds_formulas() -> None:
    profile = derived(lined("main.c"))
    row = profile.functions.iloc[0]
    assert row["self_Bm"] == 2
    assert row["self_L1m"] == 1
    assert row["self_CEst"] == 30 + 10 * 2 + 10 * 1
    assert "LLm" not in profile.metric_names
    assert profile.lines["self_CEst"].sum() == row["self_CEst"]
    assert derived(profile) is profile
    only_ir = from_graph(
        "callgrind", "made", metrics=[Metric("Ir")], functions=lined("x").functions.iloc[:, :7], edges=lined("x").edges
    )
    assert derived(only_ir) is only_ir
