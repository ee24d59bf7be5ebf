"""The flame graph as its reader meets it: in a browser without a network, by mouse, by keyboard, by touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.charts.flame_page import ROW_PX, shown, stack_totals
from tests.charts.profiles import CPU, HOSTILE, SAMPLES, folded, large
from tests.report.browser import PHONE_PX, offline_page
from workbench.charts.flame import flame_graph
from workbench.profiles.metrics import Metric
from workbench.report import export_html, run_notebook
from workbench.report.quick_nbformat import nbformat

pytestmark = pytest.mark.browser

PROJECT = Path(__file__).resolve().parents[2]
STACKS = {
    "main;tokio::run@a.rs:3;tokio::poll;~app::serve@b.rs:9": 50,
    "main;tokio::run@a.rs:5;tokio::park": 20,
    "main;app::init;core::alloc": 7,
    "main;app::init": 3,
    "main;app::walk;app::step;app::walk;app::step;core::alloc": 12,
    "main;app::walk;app::step": 8,
}
BOTH = (CPU, SAMPLES)


async def test_bars_are_as_wide_as_their_totals_and_drawn_in_their_colours(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        assert await graph.totals() == stack_totals(STACKS)
        left, right, middle = await graph.bar("main")
        whole = right - left
        run = await graph.bar("tokio::run")
        assert (run[1] - run[0]) / whole == pytest.approx(70 / 100, abs=0.01)
        colours = {name: await graph.pixel((await graph.bar(name))[1] - 8, middle + ROW_PX) for name in ("tokio::run",)}
        colours["app"] = await graph.pixel((await graph.bar("app::walk"))[1] - 8, middle + ROW_PX)
        legend = await graph.element.locator(".wb-flame-legend li").all_inner_texts()
        assert {"tokio", "app", "core", "unknown", "dotted lower edge: an assumed share"} == set(legend)
        assert colours["tokio::run"] != colours["app"]
        # nothing is called by app::init's own three: the row below is white there
        below = await graph.bar("app::init")
        assert await graph.pixel(below[1] - 4, below[2] + ROW_PX) == "#ffffff"


async def test_leaves_first_counts_as_python_does(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS), inverted=True), tmp_path) as graph:
        assert await graph.totals() == stack_totals(STACKS, leaves_first=True)
        await graph.select("Order", "roots first")
        assert await graph.totals() == stack_totals(STACKS)
        await graph.select("Order", "leaves first (inverted)")
        assert await graph.totals() == stack_totals(STACKS, leaves_first=True)


async def test_zoom_by_mouse_and_back(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        whole = await graph.bar("main")
        await graph.click("tokio::poll")
        zoomed = await graph.bar("tokio::poll")
        assert zoomed[:2] == pytest.approx(whole[:2])
        assert (await graph.bar("main"))[1] > whole[1]  # its callers reach beyond the edge
        assert await graph.crumbs.locator("button").all_inner_texts() == ["all", "main", "tokio::run", "tokio::poll"]
        await graph.crumbs.get_by_role("button", name="tokio::run").click()
        assert (await graph.bar("tokio::run"))[:2] == pytest.approx(whole[:2])
        await graph.element.get_by_role("button", name="Back").click()
        assert (await graph.bar("tokio::poll"))[:2] == pytest.approx(whole[:2])
        await graph.element.get_by_role("button", name="Show all").click()
        assert await graph.bar("main") == pytest.approx(whole)
        assert await graph.element.get_by_role("button", name="Show all").is_disabled()


async def test_zoom_moves_where_motion_is_welcome(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path, reduced_motion="no-preference") as graph:
        await graph.click("app::walk")
        await graph.page.wait_for_function(
            "() => { const [p] = document.querySelector('.wb-flame').flameGraph.panes;"
            " return p.range[1] - p.range[0] === p.layout.width[p.zoomed]; }"
        )
        assert (await graph.crumbs.locator("button").all_inner_texts())[-1] == "app::walk"


async def test_wheel_and_drag_move_through_the_graph(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        before = await graph.bar("tokio::park")
        await graph.page.mouse.move((before[0] + before[1]) / 2, before[2])
        await graph.page.keyboard.down("Control")
        await graph.page.mouse.wheel(0, -300)
        await graph.page.keyboard.up("Control")
        closer = await graph.bar("tokio::park")
        assert closer[1] - closer[0] > 2 * (before[1] - before[0])
        await graph.page.mouse.down()
        await graph.page.mouse.move((before[0] + before[1]) / 2 - 60, before[2], steps=4)
        await graph.page.mouse.up()
        assert (await graph.bar("tokio::park"))[0] == pytest.approx(closer[0] - 60, abs=6)
        assert await graph.crumbs.locator("button").all_inner_texts() == ["all"]  # a drag is no click


async def test_everything_is_reached_by_keyboard_and_said(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        await graph.view.focus()
        assert await graph.said.get_attribute("aria-live") == "polite"
        assert "all · cpu, total: 100 ns, 100 %" in await graph.said.inner_text()
        await graph.press("ArrowDown", "ArrowDown")
        assert "tokio::run · cpu, total: 70 ns, 70 % · self: 0 ns, 0 % · a.rs" in await graph.said.inner_text()
        await graph.press("ArrowDown", "ArrowDown")
        said = await graph.said.inner_text()
        assert "app::serve · cpu, total: 50 ns, 50 % · self: 50 ns, 50 % · b.rs:9, crate app · assumed" in said
        await graph.press("ArrowUp", "ArrowUp", "ArrowRight")
        assert (await graph.said.inner_text()).startswith("app::walk")
        await graph.press("Enter")
        assert (await graph.crumbs.locator("button").all_inner_texts())[-1] == "app::walk"
        await graph.press("Escape")
        assert await graph.crumbs.locator("button").all_inner_texts() == ["all"]
        await graph.press("Home")
        assert (await graph.said.inner_text()).startswith("all")
        # every control has a name
        for control in await graph.element.locator("button:visible, select, input").all():
            assert await control.evaluate("(c) => (c.labels?.[0] ?? c).textContent.trim()") != ""


async def test_search_counts_a_stack_once_and_shows_what_matches(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        search = graph.element.get_by_label("Search")
        await search.fill("app::walk")
        # twelve of twenty are in a recursion: 20 % of the total, not 32 %
        assert await graph.found.inner_text() == "1 function: 20 % of the total, 20 ns"
        _, right, middle = await graph.bar("app::walk")
        assert await graph.pixel(right - 8, middle) == "#ff9df0"
        assert await graph.pixel(right - 8, middle - 8) == "#1a1a1a"  # a dark edge: not by colour alone
        await search.press("Enter")
        assert (await graph.said.inner_text()).startswith("app::walk")
        await search.fill("a.rs")
        assert await graph.found.inner_text() == "1 function: 70 % of the total, 70 ns"
        await search.fill("^(core::alloc|tokio::p.*)$")
        assert await graph.found.inner_text() == "No function matches."
        await graph.element.get_by_label("regular expression").check()
        assert await graph.found.inner_text() == "3 functions: 89 % of the total, 89 ns"
        await graph.select("Order", "leaves first (inverted)")
        assert await graph.found.inner_text() == "3 functions: 89 % of the total, 89 ns"
        await search.fill("(")
        assert await graph.found.inner_text() == "This is not a regular expression."


async def test_callers_and_callees_of_one_function(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        await graph.click("app::step")
        await graph.element.get_by_role("button", name="Callers and callees").click()
        assert await graph.totals(0) == {"app::step": 20, "app::step;app::walk": 20, "app::step;app::walk;main": 20}
        inner = "app::step;app::walk;app::step"
        assert await graph.totals(1) == {
            "app::step": 20,
            "app::step;app::walk": 12,
            inner: 12,
            f"{inner};core::alloc": 12,
        }
        callers, callees = [(await graph.bar("app::step", pane))[2] for pane in (0, 1)]
        assert (await graph.bar("app::walk", 0))[2] < callers < callees < (await graph.bar("app::walk", 1))[2]
        # by keyboard, from one function to the next
        await graph.press("ArrowDown", "ArrowDown", "ArrowDown")
        await graph.press("s")
        assert (await graph.rows(1))[0]["name"] == "core::alloc"
        assert await graph.totals(0) == {
            "core::alloc": 19,
            "core::alloc;app::init": 7,
            "core::alloc;app::init;main": 7,
            "core::alloc;app::step": 12,
            "core::alloc;app::step;app::walk": 12,
            "core::alloc;app::step;app::walk;app::step": 12,
            "core::alloc;app::step;app::walk;app::step;app::walk": 12,
            "core::alloc;app::step;app::walk;app::step;app::walk;main": 12,
        }
        await graph.element.get_by_role("button", name="Whole graph").click()
        assert await graph.totals() == stack_totals(STACKS)


async def test_another_metric_keeps_the_place(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS, metrics=BOTH), metric="samples"), tmp_path) as graph:
        assert (await graph.totals())["all"] == 6
        await graph.click("tokio::run")
        await graph.select("Metric", "cpu")
        assert (await graph.totals())["all"] == 100
        assert (await graph.crumbs.locator("button").all_inner_texts())[-1] == "tokio::run"


async def test_the_tip_has_exact_values_in_their_unit(tmp_path: Path) -> None:
    heap = Metric("heap", "bytes")
    stacks = {"main;alloc": 3 * 2**30, "main": 1, "main;odd": 2**53}
    async with shown(flame_graph(folded(stacks, metrics=(heap,))), tmp_path) as graph:
        left, right, middle = await graph.bar("main")
        await graph.page.mouse.move((left + right) / 2, middle)
        tip = graph.element.locator(".wb-flame-tip")
        assert "self: 1 bytes" in await tip.inner_text()
        assert "total: about " in await tip.inner_text()  # beyond what a number of JavaScript holds
        await graph.page.mouse.move((left + right) / 2, middle + 400)
        assert not await tip.is_visible()
        await graph.view.focus()
        await graph.press("ArrowDown", "ArrowDown", "ArrowRight")
        assert "alloc · heap, total: 3,221,225,472 bytes (3 GiB)" in await graph.said.inner_text()


async def test_two_orientations(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS), icicle=False), tmp_path) as graph:
        assert (await graph.bar("main"))[2] > (await graph.bar("tokio::run"))[2]
        await graph.view.focus()
        await graph.press("ArrowUp", "ArrowUp")
        assert (await graph.said.inner_text()).startswith("tokio::run")
        await graph.element.get_by_role("button", name="Roots on top").click()
        assert (await graph.bar("main"))[2] < (await graph.bar("tokio::run"))[2]


async def test_a_difference_is_told_by_words_and_patterns_too(tmp_path: Path) -> None:
    after = {"main;more": 30, "main;less": 10, "main;new": 5, "main;same": 7}
    before = {"main;more": 20, "main;less": 20, "main;gone": 4, "main;same": 7}
    async with shown(flame_graph(folded(after), before=folded(before)), tmp_path) as graph:
        rows = {row["name"]: row["total"] for row in await graph.rows()}
        assert rows == {
            "all": [52, 51],
            "main": [52, 51],
            "more": [30, 20],
            "less": [10, 20],
            "new": [5, 0],
            "gone": [0, 4],
            "same": [7, 7],
        }
        said = {}
        for name in ("more", "less", "new", "gone", "same"):
            await graph.click(name)
            said[name] = await graph.said.inner_text()
            await graph.element.get_by_role("button", name="Show all").click()
        assert "after 30 ns, 57.7 %; before 20 ns, 39.2 % · change: +10 ns (+50 %)" in said["more"]
        assert "change: −10 ns (−50 %)" in said["less"]
        assert "new: +5 ns" in said["new"]
        assert "gone: −4 ns" in said["gone"]
        assert "no change" in said["same"]
        marks = await graph.element.evaluate("(e) => e.flameGraph.rows().map((_, node) => e.flameGraph.panes[0].model"
                                             ".mark(e.flameGraph.panes[0].tree, node).trim())")  # fmt: skip
        assert set(marks) == {"+1.96 %", "+50 %", "−50 %", "new", "gone", "="}
        # slanted lines and dots: more than one colour along the upper edge of the bar
        for name, patterned in (("new", True), ("gone", True), ("more", False)):
            _, right, middle = await graph.bar(name)
            colours = {await graph.pixel(right - 4 - step, middle - 5) for step in range(9)}
            assert (len(colours) > 1) == patterned, name
        # widths: the larger of both, or one of them
        widths = {}
        for width in ("the larger of both", "after", "before"):
            await graph.select("Width", width)
            scale = await graph.element.evaluate("(e) => e.flameGraph.panes[0].layout.width[0]")
            widths[width] = scale
        assert widths == {"the larger of both": 66, "after": 52, "before": 51}


async def test_names_of_others_do_nothing(tmp_path: Path) -> None:
    profile = folded({f"main;{HOSTILE}": 5, "main;<b>bold</b>": 3, f"main;x@{HOSTILE}.rs:1": 2}, name=HOSTILE)
    async with shown(flame_graph(profile, before=profile, title=HOSTILE), tmp_path) as graph:
        alerts: list[str] = []
        graph.page.on("dialog", lambda dialog: alerts.append(dialog.message))
        await graph.view.focus()
        await graph.press("ArrowDown", "ArrowDown", "Enter", "s")
        await graph.element.get_by_label("Search").fill("<b>")
        await graph.element.get_by_text("The same as a table").click()
        assert await graph.page.locator("img, b").count() == 0
        assert "</script><script>alert" in await graph.said.inner_text()
        assert "<b>bold</b>" in await graph.element.locator(".wb-flame-static table").inner_text()
        assert alerts == []


async def test_a_hundred_thousand_nodes_are_drawn_searched_and_turned(tmp_path: Path) -> None:
    profile = large()
    graph_of = flame_graph(profile)
    async with shown(graph_of, tmp_path) as graph:
        total = profile.total("cpu")
        drawn = await graph.element.evaluate("(e) => e.flameGraph.rows().slice(0, 1)")
        assert drawn == [{"depth": 0, "name": "all", "self": [0], "total": [total]}]
        await graph.select("Order", "leaves first (inverted)")
        leaves = await graph.element.evaluate(
            "(e) => e.flameGraph.rows().filter((row) => row.depth === 1).map((row) => [row.name, row.total[0]])"
        )
        own = profile.functions.set_index("function")["self_cpu"]
        assert dict(leaves) == own[own > 0].to_dict()  # exact although callers of slivers are not unfolded
        assert "not shown here" in await graph.element.locator(".wb-flame-notes").inner_text()
        await graph.select("Order", "roots first")
        await graph.element.get_by_label("Search").fill("function_17")
        assert "of the total" in await graph.found.inner_text()
        left, right, middle = await graph.bar("all")
        # the rows are full of bars, whatever their width
        drawn = [await graph.pixel(x, middle + 4 * ROW_PX) for x in range(int(left) + 5, int(right) - 30, 60)]
        assert sum(colour != "#ffffff" for colour in drawn) > len(drawn) * 0.8


async def test_a_deep_stack_scrolls(tmp_path: Path) -> None:
    deep = ";".join(f"f{n}" for n in range(500))
    async with shown(flame_graph(folded({deep: 3, "other": 1})), tmp_path) as graph:
        await graph.view.focus()
        await graph.press(*["ArrowDown"] * 120)
        assert (await graph.said.inner_text()).startswith("f119")
        _, right, middle = await graph.bar("f119")
        box = await graph.view.bounding_box()
        assert box is not None
        assert box["y"] < middle < box["y"] + box["height"]
        assert await graph.pixel(right - 8, middle - 4) != "#ffffff"
        await graph.press("Enter")
        assert await graph.crumbs.locator("li").count() == 8
        await graph.view.evaluate("(view) => { view.scrollTop = 100 * 18; }")
        assert await graph.element.evaluate("(e) => e.flameGraph.panes[0].rowTop(100)") == 0


async def test_on_a_phone_by_touch_with_a_fine_screen(tmp_path: Path) -> None:
    options = {"width_px": PHONE_PX, "has_touch": True, "is_mobile": True, "device_scale_factor": 3}
    async with shown(flame_graph(folded(STACKS, metrics=BOTH)), tmp_path, **options) as graph:
        assert await graph.page.evaluate("() => document.documentElement.scrollWidth") <= PHONE_PX
        wide = await graph.view.locator("canvas").evaluate("(c) => [c.width, c.clientWidth]")
        assert wide[0] == 3 * wide[1]
        left, right, middle = await graph.bar("tokio::run")
        await graph.page.touchscreen.tap((left + right) / 2, middle)
        assert (await graph.said.inner_text()).startswith("tokio::run")
        assert await graph.crumbs.locator("button").count() == 1  # the first touch says, the second zooms
        await graph.page.touchscreen.tap((left + right) / 2, middle)
        assert (await graph.crumbs.locator("button").all_inner_texts())[-1] == "tokio::run"


async def test_it_follows_the_size_of_its_place(tmp_path: Path) -> None:
    async with shown(flame_graph(folded(STACKS)), tmp_path) as graph:
        await graph.page.set_viewport_size({"width": 600, "height": 700})
        await graph.page.wait_for_function("() => document.querySelector('.wb-flame canvas').clientWidth < 600")
        left, right, middle = await graph.bar("main")
        assert right - left < 600
        assert await graph.pixel(right - 8, middle) != "#ffffff"


@pytest.mark.parametrize("stacks", [{"main": 0}, {"main;a": 0, "main;b": 0}])
async def test_a_graph_of_nothing_says_so(stacks: dict[str, int], tmp_path: Path) -> None:
    async with shown(flame_graph(folded(stacks)), tmp_path) as graph:
        assert await graph.said.inner_text() == "The profile has no cost in cpu."
        await graph.view.focus()
        await graph.press("ArrowDown", "Enter", "Escape")


async def test_without_scripts_the_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "graph.html"
    path.write_text(flame_graph(folded(STACKS)).page())
    async with offline_page(path, java_script_enabled=False) as offline:
        table = offline.page.locator(".wb-flame-static table")
        assert await table.is_visible()
        assert "app::serve\t50\t50.00%\t50\t50.00%" in await table.inner_text()


async def test_several_graphs_in_an_exported_notebook(tmp_path: Path) -> None:
    cells = []
    for stacks in (STACKS, {"second": 4}):
        cell = nbformat.v4.new_code_cell("charts.flame_graph(profile)")
        html = flame_graph(folded(stacks))._repr_html_()
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/html": html, "text/plain": "FlameGraph"})]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "n.ipynb")
    export_html(tmp_path / "n.ipynb", tmp_path / "n.html", title="Two")
    async with shown((tmp_path / "n.html").read_text(), tmp_path) as graph:
        await graph.page.locator('.wb-flame[data-state="drawn"]').nth(1).wait_for()
        assert await graph.totals() == stack_totals(STACKS)
        names = await graph.page.evaluate(
            "() => [...document.querySelectorAll('.wb-flame')].map((e) => e.flameGraph.rows()[1].name)"
        )
        assert names == ["main", "second"]
        globals_ = await graph.page.evaluate(
            """() => {
                const frame = document.body.appendChild(document.createElement("iframe"));
                const usual = new Set(Object.getOwnPropertyNames(frame.contentWindow));
                const own = Object.getOwnPropertyNames(window).filter((name) => !usual.has(name));
                frame.remove();
                return own;
            }"""
        )
        assert [name for name in globals_ if "workbench" in name.lower() or "flame" in name.lower()] == [
            "indexerWorkbenchFlame"
        ]


async def test_in_the_report_of_a_notebook(tmp_path: Path) -> None:
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    parameters = nbformat.v4.new_code_cell("nodes: int = 50  # nodes of the tree")
    parameters.metadata["tags"] = ["parameters"]
    cell = nbformat.v4.new_code_cell(
        "from tests.charts.profiles import large\nfrom workbench.charts.flame import flame_graph\n"
        "flame_graph(large(nodes), title='From a kernel')"
    )
    cell.source = f"import sys\nsys.path.insert(0, {str(PROJECT)!r})\n{cell.source}"
    made.cells = [parameters, cell]
    nbformat.write(made, tmp_path / "in.ipynb")
    html = tmp_path / "out.html"
    record = await run_notebook(
        tmp_path / "in.ipynb", {"nodes": 2000}, tmp_path / "out.ipynb", html, title="Report", timeout_s=120
    )
    assert record.ok
    async with shown(html.read_text(), tmp_path, width_px=PHONE_PX) as graph:
        assert (await graph.totals())["all"] == large(2000).total("cpu")
        assert await graph.page.evaluate("() => document.documentElement.scrollWidth") <= PHONE_PX
        assert "From a kernel" in await graph.element.inner_text()


async def test_a_host_that_moves_the_script_still_gets_its_graph(tmp_path: Path) -> None:
    """Some notebook front ends take scripts out of an output and run them elsewhere."""
    output, script = flame_graph(folded(STACKS))._repr_html_().rsplit("<script>", 1)
    moved = f"<!DOCTYPE html><meta charset=utf-8>{output}</div><script>{script.removesuffix('</div>')}"
    async with shown(moved, tmp_path) as graph:
        assert (await graph.totals())["all"] == 100
