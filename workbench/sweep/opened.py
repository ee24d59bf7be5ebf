"""A run as users open it: the run folder together with its profiles and findings.

``workbench.runs`` may not import profiles or analysis. So ``workbench.open_run`` and ``workbench.sweep`` return this
class, which extends :class:`workbench.runs.read.Run`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.analysis import step_row
from workbench.analysis.figures import cost_figures, kept_figures, step_figures
from workbench.analysis.tiles import Tile, run_tiles
from workbench.errors import RunFolderError, WorkbenchError
from workbench.runs.read import Run
from workbench.runs.shape import checked_table
from workbench.sweep.agents import agents_of
from workbench.sweep.run_profiles import RunProfiles

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.findings import Findings


class SweepRun(Run):
    """One run folder with its profiles, all read when first asked for."""

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row per step; columns in :mod:`workbench.analysis.step_row`, some of which old runs lack."""
        table, path = super().steps, self.path / "steps.parquet"
        if self.state == "finished" and "windows" not in self.manifest and not path.is_file():
            raise RunFolderError(
                "is missing although the run has finished",
                where=str(path),
                hint="Restore it from a copy, or measure again; run.manifest and run.samples can still be read",
            )
        return checked_table(table, step_row.REQUIRED, path, step_row.COLUMNS) if len(table.columns) else table

    @cached_property
    def profiles(self) -> RunProfiles:
        """The run's windows and their costs; empty tables without a profiler."""
        return RunProfiles(self)

    @property
    def repeats(self) -> pd.DataFrame:
        """The combined result of steps that were measured several times (``--repeats``); columns in
        :func:`workbench.analysis.repeats.repeats_table`."""
        from workbench.analysis.repeats import repeats_table

        return repeats_table(self.steps)

    @property
    def findings(self) -> Findings:
        """The findings in the profiles, ranked; empty without a profiler. ``run.findings.table`` is a DataFrame."""
        return self.profiles.findings

    @cached_property
    def figures(self) -> dict[str, Any]:
        """One number per quantity for the whole run, named as in :mod:`workbench.analysis.figures`: stored when the run
        finished, otherwise computed from its tables."""
        kept = kept_figures(self.manifest)
        if kept is not None:
            return dict(kept)
        steps: Any = self.steps.to_dict("records") if len(self.steps) else []
        agents = agents_of((self.manifest.get("settings") or {}).get("agent_command"))
        return {**step_figures(steps), **cost_figures(self.profiles.costs, agents)}

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """The four tiles that are shown first: see :mod:`workbench.analysis.tiles`. Unreadable profiles are left
        out."""
        try:
            findings = self.findings
        except WorkbenchError:
            findings = None
        return run_tiles(self.manifest, self.figures, findings, state=self.state)


def open_run(path: str | Path) -> SweepRun:
    """The run in the folder ``path``. Raises RunFolderError when it is not a run folder."""
    return SweepRun(Path(path))
