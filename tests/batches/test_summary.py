"""The summary of a batch: what its cells have in common is read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.batches.folder import Batch
from workbench.batches.modes import runs_of_modes
from workbench.report import batch_summary
from workbench.sweep.profiles import RunProfiles


def test_profiles_are_looked_for_once_for_all_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Batch.create(tmp_path, "batch", runs_of_modes(("none", "strace")), {}, "workbench batch").path
    asked: list[Path] = []

    def profiles(batch: Batch) -> dict[str, RunProfiles]:
        asked.append(batch.path)
        return {}

    monkeypatch.setattr(Batch, "profiles", profiles)
    summary = batch_summary(path)
    for cell in ("findings", "overview", "answers", "cost_charts", "growth_tables", "flames"):
        getattr(summary, cell)()
    assert asked == [path]
