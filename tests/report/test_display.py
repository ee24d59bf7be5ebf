"""What notebook cells show besides charts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from bs4 import BeautifulSoup

from tests.report import frames
from workbench.report import provenance, steps_table, verdict_box
from workbench.runs.atomic import write_json
from workbench.runs.read import Run, open_run


def test_text_from_a_service_is_escaped(finished_run: Run) -> None:
    for view in (steps_table(finished_run.steps), verdict_box(finished_run), provenance(finished_run)):
        assert "&lt;script&gt;" in view._repr_html_()
        assert "<script>" not in view._repr_html_()
        assert "script" in repr(view)


def test_the_table_has_a_row_a_step_and_dashes_for_what_is_not_known() -> None:
    steps = frames.steps()
    html = steps_table(steps)._repr_html_()
    tables = BeautifulSoup(html, "html.parser").find_all("table")
    assert [len(table.select("tbody tr")) for table in tables] == [len(steps)] * 3
    assert all(table.th.text == "Step" for table in tables)
    assert "nan" not in html.lower()
    assert "–" in html
    for mark in ("✓ PASS", "✗ FAIL", "◇ INVALID"):
        assert mark in html


def test_the_table_of_no_steps() -> None:
    assert "<table" in steps_table(pd.DataFrame())._repr_html_()


def test_an_interrupted_run_has_no_verdict_and_says_so(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", frames.manifest() | {"state": "interrupted", "verdict": None})
    run = open_run(tmp_path)
    assert "interrupted; there is no verdict" in repr(verdict_box(run))
    assert "made-up" in repr(provenance(run))


def test_what_disturbed_the_generator_is_shown_where_anything_did():
    steps = frames.steps()
    assert "disturbed" not in steps_table(steps)._repr_html_()  # a run of an earlier release
    steps["disturbances"] = ""
    assert "disturbed" not in steps_table(steps)._repr_html_()
    steps.loc[1, "disturbances"] = "other processes used 1.8 of the 2 cores"
    assert "other processes used 1.8 of the 2 cores" in steps_table(steps)._repr_html_()
