"""The time-ordered view: spans of threads as their reader meets them, and how they are packed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.charts.flame_page import Graph, shown
from tests.charts.profiles import folded
from tests.report.browser import PHONE_PX
from workbench.charts.flame import beside, flame_graph
from workbench.profiles.model import Profile

BEGIN_NS = 1_700_000_000_000_000_000


def timed(spans: list[tuple[str, int, int, int, str]], stacks: dict[str, int]) -> Profile:
    """A profile with spans (thread, start, end, depth, function)."""
    profile = folded(stacks)
    frames = profile.frames["function"].tolist()
    table = pd.DataFrame(spans, columns=["thread", "start_ns", "end_ns", "depth", "frame_id"])
    table["frame_id"] = np.array([frames.index(name) for name in table["frame_id"]], dtype=np.int64)
    table[["start_ns", "end_ns"]] += BEGIN_NS
    return profile.but(tables={"timeline": table})


SPANS = [
    ("worker <b>2</b>", 400, 900, 0, "serve"),
    ("main", 0, 1000, 0, "main"),
    ("main", 100, 300, 1, "serve"),
    ("main", 500, 900, 1, "idle"),
    ("main", 600, 700, 2, "serve"),
]
TIMED = timed(SPANS, {"main;serve": 700, "main;idle": 300, "main": 500})


async def in_time_order(graph: Graph) -> None:
    await graph.element.get_by_role("button", name="Time order").click()


@pytest.mark.browser
async def test_spans_lie_where_their_time_lies(tmp_path: Path) -> None:
    async with shown(flame_graph(TIMED), tmp_path) as graph:
        assert await graph.element.get_by_role("button", name="Merged").get_attribute("aria-pressed") == "true"
        await in_time_order(graph)
        rows = await graph.rows()
        assert [(row["depth"], row["name"], row["total"][0]) for row in rows] == [
            (0, "all", 1000),
            (1, "main", 1000),
            (2, "main", 1000),
            (3, "serve", 200),
            (3, "idle", 400),
            (4, "serve", 100),
            (1, "worker <b>2</b>", 1000),
            (2, "serve", 500),
        ]
        left, right, _ = await graph.bar("all")
        idle = await graph.bar("idle")
        assert [(at - left) / (right - left) for at in idle[:2]] == pytest.approx([0.5, 0.9], abs=0.01)
        assert (await graph.bar("worker <b>2</b>"))[2] > idle[2]  # threads stand below each other
        await graph.click("idle")
        assert (await graph.bar("idle"))[:2] == pytest.approx((left, right))
        said = await graph.said.inner_text()
        assert "idle · time: 400 ns, 40 % of the time shown · self: 300 ns, 30 %" in said
        assert "from 500 ns to 900 ns · thread main" in said
        assert await graph.crumbs.locator("button").all_inner_texts() == ["all", "main", "main", "idle"]
        await graph.element.get_by_label("Search").fill("serve")
        assert await graph.found.inner_text() == "1 function, 3 times: 53.3 % of the time in spans, 800 ns"
        await graph.element.get_by_role("button", name="Show all").click()
        await graph.element.get_by_role("button", name="Merged").click()
        assert (await graph.totals())["all;main;serve"] == 700
        assert await graph.page.locator("b").count() == 0


@pytest.mark.browser
async def test_by_keyboard_from_thread_to_thread_and_to_the_callers(tmp_path: Path) -> None:
    async with shown(flame_graph(TIMED), tmp_path) as graph:
        await in_time_order(graph)
        await graph.view.focus()
        await graph.press("ArrowDown", "ArrowRight", "ArrowDown")
        assert "thread worker <b>2</b>" in await graph.said.inner_text()
        await graph.press("+")
        assert await graph.element.evaluate("(e) => e.flameGraph.panes[0].range") == [250, 750]
        await graph.press("Escape", "s")
        assert (await graph.rows(1))[0]["name"] == "serve"


@pytest.mark.browser
async def test_without_time_there_is_no_choice(tmp_path: Path) -> None:
    async with shown(flame_graph(folded({"main": 1})), tmp_path) as graph:
        assert await graph.element.get_by_role("button", name="Time order").count() == 0


@pytest.mark.browser
async def test_a_hundred_thousand_spans_are_drawn_in_few_operations(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    threads, each = 4, 25_000
    start = np.sort(random.integers(0, 10**10, (threads, each)), axis=1)
    end = np.concatenate([start[:, 1:], np.full((threads, 1), 10**10)], axis=1)
    table = pd.DataFrame(
        {
            "thread": np.repeat([f"thread {n}" for n in range(threads)], each),
            "start_ns": start.ravel(),
            "end_ns": end.ravel(),
            "depth": np.zeros(threads * each, dtype=np.int64),
            "frame_id": random.integers(0, 3, threads * each),
        }
    )
    profile = folded({"a::x;b::y;c::z": 1}).but(tables={"timeline": table})
    async with shown(flame_graph(profile), tmp_path, width_px=PHONE_PX) as graph:
        await in_time_order(graph)
        # what is narrower than an edge goes into one line of pixels a row, not into rectangles
        drawn = await graph.element.evaluate(
            """(e) => {
                const [pane] = e.flameGraph.panes, { context } = pane, fill = context.fillRect;
                let rectangles = 0;
                context.fillRect = (...at) => { rectangles++; fill.apply(context, at); };
                pane.draw();
                context.fillRect = fill;
                return { rectangles, rows: pane.layout.rows.length };
            }"""
        )
        assert drawn["rows"] == 1 + 2 * threads
        assert drawn["rectangles"] < 500


def test_spans_are_packed_from_the_first_one_on() -> None:
    packed = flame_graph(TIMED).beside
    assert packed is not None
    assert packed.threads == ("main", "worker <b>2</b>")
    assert packed.begins_ns == BEGIN_NS
    assert packed.columns["time.thread"].tolist() == [1, 0, 0, 0, 0]
    assert packed.columns["time.start"].tolist() == [400, 0, 100, 500, 600]
    assert TIMED.frames["function"][packed.columns["time.fn"][3]] == "idle"


def test_the_shortest_spans_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "SPANS", 3)
    graph = flame_graph(TIMED)
    assert graph.beside is not None
    assert (graph.beside.columns["time.end"] - graph.beside.columns["time.start"]).tolist() == [500, 1000, 400]
    assert "Of 5 spans of the time-ordered view the 3 largest are kept." in graph.data.remarks
