"""Panels without a browser: what they say, what they refuse, and their state as a page without a kernel has it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import workbench
from tests.charts.profiles import folded
from tests.keys.places import new_key
from tests.report.conftest import finished_run
from tests.widgets.made import EVIL, finding, two_runs
from workbench.analysis.findings import Findings
from workbench.errors import ReadError, SettingsError
from workbench.runs.folder import RunFolder
from workbench.runs.read import Run
from workbench.runs.status import Live, RunStatus, status_of
from workbench.widgets.cells import table_of
from workbench.widgets.panel import Panel
from workbench.widgets.words import run_html, words_of

__all__ = ["finished_run"]


def shown(panel: Panel) -> dict[str, str]:
    """What a cell's output would be."""
    return {kind: json.dumps(value) for kind, value in panel._bundle().items()}


def running() -> RunStatus:
    manifest = {"steps_planned": [{"number": 1, "receipts": 2000, "kind": "step"}, {"number": 2, "receipts": 10}]}
    events = [("run_started", {"steps": 2, "done": 0}), ("step_started", {"step": 1, "receipts": 2000})]
    events[1][1]["kind_of_step"] = "step"
    live = Live(1200, {"ok": 1000, "denied": 150, "timeout": 50}, 250.0, 4.25, math.nan)
    return status_of(f"a-{EVIL}", manifest, "running", events, rates={1: 100.0, 2: 100.0}, live=live)


def test_a_run_in_words() -> None:
    words = words_of(running())
    assert words["about"] == ": running, 0 of 2 steps done, about 9 s left"
    first, second = words["steps"]
    assert first | {"share": 0} == {
        "step": "1", "share": 0, "state": "sending", "answered": "1,200 of 2,000", "rate": "250/s", "p50": "4.25 ms",
        "p99": "–", "outcomes": "accepted 1,000, denied 150, timeout 50", "left": "8 s", "verdict": "",
    }  # fmt: skip
    assert (second["state"], second["answered"], second["outcomes"]) == ("planned", "10 planned", "")
    page = run_html(words)
    assert "&lt;img src=x" in page
    assert EVIL not in page


def test_no_key_comes_into_a_panel(tmp_path: Path) -> None:
    key = new_key()
    for parameters in ({"signer_keys": [key]}, {"service_command": f"service {key}"}, {"target": f"http://{key}@h"}):
        with pytest.raises(SettingsError) as caught:
            workbench.LoadPanel(runs_dir=tmp_path, **parameters)
        assert key not in str(caught.value)
    panel = workbench.LoadPanel(runs_dir=tmp_path, database_url=f"postgresql://u:{'pass' + 'word'}@127.0.0.1/d")
    state = json.dumps([widget.get_state() for widget in _all(panel.widget)], default=str)
    assert "password@" not in state
    panel._fields["target"].value = f"http://127.0.0.1/{key}"
    assert panel._fields["target"].value == ""
    assert "WORKBENCH_SIGNER_KEYS" in panel.message
    panel.say(f"it said {key}")
    assert key not in "".join(shown(panel).values())


def _all(widget: Any) -> list[Any]:
    return [widget, *(one for child in getattr(widget, "children", ()) for one in _all(child))]


def test_fields_are_the_parameters_of_the_run(tmp_path: Path) -> None:
    panel = workbench.LoadPanel(num_receipts=50, rate=200, runs_dir=tmp_path, seed=3)
    given = {"rate": "200", "runs_dir": tmp_path, "seed": 3}
    assert panel.parameters() == {**given, "num_receipts": "50"}
    panel._what.value, panel._fields["receipts"].value = "sweep", "50,100"
    panel._profiler.value = "callgrind"
    assert panel.parameters() == {**given, "receipts": "50,100", "profiler": "callgrind"}


async def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    panel = workbench.LoadPanel(num_receipts="many", runs_dir=tmp_path / "runs")
    panel.start()
    await panel.done()
    assert "num_receipts" in panel.message
    assert (panel.run, panel._start.disabled, (tmp_path / "runs").exists()) == (None, False, False)


def test_a_run_of_the_past_is_shown_with_how_to_go_on(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "sweep")
    folder.update_manifest(state="interrupted", error=EVIL, steps_planned=[{"number": 1, "receipts": 5}])
    panel = workbench.LoadPanel(run=folder.path, runs_dir=tmp_path)
    assert (panel._start.disabled, panel._stop.disabled, panel._resume.disabled) == (False, True, False)
    assert "interrupted" in shown(panel)["text/html"]
    assert EVIL not in panel.html()


async def test_a_profile_is_focused_by_the_kernel(tmp_path: Path) -> None:
    profile = folded({"main;work;deep": 5, "main;rest": 2, f"main;{EVIL}": 1})
    explorer = workbench.ProfileExplorer(profile)
    payload = explorer._view.payload
    assert EVIL not in explorer.html()
    explorer._focus.value = "work"
    await explorer.done()
    assert explorer.shown.total() == 5
    assert explorer._view.payload != payload
    explorer._ignore.value = "deep"
    await explorer.done()
    assert explorer.shown.total() == 0
    explorer.clear()
    await explorer.done()
    assert explorer._view.payload == payload
    explorer._focus.value = "("
    await explorer.done()
    assert "regular expression" in explorer.message
    with pytest.raises(ReadError):
        workbench.ProfileExplorer(tmp_path / "none")
    with pytest.raises(SettingsError, match="no profile was given"):
        workbench.ProfileExplorer([])


