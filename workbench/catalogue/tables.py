"""The figures of runs whose manifest has none (older runs, and runs that have not finished), computed from their
tables. DuckDB reads the steps of all of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.analysis.figures import STEP_COLUMNS, step_figures
from workbench.catalogue.cache import COSTS, STEPS
from workbench.catalogue.row import part
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SAMPLE = """
SELECT filename, COLUMNS(lambda c: list_contains($1, c)) FROM read_parquet($2, filename = true, union_by_name = true)
"""


def figures_of(runs: Sequence[Path], manifests: Mapping[Path, Mapping[str, Any]]) -> dict[Path, dict[str, Any]]:
    """The figures of each run, with ``fault`` if one of its tables cannot be read."""
    having = [run for run in runs if (run / STEPS).is_file()]
    found: dict[Path, dict[str, Any]] = {run: {} for run in runs}
    if having:
        import duckdb

        with duckdb.connect() as connection:
            _read(connection, having, found)
    for run in runs:
        if (run / COSTS).is_file() and not found[run].get("fault"):
            found[run].update(_costs(run, manifests[run]))
    return found


def _read(connection: DuckDBPyConnection, runs: Sequence[Path], found: dict[Path, dict[str, Any]]) -> None:
    """Read the steps of all runs at once; if that fails, those of each half, until the damaged file is found."""
    import duckdb

    paths = {str(run / STEPS): run for run in runs}
    try:
        query = connection.execute(_SAMPLE, [["filename", *STEP_COLUMNS], list(paths)])
        names = [column[0] for column in query.description or ()]
        rows = query.fetchall()
    except duckdb.Error as error:
        if len(runs) == 1:
            found[runs[0]]["fault"] = f"{STEPS} cannot be read: {str(error).splitlines()[0]}"
            return
        middle = len(runs) // 2
        for half in (runs[:middle], runs[middle:]):
            _read(connection, half, found)
        return
    steps: dict[Path, list[dict[str, Any]]] = {run: [] for run in runs}
    for row in rows:
        steps[paths[row[0]]].append(dict(zip(names, row, strict=True)))
    for run, own in steps.items():
        found[run].update(step_figures(own))


def _costs(run: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    from workbench.analysis.figures import cost_figures
    from workbench.sweep.agents import agents_of
    from workbench.sweep.opened import open_run

    try:
        agents = agents_of(part(manifest, "settings").get("agent_command"))
        return dict(cost_figures(open_run(run).profiles.costs, agents))
    except WorkbenchError as error:
        return {"fault": f"costs: {error}"}
    except (ValueError, KeyError, TypeError) as error:  # other columns or types than expected
        return {"fault": f"costs cannot be read: {type(error).__name__}: {error}"}
