"""What is kept of a run's windows: steps and windows without a receipt in one table, old tables as new ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.real import strace_windows
from workbench.analysis.costs import IDLE, IDLE_STEP, cost_per_receipt, of_steps
from workbench.profilers.windows.record import Window
from workbench.runs.read import read_parquet
from workbench.sweep.cost_table import COSTS, Sent, keep_costs, keep_idle_costs
from workbench.sweep.steps import parse_steps


@pytest.fixture
def windows(tmp_path: Path) -> dict[str, Window]:
    return strace_windows(tmp_path / "strace")


def test_an_idle_window_is_kept_beside_steps_and_counts_for_none(tmp_path: Path, windows: dict[str, Window]) -> None:
    run = tmp_path / "run"
    (run / "profiles").mkdir(parents=True)
    keep_idle_costs(run, (windows[IDLE],))
    steps = parse_steps("50,100")
    for step, sent in zip(steps, (50, 100), strict=True):
        keep_costs(run, step, Sent(sent, sent, 0, 0), (windows[f"step-{sent}"],))
    # measured again: replaced, not doubled
    keep_idle_costs(run, (windows[IDLE],))
    keep_costs(run, steps[1], Sent(100, 100, 0, 50), (windows["step-100"],))
    costs = read_parquet(run / COSTS)
    each = costs.drop_duplicates(["window", "step"]).set_index("step")
    assert each["window"].to_dict() == {IDLE_STEP: IDLE, 1: "step", 2: "step"}
    assert each["seconds"].to_dict() == pytest.approx({IDLE_STEP: 60.061, 1: 2.576, 2: 2.644}, abs=0.001)
    assert each["receipts"].to_dict() == {IDLE_STEP: 0, 1: 50, 2: 100}
    assert not costs.duplicated(["window", "step", "by", "name", "metric"]).any()
    # what a receipt costs is of steps alone
    table = cost_per_receipt(costs, "calls", "whole")
    assert table["receipts"].tolist() == [150]
    assert [name for name in table if name.startswith("step_")] == ["step_1", "step_2"]


def test_tables_from_before_are_read_and_added_to(tmp_path: Path, windows: dict[str, Window]) -> None:
    run = tmp_path / "run"
    (run / "profiles").mkdir(parents=True)
    steps = parse_steps("50,100")
    keep_costs(run, steps[0], Sent(50, 50, 0, 0), (windows["step-50"],))
    path = run / COSTS
    old = read_parquet(path).drop(columns=["window", "seconds"])
    old.to_parquet(path, index=False)
    assert cost_per_receipt(old, "calls", "whole")["receipts"].tolist() == [50]
    keep_costs(run, steps[1], Sent(100, 100, 0, 50), (windows["step-100"],))
    costs = read_parquet(path)
    assert len(of_steps(costs)) == len(costs)
    assert costs.groupby("step")["seconds"].count().tolist() == [0, (costs["step"] == 2).sum()]
