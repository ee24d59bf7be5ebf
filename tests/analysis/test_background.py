"""Cost that is not the receipts': told from a window without any, taken from all figures, never more than was seen."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.graphs import Call, graph
from tests.analysis.made import costs_of, heap
from tests.analysis.real import real
from workbench import read_callgrind, read_massif
from workbench.analysis.answers import BACKGROUND as QUESTION
from workbench.analysis.answers import answers
from workbench.analysis.background import BACKGROUND, background_table, without_background
from workbench.analysis.costs import compact_costs, cost_per_receipt, heap_costs, idle_costs, window_costs
from workbench.analysis.findings import Measured, find
from workbench.analysis.growth import growth
from workbench.analysis.leaks import LEAK, TIMED, HeapWindow, leak_rates
from workbench.analysis.profiler_share import profiler_part, without_profiler

pytestmark = pytest.mark.slow

SERVICE = "indexer-service"


def per_receipt(costs: pd.DataFrame, name: str) -> float:
    table = cost_per_receipt(costs, "Ir")
    return float(table.loc[table["name"] == name, "per_receipt"].sum())


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.tuples(st.integers(10, 500), st.integers(1, 100)), min_size=1, max_size=5),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(5, 60),
)
def test_cost_is_background_by_time_and_receipts_by_number(
    steps: list[tuple[int, int]], each: int, per_s: int, idle_s: int
) -> None:
    receipts, seconds = [n for n, _ in steps], [float(s) for _, s in steps]
    functions = {"verify": [each * n for n in receipts], "poll": [per_s * s for s in seconds]}
    costs = costs_of(receipts, functions, seconds=seconds, idle={"poll": per_s * idle_s}, idle_s=idle_s)
    less = without_background(costs)
    (row,) = background_table(costs, less).to_dict("records")
    if per_s * idle_s < 5:
        assert not row["told"]
        return
    assert row["per_second"] == pytest.approx(per_s)
    assert row["cost_per_receipt"] == pytest.approx(each)
    assert row["background_per_receipt"] == pytest.approx(per_s * sum(seconds) / sum(receipts))
    assert row["receipts_worth"] == pytest.approx(per_s * idle_s / each)
    assert per_receipt(less, "poll") == pytest.approx(0, abs=1e-6)
    # nothing is lost: what was taken and what is left are what was measured
    measured = costs[costs["window"] == "step"].groupby(["step", "by"])["self"].sum()
    assert (less.groupby(["step", "by"])["self"].sum() + less.groupby(["step", "by"])[BACKGROUND].sum()).equals(
        measured
    )


@settings(deadline=None, max_examples=15)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1),
    st.floats(0.1, 100),
)
def test_never_more_is_taken_than_there_is_and_sums_hold(step: dict[str, int], idle: dict[str, int], s: float) -> None:
    costs = costs_of([10], {name: [cost] for name, cost in step.items()}, seconds=[s], idle=idle, idle_s=10)
    less = without_background(costs)
    functions, whole = less[less["by"] == "function"], less[less["by"] == "whole"]
    assert (less["self"] >= 0).all()
    assert functions["self"].sum() == whole["self"].sum()
    assert whole["self"].sum() + whole[BACKGROUND].sum() == sum(step.values())


def test_what_happened_in_the_idle_window_alone_is_not_taken_from_steps() -> None:
    """An allocator that a one-off used most is not a receipt's background: the way to it did not take place."""
    own = {"tokio::run": 1.0, "app::handle": 50.0, "app::symbols": 10.0, "libc::malloc": 100.0}
    files = {"tokio::run": "std:x.rs"}
    busy = graph(own, [Call("tokio::run", "app::handle", 1), Call("app::handle", "libc::malloc", 10)], 100, files)
    alone = graph(
        own, [Call("tokio::run", "app::symbols", 0.01), Call("app::symbols", "libc::malloc", 100)], 100, files
    )
    window = window_costs(busy, service=SERVICE, mode="callgrind", step=0, receipts=100, seconds=10)
    costs = pd.concat([window, idle_costs(alone, service=SERVICE, mode="callgrind", seconds=10)], ignore_index=True)
    by_itself = without_background(costs)
    by_ways = without_background(costs, {(SERVICE, "callgrind"): alone})
    assert by_itself.loc[by_itself["name"] == "libc::malloc", BACKGROUND].sum() > 0
    assert by_ways.loc[by_ways["name"] == "libc::malloc", BACKGROUND].sum() == 0
    assert by_ways.loc[by_ways["by"] == "whole", "self"].item() == pytest.approx(window_total(window), rel=0.001)


def window_total(costs: pd.DataFrame) -> float:
    return float(costs.loc[costs["by"] == "whole", "self"].sum())


def test_without_an_idle_window_it_is_said_that_nothing_is_known() -> None:
    costs = costs_of([100, 200], {"verify": [1000, 2000]}, seconds=[1.0, 2.0])
    less = without_background(costs)
    assert (less[BACKGROUND] == 0).all()
    (row,) = background_table(costs, less).to_dict("records")
    assert not row["told"]
    assert "is not known: there is no idle window" in row["sentence"]
    said = answers(less, background=background_table(costs, less))
    assert said[QUESTION] == [f"By callgrind: {row['sentence']}"]
    found = find([Measured(SERVICE, "callgrind", "Ir", less, background=background_table(costs, less))])
    assert found.notes == (f"{SERVICE}, callgrind: {row['sentence']}",)


