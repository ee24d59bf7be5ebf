"""What a run keeps of itself for the catalogue: its figures, and which version of the service it measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import workbench
from tests.analysis.made import costs_of
from tests.catalogue.made import made, row
from workbench import charts
from workbench.analysis.figures import VERSION, cost_figures
from workbench.catalogue.columns import COLUMNS, NAMES
from workbench.catalogue.history import history
from workbench.catalogue.listing import rows_in
from workbench.service.version import build_of
from workbench.standin.misc import IMITATED_VERSION
from workbench.thresholds.names import PER_RECEIPT

DOCS = Path(__file__).resolve().parents[2] / "docs"


async def test_a_run_keeps_its_figures_and_the_version_it_measured(tmp_path: Path) -> None:
    run = await workbench.sweep(receipts="20", rate=200.0, pinpoint=False, runs_dir=str(tmp_path))
    kept = run.manifest["figures"]
    assert (kept["version"], kept["steps"], kept["accepted"]) == (VERSION, 1, 20)
    assert run.manifest["target"]["service_version"] == IMITATED_VERSION
    (first,) = rows_in(tmp_path)
    assert first["response_p50_ms"] == kept.get("response_p50_ms")
    del kept["version"]
    run.folder.update_manifest(figures=None)
    assert rows_in(tmp_path) == [first]  # the same, read from its tables


def test_the_chart_of_a_history_rings_the_first_run_after_a_change_and_tells_series_apart(tmp_path: Path) -> None:
    for number in range(8):
        created = f"2026-01-0{number + 1}T00:00:00Z"
        p50 = 2.0 if number < 5 else 3.0
        made(tmp_path, f"2026010{number + 1}T000000Z-slow", [row(0, response_p50_ms=p50)], created=created)
        made(tmp_path, f"2026010{number + 1}T000000Z-fast", [row(0)], created=created, settings={"rate": 50.0})
    chart = charts.history(history("response_p50_ms", runs_dir=tmp_path))
    assert [list(trace.y) for trace in chart.data] == [[1.0] * 8, [2.0] * 5 + [3.0] * 3]
    assert [size > 10 for size in chart.data[1].marker.size] == [False] * 5 + [True] + [False] * 2
    assert len({(trace.line.dash, trace.marker.symbol) for trace in chart.data}) == 2
    assert chart.layout.meta["caption"].endswith(".")
    nothing = charts.history(history("instructions_per_receipt", runs_dir=tmp_path))
    assert len(nothing.data) == 0
    assert nothing.layout.annotations[0].text == "No finished run has instructions per receipt"


def test_costs_are_those_of_the_reports_by_metric_and_program() -> None:
    of_service = costs_of([100, 200], {"f": [1000.0, 2000.0], "g": [500.0, 1000.0]})
    assert cost_figures(of_service) == {"instructions_per_receipt": 15.0}
    of_agent = costs_of([100], {"f": [700.0]}, metric="calls").assign(service="tap-agent")
    assert cost_figures(of_agent, ("tap-agent",)) == {"agent_system_calls_per_receipt": 7.0}
    assert cost_figures(of_service.head(0)) == {}
    of_calls = costs_of([100], {"f": [5e8]}, metric="waiting")
    assert cost_figures(of_calls) == {"waiting_ms_per_receipt": 5.0}  # profiles hold nanoseconds
    assert {name.name for name in PER_RECEIPT.values()} <= set(NAMES)


def test_steps_that_were_denied_are_left_out_of_costs() -> None:
    costs = costs_of([100, 200], {"f": [1000.0, 200.0]}, denied=[0, 180])
    assert cost_figures(costs) == {"instructions_per_receipt": 10.0}


def test_two_builds_are_told_apart_and_an_interpreter_is_no_build(tmp_path: Path) -> None:
    builds = []
    for text in ("one", "two"):
        program = tmp_path / text
        program.write_text(f"#!/bin/sh\necho {text}\n")
        program.chmod(0o755)
        builds.append(build_of(f"RUST_LOG=info {program} --config a.toml"))
    assert len(set(builds)) == 2
    assert all(len(build) == 12 for build in builds)
    assert build_of(f"{sys.executable} service.py") == build_of("no-such-program") == build_of(None) == ""


@pytest.mark.parametrize("name", [column.name for column in COLUMNS if not column.name.startswith("agent_")])
def test_every_column_is_in_the_docs(name: str) -> None:
    assert any(f"`{name}`" in (DOCS / page).read_text(encoding="utf-8") for page in ("catalogue.md", "thresholds.md"))
