"""Makes the pictures of reports in ``docs/``: of a batch (``make sweep``), and of recordings of the real service under
callgrind."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.pages import real_pages
from tests.report.browser import PATIENCE_MS, SCROLLED_THROUGH

DOCS = Path(__file__).parent.parent / "docs"
_SCREEN = {"width": 1400, "height": 900}
_COST = 'figure.chart:has(.plot[aria-label="What a receipt costs: instructions"])'


def opened(browser: Browser, html: Path) -> Page:
    """A page with everything drawn."""
    page = browser.new_page(viewport=_SCREEN, color_scheme="light")  # type: ignore[arg-type]
    page.goto(html.as_uri())
    page.evaluate(SCROLLED_THROUGH, PATIENCE_MS)
    return page


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("batch", type=Path, help="the folder of a batch with a run under callgrind")
    batch = parser.parse_args().batch.resolve()
    with TemporaryDirectory() as folder:
        real = dict(real_pages(Path(folder), ("callgrind",)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = opened(browser, batch / "report.html")
            page.screenshot(path=DOCS / "report.png")
            page.locator(_COST).screenshot(path=DOCS / "receipt-cost.png")
            for html in real.values():
                opened(browser, html).screenshot(path=DOCS / "real-service.png")
            browser.close()


if __name__ == "__main__":
    main()
