"""The summary of a batch: what its cells have in common is read once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from workbench.batches.folder import Batch
from workbench.batches.modes import runs_of_modes
from workbench.report import batch_summary
from workbench.report.summary import BatchSummary


def test_profiles_are_looked_for_once_for_all_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Batch.create(tmp_path, "batch", runs_of_modes(("none", "strace")), {}, "workbench batch").path
    asked: list[str] = []

    class OneRun:
        figures: ClassVar[dict[str, float]] = {}

        @property
        def profiles(self) -> SimpleNamespace:
            asked.append("profiles")
            return SimpleNamespace(mode="strace", services=[])

    monkeypatch.setattr(BatchSummary, "runs", {"strace": OneRun()})
    summary = batch_summary(path)
    for cell in ("findings", "overview", "answers", "cost_charts", "growth_tables", "flames"):
        getattr(summary, cell)()
    assert asked == ["profiles"]