def test_one_of_a_few_events_says_nothing() -> None:
    few = costs_of([100], {"verify": [1000]}, mode="flamegraph", metric="samples", seconds=[1.0], idle={"poll": 3})
    (row,) = background_table(few, without_background(few)).to_dict("records")
    assert not row["told"]
    assert "3 events, fewer than 5" in row["sentence"]


def test_runs_from_before_are_as_they_were() -> None:
    old = costs_of([100, 200], {"verify": [1000, 2000]}).drop(columns=["window", "seconds"])
    less = without_background(old)
    assert less["self"].tolist() == old["self"].tolist()


def test_the_interval_of_samples_covers_the_truth() -> None:
    """A hundred services, each with an idle window of its own."""
    truth = 40
    drawn = np.random.default_rng(7).poisson(truth, 100).tolist()
    parts = []
    for number, events in enumerate(drawn):
        costs = costs_of([9], {"verify": [500]}, mode="flamegraph", metric="samples", seconds=[1.0], idle={"p": events})
        parts.append(costs.assign(service=f"service-{number}"))
    costs = pd.concat(parts, ignore_index=True)
    table = background_table(costs, costs[costs["window"] == "step"].assign(**{BACKGROUND: 0}))
    covered = (table["per_second_low"] <= truth / 10) & (truth / 10 <= table["per_second_high"])
    assert covered.mean() >= 0.9


def test_work_of_a_timer_is_no_growth_of_receipts() -> None:
    """Steps that take longer and longer make a poller look quadratic."""
    receipts = [100, 200, 300, 400, 500, 600]
    seconds = [n * n / 1000 for n in receipts]
    functions = {"verify": [9000 * n for n in receipts], "poll": [int(50_000 * s) for s in seconds]}
    costs = costs_of(receipts, functions, seconds=seconds, idle={"poll": 500_000}, idle_s=10.0)
    assert growth(costs, "Ir").flagged()["name"].tolist() == ["poll"]
    less = compact_costs(without_background(costs))
    assert growth(less, "Ir").flagged().empty
    row = growth(less, "Ir", "whole").table.iloc[0]
    assert row["marginal_per_receipt"] == pytest.approx(9000, rel=0.001)


def test_the_background_of_the_real_service_was_its_profiler_once() -> None:
    idle = read_callgrind(real("service-idle.callgrind.out.gz"))
    step = read_callgrind(real("service-step-400.callgrind.out.gz"))
    window = window_costs(step, service=SERVICE, mode="callgrind", step=0, receipts=400, seconds=50, metrics=["Ir"])
    alone = idle_costs(idle, service=SERVICE, mode="callgrind", seconds=60, metrics=["Ir"])
    costs = pd.concat([window, alone], ignore_index=True)
    less = without_background(costs, {(SERVICE, "callgrind"): idle})
    (row,) = background_table(costs, less).to_dict("records")
    assert row["idle_cost"] == 1_315_228_924
    assert row["receipts_worth"] == pytest.approx(198, abs=0.5)
    # a receipt costs what it did: none of that happened in the step
    assert row["cost_per_receipt"] == pytest.approx(6_637_888, rel=0.001)
    cost, functions = profiler_part(idle, "Ir")
    assert cost / idle.total("Ir") == pytest.approx(0.998, abs=0.001)
    assert functions[0] == "pprof::profiler::ProfilerGuardBuilder::build"


# heaps


def edges(folder: Path, *held: tuple[int, int], begun_s: float = 0.0) -> list[HeapWindow]:
    """Windows of 100 receipts and 10 s each: what two sites hold after each, the first edge first."""
    levels = [heap(folder, ("0x1", "keep (app.c:3)", a), ("0x2", "cache (app.c:9)", b)) for a, b in held]
    return [
        HeapWindow(
            step=number,
            receipts=100,
            begin=begin,
            end=end,
            started_s=begun_s + 10 * number,
            ended_s=begun_s + 10 * (number + 1),
        )
        for number, (begin, end) in enumerate(itertools.pairwise(levels))
    ]


def test_what_rises_with_time_is_no_leak_of_receipts(tmp_path: Path) -> None:
    rising = [(10_000 + 2000 * n, 50_000 + 1000 * n) for n in range(5)]
    windows = edges(tmp_path, *rising)
    assert set(leak_rates(windows).flagged()["function"]) == {"keep", "cache"}
    # without receipts the cache alone rises, as fast as with them
    (idle,) = edges(tmp_path, (18_000, 54_000), (18_000, 55_000), begun_s=50.0)
    table = leak_rates(windows, idle=idle).table.set_index("function")
    assert table["flag"].to_dict() == {"keep": LEAK, "cache": TIMED}
    assert table.at["keep", "rate"] == pytest.approx(20)
    assert table.at["cache", "background"] == pytest.approx(10)
    assert table.at["cache", "rate"] == pytest.approx(0, abs=1e-9)


def test_what_a_profiler_holds_is_left_out_of_the_heap() -> None:
    begin, end = (read_massif(real(f"service-step-400.{edge}.massif.out.gz")) for edge in ("begin", "end"))
    series = read_massif(real("service-step-400.series.massif.out.gz"))
    cost, _ = profiler_part(series, "heap")
    assert (cost, series.total()) == (224_898_436, 240_063_785)
    assert cost / series.total() == pytest.approx(0.937, abs=0.0005)
    kept = without_profiler(end)
    assert kept.tables["snapshots"]["heap_bytes"].tolist() == [240_354_571 - 224_898_436]
    costs = heap_costs(without_profiler(begin), kept, service=SERVICE, step=0, receipts=400)
    assert not costs["name"].str.contains("pprof").any()
    assert costs.loc[(costs["by"] == "whole") & (costs["metric"] == "bytes_kept"), "self"].item() == 288
