"""The callgrind notebook and its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.browser import offline_page, open_offline
from workbench.profiles.read import read_callgrind
from workbench.profiles.views.neighbours import hottest
from workbench.report import run_notebook
from workbench.report.answers.callgrind import answer, misses, source
from workbench.report.quick_nbformat import nbformat

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "data" / "profiles" / "demo-callgrind.out"


def test_the_answer_says_what_the_figures_say() -> None:
    profile = read_callgrind(EXAMPLE)
    said = repr(answer(profile))
    first = profile.top(n=1).iloc[0]
    assert first["name"] == "receipt_demo::keccak_like"
    assert f"{first['name']} {first['self_pct']:.1f} %" in said
    branches = profile.total("Bc") + profile.total("Bi")
    wrong = 100 * (profile.total("Bcm") + profile.total("Bim")) / branches
    assert f"{wrong:.2f} % of {branches:,} conditional and indirect branches were mispredicted" in said
    assert f"{profile.total('sysCount'):,} system calls took" in said
    assert "split over callers pro rata" in said


def test_without_simulation_it_says_which_flags_are_missing() -> None:
    profile = read_callgrind(b"events: Ir\nfn=main\n1 5\n")
    said = repr(answer(profile))
    assert "--cache-sim=yes" in said
    assert "--branch-sim=yes" in said
    assert "--cache-sim=yes --branch-sim=yes" in repr(misses(profile))
    assert "holds no costs" in repr(answer(read_callgrind(b"events: Ir\nfn=main\n1 0\n")))


def test_misses_are_shown_of_a_file_without_instructions() -> None:
    profile = read_callgrind(b"events: I1mr D1mr\nfn=main\n1 5 2\nfn=other\n1 1 1\n")
    shown = misses(profile).as_text
    assert "main" in shown
    assert "stalled_pct" not in shown
    assert "Instructions were not counted" in repr(answer(profile))


def test_the_source_of_the_hottest_function_is_found() -> None:
    profile = read_callgrind(EXAMPLE)
    shown = source(profile, hottest(profile), {"/receipt-demo": ROOT / "data" / "profiles" / "demo"})
    assert "rotate_left(13)" in shown.as_text
    without = source(profile, "malloc", {}).as_text  # no source is there: no column of it
    assert without.split()[:5] == ["file", "line", "self", "self_pct", "total"]
    assert "malloc.c" in without


def test_a_name_in_a_refusal_is_only_text() -> None:
    assert "<script>" not in source(read_callgrind(EXAMPLE), "<script>x</script>", {}).as_html


@pytest.mark.browser
async def test_the_notebook_opens_offline_with_its_flame_graph(tmp_path: Path) -> None:
    saved, page = tmp_path / "notebook.ipynb", tmp_path / "report.html"
    record = await run_notebook(ROOT / "notebooks" / "callgrind.ipynb", {}, saved, page, title="Instructions")
    assert record.ok, f"{record.exception}: {record.message}"
    opened = await open_offline(page)
    assert (opened.requests, opened.complaints) == ([], [])
    assert opened.charts_drawn == opened.charts_wanted > 0
    assert "rotate_left(13)" in opened.text
    assert "Callers and callees" in opened.text  # the buttons are there only when the script has drawn
    outputs = [output for cell in nbformat.read(saved, as_version=4).cells for output in cell.get("outputs", [])]
    assert any(str(output.data.get("text/html")).startswith('<iframe class="snakeviz"') for output in outputs)
    async with offline_page(page) as offline:
        frame = offline.page.frames[1]
        await frame.locator("#chart rect").first.wait_for(state="attached", timeout=60_000)
        labels = " ".join(await frame.locator("#chart text").all_text_contents())
        assert "all: Ir, 1 s stands for 1" in labels
        assert await frame.locator("#pstats-table tbody tr").count() > 10
        assert (offline.requests, offline.complaints) == ([], [])
