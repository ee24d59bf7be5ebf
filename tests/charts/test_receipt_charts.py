"""The charts of cost per receipt: bars add up, what grows comes first, names are only text."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tests.analysis.made import costs_of
from workbench.analysis.costs import REST as COST_REST
from workbench.analysis.costs import cost_by_step
from workbench.analysis.growth import growth
from workbench.analysis.leaks import PLACE
from workbench.charts.crate_colours import crate_colour
from workbench.charts.growth import growth_lines
from workbench.charts.leaks import leak_lines
from workbench.charts.receipt_costs import REST, receipt_costs
from workbench.charts.top import top_bars

N = [100, 200, 400, 800]
COSTS = costs_of(
    N,
    {
        "<b>grows</b>": [n * n for n in N],
        "each": [5000 * n for n in N],
        "more": [4000 * n for n in N],
        "start": [90_000.0] * 4,
    },
)


def test_bars_add_up_to_what_a_receipt_costs() -> None:
    chart = receipt_costs(cost_by_step(COSTS, "Ir"), "instructions", 2)
    assert [trace.name for trace in chart.data] == ["each", "more", REST]
    whole = cost_by_step(COSTS, "Ir", "whole")["cost_per_receipt"]
    assert pd.DataFrame([trace.y for trace in chart.data]).sum().tolist() == pytest.approx(whole.tolist())
    assert chart.layout.barmode == "relative"
    assert chart.layout.yaxis.title.text == "instructions per receipt"
    in_time = receipt_costs(cost_by_step(COSTS.assign(unit="ns"), "Ir"), "CPU time", 2)
    assert in_time.layout.yaxis.title.text == "CPU time per receipt, ns"
    assert len({(trace.marker.color, trace.marker.pattern.shape) for trace in chart.data}) == 3
    assert chart.layout.meta["caption"].endswith(".")


def test_a_crate_has_the_colour_that_it_has_in_flame_graphs() -> None:
    crates = costs_of(N, {"tokio": [5000 * n for n in N], "k256": [4000 * n for n in N]})
    chart = receipt_costs(cost_by_step(crates, "Ir"), "instructions", by="crate")
    assert {trace.name: trace.marker.color for trace in chart.data} == {
        "tokio": crate_colour("tokio"),
        "k256": crate_colour("k256"),
    }


def test_what_grows_is_drawn_first_with_its_model() -> None:
    found = growth(COSTS, "Ir")
    chart = growth_lines(found.points, found.table, "instructions", 2)
    model, measured = chart.data[0], chart.data[1]
    assert model.name == "&lt;b&gt;grows&lt;/b&gt;: grows faster than the load"
    assert list(model.x) == N
    assert list(measured.y) == N
    assert list(model.y) == pytest.approx(list(measured.y), rel=0.05)
    assert len(chart.data) == 4


def test_leaks_are_drawn_before_warm_up() -> None:
    place = dict.fromkeys(PLACE, "")
    sites = {"warm": [0, 5000, 5000], "keep": [0, 1024, 2048]}
    edges = pd.DataFrame(
        [
            {"step": 1, "edge": "end", "receipts": n, **place, "allocator": name, "bytes": held}
            for name, values in sites.items()
            for n, held in zip((0, 10, 20), values, strict=True)
        ]
    )
    table = pd.DataFrame(
        [
            {**place, "allocator": "warm", "held_bytes": 5000, "flag": "warm-up"},
            {**place, "allocator": "keep", "held_bytes": 2048, "flag": "leak"},
        ]
    )
    chart = leak_lines(edges, table)
    assert [trace.name for trace in chart.data] == ["keep: leak", "warm: warm-up"]
    assert list(chart.data[0].y) == [0, 1, 2]


def test_nothing_measured_is_said() -> None:
    steps = cost_by_step(COSTS, "Ir").head(0)
    found = growth(COSTS, "Ir")
    for chart in (
        receipt_costs(steps, "Ir"),
        growth_lines(found.points.head(0), found.table.head(0), "Ir"),
        leak_lines(pd.DataFrame(), pd.DataFrame()),
    ):
        assert not chart.data
        assert chart.layout.annotations[0].text


def test_the_small_places_of_the_table_are_in_the_rest() -> None:
    costs = costs_of(N, {COST_REST: [9000 * n for n in N], "each": [5000 * n for n in N], "small": list(N)})
    chart = receipt_costs(cost_by_step(costs, "Ir"), "instructions", 1)
    assert [trace.name for trace in chart.data] == ["each", REST]
    assert list(chart.data[1].y) == [9001] * 4


def test_a_grouping_without_rows_is_said() -> None:
    calls = costs_of(N, {"read": N}, mode="strace", metric="calls")
    chart = receipt_costs(cost_by_step(calls, "calls", "crate"), "system calls")
    assert not chart.data
    assert "with this grouping" in chart.layout.annotations[0].text
    nothing = costs_of(N, {}, mode="strace", metric="calls")
    assert receipt_costs(cost_by_step(nothing, "calls"), "system calls").layout.annotations[0].text


def test_steps_with_denied_receipts_are_marked() -> None:
    costs = costs_of(N, {"each": N}, denied=[0, 0, 7, 800])
    chart = receipt_costs(cost_by_step(costs, "Ir"), "instructions")
    assert list(chart.data[0].x) == [
        "100<br>step 1", "200<br>step 2", "400<br>step 3<br>7 denied", "800<br>step 4<br>all denied"
    ]  # fmt: skip
    assert chart.data[0].y[3] is None or math.isnan(chart.data[0].y[3])


def test_titles_and_legends_fit_a_narrow_screen() -> None:
    long = "_libsecp256k1.cpython-312-x86_64-linux-gnu.so+0x1"
    costs = costs_of(
        N,
        {f"{long}{end}": [each * n for n in N] for end, each in (("a2b", 5000), ("c4d", 4000))}
        | {f"{long}e6f": [n * n for n in N]},
    )
    found = growth(costs, "Ir")
    place = dict.fromkeys(PLACE, "")
    held = pd.DataFrame(
        [{**place, "allocator": f"{long}{end}", "held_bytes": 1, "flag": "rises unevenly"} for end in "ab"]
    )
    edges = pd.concat([held.assign(step=1, edge=edge, receipts=n, bytes=5) for edge, n in (("begin", 0), ("end", 9))])
    for chart in (
        receipt_costs(cost_by_step(costs, "Ir"), "a metric with a long name of its own"),
        growth_lines(found.points, found.table, "a metric with a long name of its own"),
        leak_lines(edges, held),
        top_bars(pd.DataFrame({"name": [long], "self": [1], "total": [1]}), "a metric with a long name", "count"),
    ):
        lines = chart.layout.title.text.split("<br>")
        assert max(map(len, lines)) <= 40
        names = [trace.name for trace in chart.data if trace.showlegend is not False]
        assert len(set(names)) == len(names)
        assert max(map(len, names)) <= 48
        room = chart.layout.margin.t or chart.layout.template.layout.margin.t
        assert room >= 28 + 20 * len(lines)
    assert any(
        trace.name.startswith("_libs") and "+0x1e6f: " in trace.name
        for trace in growth_lines(found.points, found.table, "x").data
    )


def test_lines_are_broken_where_the_service_was_started_anew() -> None:
    place = dict.fromkeys(PLACE, "")
    edges = pd.DataFrame(
        [
            {"step": step, "session": session, "edge": edge, "receipts": n, **place, "allocator": "a", "bytes": 1024}
            for step, session, edge, n in ((1, 0, "begin", 0), (1, 0, "end", 5), (2, 1, "begin", 5), (2, 1, "end", 9))
        ]
    )
    table = pd.DataFrame([{**place, "allocator": "a", "held_bytes": 5, "flag": "steady"}])
    (line,) = leak_lines(edges, table).data
    assert pd.isna(pd.Series(line.y)).tolist() == [False, False, True, False, False]
