"""Rows of finished runs, stored in one file beside the run folders, so that they are not made again.

A row is used only while the files it was made from have the same inode, size and time of change. A cache that is
damaged, of another version or not writable is ignored. Deleting it loses nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.catalogue.columns import COLUMNS
from workbench.catalogue.marks import FILE as MARKS
from workbench.catalogue.row import Row
from workbench.errors import RunFolderError
from workbench.runs.atomic import replacing
from workbench.runs.folder import MANIFEST

FILE = ".catalogue.json"
STEPS, COSTS = "steps.parquet", os.path.join("profiles", "costs.parquet")
_SOURCES = (MANIFEST, STEPS, COSTS, MARKS)
_VERSION = [1, __version__, [[column.name, column.kind] for column in COLUMNS]]

Signature = list[list[int] | None]
Cache = dict[str, tuple[Signature, Row]]


def signature(run: Path) -> Signature:
    """Inode, size and time of change of the files that a row is made from, to notice that they changed."""
    return [_stat(f"{run}{os.sep}{name}") for name in _SOURCES]


def read_cache(runs_dir: Path) -> Cache:
    """The rows stored for the runs of a folder, by the run's path below it; empty if the cache cannot be used."""
    try:
        digest, _, text = (runs_dir / FILE).read_bytes().partition(b"\n")
        if digest != _digest(text):
            return {}
        stored = json.loads(text)
    except (OSError, ValueError):
        return {}
    if stored["version"] != _VERSION:
        return {}
    return {name: (was, _with_time(row)) for name, (was, row) in stored["rows"].items()}


def write_cache(runs_dir: Path, rows: Mapping[str, tuple[Signature, Row]]) -> None:
    """Store the rows; nothing happens if the folder cannot be written."""
    text = json.dumps({"version": _VERSION, "rows": rows}, default=datetime.isoformat, separators=(",", ":")).encode()
    try:
        with replacing(runs_dir / FILE) as temporary:
            temporary.write_bytes(_digest(text) + b"\n" + text)
    except RunFolderError:
        pass  # a listing needs no cache


def _stat(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).hexdigest().encode()


def _with_time(row: dict[str, Any]) -> Row:
    started = row["started"]
    return row | {"started": None if started is None else datetime.fromisoformat(started)}
