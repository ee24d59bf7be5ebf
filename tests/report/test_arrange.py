"""The order in which a report tells a notebook: answers first, what has no data left out, how it was made last."""

from __future__ import annotations

from typing import Any

from bs4 import BeautifulSoup

from tests.report import frames
from tests.report.test_export import shown as shown_figure
from workbench import charts
from workbench.report.arrange import arranged
from workbench.report.export import render
from workbench.report.quick_nbformat import nbformat
from workbench.report.view import FACTS, View, nothing, sentence


def words(text: str, *tags: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, metadata={"tags": list(tags)} if tags else {})


def code(source: str, *views: View) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    for view in views:
        data, metadata = view._repr_mimebundle_()
        cell.outputs.append(nbformat.v4.new_output("display_data", data, metadata=metadata))
    return cell


def tiles(*what: str) -> View:
    shown: list[dict[str, Any]] = [{"what": one} for one in what]
    return View("<p>tiles</p>", "tiles", {"tiles": shown})


def page_of(*cells: nbformat.NotebookNode) -> BeautifulSoup:
    return BeautifulSoup(render(nbformat.v4.new_notebook(cells=list(cells)), title="t"), "html.parser")


def test_what_came_of_it_stands_before_how_it_was_made() -> None:
    printed = code("run()")
    printed.outputs = [nbformat.v4.new_output("stream", name="stdout", text="step 1: 100 accepted")]
    page = page_of(
        words("# Title"),
        code("number = 1"),
        printed,
        code("tiles()", tiles("verdict")),
        words("## A"),
        code("a()", sentence("said")),
    )
    text = page.main.text
    assert text.index("Title") < text.index("tiles") < text.index("said") < text.index("step 1: 100 accepted")
    assert [link.text for link in page.select("nav a")] == ["A", "How this was made"]
    assert all(source in text for source in ("number = 1", "run()", "tiles()", "a()"))


def test_what_has_no_data_is_left_out_and_said_once() -> None:
    why = "The service ran without a profiler."
    empty = charts.throughput_by_step(frames.steps().head(0))
    cells = [
        words("## Cost"), code("a()", nothing(why)), words("### Growth"), code("b()", nothing(why)),
        words("## Times"), shown_figure(empty), code("c()", sentence("kept")),
        words("### Below"), code("d()", nothing(why)),
        words("## Prose alone"),
    ]  # fmt: skip
    found = arranged(cells)
    assert [section.heading for section in found.sections] == ["Times", "Prose alone"]
    assert dict(found.left_out) == {"Cost, Times": why.removesuffix("."), "Throughput": "No step was measured"}
    page = page_of(*cells)
    assert page.main.text.count("without a profiler") == 1
    assert "Below" not in page.main.text
    assert page.select(".plot") == []


def test_under_a_profiler_what_a_receipt_costs_comes_first() -> None:
    cells = [words("## Findings"), words("## Verdict"), words("## Cost", "cost"), words("## Steps")]
    order = [section.heading for section in arranged([code("t()", tiles("cost", "verdict")), *cells]).sections]
    assert order == ["Findings", "Cost", "Verdict", "Steps"]
    plain = [section.heading for section in arranged([code("t()", tiles("verdict", "cost")), *cells]).sections]
    assert plain == ["Findings", "Verdict", "Cost", "Steps"]


def test_a_cell_that_failed_stays_where_it_is_seen() -> None:
    failed = nbformat.v4.new_code_cell("run()")
    failed.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=["it went wrong"])]
    found = arranged([code("number = 1"), failed])
    assert [cell.source for cell in found.head] == ["run()"]
    assert [cell.source for cell in found.made] == ["number = 1"]


def test_facts_of_others_are_no_harm() -> None:
    odd = code("odd()", sentence("shown"))
    odd.outputs[0].metadata[FACTS] = "text"
    assert [section.heading for section in arranged([words("## A"), odd]).sections] == ["A"]
