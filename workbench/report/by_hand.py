"""The report of windows that were cut by hand: as text for a terminal, and as the notebook and HTML page of a profiled
sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ToolError

if TYPE_CHECKING:
    from workbench.runs.read import Run

ROWS = 10


async def report_windows(run: Run) -> None:
    """Write ``notebook.ipynb`` and ``report.html`` of a run made of windows. Raises ToolError if its notebook
    fails."""
    from workbench.report.execute import run_notebook
    from workbench.report.sweep_report import notebook_path

    path = run.path.resolve()
    record = await run_notebook(
        notebook_path("profiled_sweep"),
        {"run_dir": str(path)},
        path / "notebook.ipynb",
        path / "report.html",
        title=f"Windows under {run.manifest['profiler']['mode']}",
    )
    run.folder.update_manifest(notebook=record.as_dict())
    if not record.ok:
        raise ToolError(
            f"the notebook ended as {record.status}: {record.exception}: {record.message}",
            where=str(path / "notebook.ipynb"),
            hint="The tables are in the same folder",
        )


def windows_costs(run: Run) -> list[dict[str, Any]]:
    """The whole cost of a receipt, one row per service and metric: ``service``, ``metric``, and the columns of
    :func:`workbench.analysis.costs.cost_per_receipt`; unknown values are None."""
    from workbench.analysis.costs import cost_per_receipt
    from workbench.sweep.run_profiles import RunProfiles

    found = RunProfiles(run)
    rows = []
    for service in found.services:
        table = cost_per_receipt(found.of_service(service), found.metric, "whole")
        plain = table.astype(object).where(table.notna(), None).to_dict("records")
        rows += [{"service": service, "metric": found.metric, **row} for row in plain]
    return rows


def windows_text(run: Run) -> str:
    """The cost of a receipt for each service: the whole cost in each window, and the places with most of it."""
    from workbench.analysis.costs import cost_per_receipt
    from workbench.report.tables import table
    from workbench.sweep.run_profiles import RunProfiles

    found, names = RunProfiles(run), run.manifest["windows"]
    parts = [f"{step}: window {name}" for step, name in names.items()]
    for service in found.services:
        costs = found.of_service(service)
        for by in ("whole", "function"):
            rows = cost_per_receipt(costs, found.metric, by)
            if rows.empty:
                continue
            steps = [name for name in rows if str(name).startswith("step_")]
            shown = table(rows[["name", "per_receipt", "share_pct", *steps]], ROWS)
            parts += ["", f"{service} under {found.mode}: {found.metric} per receipt, by {by}", shown.as_text]
    return "\n".join(parts)
