"""A profile as tables in a folder, and back: Parquet for storing and querying, CSV for spreadsheets."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from workbench.errors import ReadError, WorkbenchError, of_system
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile
from workbench.profiles.notes import Note

if TYPE_CHECKING:
    import pandas as pd

HEADER = "profile.json"
VERSION = 1
_OWN = "table-"
Kind = Literal["parquet", "csv"]


def write_tables(profile: Profile, folder: str | os.PathLike[str], kind: Kind = "parquet") -> list[Path]:
    """Write functions, edges, nodes, frames, lines, samples, tags and the format's own tables (``table-...``), one file
    each, and ``profile.json`` with metrics, header and notes. Returns the files.

    The folder appears when it is complete. Raises WorkbenchError if it already exists or cannot be written.
    """
    if kind not in get_args(Kind):
        raise WorkbenchError(f"tables are written as {' or '.join(get_args(Kind))}, not as {kind!r}", where=str(folder))
    folder = Path(folder)
    if folder.exists():
        raise WorkbenchError("already exists", where=str(folder), hint="Name a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            inside = Path(temporary) / folder.name
            inside.mkdir()
            for name, table in _tables(profile).items():
                _write(table, inside / f"{name}.{kind}", kind)
            (inside / HEADER).write_text(json.dumps(_header(profile, kind), indent=1, default=str), encoding="utf-8")
            inside.rename(folder)
    except OSError as error:
        raise of_system(WorkbenchError, "cannot be written", error, folder) from error
    return sorted(folder.iterdir())


def read_tables(folder: str | os.PathLike[str]) -> Profile:
    """Read the profile that :func:`write_tables` wrote as Parquet. Raises ReadError for other folders."""
    import pandas as pd

    folder = Path(folder)
    try:
        header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        if header["version"] != VERSION or header["kind"] != "parquet":
            raise ReadError(
                f"tables of version {header['version']} as {header['kind']}",
                where=str(folder),
                hint=f"This version reads version {VERSION} as parquet",
            )
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in header["tables"]}
        return Profile(
            format=header["format"],
            name=header["name"],
            basis=header["basis"],
            metrics=tuple(Metric(**metric) for metric in header["metrics"]),
            default_metric=header["default_metric"],
            frames=tables["frames"],
            lines=tables["lines"],
            samples=tables["samples"],
            tags=tables["tags"],
            tables={name.removeprefix(_OWN): table for name, table in tables.items() if name.startswith(_OWN)},
            meta=header["meta"],
            notes=tuple(Note(**note) for note in header["notes"]),
            _functions=tables["functions"],
            _edges=tables["edges"],
            _nodes=tables["nodes"],
        )
    except OSError as error:
        raise ReadError(f"not tables of a profile: {error.strerror}", where=str(folder)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ReadError(f"damaged tables of a profile: {error}", where=str(folder), hint="Write them again") from error


def _tables(profile: Profile) -> dict[str, pd.DataFrame]:
    own: Mapping[str, pd.DataFrame] = profile.tables
    return {
        "functions": profile.functions,
        "edges": profile.edges,
        "nodes": profile.nodes,
        "frames": profile.frames,
        "lines": profile.lines,
        "samples": profile.samples,
        "tags": profile.tags,
        **{f"{_OWN}{name}": table for name, table in own.items()},
    }


def _write(table: pd.DataFrame, path: Path, kind: Kind) -> None:
    if kind == "parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)


def _header(profile: Profile, kind: Kind) -> dict[str, Any]:
    return {
        "version": VERSION,
        "kind": kind,
        "tables": list(_tables(profile)),
        "format": profile.format,
        "name": profile.name,
        "basis": profile.basis,
        "metrics": [metric._asdict() for metric in profile.metrics],
        "default_metric": profile.default_metric,
        "meta": dict(profile.meta),
        "notes": [note._asdict() for note in profile.notes],
    }
