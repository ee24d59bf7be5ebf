"""The pages of a run and of a comparison in a browser: they fit, are light, dark and printed, keep to themselves, and
can be read by those who do not see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.report.browser import PATIENCE_MS, PHONE_PX, headless_chromium
from workbench.compare.comparison import compare_sides
from workbench.report.comparing import asked, write_comparison

WIDTHS_PX = (PHONE_PX, 1400, 1920)
MOST_BYTES = 8_000_000
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(22, 24, 27)"
DRAWN = "() => !document.querySelector('.plot') || document.documentElement.dataset.charts === 'drawn'"
PAPER = "() => getComputedStyle(document.body).backgroundColor"
FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
# the fill of the sheet that a chart is drawn on
SHEET = "() => [...document.querySelectorAll('.plot .main-svg:first-child')].map((svg) => svg.style.background)"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "comparison.html"
    sides = asked("", "")
    write_comparison(compare_sides(sides), sides, path)
    return path


async def opened(browser: Browser, html: Path, scheme: str, width_px: int = 1400) -> tuple[Page, list[str]]:
    """The page, and what it asked for from outside or complained about so far."""
    context = await browser.new_context(
        offline=True,
        viewport={"width": width_px, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    odd: list[str] = []
    page.on("request", lambda one: odd.append(one.url) if one.url != html.as_uri() else None)
    page.on("pageerror", lambda error: odd.append(str(error)))
    page.on("console", lambda said: odd.append(said.text) if said.type in ("error", "warning") else None)
    await page.goto(html.as_uri())
    await page.wait_for_function(DRAWN)
    return page, odd


async def test_pages_fit_every_screen_and_keep_to_themselves(made_report: Path, comparison: Path) -> None:
    async with headless_chromium() as browser:
        for html in (made_report, comparison):
            assert html.stat().st_size < MOST_BYTES
            for scheme, paper in (("dark", DARK), ("light", LIGHT)):
                page, odd = await opened(browser, html, scheme)
                for width in WIDTHS_PX:
                    await page.set_viewport_size({"width": width, "height": 900})
                    assert await page.evaluate(FITS), f"{html.name} at {width}"
                    assert await page.evaluate(PAPER) == paper
                    first = await page.locator(".wb-tile").first.bounding_box()
                    assert first is not None
                    assert first["y"] < 400  # the answers are on the first screen
                assert odd == []
                assert await page.locator(".wb-tile").count() == 4
                found = await Axe().run(page)
                serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
                told = [(one["id"], one["nodes"][0]["html"][:200]) for one in serious]
                assert told == [], f"{html.name}, {scheme}: {json.dumps(told)}"
                await page.context.close()


async def test_the_reader_chooses_light_or_dark_and_paper_is_white(made_report: Path) -> None:
    async with headless_chromium() as browser:
        page, odd = await opened(browser, made_report, "light")
        assert set(await page.evaluate(SHEET)) == {LIGHT}
        await page.select_option("#theme", "dark")
        assert await page.evaluate(PAPER) == DARK
        await page.wait_for_function(f"({SHEET})().every((one) => one === '{DARK}')")
        await page.evaluate("dispatchEvent(new Event('beforeprint'))")
        await page.wait_for_function(f"({SHEET})().every((one) => one === '{LIGHT}')")
        await page.emulate_media(media="print")
        await page.set_viewport_size({"width": 680, "height": 900})
        assert await page.evaluate(PAPER) == LIGHT
        assert await page.evaluate(FITS)
        assert not await page.locator("nav").is_visible()
        assert odd == []
