"""A run, read again: its manifest and its tables as DataFrames."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import EXIT_INTERRUPTED, RunFolderError
from workbench.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """One run folder, read lazily. An interrupted run can be read: it has the steps that ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = RunFolder(path)
        self.manifest: dict[str, Any] = self.folder.manifest()

    @property
    def verdict(self) -> str:
        """PASS, FAIL, INVALID, or the state of a run that has not finished."""
        verdict: str = (self.manifest.get("verdict") or {}).get("verdict") or self.manifest["state"]
        return verdict

    @property
    def exit_code(self) -> int:
        """What the command line ends with for this run."""
        code: int = self.manifest.get("exit_code", EXIT_INTERRUPTED)
        return code

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a step; columns in :mod:`workbench.analysis.step_row`."""
        return self._table("steps.parquet")

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row a second of each step; columns in :mod:`workbench.sweep.series`."""
        return self._table("series.parquet")

    @cached_property
    def watch(self) -> pd.DataFrame:
        """Processes and metrics over time: ``t_s``, ``step``, ``source``, ``metric``, ``labels``, ``value``."""
        return self._table("watch.parquet")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a request of every finished step; columns in :func:`workbench.load.samples.to_frame`."""
        import pandas as pd

        paths = sorted((self.path / "samples").glob("step-*.parquet"))
        if not paths:
            return pd.DataFrame()
        frame = pd.concat([read_parquet(path) for path in paths], ignore_index=True)
        for name in ("outcome", "payer"):  # steps have payers of their own, so their categories differ
            frame[name] = frame[name].astype("category")
        return frame

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        path = self.path / name
        return read_parquet(path) if path.exists() else pd.DataFrame()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.verdict})"


def open_run(path: str | Path) -> Run:
    """The run in the folder ``path``. Raises RunFolderError when it is not a run folder."""
    return Run(Path(path))


def read_parquet(path: Path) -> pd.DataFrame:
    """A table of a run folder. Raises RunFolderError when it is not whole."""
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow's errors have no common base
        raise RunFolderError(f"cannot be read as Parquet: {error}", where=str(path)) from None
