"""What is checked before anything is sent, and what a batch says of its modes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from workbench.batches.folder import Batch
from workbench.batches.modes import DEFAULT_MODES, runs_of_modes
from workbench.cli import main
from workbench.errors import SettingsError, ToolError, WorkbenchError
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.progress import line_of
from workbench.report.batch import of_runs, reported
from workbench.runs.folder import RunFolder
from workbench.runs.read import open_run
from workbench.settings import Settings
from workbench.sweep.subject import check_subject
from workbench.sweep.windows import step_of, window_name


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without tools."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def test_a_tool_that_is_not_installed_is_said_before_anything_is_sent(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless the services run in containers, which bring their own."""
    settings = Settings.resolve(profiler="massif")
    with pytest.raises(ToolError, match="mode massif: valgrind is not installed"):
        check_subject(settings)
    check_subject(settings.model_copy(update={"compose": Path("compose.yaml")}))
    assert main(["sweep", "--profiler", "massif", "--receipts", "5", "--runs-dir", "runs"]) == 5
    assert "valgrind is not installed" in capsys.readouterr().err
    assert not Path("runs").exists()


def unfit_modes(**settings: str) -> Mapping[str, WorkbenchError]:
    """Of the default modes those that a sweep cannot be run in, and why."""
    runs = runs_of_modes(DEFAULT_MODES)
    own = {run.name: Settings.resolve(**settings, **run.changes) for run in runs}
    return of_runs("batch", Path("runs"), runs, own).unfit


def test_modes_that_cannot_be_run_are_found_before_a_batch_is_made(bare: Path) -> None:
    assert set(unfit_modes()) == {"massif", "callgrind", "strace"}
    assert unfit_modes(compose="compose.yaml") == {}
    unfit = unfit_modes(target="http://127.0.0.1:9")
    assert set(unfit) == set(DEFAULT_MODES) - {"none"}
    assert all(isinstance(error, SettingsError) for error in unfit.values())


def test_a_batch_of_modes_that_the_target_cannot_be_put_under_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["batch", "--modes", "none,flamegraph", "--target", "http://127.0.0.1:9", "--runs-dir", "runs"]
    assert main(arguments) == 2
    assert "a running service (http://127.0.0.1:9) cannot be put under flamegraph" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["sweep", "--profiler", "callgrind", """--profiler-flags=--foo "bar"""], "--profiler-flags"),
        (["profile", "start", "callgrind", """--flags=--foo "bar"""], "--flags"),
    ],
)
def test_flags_that_no_shell_would_take_are_refused(
    arguments: list[str], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"workbench: {where}: flags are written as in a shell: no closing quotation, found '--foo")
    assert len(said.splitlines()) == 1


async def test_valgrinds_complaint_is_quoted_and_not_its_usage(bare: Path, tmp_path: Path) -> None:
    tool = bare / "valgrind"
    tool.write_text(
        "#!/bin/sh\necho 'starting' >&2\necho 'valgrind: Unknown option: --bogus' >&2\n"
        "echo 'valgrind: Use --help for more information or consult the user manual.' >&2\nexit 1\n"
    )
    tool.chmod(0o755)
    backend = LocalBackend(LocalService("service", (sys.executable, "-c", "")), tmp_path / "out")
    with pytest.raises(ToolError, match="with code 1: valgrind: Unknown option: --bogus"):
        await backend.start("callgrind", ("--bogus",))
    await backend.restore()


def test_windows_are_named_after_their_steps() -> None:
    assert [step_of(window_name(step)) for step in (0, 7, 999, 1000)] == [0, 7, 999, 1000]


def test_only_steps_are_counted_as_done() -> None:
    assert line_of("run_resumed", {"done": 2, "steps": 3}) == "continuing with 2 of 3 steps done"


def run_in(folder: Path, **manifest: object) -> RunFolder:
    run = RunFolder.at(folder)
    run.update_manifest(name=folder.name, **manifest)
    return run


def test_a_batch_says_the_error_of_a_mode_that_has_no_verdict(tmp_path: Path) -> None:
    runs = runs_of_modes(("none", "callgrind", "massif"))
    batch = Batch.create(tmp_path, "batch", runs, {"strace": "not installed"}, "workbench")
    run_in(batch.path / "20260101T000000Z-none", state="finished", verdict={"verdict": "PASS", "sentence": "Good."})
    run_in(batch.path / "20260101T000001Z-callgrind", state="new")
    batch.ended("callgrind", "valgrind: it is broken")
    assert batch.lines() == [
        "none: PASS: Good.",
        "callgrind: new: valgrind: it is broken",
        "massif: no run",
        "strace: left out, not installed",
    ]


def test_a_finished_run_without_its_report_is_not_done(tmp_path: Path) -> None:
    """The batch was killed between the two."""
    run = run_in(tmp_path / "run", state="finished")
    assert not reported(open_run(run.path))
    run.update_manifest(notebook={"status": "failed"})
    assert not reported(open_run(run.path))
    run.update_manifest(notebook={"status": "ok"})
    assert reported(open_run(run.path))
    run.update_manifest(state="interrupted")
    assert not reported(open_run(run.path))
