"""The bars of a top table."""

from __future__ import annotations

import html

import pandas as pd
import pytest

from tests.charts.profiles import HOSTILE, folded
from workbench.charts.top import MOST_BARS, NAME_LENGTH, shortened, top_bars
from workbench.profiles.views.top import top
from workbench.report.figures import figure_html, figure_points

TABLE = pd.DataFrame({"name": ["<T as X>::f", "g", "g"], "self": [50, 20, 10], "total": [60, 100, 10]})


def test_self_and_total_are_bars_in_the_order_of_the_table() -> None:
    chart = top_bars(TABLE, "cpu", "ns")
    assert [(trace.name, list(trace.x)) for trace in chart.data] == [("self", [50, 20, 10]), ("total", [60, 100, 10])]
    assert chart.layout.yaxis.autorange == "reversed"
    assert chart.layout.xaxis.title.text == "cpu, ns"
    assert chart.layout.yaxis.title.text
    assert chart.layout.meta["caption"].endswith(".")
    looks = {(trace.marker.color, trace.marker.pattern.shape) for trace in chart.data}
    assert len(looks) == len({shape for _, shape in looks}) == 2


def test_functions_of_one_name_keep_their_own_bars() -> None:
    assert list(top_bars(TABLE, "cpu", "ns").data[0].y) == ["<T as X>::f", "g", "g #2"]


def test_names_are_text_for_plotly_too() -> None:
    chart = top_bars(TABLE.assign(name=["<b>bold</b>", "<a href='x'>x</a>", HOSTILE]), "cpu", "ns")
    labels = [*chart.layout.yaxis.ticktext, *chart.data[0].customdata]
    assert all("<" not in label.replace("<br>", "") for label in labels)
    assert html.unescape(labels[0]) == "<b>bold</b>"
    assert "</script><script>" not in figure_html(chart.to_plotly_json(), "chart-1").replace("&lt;", "")


def test_the_data_of_the_chart_have_the_whole_names() -> None:
    name = "alloc::" * 20 + "end"
    headings, points = figure_points(top_bars(TABLE.assign(name=[name, "a", "b"]), "cpu", "ns").to_plotly_json())
    assert name in [row[headings.index("Function")] for row in points]


def test_a_long_table_is_cut_and_says_so() -> None:
    long = pd.DataFrame({"name": [f"f{n}" for n in range(100)], "self": range(100), "total": range(100)})
    chart = top_bars(long, "Ir", "count")
    assert len(chart.data[0].x) == MOST_BARS
    assert chart.layout.meta["caption"].startswith(f"The first {MOST_BARS} of 100 rows")


def test_an_empty_table_says_so() -> None:
    chart = top_bars(TABLE.head(0), "cpu", "ns")
    assert [note.text for note in chart.layout.annotations] == ["Nothing was measured"]


def test_it_takes_the_view_as_it_is() -> None:
    chart = top_bars(top(folded({"main;a": 3, "main": 1})), "cpu", "ns")
    assert list(chart.data[0].y) == ["a", "main"]
    assert list(chart.data[1].x) == [3, 4]


@pytest.mark.parametrize("length", [5, 20, NAME_LENGTH])
def test_shortened_names_keep_both_ends(length: int) -> None:
    short = shortened("a" * 60 + "z" * 60, length)
    assert len(short) == length
    assert (short[0], short[-1]) == ("a", "z")
    assert shortened("short", NAME_LENGTH) == "short"
