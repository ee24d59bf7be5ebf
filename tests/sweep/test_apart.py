"""A run in a process of its own: it outlives whoever starts it, is found by its lock, stopped, and gone on with."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.keys.places import new_key
from workbench.errors import EXIT_TARGET, RunFolderError, SettingsError
from workbench.runs.folder import RunFolder
from workbench.runs.follow import RunFollower
from workbench.runs.status import RunStatus
from workbench.sweep.apart import LOG, Apart, main, resume_apart, running_in, start_apart, stop_apart

MOST_S = 120


@pytest.fixture
def runs_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder of runs; none of them is measured any more when the test has ended."""
    path = tmp_path / "runs"
    yield path
    while (left := running_in(path)) is not None:
        stop_apart(left)
        time.sleep(0.1)


def until(apart: Apart, wanted: Callable[[RunStatus], bool]) -> RunStatus:
    follower, deadline = RunFollower(apart.folder.path), time.monotonic() + MOST_S
    while not wanted(status := follower.read()):
        assert time.monotonic() < deadline, status
        assert not (apart.ended() and not status.ended and not wanted(follower.read())), apart.said()
        time.sleep(0.05)
    return status


def sending(status: RunStatus) -> bool:
    return status.running is not None and status.running.answered > 0


def test_a_run_is_followed_found_again_stopped_and_gone_on_with(runs_dir: Path) -> None:
    given = {"receipts": "30,5000", "rate": 200, "limit_grt": "9", "pinpoint": False, "runs_dir": runs_dir}
    apart = start_apart("sweep", given)
    status = until(apart, lambda status: status.done == 1 and sending(status))
    assert [(step.state, step.accepted) for step in status.steps[:1]] == [("done", 30)]
    found = running_in(runs_dir)  # as a kernel that was started again looks for it
    assert found is not None
    assert found.path == apart.folder.path
    assert found.holder() == apart.process.pid != os.getpid()
    with pytest.raises(RunFolderError, match="the run is running"):
        resume_apart(found.path)
    assert stop_apart(found)
    assert apart.process.wait(MOST_S) == 130
    status = RunFollower(found.path).read()
    assert (status.state, [step.state for step in status.steps]) == ("interrupted", ["done", "cut off"])
    assert running_in(runs_dir) is None
    assert not stop_apart(found)
    kept = len(list((found.path / "interrupted").glob("*.parquet")))
    again = resume_apart(found.path)
    status = until(again, sending)
    assert [step.state for step in status.steps] == ["done", "sending"]
    again.stop()
    assert again.process.wait(MOST_S) == 130
    assert len(list((found.path / "interrupted").glob("*.parquet"))) == kept + 1
    assert (found.path / LOG).read_bytes() == b""


def test_what_ends_a_run_before_it_begins_is_in_its_manifest(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(runs_dir, "load")
    folder.update_manifest(state="new")
    request = {"what": "load", "parameters": {"target": "http://127.0.0.1:9"}, "run": str(folder.path), "keys": None}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    assert main() == EXIT_TARGET  # what the process does
    status = RunFollower(folder.path).read()
    assert status.state == "failed"
    assert "127.0.0.1:9" in status.sentence


def test_a_process_that_is_killed_at_its_start_leaves_no_run_that_waits(runs_dir: Path) -> None:
    apart = start_apart("load", {"num_receipts": 40, "runs_dir": runs_dir})
    apart.process.kill()
    apart.process.wait(MOST_S)
    assert apart.ended()
    assert RunFolder(apart.folder.path).manifest()["state"] == "failed"


def test_settings_that_cannot_be_used_are_said_before_anything_is_made(runs_dir: Path) -> None:
    for parameters, said in (
        ({"num_receipts": 0}, "num_receipts"),
        ({"receipts": "ten"}, "receipts"),
        ({"signer_keys": [new_key()], "payers": []}, "signer_keys cannot be a parameter"),
    ):
        with pytest.raises(SettingsError, match=said):
            start_apart("sweep", {**parameters, "runs_dir": runs_dir})
    assert not runs_dir.exists()
