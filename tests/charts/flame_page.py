"""A flame graph on a page of its own in a browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.report.browser import Offline, offline_page
from workbench.charts.flame import FlameGraph
from workbench.report import external_addresses

ROW_PX = 18


class Graph:
    """The first flame graph of a page."""

    def __init__(self, offline: Offline) -> None:
        self.offline = offline
        self.page: Page = offline.page
        self.element = self.page.locator(".wb-flame").first
        self.said = self.element.locator(".wb-flame-said")
        self.found = self.element.locator(".wb-flame-found")
        self.crumbs = self.element.locator(".wb-flame-crumbs")
        self.view = self.element.locator(".wb-flame-view")

    async def rows(self, pane: int = 0) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.element.evaluate("(e, pane) => e.flameGraph.rows(pane)", pane)
        return rows

    async def totals(self, pane: int = 0) -> Counter[str]:
        """Total by path of names."""
        walked: list[str] = []
        found: Counter[str] = Counter()
        for row in await self.rows(pane):
            walked[row["depth"] :] = [row["name"]]
            found[";".join(walked)] += row["total"][0]
        return found

    async def bar(self, name: str, pane: int = 0) -> tuple[float, float, float]:
        """Left, right and middle height of the first bar of that name, in pixels of the page."""
        left, right, top = await self.element.evaluate(
            """(e, [name, pane]) => {
                const it = e.flameGraph.panes[pane];
                const node = e.flameGraph.rows(pane).findIndex((row) => row.name === name);
                const scale = it.width / (it.range[1] - it.range[0]);
                const [x, width] = [it.layout.x[node], it.layout.width[node]];
                return [(x - it.range[0]) * scale, (x + width - it.range[0]) * scale, it.rowTop(it.layout.rowOf[node])];
            }""",
            [name, pane],
        )
        box = await self.view.nth(pane).locator("canvas").bounding_box()
        assert box is not None
        return box["x"] + left, box["x"] + right, box["y"] + top + ROW_PX / 2

    async def click(self, name: str, pane: int = 0) -> None:
        left, right, middle = await self.bar(name, pane)
        await self.page.mouse.click((left + right) / 2, middle)

    async def pixel(self, x: float, y: float, pane: int = 0) -> str:
        """The colour drawn at a place of the page."""
        colour: str = await self.view.nth(pane).evaluate(
            """(view, [x, y]) => {
                const canvas = view.querySelector("canvas"), box = canvas.getBoundingClientRect();
                const place = [x - box.left, y - box.top].map((at) => Math.floor(at * devicePixelRatio));
                const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
                copy.drawImage(canvas, ...place, 1, 1, 0, 0, 1, 1);
                const [r, g, b] = copy.getImageData(0, 0, 1, 1).data;
                return "#" + [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("");
            }""",
            [x, y],
        )
        return colour

    async def select(self, label: str, value: str) -> None:
        await self.element.get_by_label(label, exact=True).select_option(label=value)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)


@asynccontextmanager
async def shown(graph: FlameGraph | str, folder: Path, **options: Any) -> AsyncIterator[Graph]:
    """A graph on its own page. That nothing was asked for and nothing went wrong holds for all that a test did."""
    html = graph if isinstance(graph, str) else graph.page()
    assert external_addresses(html) == []
    path = folder / "graph.html"
    path.write_text(html, encoding="utf-8")
    async with offline_page(path, **{"reduced_motion": "reduce", **options}) as offline:
        opened = Graph(offline)
        await opened.page.locator('.wb-flame[data-state="drawn"]').first.wait_for()
        yield opened
        assert offline.requests == []
        assert offline.complaints == []


def stack_totals(stacks: dict[str, int], *, leaves_first: bool = False) -> Counter[str]:
    """What each bar should count, computed from the stacks by themselves."""
    expected: Counter[str] = Counter({"all": sum(stacks.values())})
    for stack, value in stacks.items():
        frames = [frame.lstrip("~").partition("@")[0] for frame in stack.split(";")]
        if leaves_first:
            frames.reverse()
        for depth in range(1, len(frames) + 1):
            expected[";".join(["all", *frames[:depth]])] += value
    return expected
