"""Runs side by side: in one folder of runs refused, elsewhere said by both; who calibrates is alone."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

import workbench
from workbench.errors import RunFolderError
from workbench.report.display import verdict_box
from workbench.runs import folder
from workbench.runs.alone import alone_on_this_machine, measuring


@pytest.mark.slow
async def test_a_second_run_in_a_folder_is_refused_and_one_elsewhere_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.2)
    started = asyncio.Event()

    def on_event(kind: str, facts: object) -> None:
        if kind == "step_started":
            started.set()

    first = asyncio.create_task(
        workbench.sweep(receipts="240", rate=60.0, runs_dir="runs", pinpoint=False, on_event=on_event)
    )
    await started.wait()
    with pytest.raises(RunFolderError, match=rf"another run is measuring in \S+/runs .process {os.getpid()}"):
        await workbench.sweep(receipts="20", rate=200.0, runs_dir="runs")
    with pytest.raises(RunFolderError, match="another run is measuring on this machine"):
        async with alone_on_this_machine():
            pass
    said: list[str] = []
    beside = await workbench.sweep(
        receipts="20", rate=200.0, runs_dir="elsewhere", pinpoint=False, on_event=lambda kind, _: said.append(kind)
    )
    assert said[0] == "beside_another"
    assert "Another run was measured on this machine at the same time" in repr(verdict_box(beside))
    first_run = await first
    assert first_run.manifest["state"] == "finished"
    assert "another run was measured on this machine at the same time" in first_run.manifest["beside"]
    assert "beside" not in (await workbench.sweep(receipts="20", rate=200.0, pinpoint=False)).manifest


@pytest.mark.slow
async def test_the_runs_of_a_batch_are_in_the_folder_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async with measuring(Path("runs/20260101T000000Z-batch/20260101T000001Z-none")) as company:
        assert company.others() is None
        with pytest.raises(RunFolderError, match="another run is measuring in"):
            async with measuring(Path("runs/20260101T000002Z-sweep")):
                pass
        async with measuring(Path("others/20260101T000002Z-sweep")) as other:
            assert company.others()
            assert other.others()
        assert company.others()  # there was one
