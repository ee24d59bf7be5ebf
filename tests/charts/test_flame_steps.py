"""Flame graphs of several steps under one slider, as a reader meets them in a saved page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.charts.profiles import SAMPLES, folded
from tests.report.browser import offline_page
from workbench.charts import flame_steps
from workbench.errors import WorkbenchError

STEPS = [folded({"main;serve": 10 * step, "main;idle": 1}, metrics=(SAMPLES,)) for step in (1, 2, 3)]
# notebooks draw all graphs, pages of ours those that are near the screen
WHENEVER = pytest.mark.parametrize("page_says", ["", "data-wb-draw=near"], ids=["all", "near"])
LABELS = ["step 0, 100 receipts", "step 1, 200 receipts", "<step> 2"]


@pytest.mark.browser
@WHENEVER
async def test_the_slider_shows_one_step_at_a_time_by_keyboard_too(tmp_path: Path, page_says: str) -> None:
    page = tmp_path / "steps.html"
    graphs = flame_steps(STEPS, LABELS)
    page.write_text(f"<!DOCTYPE html><html lang=en {page_says}><body>{graphs._repr_html_()}</body></html>", "utf-8")
    async with offline_page(page) as offline:
        panels = offline.page.locator("section[data-step]")
        slider = offline.page.get_by_role("slider", name="Step")
        assert [await panels.nth(n).is_visible() for n in range(3)] == [True, False, False]
        await slider.focus()
        await offline.page.keyboard.press("ArrowRight")
        assert [await panels.nth(n).is_visible() for n in range(3)] == [False, True, False]
        assert await slider.get_attribute("aria-valuetext") == LABELS[1]
        graph = panels.nth(1).locator(".wb-flame")
        # drawn though it was hidden when the page was opened, then or now
        await offline.page.wait_for_function("(e) => e.flameGraph.rows(0).length > 1", arg=await graph.element_handle())
        assert await graph.locator("canvas").first.evaluate("(e) => e.width > 0 && e.height > 0")
        await offline.page.keyboard.press("End")
        assert await offline.page.locator("output").inner_text() == LABELS[2]
        assert offline.complaints == []
        assert offline.requests == []


@WHENEVER
async def test_another_step_keeps_metric_and_search(tmp_path: Path, page_says: str) -> None:
    page = tmp_path / "steps.html"
    two = [
        folded({"main;serve": 10 * step, "main;idle": 7}, metrics=(SAMPLES, SAMPLES._replace(name="calls")))
        for step in (1, 2)
    ]
    graphs = flame_steps(two, LABELS[:2])
    page.write_text(f"<!DOCTYPE html><html lang=en {page_says}><body>{graphs._repr_html_()}</body></html>", "utf-8")
    async with offline_page(page) as offline:
        first, second = (offline.page.locator("section[data-step]").nth(number) for number in (0, 1))
        await first.get_by_label("Metric").select_option(label="calls")
        await first.get_by_label("Search").fill("ser")
        await first.get_by_label("Order").select_option("leaves")
        slider = offline.page.get_by_role("slider", name="Step")
        await slider.focus()
        await offline.page.keyboard.press("ArrowRight")
        assert await second.get_by_label("Metric").evaluate("(e) => e.selectedOptions[0].text") == "calls"
        assert await second.get_by_label("Search").input_value() == "ser"
        assert await second.get_by_label("Order").input_value() == "leaves"
        assert (await second.locator(".wb-flame-found").inner_text()).startswith("1 function: 50 % of the total")
        # and back again, with what was changed meanwhile
        await second.get_by_label("Search").fill("")
        await slider.focus()
        await offline.page.keyboard.press("ArrowLeft")
        assert await first.get_by_label("Search").input_value() == ""
        assert offline.complaints == []


def test_as_many_labels_as_profiles_are_wanted() -> None:
    with pytest.raises(WorkbenchError, match="3 profiles and 2 labels"):
        flame_steps(STEPS, LABELS[:2])
