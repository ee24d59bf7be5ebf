"""Charts and flame graphs of a page are drawn when they come near the screen, and all of them before it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.report.browser import headless_chromium
from tests.report.pages import just_opened

# id or place of what is drawn -> its state; null: it waits
STATES = """() => Object.fromEntries([...document.querySelectorAll(".plot, .wb-flame")].map(
    (each, number) => [each.id || `graph-${number}`, each.dataset.state ?? null]))"""
DRAWN = "(each) => each.dataset.state === 'drawn'"
# what is on the screen, or within one screen of it, is drawn: nothing more happens by itself
SETTLED = """() => [...document.querySelectorAll(".plot, .wb-flame")].every((each) => {
    const { top, bottom } = each.getBoundingClientRect();
    return each.dataset.state === "drawn" || top >= 2 * innerHeight || bottom <= -innerHeight;
})"""
# prints as a browser does that was told to: at the load event, waiting for nothing
PRINTED_AT_LOAD = f"""addEventListener("load", () => {{
    dispatchEvent(new Event("beforeprint"));
    window.onPaper = ({STATES})();
    dispatchEvent(new Event("afterprint"));
}});"""


@pytest.fixture(params=["report", "comparison"])
def html(request: pytest.FixtureRequest, made_report: Path) -> Path:
    """A page with many charts, and one with flame graphs."""
    if request.param == "report":
        return made_report
    compared: Path = request.getfixturevalue("comparison")
    return compared


async def waiting(page: Page) -> list[str]:
    states: dict[str, str | None] = await page.evaluate(STATES)
    return [name for name, state in states.items() if state != "drawn"]


async def test_a_chart_far_below_is_drawn_when_it_is_scrolled_to(made_report: Path) -> None:
    async with headless_chromium() as browser:
        page, odd = await just_opened(browser, made_report)
        await page.wait_for_function(SETTLED)
        assert len(await waiting(page)) > 3
        last = page.locator(".plot").last
        title = await last.get_attribute("aria-label")
        assert await last.inner_text() == title  # so that it is found by a search in the page
        assert not await last.locator("svg").count()
        box = await last.bounding_box()
        await last.scroll_into_view_if_needed()
        await page.wait_for_function(DRAWN, arg=await last.element_handle())
        assert await last.locator("svg").count()
        after = await last.bounding_box()
        assert box is not None
        assert after is not None
        assert (after["width"], after["height"]) == (box["width"], box["height"])
        assert odd == []


async def test_a_jump_by_the_contents_draws_what_is_there_and_nothing_moves(html: Path) -> None:
    async with headless_chromium() as browser:
        page, odd = await just_opened(browser, html)
        await page.set_viewport_size({"width": 1400, "height": 400})
        await page.wait_for_function(SETTLED)
        # the last section that has something to draw
        anchor = await page.evaluate(
            """() => {
                const places = [...document.querySelectorAll(".plot, .wb-flame")];
                const last = places.filter((each) => each.getClientRects().length).at(-1);
                const heading = (link) => document.getElementById(decodeURIComponent(link.hash.slice(1)));
                return [...document.querySelectorAll("nav a")]
                    .filter((link) => heading(link).compareDocumentPosition(last) & Node.DOCUMENT_POSITION_FOLLOWING)
                    .at(-1).hash;
            }"""
        )
        heading = page.locator(f"[id='{anchor[1:]}']")
        await page.locator(f"nav a[href='{anchor}']").click()
        top = "(each) => Math.round(each.getBoundingClientRect().top)"
        place = await heading.evaluate(top)
        await page.wait_for_function(SETTLED)
        assert abs(await heading.evaluate(top) - place) <= 1
        assert await page.evaluate("() => decodeURIComponent(location.hash)") == anchor
        assert odd == []


async def test_paper_holds_every_chart_that_was_not_drawn_yet(html: Path) -> None:
    async with headless_chromium() as browser:
        page, odd = await just_opened(browser, html)
        await page.emulate_media(media="print")
        await page.wait_for_function("() => matchMedia('print').matches")
        assert await waiting(page) == []
        page, more = await just_opened(browser, html)
        await page.pdf()
        assert await waiting(page) == []
        page, still_more = await just_opened(browser, html, before=PRINTED_AT_LOAD)
        on_paper = await page.evaluate("onPaper")
        assert set(on_paper.values()) == {"drawn"}
        assert [*odd, *more, *still_more] == []


async def test_all_is_drawn_where_the_browser_cannot_tell_what_is_near(html: Path) -> None:
    async with headless_chromium() as browser:
        page, odd = await just_opened(browser, html, before="delete window.IntersectionObserver")
        await page.wait_for_function(f"() => Object.values(({STATES})()).every((state) => state === 'drawn')")
        assert odd == []


async def test_a_chart_in_a_fold_is_drawn_when_it_is_opened(made_report: Path) -> None:
    async with headless_chromium() as browser:
        page, odd = await just_opened(browser, made_report)
        await page.evaluate(
            """() => {
                const figure = [...document.querySelectorAll("figure.chart")].at(-1);
                const fold = document.createElement("details");
                const summary = document.createElement("summary");
                figure.replaceWith(fold);
                fold.id = "fold";
                fold.append(summary, figure);
            }"""
        )
        folded = page.locator("#fold .plot")
        await page.locator("#fold").scroll_into_view_if_needed()
        await page.wait_for_function(SETTLED.replace('".plot, .wb-flame"', '".plot:not(#fold *)"'))
        assert await folded.get_attribute("data-state") is None
        await page.locator("#fold").evaluate("(fold) => { fold.open = true; }")
        await page.wait_for_function(DRAWN, arg=await folded.element_handle())
        assert odd == []


async def test_a_graph_far_below_is_reached_by_keyboard_and_read_aloud(comparison: Path) -> None:
    async with headless_chromium() as browser:
        page, odd = await just_opened(browser, comparison)
        await page.set_viewport_size({"width": 390, "height": 200})
        far = page.locator(".wb-flame[data-state=waiting]").last
        assert await far.get_attribute("aria-label") == await far.locator(".wb-flame-title").inner_text()
        found = await Axe().run(page)
        assert [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
        graph = await far.element_handle()
        assert graph is not None
        await graph.focus()
        await page.wait_for_function(DRAWN, arg=graph)
        assert await graph.evaluate("(each) => each.querySelector('[type=search]') === document.activeElement")
        assert await graph.get_attribute("tabindex") is None
        assert odd == []
