"""How fast reports open: pages of a run, a batch, a comparison and a run of the real programs' recordings, each opened
in a new window of headless Chromium.

``load`` is the browser's own load event, ``drawn`` when all charts and flame graphs are drawn, both from the opening of
the page. ``CPU`` is the CPU time of the page's main thread until then, which a busy machine hardly changes. Outside
requests are counted (there must be none). Targets: drawn in under 2 s, under 8 MB.
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

from playwright.sync_api import Browser, sync_playwright

from benchmarks.harness import WORKBENCH, arguments, interleave, median_of, run_process, table, write

GOAL_MS, GOAL_MB = 2_000.0, 8.0
DRAWN, CPU, SIZE, OUTSIDE = "drawn ms", "CPU ms", "MB", "requests outside"
_BATCH = ("batch", "--modes", "none,callgrind", "--receipts", "250,750,1250", "--profiled-receipts", "20,40,60")
MODES = ("callgrind", "flamegraph", "massif", "strace")
# the time since opening, once everything is drawn; otherwise 0
WHEN_DRAWN = """() => {
    const charts = !document.querySelector(".plot") || document.documentElement.dataset.charts === "drawn";
    const flames = [...document.querySelectorAll(".wb-flame")].every((one) => one.dataset.state === "drawn");
    return document.readyState === "complete" && charts && flames ? performance.now() : 0;
}"""
_LOAD = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"


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
    """Open a page once, in a new browser context."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    outside: list[str] = []
    page.on("request", lambda one: outside.append(one.url) if one.url != html.as_uri() else None)
    counters = context.new_cdp_session(page)
    counters.send("Performance.enable")
    page.goto(html.as_uri())
    drawn = page.wait_for_function(WHEN_DRAWN).json_value()
    load = page.evaluate(_LOAD)
    spent = {one["name"]: one["value"] for one in counters.send("Performance.getMetrics")["metrics"]}
    context.close()
    cpu_ms = 1e3 * spent["ThreadTime"]
    return {"load ms": load, DRAWN: drawn, CPU: cpu_ms, SIZE: html.stat().st_size / 1e6, OUTSIDE: float(len(outside))}


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
        drawn, cpu, size, outside = (median_of(figures, name, quantity) for quantity in (DRAWN, CPU, SIZE, OUTSIDE))
        met = drawn < GOAL_MS and size < GOAL_MB and outside == 0
        said = f"drawn in {drawn:,.0f} ms, {cpu:,.0f} ms of CPU time, {size:.1f} MB, {outside:.0f} requests outside"
        print(f"{name}: {said}{'' if met else ': goal missed'}")
    print(f"load average at the start of the openings {busy['load_average_1_min']:.1f}")
    write(options.out, "pages", figures, **busy)


if __name__ == "__main__":
    main()
