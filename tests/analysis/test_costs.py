"""The table of costs: sums stay exact, what was merged is said, a receipt's cost is a quotient of sums."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.made import costs_of, heap
from tests.analysis.service import run
from tests.profiles.make import Stacks, profile_of, stacks
from workbench import read_profile
from workbench.analysis.costs import (
    COLUMNS,
    REST,
    allocated_bytes,
    compact_costs,
    cost_by_step,
    cost_per_receipt,
    heap_costs,
    window_costs,
)
from workbench.errors import WorkbenchError
from workbench.profiles.model import Profile

pytestmark = pytest.mark.slow


def window(rows: Stacks, step: int = 1, receipts: int = 10) -> pd.DataFrame:
    return window_costs(profile_of(rows), service="indexer-service", mode="pprof", step=step, receipts=receipts)


def sums(costs: pd.DataFrame) -> dict[tuple[int, str], float]:
    return costs.groupby(["step", "by"])["self"].sum().to_dict()


@settings(deadline=None, max_examples=20)
@given(stacks, stacks, st.floats(0, 1))
def test_self_costs_add_up_to_the_whole_compact_or_not(first: Stacks, second: Stacks, share: float) -> None:
    costs = pd.concat([window(first, 1), window(second, 2)], ignore_index=True)
    assert list(costs.columns) == list(COLUMNS)
    for step, rows in ((1, first), (2, second)):
        whole = sum(cost for _, cost in rows)
        for table in (costs, compact_costs(costs, share)):
            found = sums(table)
            assert {found.get((step, by), 0) for by in ("function", "file", "crate", "whole")} == {whole}


def test_a_function_is_kept_in_every_step_or_in_none() -> None:
    costs = costs_of([10, 10], {"large": [1000, 1000], "grows": [1, 500], "small": [1, 1], "tiny": [2, 0]})
    compact = compact_costs(costs, 0.01)
    functions = compact[compact["by"] == "function"]
    assert {name: rows["self"].tolist() for name, rows in functions.groupby("name")} == {
        "large": [1000, 1000],
        "grows": [1, 500],
        REST: [3, 1],
    }


def test_the_table_survives_parquet(tmp_path: Path) -> None:
    costs = compact_costs(window([(("a", "b"), 5), (("a",), 2)]))
    costs.to_parquet(tmp_path / "costs.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "costs.parquet"), costs)


def test_cost_per_receipt_is_pooled_and_says_what_repeating_changes() -> None:
    costs = costs_of([100, 100, 300], {"a": [1000, 1100, 3000], "b": [0, 0, 300]})
    table = cost_per_receipt(costs, "Ir").set_index("name")
    assert table.loc["a", "per_receipt"] == 5100 / 500
    assert table.loc["a", ["step_1", "step_2", "step_3"]].tolist() == [10, 11, 10]
    assert table.loc["a", "spread_pct"] == pytest.approx(100 / 10.5)
    assert table.loc["b", ["lowest", "highest"]].tolist() == [0, 1]
    assert table["share_pct"].sum() == pytest.approx(100)
    whole = cost_per_receipt(costs, "Ir", "whole").iloc[0]
    assert (whole["cost"], whole["share_pct"]) == (5400, 100)


def test_every_place_is_in_every_step() -> None:
    steps = cost_by_step(costs_of([10, 20], {"a": [100, 0], "b": [0, 40]}), "Ir")
    assert sorted(zip(steps["step"], steps["name"], steps["cost_per_receipt"], strict=True)) == [
        (1, "a", 10.0), (1, "b", 0.0), (2, "a", 0.0), (2, "b", 2.0),
    ]  # fmt: skip


def test_what_is_not_there_is_named() -> None:
    costs = costs_of([10], {"a": [1]})
    with pytest.raises(WorkbenchError, match="no step has the metric 'Dr'") as failure:
        cost_per_receipt(costs, "Dr")
    assert "Ir" in str(failure.value.hint)
    with pytest.raises(WorkbenchError, match="found 'line'"):
        cost_per_receipt(costs, "Ir", "line")  # type: ignore[arg-type]
    with pytest.raises(WorkbenchError, match="window of 0 receipts"):
        window([(("a",), 1)], receipts=0)


def test_system_calls_are_counted_by_call_and_their_time_is_working_or_waiting(tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    log.write_text(
        '10 12:00:00.000000 read(3, "x", 1) = 1 <0.000100>\n'
        '10 12:00:00.001000 write(1, "x", 1) = 1 <0.000200>\n'
        '10 12:00:00.002000 write(1, "x", 1) = -1 EPIPE (Broken pipe) <0.000300>\n'
        "10 12:00:00.003000 futex(0x7f, FUTEX_WAIT, 0, NULL) = 0 <0.500000>\n"
    )
    costs = window_costs(read_profile(log), service="tap-agent", mode="strace", step=1, receipts=2)
    table = cost_per_receipt(costs, "calls").set_index("name")["per_receipt"]
    assert table.to_dict() == {"write": 1.0, "read": 0.5, "futex": 0.5}
    assert cost_per_receipt(costs, "errors").set_index("name")["cost"].to_dict() == {"write": 1}
    assert cost_per_receipt(costs, "waiting", "whole")["cost"].iloc[0] >= 500_000_000
    assert cost_per_receipt(costs, "working")["cost"].sum() >= 500_000


def test_callgrind_has_derived_events_and_massif_has_edges(tmp_path: Path) -> None:
    folder = run(tmp_path, "callgrind", ["--cache-sim=yes", "--branch-sim=yes"], [20, 20])
    costs = pd.concat(
        [
            window_costs(
                read_profile(folder / f"callgrind.out.{step}"), service="c", mode="callgrind", step=step, receipts=20
            )
            for step in (1, 2)
        ],
        ignore_index=True,
    )
    assert {"Ir", "L1m", "LLm", "Bm", "CEst"} <= set(costs["metric"])
    verify = cost_per_receipt(costs, "Ir").set_index("name").loc["verify"]
    assert verify["spread_pct"] < 0.1
    with pytest.raises(WorkbenchError, match="no metric 'Nope'"):
        window_costs(
            read_profile(folder / "callgrind.out.1"),
            service="c",
            mode="callgrind",
            step=1,
            receipts=1,
            metrics=["Nope"],
        )


def test_massifs_clock_tells_what_was_allocated(tmp_path: Path) -> None:
    folder = run(tmp_path, "massif", ["--time-unit=B"], [30])
    begin, end = (read_profile(folder / f"massif-1-{edge}") for edge in ("begin", "end"))
    costs = heap_costs(begin, end, service="c", step=1, receipts=30)
    # 8 bytes of massif's administration for each block, and 5,000 is rounded up to a multiple of 16
    blocks = 30 * (48 + 8) + 30 * (400 + 8) + 20 * (5008 + 8)
    assert cost_per_receipt(costs, "bytes_allocated", "whole")["cost"].iloc[0] == pytest.approx(blocks, rel=0.001)
    kept = cost_per_receipt(costs, "bytes_kept").set_index("name")["cost"]
    assert kept["keep"] == 30 * 48
    assert kept["warm"] == 20 * 5000
    with pytest.raises(WorkbenchError, match="massif records levels"):
        window_costs(begin, service="c", mode="massif", step=1, receipts=30)
    ms = run(tmp_path, "massif", ["--time-unit=ms"], [30])
    edges = [read_profile(ms / f"massif-1-{edge}") for edge in ("begin", "end")]
    assert allocated_bytes(*edges) is None


def kept(begin: Profile, end: Profile, receipts: int = 10) -> dict[str, int]:
    costs = heap_costs(begin, end, service="s", step=0, receipts=receipts)
    costs = costs[costs["metric"] == "bytes_kept"]
    assert costs.groupby("by")["self"].sum().nunique() == 1
    return costs[costs["by"] == "function"].set_index("name")["self"].to_dict()


def test_a_site_that_massif_lists_at_one_edge_only_kept_what_it_surely_kept(tmp_path: Path) -> None:
    below = "(below massif's threshold)"
    begin = heap(tmp_path, ("0x1", "A (x.c:1)", 400_000), below=600_000)
    # 4,990 bytes before are below 0.5 % of a million
    end = heap(tmp_path, ("0x1", "A (x.c:1)", 400_000), ("0x2", "B (x.c:2)", 5_010), below=595_010)
    assert kept(begin, end) == {"A": 0, "B": 10, below: 10}
    assert kept(end, begin) == {"A": 0, "B": -10, below: -10}
    # nothing is below the threshold: what is not listed is not there
    empty = heap(tmp_path, ("0x1", "A (x.c:1)", 400_000))
    full = heap(tmp_path, ("0x1", "A (x.c:1)", 400_000), ("0x2", "B (x.c:2)", 50_000))
    assert kept(empty, full) == {"A": 0, "B": 50_000}


def test_denied_receipts_are_counted_apart_and_refusals_are_no_cost_of_a_receipt() -> None:
    costs = costs_of([10, 20, 40, 40], {"a": [100, 200, 210, 40]}, denied=[0, 0, 20, 40])
    table = cost_per_receipt(costs, "Ir").iloc[0]
    assert (table["cost"], table["receipts"], table["per_receipt"], table["highest"]) == (300, 30, 10, 10)
    steps = cost_by_step(costs, "Ir")
    assert steps["cost_per_receipt"].tolist()[:3] == [10, 10, 5.25]
    assert steps["cost_per_receipt"].isna().tolist() == [False, False, False, True]
    assert steps[["accepted", "denied"]].to_numpy().tolist() == [[10, 0], [20, 0], [20, 20], [0, 40]]
    # a mixed step is better than nothing, refusals alone are not
    mixed = costs[costs["step"] > 2]
    assert cost_per_receipt(mixed, "Ir")["per_receipt"].tolist() == [5.25]
    assert cost_per_receipt(costs[costs["step"] == 4], "Ir").empty


def test_windows_keep_what_was_accepted_and_denied_and_old_tables_are_read() -> None:
    made = window_costs(profile_of([(("a",), 5)]), service="s", mode="pprof", step=1, receipts=10, accepted=7, denied=3)
    assert set(zip(made["accepted"], made["denied"], strict=True)) == {(7, 3)}
    assert (made["accepted"].dtype, made["denied"].dtype) == ("Int64", "int64")
    new = window([(("a",), 5)], step=2)
    assert new["accepted"].isna().all()
    assert not new["denied"].any()
    old = window([(("a",), 8)], step=1).drop(columns=["accepted", "denied"])
    for table in (old, pd.concat([old, new], ignore_index=True)):
        assert cost_by_step(table, "cost")["denied"].eq(0).all()
        assert cost_per_receipt(table, "cost")["step_1"].tolist() == [0.8]
        compact = compact_costs(table)
        assert list(compact.columns) == list(COLUMNS)
        assert not compact["denied"].any()


def test_a_grouping_that_the_profiler_does_not_know_has_no_rows() -> None:
    costs = costs_of([10, 20], {"read": [10, 20]}, mode="strace", metric="calls")
    assert cost_by_step(costs, "calls", "crate").empty
    assert cost_per_receipt(costs, "calls", "crate").empty
