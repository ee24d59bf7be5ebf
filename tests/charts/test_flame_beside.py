"""The tables beside the graph: they follow what is zoomed to, what is chosen, and the metric."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.charts.flame_page import Graph, shown
from tests.charts.profiles import CPU, SAMPLES, folded
from tests.report.browser import offline_page
from workbench.charts.flame import flame_graph, flame_steps
from workbench.profiles.metrics import Metric
from workbench.profiles.read import read_profile

pytestmark = pytest.mark.browser

STACKS = {
    "main;run@a.rs:3;poll@b.rs:9": 50,
    "main;run@a.rs:5": 20,
    "main;walk;step;walk;step;alloc": 12,
    "main;walk": 8,
}
GRAPH = b"""version: 1
events: Ir Dr
fl=a.c
fn=main
1 10 1
cfn=work
calls=3 5
2 300 30
fn=work
5 300 30
fl=b.c
fn=work
7 40 4
"""


async def rows(graph: Graph) -> list[list[str]]:
    found: list[list[str]] = await graph.element.evaluate(
        "(e) => [...e.querySelectorAll('.wb-flame-rows tbody tr')].map((row) => [...row.cells].map((c) => c.innerText))"
    )
    return found


async def tab(graph: Graph, name: str) -> None:
    await graph.element.get_by_role("tab", name=name).click()


async def test_functions_are_those_of_what_is_seen(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS, metrics=(CPU, SAMPLES))), tmp_path) as graph:
        assert (await rows(graph))[:2] == [
            ["poll", "50 ns", "55.56 %", "50 ns", "55.56 %"],
            ["run", "20 ns", "22.22 %", "70 ns", "77.78 %"],
        ]
        await graph.click("walk")
        names = [row[0] for row in await rows(graph)]
        assert names == ["alloc", "walk", "step"]
        assert (await rows(graph))[1] == ["walk", "8 ns", "8.89 %", "20 ns", "22.22 %"]
        await graph.select("Metric", "samples")
        assert ["walk", "1", "25.00 %", "2", "50.00 %"] in await rows(graph)
        # a heading sorts; a name leads to its widest bar, out of the zoom where it is elsewhere
        await graph.element.get_by_role("button", name="Show all").click()
        await graph.element.locator(".wb-flame-rows").get_by_role("button", name="Total").click()
        assert (await rows(graph))[0][0] == "main"
        await graph.element.locator(".wb-flame-rows").get_by_role("button", name="poll").click()
        assert (await graph.said.inner_text()).startswith("poll")


async def test_callers_callees_and_lines_of_the_chosen_function_by_keyboard(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        await graph.element.get_by_role("tab", name="Functions").focus()
        await graph.press("ArrowRight")
        assert await graph.element.get_by_role("tab", name="Callers").get_attribute("aria-selected") == "true"
        assert "Choose a function" in await graph.element.get_by_role("tabpanel").inner_text()
        await graph.click("run")
        assert await rows(graph) == [["main", "70 ns", "77.78 %"]]
        await tab(graph, "Callees")
        assert await rows(graph) == [["poll", "50 ns", "55.56 %"]]
        await tab(graph, "Source lines")
        assert await rows(graph) == [["a.rs:5", "20 ns", "22.22 %", "20 ns"], ["a.rs:3", "0", "0.00 %", "50 ns"]]
        await graph.element.get_by_role("tab", name="Source lines").focus()
        await graph.press("ArrowLeft", "ArrowLeft", "Tab")
        assert await graph.page.evaluate("() => document.activeElement.getAttribute('role')") == "tabpanel"


async def test_of_a_call_graph_they_are_as_measured_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    async with shown(flame_graph(read_profile(GRAPH)), tmp_path) as graph:
        assert await rows(graph) == [
            ["worka.c", "300", "85.71 %", "300", "85.71 %"],
            ["workb.c", "40", "11.43 %", "40", "11.43 %"],
            ["main", "10", "2.86 %", "310", "88.57 %"],
        ]
        await graph.element.locator(".wb-flame-rows").get_by_role("button", name="main").click()
        await tab(graph, "Callees")
        assert await rows(graph) == [["worka.c", "300", "85.71 %", "3"]]
        await graph.select("Metric", "Dr")
        assert await rows(graph) == [["worka.c", "30", "85.71 %", "3"]]


async def test_costs_below_zero_have_bars_and_marks(tmp_path: Path) -> None:
    profile = folded({"main;less": -30, "main;more": 10}, metrics=(Metric("Ir"),))
    async with shown(flame_graph(profile), tmp_path, color_scheme="dark") as graph:
        less, more = await graph.bar("less"), await graph.bar("more")
        assert (less[1] - less[0]) / (more[1] - more[0]) > 2.9
        assert await graph.pixel(less[1] - 6, less[2]) != await graph.pixel(more[1] - 6, more[2])
        legend = await graph.element.locator(".wb-flame-legend li").all_inner_texts()
        assert legend == ["− below zero", "above zero"]
        assert ["less", "−30", "–", "−30", "–"] in await rows(graph)
        mark = "(e) => { const [p] = e.flameGraph.panes; return [2, 3].map((node) => p.model.mark(p.tree, node)); }"
        assert sorted(await graph.element.evaluate(mark)) == ["", "− "]


@pytest.mark.parametrize(("page_says", "drawn"), [("", 3), ("data-wb-draw=near", 1)])
async def test_a_page_of_steps_says_what_a_function_cost_in_each(tmp_path: Path, page_says: str, drawn: int) -> None:
    steps = [folded({"main;serve": 10 * step, "main;idle": 1}, metrics=(SAMPLES,)) for step in (1, 2, 3)]
    page = tmp_path / "steps.html"
    html = flame_steps(steps, ["step 0", "step 1", "step 2"])._repr_html_()
    page.write_text(f"<!DOCTYPE html><html lang=en {page_says}><body>{html}</body></html>", "utf-8")
    async with offline_page(page) as offline:
        counted = f"() => document.querySelectorAll('[data-state=drawn]').length === {drawn}"
        await offline.page.wait_for_function(counted)
        graph = Graph(offline)
        await graph.click("serve")
        await tab(graph, "Windows")
        assert await rows(graph) == [
            ["step 0", "10", "10", "90.91 %"],
            ["step 1", "20", "20", "95.24 %"],
            ["step 2", "30", "30", "96.77 %"],
        ]
        assert offline.complaints == []
