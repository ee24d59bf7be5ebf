"""All runs of a folder, one row each, read from their folders each time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.analysis.figures import kept_figures
from workbench.catalogue.cache import read_cache, signature, write_cache
from workbench.catalogue.columns import COLUMNS
from workbench.catalogue.row import FINISHED, Row, manifest_of, row_of, with_fault
from workbench.errors import RunFolderError
from workbench.runs.folder import MANIFEST, is_stamped

if TYPE_CHECKING:
    import pandas as pd

BATCH = "batch.json"


def runs(where: str | None = None, *, runs_dir: str | Path | None = None) -> pd.DataFrame:
    """All runs as a DataFrame, including those of batches: one row a run, the newest first.

    Its columns, with meaning and unit, are :data:`workbench.catalogue.columns.COLUMNS`; unknown values are NaN, <NA>
    or "". ``where`` is a condition in SQL, such as ``"profiler = 'callgrind' and instructions_per_receipt > 7e6"``.
    ``runs_dir`` None: that of the settings. A folder that cannot be read is a row whose state is ``damaged`` and whose
    ``fault`` says why. No run is changed. Raises RunFolderError if there is no such folder, SettingsError for an
    invalid condition.
    """
    from workbench.catalogue.query import chosen

    if runs_dir is None:
        from workbench.settings import Settings

        runs_dir = Settings.resolve().runs_dir
    rows = rows_in(Path(runs_dir))
    return to_frame(rows if where is None else chosen(rows, where))


def to_frame(rows: list[Row]) -> pd.DataFrame:
    """Rows as a DataFrame with all columns, even without rows."""
    import pandas as pd

    types = {"text": "str", "number": "float64", "count": "Int64", "time": "datetime64[ms]"}
    return pd.DataFrame(
        {column.name: pd.Series([row[column.name] for row in rows], dtype=types[column.kind]) for column in COLUMNS}
    )


def rows_in(runs_dir: Path) -> list[Row]:
    """The rows of all runs below a folder, the newest first. Raises RunFolderError if it is not a folder."""
    known, now = read_cache(runs_dir), {}
    made: dict[str, Row] = {}
    unread: list[tuple[str, Path, str]] = []
    for run, batch in folders_in(runs_dir):
        name = f"{batch}/{run.name}" if batch else run.name
        now[name] = signature(run)
        if name in known and known[name][0] == now[name]:
            made[name] = known[name][1] | {"path": str(run)}
        else:
            unread.append((name, run, batch))
    rows = _rows([(run, batch) for _, run, batch in unread])
    made.update(zip((name for name, _, _ in unread), rows, strict=True))
    kept = {name: (now[name], row | {"path": ""}) for name, row in made.items() if row["state"] == FINISHED}
    if kept != known:
        write_cache(runs_dir, kept)
    return sorted(made.values(), key=lambda row: (str(row["started"] or ""), row["path"]), reverse=True)


def row_in(run: Path) -> Row:
    """The row of the run in one folder."""
    batch = run.absolute().parent
    (row,) = _rows([(run, batch.name if (batch / BATCH).exists() else "")])
    return row


def _rows(runs: Sequence[tuple[Path, str]]) -> list[Row]:
    """The row of each run, in their order, from its manifest and, if that has no figures, from its tables."""
    manifests = {run: manifest_of(run) for run, _ in runs}
    figures = {run: kept_figures(manifest) for run, (manifest, _) in manifests.items()}
    without = [run for run, kept in figures.items() if kept is None and not manifests[run][1]]
    computed: dict[Path, dict[str, Any]] = {}
    if without:
        from workbench.catalogue.tables import figures_of

        computed = figures_of(without, {run: manifest for run, (manifest, _) in manifests.items()})
    rows = []
    for run, batch in runs:
        own = dict(figures[run] or computed.get(run, {}))
        fault = str(own.pop("fault", ""))
        rows.append(with_fault(row_of(run, batch, *manifests[run], own), fault))
    return rows


def folders_in(runs_dir: Path) -> Iterator[tuple[Path, str]]:
    """The run folders below a folder, and the batch that each is part of ("": none). Links are not followed.

    A folder with the name of a run counts as one even without a manifest: it is damaged then. Raises RunFolderError if
    ``runs_dir`` is not a folder.
    """
    for entry in _folders(runs_dir):
        if os.path.exists(f"{entry.path}{os.sep}{BATCH}"):
            with contextlib.suppress(RunFolderError):  # a batch that cannot be read is skipped
                yield from ((Path(inner.path), entry.name) for inner in _folders(entry.path) if _is_run(inner))
        elif _is_run(entry):
            yield Path(entry.path), ""


def _is_run(entry: os.DirEntry[str]) -> bool:
    return is_stamped(entry.name) or os.path.exists(f"{entry.path}{os.sep}{MANIFEST}")


def _folders(path: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise RunFolderError(
            f"cannot be listed: {error.strerror}", where=str(path), hint="Say where the runs are with --runs-dir"
        ) from None
