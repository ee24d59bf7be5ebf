"""Reads a run: its manifest and its tables as DataFrames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.card import card
from workbench.errors import EXIT_INTERRUPTED, RunFolderError
from workbench.load.chunks import CHUNK_ROWS, StoredRows
from workbench.load.summary import histogram_table
from workbench.runs.folder import MANIFEST, RunFolder
from workbench.runs.shape import Kind, checked_manifest, checked_table, require_columns

if TYPE_CHECKING:
    import pandas as pd


# the columns that are checked, for tables made in other rooms
_NUMBERS = (
    "offered",
    "sent",
    "done_ok",
    "done_denied",
    "done_failed",
    "in_flight",
    "response_p50_ms",
    "response_p99_ms",
    "lag_p99_ms",
)
_SERIES: Mapping[str, Kind] = dict.fromkeys(("t_s", "step", *_NUMBERS), "number")
_WATCH: Mapping[str, Kind] = {"t_s": "number", "step": "number", "source": "text", "metric": "text", "value": "number"}
_SAMPLES: Mapping[str, Kind] = {
    **dict.fromkeys(("index", "step", "intended_ns", "sent_ns", "first_byte_ns", "done_ns", "status"), "number"),
    "outcome": "text",
}
_HISTOGRAMS: Mapping[str, Kind] = {
    **dict.fromkeys(("step", "lower_ns", "upper_ns", "count"), "number"),
    "clock": "text",
}


class Run:
    """One run folder, read lazily. An interrupted run can be read: it has the steps that ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = RunFolder(path)
        self.manifest: dict[str, Any] = self.folder.manifest()
        checked_manifest(self.manifest, path / MANIFEST)

    @property
    def state(self) -> str:
        """new, running, finished, interrupted or failed: see :meth:`workbench.runs.folder.RunFolder.state_now`."""
        return self.folder.state_now(self.manifest["state"])

    @property
    def verdict(self) -> str:
        """PASS, FAIL, INVALID, or the state of a run that has not finished."""
        verdict: str = (self.manifest.get("verdict") or {}).get("verdict") or self.state
        return verdict

    @property
    def missing(self) -> tuple[str, ...]:
        """Files that a finished run should have and that are missing: their content cannot be shown."""
        if self.state != "finished" or "windows" in self.manifest:
            return ()
        expected = ["steps.parquet", "series.parquet", "watch.parquet"]
        if (self.path / "steps.parquet").is_file():
            expected += [f"samples/step-{step:03d}.parquet" for step in self._step_numbers()]
        return tuple(name for name in expected if not (self.path / name).is_file())

    def _step_numbers(self) -> list[int]:
        """The numbers of the steps in the table of steps. pandas is imported only to describe a table that cannot be
        read: a command that ends needs it for nothing else."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path / "steps.parquet") as file:  # pq.read_table would import pandas too
                table = file.read(columns=["step"])
        except (OSError, pa.ArrowException):
            table = pa.table({"step": self.steps["step"]}) if "step" in self.steps else pa.table({})
        return table["step"].to_pylist() if "step" in table.column_names else []

    @property
    def exit_code(self) -> int:
        """The exit code of the command line for this run."""
        code: int = self.manifest.get("exit_code", EXIT_INTERRUPTED)
        return code

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row per step; columns in :mod:`workbench.analysis.step_row`."""
        return self._table("steps.parquet")

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row per second of each step; columns in :mod:`workbench.sweep.series`."""
        return self._table("series.parquet", _SERIES)

    @cached_property
    def watch(self) -> pd.DataFrame:
        """Processes and metrics over time: ``t_s``, ``step``, ``source``, ``metric``, ``labels``, ``value``."""
        return self._table("watch.parquet", _WATCH)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per request of every finished step; columns in :func:`workbench.load.samples.to_frame`.

        All in memory, 70 bytes a row: 0.7 GB for 10 million, 1.7 while they are read. :meth:`samples_of` takes one step
        or some columns, :meth:`sample_batches` a part at a time; ``outcomes``, ``histograms`` and ``series`` have the
        sums.
        """
        import pandas as pd

        parts = [checked_table(read_parquet(path), _SAMPLES, path) for path in self._sample_paths().values()]
        return _joined(parts) if parts else pd.DataFrame()

    def samples_of(self, step: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The samples of one step; ``columns``: only these. Raises RunFolderError if the step has none."""
        paths = self._sample_paths()
        if step not in paths:
            has = ", ".join(map(str, paths)) or "none"
            raise RunFolderError(f"step {step} has no samples", where=str(self.path), hint=f"Steps with samples: {has}")
        return read_parquet(paths[step], columns)

    def sample_batches(
        self, columns: Sequence[str] | None = None, *, step: int | None = None, rows: int = CHUNK_ROWS
    ) -> Iterator[pd.DataFrame]:
        """All samples, or those of ``step``, at most ``rows`` at a time: memory is that of one part for a run of any
        size. ``columns``: only these."""
        import pyarrow.parquet as pq

        for number, path in self._sample_paths().items():
            if step is None or number == step:
                with _readable(path), pq.ParquetFile(path) as file:
                    require_columns(columns or (), file.schema_arrow.names, path)
                    for batch in file.iter_batches(rows, columns=None if columns is None else list(columns)):
                        yield batch.to_pandas()

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """How many receipts of each step had each outcome: ``step``, ``outcome``, ``receipts``, largest first."""
        import pandas as pd

        counts: Counter[tuple[int, str]] = Counter()
        for step in self._sample_paths():
            for part in self.sample_batches(["outcome"], step=step):
                for name, count in part["outcome"].astype("category").value_counts().items():
                    counts[step, str(name)] += int(count)
        rows = [(step, name, count) for (step, name), count in counts.items() if count]
        rows.sort(key=lambda row: (row[0], -row[2]))
        return pd.DataFrame(rows, columns=["step", "outcome", "receipts"])

    @cached_property
    def histograms(self) -> pd.DataFrame:
        """How long requests took, per step, in buckets; columns in :func:`workbench.load.histogram.to_frame`.

        For runs of earlier releases it is computed from the samples.
        """
        import pandas as pd

        tables = [self._histograms_of(step, path) for step, path in self._sample_paths().items()]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def _histograms_of(self, step: int, samples: Path) -> pd.DataFrame:
        path = self.folder.histograms(step)
        if not path.exists():
            return histogram_table(StoredRows(samples), step)
        return checked_table(read_parquet(path), _HISTOGRAMS, path)

    def _sample_paths(self) -> dict[int, Path]:
        """The sample files of the finished steps, by step."""
        paths = (self.path / "samples").glob("step-*.parquet")
        return dict(sorted((int(path.stem.removeprefix("step-")), path) for path in paths))

    def _table(self, name: str, kinds: Mapping[str, Kind] | None = None) -> pd.DataFrame:
        import pandas as pd

        path = self.path / name
        return checked_table(read_parquet(path), kinds or {}, path) if path.exists() else pd.DataFrame()

    _repr_mimebundle_ = card("run")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.verdict})"


def open_run(path: str | Path) -> Run:
    """The run in the folder ``path``. Raises RunFolderError when it is not a run folder."""
    return Run(Path(path))


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A table of a run folder, or some ``columns`` of it. Raises RunFolderError if it is damaged."""
    import pandas as pd

    with _readable(path):
        return pd.read_parquet(path, columns=None if columns is None else list(columns))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except RunFolderError:
        raise
    except Exception as error:  # pyarrow's errors have no common base
        raise RunFolderError(f"cannot be read as Parquet: {error}", where=str(path)) from None


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The samples of several steps as one table."""
    import pandas as pd

    for name in ("outcome", "payer"):  # steps have payers of their own, so their categories differ
        columns = [part[name].astype("category") for part in parts]
        kinds = [column.cat.categories for column in columns]
        if not all(kind.equals(kinds[0]) for kind in kinds):
            every = sorted({category for kind in kinds for category in kind})
            columns = [column.cat.set_categories(every) for column in columns]
        for part, column in zip(parts, columns, strict=True):
            part[name] = column
    return pd.concat(parts, ignore_index=True)
