"""Objects that show themselves at the end of a notebook's cell: verdict and figures, or a flame graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import workbench
from workbench.analysis.findings import Findings
from workbench.profiles.read import read_profile
from workbench.report import cards
from workbench.runs.atomic import write_json
from workbench.runs.read import Run
from workbench.search.result import FoundLimit
from workbench.sweep.opened import open_run
from workbench.sweep.single import LoadResult

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "profiles"
PROFILES = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".out", ".svg", ".pb", ".log"))
MOST_BYTES = 400_000
HOSTILE = "<img src=x onerror=alert(1)>"


def shown(thing: Any) -> dict[str, str]:
    """What IPython makes of an object that stands at the end of a cell."""
    bundle, _ = InteractiveShell().display_formatter.format(thing)  # type: ignore[no-untyped-call]
    return dict(bundle)


def test_a_run_shows_its_tiles_and_where_it_is(finished_run: Run) -> None:
    run = open_run(finished_run.path)
    for thing in (run, finished_run, FoundLimit(run)):
        bundle = shown(thing)
        assert bundle["text/html"].count('class="wb-tile ') == 4 or bundle["text/html"].count("wb-tile-title") >= 4
        assert str(run.path) in bundle["text/html"]
        assert run.tiles[0].figure in bundle["text/plain"]
    assert "Completed processing" in shown(LoadResult(run))["text/html"]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_every_kind_of_profile_shows_its_totals_and_a_graph_of_bounded_size(path: Path) -> None:
    profile = read_profile(path)
    bundle = shown(profile)
    assert profile.default_metric in bundle["text/html"]
    assert "data-workbench-flame" in bundle["text/html"] or "No flame graph" in bundle["text/html"]
    assert len(bundle["text/html"]) < MOST_BYTES
    assert "<Profile" in bundle["text/plain"]


@pytest.mark.slow
def test_a_large_profile_is_cut_to_what_a_notebook_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_text("".join(f"main;f{number % 97};g{number};h{number} {number + 1}\n" for number in range(40_000)))
    assert len(shown(read_profile(path))["text/html"]) < MOST_BYTES


def test_texts_of_others_stay_texts(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.txt"
    stacks.write_text(f"main;{HOSTILE.replace(' ', '_')} 10\nmain;</script><script>alert(1)</script> 5\n")
    html = shown(read_profile(stacks))["text/html"]
    assert "<img" not in html
    assert "<script>alert" not in html
    write_json(tmp_path / "manifest.json", {"schema": 1, "state": "failed", "error": HOSTILE})
    assert "<img" not in shown(open_run(tmp_path))["text/html"]


@pytest.mark.slow
def test_findings_and_comparisons_show_what_they_say() -> None:
    assert "Nothing" in shown(Findings())["text/html"]
    before, after = (EXAMPLES / f"receipts-{side}.callgrind.out.gz" for side in ("before", "after"))
    found = workbench.compare(before, after, receipts=100)
    html = shown(found)["text/html"]
    assert "What changed" in html
    assert found.tiles[0].figure in shown(found)["text/plain"]


def test_what_is_damaged_says_so_in_a_line(finished_run: Run, tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {**finished_run.manifest, "state": "finished"})
    run = open_run(tmp_path)  # its tables are not there
    assert str(tmp_path) in shown(run)["text/html"]
    assert shown(run)["text/plain"]


def test_the_room_of_cards_has_what_objects_name() -> None:
    for kind in ("run", "load", "found_limit", "batch", "comparison", "findings", "profile"):
        assert callable(getattr(cards, kind))
