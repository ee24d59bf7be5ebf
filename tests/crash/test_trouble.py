"""A full disk, unwritable folders, a machine that stands still, a clock that is set: messages and files afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.kinds import RECEIPTS
from tests.crash.trouble import IN_WINDOWS, MOMENTS
from workbench.cli import main

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
SET_BY_S = 3600.0


def trouble(kind: str, folder: Path, *options: str, before: tuple[str, ...] = (), **variables: str) -> list[Any]:
    """The result of a kind of trouble, from a separate process. Skips if the machine does not allow it."""
    disk, temporary = folder / "disk", folder / "tmp"
    for path in (disk, temporary):
        path.mkdir()
    done = subprocess.run(
        [*before, sys.executable, "-m", "tests.crash.trouble", kind, str(disk), *options],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TMPDIR": str(temporary)} | variables,
    )
    assert done.returncode == 0, done.stderr
    came = [json.loads(line) for line in done.stdout.splitlines()]
    if "skipped" in came[0]:
        pytest.skip(came[0]["skipped"])
    return came


def check_moments(came: list[Any], words: str, remedy: str, numbers: tuple[int, ...] = tuple(range(1, 11))) -> None:
    """Each moment came, was reported in one line with exit code 2, and left all finished steps readable."""
    *moments, end = came
    assert [(one["kind"], one["place"]) for one in moments] == [MOMENTS[number - 1] for number in numbers]
    for one in moments:
        assert one["met"], one
        assert one["exit_code"] == 2, one
        assert words in one["error"], one
        assert remedy in one["error"].lower(), one  # at the beginning of the hint it has a capital letter
        assert "\n" not in one["error"]
        assert one["rows"] == sum(RECEIPTS[: one["finished"]]), one
    finished = [one["finished"] for one in moments]
    assert finished == sorted(finished), "a finished step was lost"
    assert end == {"state": "finished", "wrong": [], "left": [], "windows": [], "costs": 0}


def test_a_disk_that_is_full_at_ten_moments_of_a_run(tmp_path: Path) -> None:
    check_moments(trouble("full", tmp_path), "No space left on device", "free disk space")


def test_a_command_on_a_full_disk_says_which_goes_on_and_that_does(tmp_path: Path) -> None:
    (came,) = trouble("typed", tmp_path)
    assert came["exit_code"] == 2, came
    assert "No space left on device" in came["error"]
    assert "free disk space and go on with `workbench sweep --resume " in came["error"]
    assert "Traceback" not in came["said"]
    assert came["state"] == "interrupted"
    assert came["rows"] == sum(RECEIPTS[: came["finished"]]) > 0
    assert (came["exit_code_then"] in (0, 4), came["wrong"], came["left"]) == (True, [], [])


def test_a_disk_that_is_full_in_a_window_of_a_profiled_sweep(tmp_path: Path) -> None:
    """At two moments; ``python -m tests.crash.trouble window FOLDER`` does it at ten."""
    numbers = (3, 5)
    *moments, end = trouble("window", tmp_path, "--only", *map(str, numbers))
    assert [(one["kind"], one["place"]) for one in moments] == [IN_WINDOWS[number - 1] for number in numbers]
    for one in moments:
        assert one["met"], one
        assert one["exit_code"] in (2, 5), one
        assert re.search(r"No space left on device|disk is full|are free, but a window needs", one["error"]), one
        assert "ree disk space" in one["error"], one
    windows = ["idle", "step-001", "step-002"]
    assert {**end, "costs": end["costs"] > 0} == {
        "state": "finished", "wrong": [], "left": [], "windows": windows, "costs": True
    }  # fmt: skip


def test_a_file_system_that_becomes_read_only_in_a_run(tmp_path: Path) -> None:
    """At two moments; ``python -m tests.crash.trouble read-only FOLDER`` does it at ten."""
    numbers = (4, 8)
    came = trouble("read-only", tmp_path, "--only", *map(str, numbers))
    check_moments(came, "Read-only file system", "make its file system writable again", numbers)


def test_folders_that_are_closed_in_a_run(tmp_path: Path) -> None:
    """At three moments; ``python -m tests.crash.trouble closed FOLDER`` does it at ten. Root ignores file modes, so
    this right is dropped first."""
    numbers = (1, 4, 10)
    without = ("--bounding-set=-dac_override", "--inh-caps=-dac_override")
    before = ("setpriv", *without) if os.getuid() == 0 else ()
    came = trouble("closed", tmp_path, "--only", *map(str, numbers), before=before)
    check_moments(came, "Permission denied", "get access to it", numbers)


def test_a_file_that_cannot_be_written_is_a_line_and_no_unexpected_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it happens: here at the end of a command."""
    refused = PermissionError(13, "Permission denied", "/somewhere/report.xml")

    def fail(*_: object) -> None:
        raise refused

    monkeypatch.setattr("workbench.cli.load.write_junit", fail)
    assert main(["load", "-n", "5", "--concurrency", "2"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("workbench: /somewhere/report.xml: cannot be read or written: Permission denied. ")


def test_a_machine_that_stood_still_is_seen_and_loses_no_row(tmp_path: Path) -> None:
    """For 3 s; ``python -m tests.crash.trouble suspended FOLDER`` does it for 30."""
    (came,) = trouble("suspended", tmp_path, "--seconds", "3")
    assert (came["state"], came["wrong"]) == ("finished", [])
    assert came["times_go_on"]
    assert came["duration_s"][1] >= 3
    assert came["verdicts"][1] == "INVALID"
    # or they were not signed yet, which is reported first
    assert re.search("requests were sent|signed only when due", came["reasons"][1]), came


@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed")
def test_a_clock_that_is_set_in_a_step_changes_no_duration_and_loses_no_row(tmp_path: Path) -> None:
    """Forward by an hour in the second step, and back in the third."""
    shown = tmp_path / "shown"
    shown.write_text("+0\n")
    (came,) = trouble(
        "clock",
        tmp_path,
        "--seconds",
        str(SET_BY_S),
        LD_PRELOAD=str(FAKETIME),
        FAKETIME_TIMESTAMP_FILE=str(shown),
        FAKETIME_CACHE_DURATION="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    assert (came["state"], came["wrong"]) == ("finished", [])
    assert came["times_go_on"]
    assert came["verdicts"][1:3] == ["INVALID", "INVALID"]
    assert max(came["duration_s"]) < SET_BY_S / 10
    assert 0 < came["lasted_s"] < SET_BY_S / 10
