"""A run as it is opened for people: what the run folder holds, and what the profiles in it say.

Run folders know nothing of profiles or analysis, which stand above them; so the run that ``workbench.open_run`` and
``workbench.sweep`` return is one of this room, a :class:`workbench.runs.read.Run` with more.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.analysis import step_row
from workbench.errors import RunFolderError
from workbench.runs.read import Run
from workbench.runs.shape import checked_table
from workbench.sweep.profiles import RunProfiles

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.findings import Findings


class SweepRun(Run):
    """One run folder with its profiles, all read when first asked for."""

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a step; columns in :mod:`workbench.analysis.step_row`, of which later ones may be absent."""
        table, path = super().steps, self.path / "steps.parquet"
        if self.state == "finished" and "windows" not in self.manifest and not path.is_file():
            raise RunFolderError(
                "is not there, though the run has finished",
                where=str(path),
                hint="Take it from a copy, or measure anew; run.manifest and run.samples can be read",
            )
        return checked_table(table, step_row.REQUIRED, path, step_row.COLUMNS) if len(table.columns) else table

    @cached_property
    def profiles(self) -> RunProfiles:
        """The run's windows and what they cost; empty tables where no profiler was on."""
        return RunProfiles(self)

    @property
    def repeats(self) -> pd.DataFrame:
        """What steps say together that were measured several times (``--repeats``); columns in
        :func:`workbench.analysis.repeats.repeats_table`."""
        from workbench.analysis.repeats import repeats_table

        return repeats_table(self.steps)

    @property
    def findings(self) -> Findings:
        """What the profiles say, ranked; none where no profiler was on. ``run.findings.table`` is a DataFrame."""
        return self.profiles.findings


def open_run(path: str | Path) -> SweepRun:
    """The run in the folder ``path``. Raises RunFolderError when it is not a run folder."""
    return SweepRun(Path(path))
