"""The charts of cost per receipt: bars add up, what grows comes first, names are only text."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.analysis.made import costs_of
from workbench.analysis.costs import cost_by_step
from workbench.analysis.growth import growth
from workbench.analysis.leaks import PLACE
from workbench.charts.growth import growth_lines
from workbench.charts.leaks import leak_lines
from workbench.charts.receipt_costs import REST, receipt_costs

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
