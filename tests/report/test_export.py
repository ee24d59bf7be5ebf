"""The exported page: nothing from outside, nothing lost, nothing run that came from the service."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from bs4 import BeautifulSoup

from tests.report import frames
from workbench import charts
from workbench.errors import RunFolderError, ToolError
from workbench.report import export_html, external_addresses
from workbench.report.export import render
from workbench.report.figures import PLOTLY_MIME, figure_points
from workbench.report.quick_nbformat import nbformat


def page_of(*cells: nbformat.NotebookNode) -> BeautifulSoup:
    made = nbformat.v4.new_notebook(cells=list(cells))
    html = render(made, title="A <title> & more")
    assert external_addresses(html) == []
    return BeautifulSoup(html, "html.parser")


def shown(figure: go.Figure) -> nbformat.NotebookNode:
    data = {PLOTLY_MIME: json.loads(figure.to_json()), "text/plain": "Figure"}
    cell = nbformat.v4.new_code_cell("figure")
    cell.outputs = [nbformat.v4.new_output("execute_result", nbformat.from_dict(data))]
    return cell


def html_cell(html: str, **metadata: object) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell("the_code('<b>')", metadata=metadata)
    cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": html})]
    return cell


def test_the_policy_forbids_the_outside() -> None:
    page = page_of(nbformat.v4.new_markdown_cell("# A"))
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert page.find("meta", {"name": "viewport"})["content"].startswith("width=device-width")
    assert page.title.text == "A <title> & more"


def test_the_policy_comes_before_anything_it_governs() -> None:
    head = page_of().head
    tags = [element.name for element in head.find_all(True)]
    assert tags[:2] == ["meta", "meta"]


def test_plotly_is_there_once_and_only_when_needed() -> None:
    figure = charts.lag_by_step(frames.steps())
    without = str(page_of(nbformat.v4.new_markdown_cell("# A")))
    one, two = str(page_of(shown(figure))), str(page_of(shown(figure), shown(figure)))
    assert len(without) < 50_000
    assert 1_000_000 < len(one) < 3_000_000
    assert len(two) - len(one) < 50_000


def test_code_is_folded_and_not_lost() -> None:
    page = page_of(html_cell("<p>shown</p>"))
    details = page.select_one("details.code")
    assert "open" not in details.attrs
    assert details.pre.text == "the_code('<b>')"


def test_what_a_cell_printed_is_one_block() -> None:
    printed = nbformat.v4.new_code_cell("print()")
    printed.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"line {n}\n") for n in range(3)]
    page = page_of(printed)
    assert [block.pre.text for block in page.select("details.printed")] == ["line 0\nline 1\nline 2\n"]


def test_interactive_cells_are_left_out() -> None:
    page = page_of(html_cell("<p>shown</p>"), html_cell("<p>slider</p>", tags=["interactive-only"]))
    assert "shown" in page.text
    assert "slider" not in page.text


def test_contents_lead_to_headings() -> None:
    page = page_of(nbformat.v4.new_markdown_cell("# Top\n\n## Was it in time?\n\nText\n\n## The & limit"))
    links = [link["href"] for link in page.select("nav a")]
    assert links == ["#Was-it-in-time?", "#The-&-limit"]
    assert all(page.find(id=link.removeprefix("#")) is not None for link in links)


def test_a_chart_has_a_caption_a_table_and_a_file() -> None:
    figure = charts.outcomes(frames.outcomes(), frames.steps())
    chart = page_of(shown(figure)).figure
    assert chart.figcaption.text == figure.layout.meta["caption"]
    csv = chart.select_one("a[download]")["href"].removeprefix("data:text/csv;base64,")
    table = pd.read_csv(io.BytesIO(base64.b64decode(csv)))
    accepted = table[table["Series"] == "accepted"]
    assert accepted["Receipts"].tolist() == frames.steps()["accepted"].tolist()
    assert len(chart.select("tbody tr")) == len(table)


def test_numpy_columns_are_read_as_plotly_stores_them() -> None:
    figure = go.Figure(go.Scatter(x=np.array([1, 2]), y=np.array([0.5, np.nan]), name="s"))
    points = figure_points(figure.to_plotly_json())
    assert points == (("Series", "x", "y"), [("s", 1, 0.5)])
    stored = json.loads(figure.to_json())
    assert "bdata" in stored["data"][0]["x"]
    assert figure_points(stored) == points


@pytest.mark.parametrize(
    "html",
    [
        '<img src="https://example.org/a.png">',
        '<script src="//example.org/a.js"></script>',
        '<img src="beside-the-page.png">',
        '<img src="20260101T000000Z-none/report.html">',
        '<a href="../20260101T000000Z-none/report.html">the text</a>',
        '<a href="//example.org/report.html">the text</a>',
        '<a href="javascript:x/report.html">the text</a>',
        '<link rel="stylesheet" href="http://example.org/a.css">',
        '<img srcset="a.png 1x, https://example.org/b.png 2x">',
        '<form action="https://example.org/"></form>',
        '<iframe src="https://example.org/"></iframe>',
        '<object data="ftp://example.org/"></object>',
        '<a href="https://example.org/">the text</a>',
        '<svg><use xlink:href="https://example.org/#a"></use></svg>',
    ],
)
def test_an_address_in_an_output_is_found_and_taken_out(html: str) -> None:
    assert external_addresses(html) != []
    page = page_of(html_cell(f"<p>before {html} after</p>"))
    assert "before" in page.text
    assert "after" in page.text
    assert ("the text" in page.text) == ("the text" in html)


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<style>@import 'https://example.org/a.css';</style>", ["https://example.org/a.css"]),
        ("<p style=\"background:url('//example.org/a')\">a</p>", ["//example.org/a"]),
        ("<script>fetch('https://example.org/')</script>", ["https://example.org/"]),
        ('<script type="application/json">{"url": "http://127.0.0.1:7601"}</script>', []),
        ("<script>const ns = 'http://www.w3.org/2000/svg';</script>", []),
        ('<a href="20260101T000000Z-none/report.html">a run of a batch</a>', []),
        ('<p>http://127.0.0.1:7601 <a href="#x">x</a> <img src="data:image/png;base64,//+="></p>', []),
    ],
)
def test_what_counts_as_an_address(html: str, found: list[str]) -> None:
    assert external_addresses(html) == found


def test_a_page_that_would_load_something_is_refused(notebook: Callable[..., Path], tmp_path: Path) -> None:
    made = nbformat.v4.new_notebook(cells=[html_cell("<script>fetch('https://example.org/x')</script>")])
    nbformat.write(made, tmp_path / "n.ipynb")
    with pytest.raises(ToolError, match=r"example\.org/x"):
        export_html(tmp_path / "n.ipynb", tmp_path / "n.html", title="")
    assert not (tmp_path / "n.html").exists()


def test_text_from_a_service_stays_text() -> None:
    figure = charts.outcomes(frames.outcomes().assign(outcome=frames.HOSTILE))
    printed = nbformat.v4.new_code_cell("print()")
    printed.outputs = [nbformat.v4.new_output("stream", name="stdout", text=frames.HOSTILE)]
    failed = nbformat.v4.new_code_cell("raise")
    failed.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[frames.HOSTILE])]
    page = page_of(shown(figure), printed, failed)
    assert not [script for script in page.find_all("script") if script.text.startswith("alert")]
    assert page.text.count("alert('from the service')") >= 3


def test_the_page_is_written_whole_or_not_at_all(notebook: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        export_html(notebook(), tmp_path / "missing" / "a.html", title="")
    export_html(notebook(), tmp_path / "a.html", title="")
    assert {path.name for path in tmp_path.iterdir()} == {"in.ipynb", "a.html"}