async def test_several_profiles_can_be_chosen_from() -> None:
    one, other = folded({"main;work": 5}), folded({"main;rest": 7})
    explorer = workbench.ProfileExplorer([one, other])
    names = list(explorer._which.options)
    assert len(names) == len(set(names)) == 2
    explorer._which.value = names[1]
    await explorer.done()
    assert explorer.shown.total() == 7


def test_findings_are_ranked_and_the_chosen_one_is_told_whole() -> None:
    view = workbench.FindingsView(Findings((finding(EVIL, 9), finding("g", 5)), notes=("One file is gone.",)))
    assert view.chosen is not None
    assert view.chosen.subject == EVIL
    assert view._table.rows[0][1][3:6] == ["1,234", "instructions", "12.50"]
    assert view._table.said == "One file is gone."
    assert view._evidence.rows == [["1", [EVIL, "2"], [EVIL, 2.0]], ["2", ["g", "–"], ["g", None]]]
    view._table.chosen = ["2"]
    assert view._more.text.startswith("g is called. Twice.")
    assert EVIL not in view.html()
    view._table.chosen = []
    assert (view._more.text, view._evidence.rows) == ("", [])
    assert workbench.FindingsView(Findings())._table.said == "Nothing was found."


def test_runs_there_are(tmp_path: Path) -> None:
    assert workbench.RunBrowser(runs_dir=tmp_path / "none")._table.said.startswith("No matching run")
    for name in ("one", "two"):
        RunFolder.create(tmp_path, name).update_manifest(state="interrupted", name=name)
    browser = workbench.RunBrowser(runs_dir=tmp_path)
    paths = [row[0] for row in browser._table.rows]
    assert len(paths) == 2
    browser._table.chosen = paths
    assert (browser._open.disabled, browser._compare.disabled) == (True, False)
    assert browser.chosen == [Path(path) for path in paths]
    assert paths[0].rsplit("/", 1)[1] in browser.html()
    assert browser._resume.disabled  # one run at a time
    browser._table.chosen = paths[:1]
    assert not browser._resume.disabled


async def test_what_cannot_be_gone_on_with_is_said(finished_run: Run, tmp_path: Path) -> None:
    before, _ = two_runs(finished_run, tmp_path / "finished")
    browser = workbench.RunBrowser(runs_dir=tmp_path / "finished")
    browser._table.chosen = [str(before)]
    assert browser._resume.disabled
    RunFolder.create(tmp_path / "stopped", "limit").update_manifest(state="interrupted", what="find-limit")
    browser = workbench.RunBrowser(runs_dir=tmp_path / "stopped")
    browser._table.chosen = [browser._table.rows[0][0]]
    browser.resume()
    await browser.done()
    assert "workbench find-limit --resume" in browser.message
    assert not browser._resume.disabled


@pytest.mark.slow
async def test_services_of_a_compose_file_are_profiled(tmp_path: Path) -> None:
    panel = workbench.ProfilerPanel(tmp_path / "session", service="indexer", agent="tap", profile="both")
    assert panel.options() == ["--service", "indexer", "--agent", "tap", "--profile", "both"]
    assert workbench.ProfilerPanel(tmp_path / "session").options() == []
    file = tmp_path / "compose.yml"
    panel._compose.value = str(file)
    assert panel.options() == ["--compose", str(file)]
    assert (panel._service.disabled, panel._agent.disabled, panel._profile.disabled) == (True, True, True)
    panel.start()
    await panel.done()
    assert f"{file}: there is no such compose file" in panel._output.text
    assert (panel.state, panel._start.disabled) == ("none", False)


async def test_two_runs_are_compared(finished_run: Run, tmp_path: Path) -> None:
    before, after = two_runs(finished_run, tmp_path)
    browser = workbench.RunBrowser(runs_dir=tmp_path)
    browser._table.chosen = [str(before)]
    browser.compare()
    await browser.done()
    assert "choose two runs to compare; 1 chosen" in browser.message
    browser._table.chosen = [str(before), str(after)]
    browser.compare()
    await browser.done()
    assert browser.comparison is not None
    assert (browser.comparison.before, browser.comparison.after) == (before.name, (after.name,))
    assert (browser._told_view.text, browser.message) == (browser.comparison.text, "")
    browser._table.chosen = [str(after)]
    browser.open()
    await browser.done()
    assert browser.run is not None
    assert browser.run.path == after
    assert "FAIL" in browser.html()


def test_cells_are_text_and_what_is_not_known_stands_last() -> None:
    frame = pd.DataFrame(
        {"n": [1.5, math.nan], "t": pd.to_datetime(["2026-01-02T03:04:05.6Z", None]), "b": [True, False]}
    )
    columns, rows, said = table_of(frame, most=1)
    assert columns == [["n", "n", True], ["t", "t", False], ["b", "b", False]]
    assert rows == [
        ["1", ["1.5", "2026-01-02 03:04:05+00:00", "yes"], [1.5, "2026-01-02 03:04:05.600000+00:00", "True"]]
    ]
    assert said == "1 more row is not shown."
    assert table_of(frame)[1][1] == ["2", ["–", "–", "no"], [None, None, "False"]]
