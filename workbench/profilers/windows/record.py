"""The record of a window: its start, end and raw files, in a small JSON file beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import ReadError
from workbench.profilers.modes import Mode, parse_mode
from workbench.runs.atomic import write_json

SUFFIX = ".window.json"


@dataclass(frozen=True, slots=True)
class Window:
    """One service under one profiler from ``started_ns`` to ``ended_ns`` (since 1970).

    ``files`` are the raw outputs, paths relative to ``folder``; their kinds depend on the mode: callgrind dumps;
    massif's snapshots at both ends (``begin``, ``end``) and all until then (``series``); cumulative pprof reports
    (``begin``, ``end``; no ``begin`` if the window reaches back to the start); the strace log that contains the window.
    ``facts``: what reading needs beside the files. ``notes``: warnings in sentences.
    """

    service: str
    mode: Mode
    name: str
    started_ns: int
    ended_ns: int
    folder: Path
    files: dict[str, str]
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Its length, independent of changes of the machine's clock."""
        elapsed_ns: int = self.facts.get("elapsed_ns", self.ended_ns - self.started_ns)
        return elapsed_ns / 1e9

    def path(self, what: str) -> Path:
        """A raw file. Raises ReadError if the window has none of this kind."""
        if what not in self.files:
            raise ReadError(f"the window has no file {what!r}", where=str(record_path(self.folder, self.name)))
        return self.folder / self.files[what]

    def write(self) -> Path:
        """Write the record; returns its path."""
        path = record_path(self.folder, self.name)
        values = asdict(self)
        del values["folder"]
        write_json(path, values, hint="{remedy} and measure again; earlier windows are complete")
        return path


def record_path(folder: Path, name: str) -> Path:
    """The path of the record of a window."""
    return folder / f"{name}{SUFFIX}"


def read_window(path: Path) -> Window:
    """Read the record ``path``. Raises ReadError naming what is wrong with it."""
    try:
        values = json.loads(path.read_text("utf-8"))
        return Window(
            **{**values, "mode": parse_mode(values["mode"]), "notes": tuple(values["notes"]), "folder": path.parent}
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReadError(f"is not the record of a window: {error}", where=str(path)) from None


def windows_in(folder: Path) -> list[Window]:
    """All windows below a folder (``profiles`` in a run), in order of time."""
    found = [read_window(path) for path in sorted(folder.glob(f"**/*{SUFFIX}"))]
    return sorted(found, key=lambda window: (window.started_ns, window.service))
