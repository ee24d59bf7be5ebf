"""A page of ours as its readers need it: it fits, is light and dark, keeps to itself, and is read aloud well."""

from __future__ import annotations

import json
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.report.browser import PATIENCE_MS, PHONE_PX, SCROLLED_THROUGH

WIDTHS_PX = (PHONE_PX, 1400, 1920)
MOST_BYTES = 8_000_000
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(22, 24, 27)"
PAPER = "() => getComputedStyle(document.body).backgroundColor"
FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
ANSWERS_FIRST = "() => document.querySelector('.wb-tile').getBoundingClientRect().top < 400"  # on the first screen


async def opened(browser: Browser, html: Path, scheme: str, width_px: int = 1400) -> tuple[Page, list[str]]:
    """The page with all that is drawn on it, and what it asked for from outside or complained about so far."""
    page, odd = await just_opened(browser, html, scheme, width_px)
    await page.evaluate(SCROLLED_THROUGH, PATIENCE_MS)
    return page, odd


async def just_opened(
    browser: Browser, html: Path, scheme: str = "light", width_px: int = 1400, before: str = ""
) -> tuple[Page, list[str]]:
    """The page at its load event, and what it asked for or complained about. ``before`` is a script that it runs
    first."""
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
    await page.add_init_script(before)
    await page.goto(html.as_uri())
    return page, odd


async def assert_readable(browser: Browser, html: Path) -> None:
    """The page is small enough, fits every screen in both schemes with its four answers on the first, asks for nothing,
    and axe-core finds nothing serious."""
    assert html.stat().st_size < MOST_BYTES
    for scheme, paper in (("dark", DARK), ("light", LIGHT)):
        page, odd = await opened(browser, html, scheme)
        for width in WIDTHS_PX:
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate(FITS), f"{html.name} at {width}"
            assert await page.evaluate(PAPER) == paper
            # the contents close when the page is told its new width, a moment after
            await page.wait_for_function(ANSWERS_FIRST)
        assert odd == []
        assert await page.locator(".wb-tile").count() == 4
        found = await Axe().run(page)
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        told = [(one["id"], one["nodes"][0]["html"][:200]) for one in serious]
        assert told == [], f"{html.name}, {scheme}: {json.dumps(told)}"
        await page.context.close()
