"""Report and terminal say the same: the tiles of a run's page are the last lines of its command."""

from __future__ import annotations

from pathlib import Path

from bs4 import BeautifulSoup

from workbench.analysis.tiles import Tile, text
from workbench.cli.tiles import tile_lines
from workbench.report import tiles
from workbench.report.stored_tiles import stored_tiles
from workbench.runs.atomic import write_json
from workbench.runs.read import Run
from workbench.sweep.opened import open_run


def on_page(html: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Title, figure and lines of each tile of a page."""
    found = BeautifulSoup(html, "html.parser").select(".wb-tile")
    return [
        (
            tile.select_one(".wb-tile-title").text,
            " ".join(tile.select_one(".wb-tile-figure").text.split()),
            tuple(line.text for line in tile.select("li")),
        )
        for tile in found
    ]


def expected(found: tuple[Tile, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (one.title, f"{one.mark} {one.figure}".strip(), tuple(line.replace("`", "") for line in one.lines))
        for one in found
    ]


def test_report_and_terminal_say_the_same(finished_run: Run, made_report: Path) -> None:
    run = open_run(finished_run.path)
    shown = on_page(made_report.read_text("utf-8"))
    assert shown == expected(run.tiles)
    assert stored_tiles(made_report.parent / "notebook.ipynb") == run.tiles

    last = " ".join(tile_lines(run).split())
    assert len(shown) == 4
    for title, figure, lines in shown:
        assert f"{title} {figure}" in last
        assert all(line in last.replace("`", "") for line in lines)
    assert shown[0][1] == "✗ FAIL"
    assert shown[1][1] == "✓ 1,000 receipts"


def test_a_notebook_that_is_no_notebook_has_no_tiles(tmp_path: Path) -> None:
    assert stored_tiles(tmp_path / "missing.ipynb") == ()
    for text_in in ("", "[]", '{"cells": 3}', '{"cells": [{"outputs": [{"metadata": {"workbench": 1}}]}]}'):
        (tmp_path / "odd.ipynb").write_text(text_in)
        assert stored_tiles(tmp_path / "odd.ipynb") == ()


def test_text_of_a_run_stays_text(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    write_json(tmp_path / "manifest.json", {"schema": 1, "state": "failed", "error": hostile})
    view = tiles(open_run(tmp_path))
    assert "<img" not in view.as_html
    assert hostile in view.as_text
    assert view.as_text == text(open_run(tmp_path).tiles)
