"""Opens a page in headless Chromium with the network off and says everything that happened."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, async_playwright

# how long is waited for a page to do something: a busy machine draws slowly
PATIENCE_MS = 120_000
# scrolls through the page and back: all that is drawn when it comes near the screen is drawn, or has failed to be
SCROLLED_THROUGH = """async (patience_ms) => {
    const done = (each) => ["drawn", "failed"].includes(each.dataset.state);
    const until = performance.now() + patience_ms;
    for (const each of document.querySelectorAll(".plot, .wb-flame")) {
        if (!each.getClientRects().length) continue;
        each.scrollIntoView();
        while (!done(each) && performance.now() < until) await new Promise((ready) => { setTimeout(ready, 5); });
    }
    scrollTo(0, 0);
}"""
PHONE_PX = 390
EMPTY = Path(os.devnull)
DESKTOP_PX = 1200


@dataclass(frozen=True)
class Opened:
    """A page after its charts were drawn (or failed to be). ``requests`` are those besides the file itself."""

    requests: list[str]
    complaints: list[str]
    charts_wanted: int
    charts_drawn: int
    charts_without_traces: list[str]
    page_width_px: int
    window_width_px: int
    text: str


@dataclass
class Offline:
    """A page whose network is off, and what it asked for and complained about so far."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@dataclass
class OfSession:
    """The browser that all tests marked ``browser`` of a worker share: they run in one loop, to which it is bound.

    ``kept``: contexts by their options. An empty page stays open in each, so that the next page needs no new process,
    which is two thirds of the CPU time of a small page.
    """

    browser: Browser | None = None
    loop: asyncio.AbstractEventLoop | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    kept: dict[str, BrowserContext] = field(default_factory=dict)


_shared = OfSession()
MOST_KEPT = 3


@asynccontextmanager
async def one_browser() -> AsyncIterator[None]:
    """In the block :func:`headless_chromium` gives one browser to all who ask in this loop."""
    _shared.loop = asyncio.get_running_loop()
    try:
        async with _shared.stack:
            yield
    finally:
        _shared.browser = _shared.loop = None
        _shared.kept.clear()


@asynccontextmanager
async def headless_chromium() -> AsyncIterator[Browser]:
    """Headless Chromium: for tests marked ``browser`` the session's, with the pages of the block closed after it, for
    others a new one. Skips the test where there is none."""
    if asyncio.get_running_loop() is not _shared.loop:
        async with own_chromium() as browser:
            yield browser
        return
    if _shared.browser is None or not _shared.browser.is_connected():
        _shared.kept.clear()
        _shared.browser = await _shared.stack.enter_async_context(own_chromium())
    try:
        yield _shared.browser
    finally:
        for context in _shared.browser.contexts:
            if context not in _shared.kept.values():
                await context.close()


@asynccontextmanager
async def own_chromium() -> AsyncIterator[Browser]:
    """A headless Chromium that nobody else has, and that is gone after the block with all that its pages wait for."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def offline_page(html: Path, *, width_px: int = DESKTOP_PX, **context_options: Any) -> AsyncIterator[Offline]:
    """``html`` at ``width_px`` with the network off. Skips the test where there is no Chromium."""
    size: ViewportSize = {"width": width_px, "height": 900}
    async with headless_chromium() as browser, _new_page(browser, {"viewport": size, **context_options}) as page:
        await page.set_viewport_size(size)
        page.set_default_timeout(PATIENCE_MS)
        offline = Offline(page)
        page.on(
            "request", lambda request: offline.requests.append(request.url) if request.url != html.as_uri() else None
        )
        page.on("requestfailed", lambda request: offline.complaints.append(f"failed: {request.url}"))
        page.on("pageerror", lambda error: offline.complaints.append(f"page error: {error}"))
        page.on(
            "console",
            lambda message: (
                offline.complaints.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        await page.goto(html.as_uri())
        yield offline


@asynccontextmanager
async def _new_page(browser: Browser, options: dict[str, Any]) -> AsyncIterator[Page]:
    """A page that is closed after the block, in a context of these options: in the shared browser one that is kept."""
    if browser is not _shared.browser:
        context = await browser.new_context(offline=True, **options)
        yield await context.new_page()
        return
    key = str(sorted((name, value) for name, value in options.items() if name != "viewport"))
    if key not in _shared.kept:
        if len(_shared.kept) == MOST_KEPT:
            await _shared.kept.pop(next(iter(_shared.kept))).close()
        _shared.kept[key] = await browser.new_context(offline=True, **options)
        # of the same site as what is opened, which has its process for that
        await (await _shared.kept[key].new_page()).goto(EMPTY.as_uri())
    page = await _shared.kept[key].new_page()
    try:
        yield page
    finally:
        await page.close()


async def open_offline(html: Path, *, width_px: int = DESKTOP_PX, screenshot: Path | None = None) -> Opened:
    """Open ``html`` at ``width_px`` with the network off. Skips the test where there is no Chromium."""
    async with offline_page(html, width_px=width_px) as offline:
        page = offline.page
        wanted = await page.locator(".plot").count()
        await page.evaluate(SCROLLED_THROUGH, PATIENCE_MS)
        empty = await page.evaluate(
            """() => [...document.querySelectorAll('.plot')]
                .filter((plot) => plot.data?.length && !plot.querySelector('.trace, .bars, .points'))
                .map((plot) => plot.id)"""
        )
        opened = Opened(
            requests=offline.requests,
            complaints=offline.complaints,
            charts_wanted=wanted,
            charts_drawn=await page.locator(".js-plotly-plot .main-svg:first-child").count(),
            charts_without_traces=empty,
            page_width_px=await page.evaluate("() => document.documentElement.scrollWidth"),
            window_width_px=await page.evaluate("() => document.documentElement.clientWidth"),
            text=await page.locator("body").inner_text(),
        )
        if screenshot is not None:
            await page.screenshot(path=screenshot, full_page=True)
    return opened
