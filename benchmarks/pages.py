"""How fast reports open: pages of a run, a batch, a comparison and a run of the real programs' recordings, each opened
in a new window of headless Chromium.

All times are from the opening of the page. ``first screen`` is when the page is parsed and painted, and all charts and
flame graphs on its first screen are drawn. ``load`` is the browser's own load event, which waits until plotly.js and
the flame graphs are unpacked. ``near`` is when what is within one screen of the first is drawn, too: then the page
rests. ``scrolled`` is when everything is drawn for who goes from chart to chart as soon as each is drawn, ``printed``
when everything is drawn for a browser that prints at the load event. ``CPU`` is what the page's main thread took until
it rested, and until everything was drawn by scrolling: a busy machine lengthens it little. A page asks for nothing
outside, which is counted. The goals: its first screen in under 1 s, at rest in under 2 s, under 8 MB.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.harness import WORKBENCH, arguments, interleave, median_of, run_process, table, write
from tests.report.browser import PATIENCE_MS, SCROLLED_THROUGH

GOAL_MS, FIRST_GOAL_MS, GOAL_MB = 2_000.0, 1_000.0, 8.0
FIRST, LOAD, NEAR, ALL, PAPER = "first screen ms", "load ms", "near ms", "scrolled ms", "printed ms"
CPU, ALL_CPU, SIZE, OUTSIDE = "CPU ms", "CPU of all ms", "MB", "requests outside"
_BATCH = ("batch", "--modes", "none,callgrind", "--receipts", "250,750,1250", "--profiled-receipts", "20,40,60")
MODES = ("callgrind", "flamegraph", "massif", "strace")
# notes when what lies within some screens of the first is drawn; what waits for its data counts as well
_NOTED = """(() => {
    const painted = () => performance.getEntriesByName("first-contentful-paint").length > 0;
    const drawn = (screens) => document.readyState !== "loading" && painted()
        && [...document.querySelectorAll(".plot, .wb-flame")].every((each) => {
            const { top, bottom } = each.getBoundingClientRect();
            return each.dataset.state === "drawn" || !each.getClientRects().length
                || top >= (1 + screens) * innerHeight || bottom <= -screens * innerHeight;
        });
    const look = () => {
        if (drawn(0)) window.firstScreenMs ??= performance.now();
        if (document.readyState === "complete" && drawn(1)) window.nearMs = performance.now();
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})();"""
_RESTS = "() => window.nearMs"
_PRINTED = """addEventListener("load", () => {
    dispatchEvent(new Event("beforeprint"));
    window.printedMs = performance.now();
});"""
_LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"


def batch_pages(folder: Path, batch: Path | None) -> Iterator[tuple[str, Path]]:
    """The page of a batch and those of its runs; of a batch that is measured in ``folder`` where none is given."""
    if batch is None:
        run_process([WORKBENCH, *_BATCH, "--runs-dir", folder], stderr=None)
        (batch,) = folder.glob("*-batch")
    for path in sorted(batch.glob("*/report.html")):
        yield f"run, {path.parent.name.partition('-')[2]}", path
    yield "batch", batch / "report.html"


def comparison_page(folder: Path) -> tuple[str, Path]:
    """The page of the two committed profiles, with the difference flame graph."""
    from workbench.compare.comparison import compare_sides
    from workbench.report.comparing import asked, write_comparison

    sides = asked("", "")
    write_comparison(compare_sides(sides), sides, folder / "comparison.html")
    return "comparison", folder / "comparison.html"


def real_pages(folder: Path, modes: Sequence[str] = MODES) -> Iterator[tuple[str, Path]]:
    """Runs made from recordings of the real service, one per mode, if these are beside the checkout."""
    from tests.analysis.real import FOLDER
    from tests.sweep import real_runs
    from workbench.report.sweep_report import report_run

    if not FOLDER.is_dir():
        print("the recordings of the real programs are not beside the checkout: left out")
        return
    dumps = {sent: f"service-step-{sent}.callgrind.out.gz" for sent in (100, 400)}
    made = {
        "callgrind": partial(real_runs.callgrind_run, steps=dumps),
        "flamegraph": real_runs.flamegraph_run,
        "massif": real_runs.massif_run,
        "strace": real_runs.strace_run,
    }
    for mode in modes:
        run = made[mode](folder / f"20261129T000000Z-real-{mode}")
        asyncio.run(report_run(run, say=lambda _: None))
        yield f"real service, {mode}", run / "report.html"


def opened(browser: Browser, html: Path) -> Mapping[str, float]:
    """One opening of a page that is scrolled through and one of a page that is printed, each in a window of its own."""
    found, outside = scrolled(browser, html)
    printed_ms, more = printed(browser, html)
    return {**found, PAPER: printed_ms, SIZE: html.stat().st_size / 1e6, OUTSIDE: float(len(outside) + len(more))}


def scrolled(browser: Browser, html: Path) -> tuple[dict[str, float], list[str]]:
    """The times of a page that is scrolled through once it rests, and what it asked for."""
    page, outside = a_window(browser, html, _NOTED)
    counters = page.context.new_cdp_session(page)
    counters.send("Performance.enable")

    def cpu_ms() -> float:
        spent = {one["name"]: one["value"] for one in counters.send("Performance.getMetrics")["metrics"]}
        return 1e3 * float(spent["ThreadTime"])

    page.goto(html.as_uri())
    near_ms = page.wait_for_function(_RESTS).json_value()
    cpu = cpu_ms()
    # the time between, in which nothing happened, is not the reader's
    waited = "() => performance.now() - window.nearMs"
    idle_ms = page.evaluate(waited)
    page.evaluate(SCROLLED_THROUGH, PATIENCE_MS)
    all_ms = page.evaluate("performance.now()") - idle_ms
    first_ms, load_ms = page.evaluate("window.firstScreenMs"), page.evaluate(_LOADED)
    all_cpu = cpu_ms()
    page.context.close()
    return {FIRST: first_ms, LOAD: load_ms, NEAR: near_ms, ALL: all_ms, CPU: cpu, ALL_CPU: all_cpu}, outside


def printed(browser: Browser, html: Path) -> tuple[float, list[str]]:
    """When a page that prints itself at its load event is drawn, and what it asked for."""
    page, outside = a_window(browser, html, _PRINTED)
    page.goto(html.as_uri())
    printed_ms: float = page.evaluate("window.printedMs")
    left = page.locator('.plot:not([data-state="drawn"])').count()
    if left:
        raise SystemExit(f"{html}: {left} charts are not on paper")
    page.context.close()
    return printed_ms, outside


def a_window(browser: Browser, html: Path, script: str) -> tuple[Page, list[str]]:
    """A window in which ``script`` runs before the page does, and what is asked for besides the page."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    outside: list[str] = []
    page.on("request", lambda one: outside.append(one.url) if one.url != html.as_uri() else None)
    page.add_init_script(script)
    return page, outside


def main() -> None:
    """Make the pages, open them, print and keep the figures."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--batch", type=Path, help="an existing batch, instead of measuring one first")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium is installed")
    with TemporaryDirectory() as made:
        folder = Path(made)
        pages = dict([*batch_pages(folder, options.batch), comparison_page(folder), *real_pages(folder)])
        busy: dict[str, Any] = {"load_average_1_min": os.getloadavg()[0]}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            figures = interleave({name: partial(opened, browser, path) for name, path in pages.items()}, options.rounds)
            busy["chromium"] = browser.version
            browser.close()
    print(table(figures))
    for name in pages:
        first, near, scroll, paper, size, outside = (
            median_of(figures, name, quantity) for quantity in (FIRST, NEAR, ALL, PAPER, SIZE, OUTSIDE)
        )
        met = first < FIRST_GOAL_MS and near < GOAL_MS and size < GOAL_MB and outside == 0
        said = (
            f"first screen in {first:,.0f} ms, at rest in {near:,.0f} ms, everything drawn in {scroll:,.0f} ms by "
            f"scrolling and in {paper:,.0f} ms on paper, {size:.1f} MB, {outside:.0f} requests outside"
        )
        print(f"{name}: {said}{'' if met else ': goal missed'}")
    print(f"load average at the start of the openings {busy['load_average_1_min']:.1f}")
    write(options.out, "pages", figures, **busy)


if __name__ == "__main__":
    main()
