"""`workbench runs` as a user runs it."""

from __future__ import annotations

import fcntl
import io
import json
from pathlib import Path

import pytest

from tests.catalogue.made import made, row
from workbench.catalogue.columns import NAMES
from workbench.catalogue.remove import remove_run
from workbench.cli import main
from workbench.errors import RunFolderError


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    made(tmp_path / "runs", "20260101T100000Z-first", created="2026-01-01T10:00:00Z")
    made(tmp_path / "runs", "20260101T110000Z-second", created="2026-01-01T11:00:00Z")
    return tmp_path / "runs"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["runs", *arguments]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_the_list_is_newest_first_and_says_how_many(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "--runs-dir", str(runs_dir)).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["20260101T110000Z-second", "20260101T100000Z-first"]
    assert lines[-1] == f"2 runs in {runs_dir}"
    lines = said(capsys, "--where", "run like '%first'", "--columns", "run,accepted", "--runs-dir", str(runs_dir))
    assert lines.splitlines()[1:] == ["20260101T100000Z-first       200", f"1 of 2 runs in {runs_dir}"]
    (newest,) = json.loads(said(capsys, "--json", "--last", "1", "--runs-dir", str(runs_dir)))
    assert tuple(newest) == NAMES
    assert newest["started"] == "2026-01-01T11:00:00.000Z"


def test_the_runs_of_the_settings_are_meant(
    runs_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_RUNS_DIR", str(runs_dir))
    assert said(capsys).endswith(f"2 runs in {runs_dir}\n")
    assert "20260101T100000Z-first" in said(capsys, "show", "first")


def test_tags_and_a_note_are_kept_with_the_run(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--runs-dir", str(runs_dir))
    assert said(capsys, "tag", "first", "slow", "main", *at) == "20260101T100000Z-first: main, slow\n"
    assert said(capsys, "tag", str(runs_dir / "20260101T100000Z-first"), "--remove", "slow") == (
        "20260101T100000Z-first: main\n"
    )
    said(capsys, "note", "first", "before the change", *at)
    shown = json.loads(said(capsys, "--where", "tags = 'main'", "--json", *at))
    assert [(one["run"], one["note"]) for one in shown] == [("20260101T100000Z-first", "before the change")]
    assert "before the change" in said(capsys, "show", "first", *at)
    assert "it has no tag" not in said(capsys, "tag", "first", *at)
    assert "the run has no tag 'slow'. It has main" in said(capsys, "tag", "first", "--remove", "slow", *at, code=2)
    assert "a tag is 1 to 64 letters" in said(capsys, "tag", "first", "a b", *at, code=2)


def test_a_run_that_is_not_there_or_not_the_only_one_is_said(
    runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--runs-dir", str(runs_dir))
    assert "Did you mean '20260101T100000Z-first'?" in said(capsys, "show", "20260101T100000Z-frist", *at, code=2)
    assert "2 runs have '20260101' in their name" in said(capsys, "show", "20260101", *at, code=2)


def test_a_run_is_removed_when_that_is_confirmed(
    runs_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ("--runs-dir", str(runs_dir))

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert "Give --yes" in said(capsys, "rm", "first", *at, code=2)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert said(capsys, "rm", "first", *at) == "Nothing was removed.\n"
    assert len(list(runs_dir.glob("2026*"))) == 2
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert "20260101T100000Z-first: removed" in said(capsys, "rm", "first", *at)
    assert [path.name for path in runs_dir.glob("[!.]*")] == ["20260101T110000Z-second"]
    said(capsys, "rm", "--yes", "second", *at)
    assert list(runs_dir.glob("2*")) == []
    assert not list(runs_dir.glob(".removed*"))


def test_nothing_but_a_run_that_nobody_writes_is_removed(runs_dir: Path, tmp_path: Path) -> None:
    run = runs_dir / "20260101T100000Z-first"
    outside = made(tmp_path, "outside")
    link = runs_dir / "20260101T120000Z-link"
    link.symlink_to(outside)
    (run / "elsewhere").symlink_to(outside)
    batch = tmp_path / "20260101T130000Z-batch"
    batch.mkdir()
    (batch / "batch.json").write_text("{}")
    other = tmp_path / "other"
    other.mkdir()
    for path, why in ((link, "is a link"), (batch, "is a batch"), (other, "has no manifest.json")):
        with pytest.raises(RunFolderError, match=why):
            remove_run(path)
        assert path.exists()
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunFolderError, match="the run is running"):
            remove_run(run)
    assert (run / "manifest.json").exists()
    assert remove_run(run) > 0
    assert not run.exists()
    assert (outside / "manifest.json").exists()


def test_a_history_names_the_version_with_which_a_figure_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        p50 = (2.0 if number < 12 else 2.6) + 0.02 * (number % 3)
        version = {"is_standin": True, "service_version": "2.0.0" if number < 12 else "2.1.0"}
        created = f"2026-01-{number + 1:02d}T00:00:00Z"
        name = f"202601{number + 1:02d}T000000Z-run"
        made(tmp_path, name, [row(0, response_p50_ms=p50)], created=created, target=version)
        made(tmp_path, f"{name}-fast", [row(0)], created=created, settings={"rate": 50.0}, target=version)
    at = ("--runs-dir", str(tmp_path))
    out = said(capsys, "history", "response_p50_ms", "-o", str(tmp_path / "chart.html"), *at)
    assert "Series 1: rate_per_s 200" in out
    assert "response_p50_ms changed from 2.02 to 2.62 (+29.7 %) with 20260113T000000Z-run, 2.1.0" in out
    assert out.count("No change was found.") == 1
    page = (tmp_path / "chart.html").read_text()
    assert "History of response p50 ms" in page
    found = json.loads(said(capsys, "history", "response_p50_ms", "--json", *at))
    assert [one["runs"] for one in found["versions"]] == [12, 8, 12, 8]
    assert [one["changed"] for one in found["runs"]].count(True) == 1
    error = said(capsys, "history", "response_p50", *at, code=2)
    assert "figure: there is no column 'response_p50'. Did you mean 'response_p50_ms'?" in error
    assert "by: there is no column" in said(capsys, "history", "response_p50_ms", "--by", "versoin", *at, code=2)
