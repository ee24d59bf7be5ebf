"""Files dropped on a page: read in the browser as Python reads them, shown as text, sent nowhere."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page

from tests.charts.profiles import CPU, HOSTILE, SAMPLES, folded
from tests.charts.test_scripts import PROJECT, TESTS, node
from tests.profiles.samples import beside
from tests.report.browser import PHONE_PX, offline_page
from workbench import read_profile
from workbench.profiles.exports.write import exported
from workbench.profiles.model import Profile
from workbench.profiles.names import crate_of
from workbench.report import external_addresses
from workbench.report.page import empty_page, profile_page

FILES = {
    "reported/two-threads.speedscope.json": {"hot": 9_900_000_000, "idle": 100_000_000},  # ns
    "reported/perf-script.txt": {"app;main": 2, "app;main;f": 2},
    "reported/austin.folded": {"P7;T0:7;run": 4_500, "P7;T0:7;run;hot": 2_500, "P7;T0:7;run;cold": 2_000},  # us
}
PPROF = (
    "real/service-profile-0.pb",
    "real/agent-profile-1.pb",
    "reported/delta-heap.pb.gz",
    "reported/five-ticks.pb.gz",
)
CALLS = b"events: Ir\nfn=outer\n1 5\ncfn=inner\ncalls=3 7\n2 60\nfn=inner\n7 60\n"
MADE = folded({"main;<b>a</b>::f@x.rs:3": 2**40, "main;näme": 7, "main": 4, "other;x;main": 1}, metrics=(CPU, SAMPLES))


def read_by_node(*files: Path) -> list[dict[str, Any]]:
    run = subprocess.run(
        [node(), str(TESTS / "read_files.js"), *map(str, files)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


def totals(profile: Profile, metric: str) -> dict[str, float]:
    """Total of each path of names, as Python has it."""
    nodes, names = profile.nodes, profile.frames["raw_function"].tolist()
    walked: list[str] = []
    found: dict[str, float] = {}
    columns = (np.asarray(nodes[name]).tolist() for name in ("depth", "frame_id", f"total_{metric}"))
    for depth, frame, total in zip(*columns, strict=True):
        walked[depth:] = [names[frame]]
        path = ";".join(walked)
        found[path] = found.get(path, 0) + total
    return found


@pytest.mark.parametrize("kind", ["folded", "speedscope", "pprof"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_what_is_exported_is_read_alike(kind: str, packed: bool, tmp_path: Path) -> None:
    data = exported(MADE, kind, "cpu")
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    path = tmp_path / "dropped"
    path.write_bytes(gzip.compress(data) if packed else data)
    [found] = read_by_node(path)
    python = read_profile(path)
    metric = found["metrics"].index(["cpu", "ns"]) if kind == "pprof" else 0
    paths = {path.removeprefix("all;"): value for path, value in found["paths"][metric].items() if path != "all"}
    assert paths == totals(python, python.metric_names[metric])


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_tools(name: str) -> None:
    [found] = read_by_node(beside(name))
    paths = found["paths"][0]
    assert {path: paths[f"all;{path}"] for path in FILES[name]} == FILES[name]


@pytest.mark.parametrize("name", PPROF)
def test_pprof_of_other_tools_has_the_same_totals_as_in_python(name: str) -> None:
    [found] = read_by_node(beside(name))
    python = read_profile(beside(name))
    for metric, (name_of, _) in enumerate(found["metrics"]):
        assert found["paths"][metric]["all"] == pytest.approx(python.total(name_of))


def test_a_function_has_the_same_crate_in_python_and_in_the_browser() -> None:
    pairs = [
        ("tokio::runtime::run", ""),
        ("<alloc::vec::Vec<T> as core::ops::Drop>::drop", ""),
        ("_$LT$k256..point..Point$u20$as$u20$Add$GT$::add", ""),
        ("net/http.(*conn).serve", "/usr/lib/go/src/net/http/server.go"),
        ("main.main", "/src/main.go"),
        ("loads", "/usr/lib/python3.11/json/__init__.py"),
        ("get", "/venv/lib/python3.11/site-packages/aiohttp/client.py"),
        ("main", "C:\\work\\tool.py"),
        ("memcpy", ""),
        ("dyn core::fmt::Write", ""),
        ("", ""),
    ]
    code = f"import {{ crateOf }} from {str(PROJECT / 'workbench/report/js/readers/crate.js')!r};\n"
    code += f"console.log(JSON.stringify({json.dumps(pairs)}.map(([name, file]) => crateOf(name, file))))"
    run = subprocess.run([node(), "--input-type=module", "--eval", code], capture_output=True, text=True, timeout=60)
    assert json.loads(run.stdout) == [crate_of(name, file) for name, file in pairs], run.stderr


async def drop(page: Page, name: str, content: bytes) -> None:
    """As a file manager does it."""
    await page.evaluate(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], name));
            for (const kind of ["dragover", "drop"]) {
                const options = { dataTransfer: carried, bubbles: true, cancelable: true };
                document.querySelector("main").dispatchEvent(new DragEvent(kind, options));
            }
        }""",
        [name, base64.b64encode(content).decode()],
    )


