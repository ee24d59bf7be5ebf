"""A run folder that is followed while it is written: only what is new is read, and all rows count."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import RunFolderError
from workbench.load.chunks import LiveRows
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.samples import SampleBuffer
from workbench.runs import follow
from workbench.runs.folder import RunFolder
from workbench.runs.follow import LiveTail, RunFollower

SECOND = 1_000_000_000


def filled(
    buffer: SampleBuffer, first: int, last: int, *, begin_ns: int = SECOND, outcome: Outcome = Outcome.OK
) -> None:
    """Rows of requests that are sent a millisecond apart and take 5 ms each."""
    for index in range(first, last):
        sent = begin_ns + index * 1_000_000
        buffer.rows[index] = (sent, sent, sent + 1, sent + 5_000_000, 200, CODE_OF[outcome], 9)


def test_the_rows_of_a_running_step(tmp_path: Path) -> None:
    path = tmp_path / "step-001.live"
    buffer, tail = SampleBuffer.create(path, 4000), LiveTail(tmp_path / "step-001.live")
    assert (tail.read(SECOND).answered, math.isnan(tail.read(SECOND).rate_per_s)) == (0, True)
    filled(buffer, 0, 19)
    assert math.isnan(tail.read(2 * SECOND).p50_ms)  # too few to tell
    filled(buffer, 19, 3000)
    filled(buffer, 3000, 3100, outcome=Outcome.DENIED)
    live = tail.read(4 * SECOND + 105_000_000)
    assert (live.answered, live.by_outcome["ok"], live.by_outcome["denied"]) == (3100, 3000, 100)
    assert live.p50_ms == pytest.approx(5, rel=0.01)
    assert live.p99_ms == pytest.approx(5, rel=0.01)
    assert live.rate_per_s == pytest.approx(1000, rel=0.01)
    filled(buffer, 3100, 4000)
    # all is sent: the rate is that of the sending, however long ago it was
    assert tail.read(90 * SECOND).rate_per_s == pytest.approx(4000 / 4.004, rel=0.001)
    path.unlink()
    assert tail.read(91 * SECOND).answered == 4000  # what the rows said last


def test_chunks_that_are_complete_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "CHUNK_ROWS", 256)
    buffer, tail = SampleBuffer.create(tmp_path / "step-001.live", 2000), LiveTail(tmp_path / "step-001.live")
    read: list[int] = []
    original = LiveRows.chunk
    monkeypatch.setattr(LiveRows, "chunk", lambda rows, number: (read.append(number), original(rows, number))[1])
    rng = np.random.default_rng(1)
    for last in (100, 700, 1500, 2000):
        filled(buffer, 0, last)
        buffer.rows[:last, 5] = rng.integers(0, 3, 2000)[:last]
        rng = np.random.default_rng(1)
        live = tail.read(60 * SECOND)
        assert live.answered == last
        assert sum(live.by_outcome.values()) == last
    assert list(live.by_outcome.values())[:3] == np.bincount(rng.integers(0, 3, 2000)).tolist()
    assert read == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 6, 5, 6, 7]


def test_events_are_read_on_and_a_torn_line_waits(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "sweep")
    folder.update_manifest(state="new", steps_planned=[{"number": 1, "receipts": 50, "kind": "step"}])
    follower = RunFollower(folder.path)
    assert (follower.read().state, follower.read().doing) == ("new", "")
    folder.event("run_started", steps=1, done=0)
    folder.event("step_started", step=1, kind_of_step="step", receipts=50)
    for done in (10, 20, 30):
        folder.event("progress", step=1, receipts=50, done=done, ok=done)
    with (folder.path / "events.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "progress", "step": 1, "done": 40})[:-4])
    folder.update_manifest(state="interrupted", error="by hand")
    status = follower.read()
    assert (status.steps[0].state, status.steps[0].answered, status.sentence) == ("cut off", 30, "by hand")
    assert status.doing == "step 1: sending 50 receipts"


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        RunFollower(tmp_path).read()
