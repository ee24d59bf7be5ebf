"""The pages of a run and of a comparison in a browser: they fit, are light, dark and printed, keep to themselves, and
can be read by those who do not see them."""

from __future__ import annotations

from pathlib import Path

from tests.report.browser import headless_chromium
from tests.report.pages import DARK, FITS, LIGHT, PAPER, assert_readable, opened

# the fill of the sheet that a chart is drawn on
SHEET = "() => [...document.querySelectorAll('.plot .main-svg:first-child')].map((svg) => svg.style.background)"


async def test_pages_fit_every_screen_and_keep_to_themselves(made_report: Path, comparison: Path) -> None:
    async with headless_chromium() as browser:
        for html in (made_report, comparison):
            await assert_readable(browser, html)


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
