"""The figures of a finished run, for its manifest: see :mod:`workbench.analysis.figures`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.analysis.figures import VERSION, cost_figures, step_figures
from workbench.errors import WorkbenchError
from workbench.sweep.agents import agents_of
from workbench.sweep.opened import open_run

if TYPE_CHECKING:
    from workbench.sweep.record import Record


def run_figures(record: Record) -> dict[str, Any] | None:
    """The figures of a run whose steps are all measured; None, with a note, if its costs cannot be read."""
    figures = {"version": VERSION, **step_figures(vars(row) for row in record.rows)}
    if record.settings.profiler == "none":
        return figures
    try:
        costs = open_run(record.folder.path).profiles.costs
        return figures | cost_figures(costs, agents_of(record.settings.agent_command))
    except WorkbenchError as error:
        record.event("figures_left_out", why=str(error))
        return None
