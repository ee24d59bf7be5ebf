"""`workbench open`: the report of a run, made where it is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.catalogue.made import made
from workbench.cli import main


def test_the_report_that_is_there_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "runs", "20260101T100000Z-first", created="2026-01-01T10:00:00Z")
    page = run / "report.html"
    page.write_text("<p>")
    assert main(["open", "first", "--runs-dir", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert main(["open", str(run), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"run": run.name, "report": str(page), "made": False, "opened": False}  # no terminal: no browser


def test_a_run_that_has_not_finished_says_how_to_finish_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "runs", "20260101T100000Z-first", created="2026-01-01T10:00:00Z", state="interrupted")
    assert main(["open", str(run)]) == 2
    assert f"`workbench sweep --resume {run}`" in capsys.readouterr().err


def test_a_report_that_is_not_there_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "-n", "20", "--concurrency", "2", "--json"]) == 0
    run = Path(json.loads(capsys.readouterr().out)["run"])
    assert not (run / "report.html").exists()
    assert main(["open", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] is True
    assert "<title>" in (run / "report.html").read_text()