@pytest.mark.browser
@pytest.mark.parametrize("width_px", [PHONE_PX, 1920])
async def test_a_dropped_file_is_shown_and_sent_nowhere(width_px: int, tmp_path: Path) -> None:
    path = tmp_path / "view.html"
    path.write_text(empty_page(), encoding="utf-8")
    assert external_addresses(empty_page()) == []
    async with offline_page(path, width_px=width_px, color_scheme="dark") as offline:
        page = offline.page
        alerts: list[str] = []
        page.on("dialog", lambda dialog: alerts.append(dialog.message))
        assert "Drop a profile here" in await page.locator("h1").inner_text()
        stack = f"main;<img src=x onerror=alert(1)>;{HOSTILE.replace(';', '')}".replace("\u2028", " ").replace(
            "\x00", ""
        )
        await drop(page, "<b>hostile</b>.folded", f"{stack} 5\nmain 2\n".encode())
        await page.locator('.wb-flame[data-state="drawn"]').wait_for()
        assert await page.title() == "<b>hostile</b>.folded"
        assert await page.locator("h1").inner_text() == "<b>hostile</b>.folded"
        await page.locator(".wb-flame-view").focus()
        await page.keyboard.press("ArrowDown")
        assert "main · samples, total: 7, 100 %" in await page.locator(".wb-flame-said").inner_text()
        assert await page.locator("main img, main b").count() == 0
        # a call graph, whose callers are those that were counted
        await drop(page, "calls.out", CALLS)
        await page.get_by_role("heading", name="calls.out").wait_for()
        await page.locator(".wb-flame-rows button").filter(has_text="inner").click()
        await page.get_by_role("tab", name="Callers").click()
        assert "outer" in await page.locator(".wb-flame-rows").inner_text()
        # another one, by the input; then one that only Python reads
        speedscope = exported(folded({"root;leaf": 9}), "speedscope", "cpu")
        await page.locator("input[type=file]").set_input_files(
            {"name": "two.json", "mimeType": "application/json", "buffer": speedscope}
        )
        await page.get_by_role("heading", name="two.json").wait_for()
        assert await page.locator(".wb-flame").count() == 1
        await drop(page, "it's.out", b"desc: massif\ncmd: main\ntime_unit: i\n")
        said = page.get_by_text("cannot be shown by this page")
        await said.wait_for()
        assert "workbench view 'it'\\''s.out'" in await said.inner_text()
        assert await page.get_by_role("heading", name="two.json").count() == 1  # what was shown stays
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= width_px
        assert alerts == []
        assert offline.requests == []
        assert offline.complaints == []


@pytest.mark.browser
async def test_a_file_can_be_dropped_on_the_page_of_another_and_the_page_turns_dark(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(profile_page(folded({"app::main;zip::work": 10}, name="first")), encoding="utf-8")
    async with offline_page(path) as offline:
        page = offline.page
        graph = page.locator(".wb-flame")
        await page.locator('.wb-flame[data-state="drawn"]').wait_for()
        ground = "() => getComputedStyle(document.body).backgroundColor"
        assert await page.evaluate(ground) == "rgb(255, 255, 255)"
        await page.get_by_label("Light or dark").select_option("dark")
        assert await page.evaluate(ground) == "rgb(22, 24, 27)"
        await page.wait_for_function("() => document.querySelector('.wb-flame').dataset.theme === 'dark'")
        # the crate of the table has the colour of the bar
        swatch = "() => getComputedStyle(document.querySelector('.sortable td i')).backgroundColor"
        legend = "() => getComputedStyle(document.querySelector('.wb-flame-legend i')).backgroundColor"
        assert await page.evaluate(swatch) == await page.evaluate(legend)
        await page.emulate_media(media="print")
        assert await page.evaluate(ground) == "rgb(255, 255, 255)"
        await page.wait_for_function("() => document.querySelector('.wb-flame').dataset.theme === 'light'")
        await page.emulate_media(media="screen")
        await drop(page, "second.folded", b"a;b 3\n")
        await page.get_by_role("heading", name="second.folded").wait_for()
        assert await graph.count() == 1
        assert await page.get_by_role("heading", name="first").count() == 0
        assert offline.requests == []
        assert offline.complaints == []
