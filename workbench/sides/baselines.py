"""Baselines: runs kept by name, to compare later runs with: ``data/baselines/<name>/``.

A baseline is a copy of the files of a run that a comparison reads (manifest, steps, samples, costs, raw profiles). It
stays when the run is deleted, and opens like a run. A new copy replaces the old one only when it is complete;
``baseline.json`` lists its files with check sums, so that damage is found.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RunFolderError, SettingsError, of_system
from workbench.runs.atomic import write_json
from workbench.runs.folder import MANIFEST, utc_now
from workbench.settings import default_runs_dir
from workbench.sweep.windows import FOLDER

if TYPE_CHECKING:
    import pandas as pd

    from workbench.profilers.windows.record import Window

FILE = "baseline.json"
SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TABLES = ("steps.parquet", "series.parquet", "profiles/costs.parquet")
# larger samples are left out: deciles are then not compared, and a note of the baseline says so
SAMPLES_BYTES = 64 * 1024 * 1024
RAW_BYTES = 256 * 1024 * 1024
LEFT_OUT = "its samples were too large to keep: response times are not compared"
RAW_LEFT_OUT = "its raw profiles were too large to keep: what a receipt costs is compared, causes are not named"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A kept run: its name, folder, source run, time, size, and what was left out."""

    name: str
    path: Path
    run: str
    saved: str
    size_bytes: int
    notes: tuple[str, ...]


def baselines_dir() -> Path:
    """``data/baselines``, beside ``data/runs``."""
    return default_runs_dir().parent / "baselines"


def save_baseline(name: str, run: Path, *, folder: Path | None = None) -> Baseline:
    """Keep a run under a name, replacing a baseline of that name. Raises SettingsError for an invalid name,
    RunFolderError if the folder is not a run or cannot be copied."""
    _check(name)
    if not (run / MANIFEST).exists():
        raise RunFolderError(
            "this is not a run folder, so it cannot be a baseline", where=str(run), hint="Runs are in data/runs"
        )
    parent = folder or baselines_dir()
    target = parent / name
    making = parent / f".{name}.{os.getpid()}.tmp"
    shutil.rmtree(making, ignore_errors=True)
    try:
        making.mkdir(parents=True)
        notes = _copied(run, making)
        files = {str(path.relative_to(making)): _sum(path) for path in sorted(_files(making))}
        write_json(
            making / FILE,
            {
                "schema": SCHEMA, "name": name, "run": run.resolve().name, "saved": utc_now(), "notes": notes,
                "files": files,
            },
        )  # fmt: skip
        old = parent / f".{name}.{os.getpid()}.old"
        if target.exists():
            target.replace(old)
        making.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise of_system(RunFolderError, "cannot keep it", error, target, "{remedy}, and save it again") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return open_baseline(name, folder=folder)


def open_baseline(name: str, *, folder: Path | None = None) -> Baseline:
    """The baseline of that name, with its check sums checked. Raises SettingsError that lists the existing ones,
    RunFolderError that names the damaged or missing file."""
    parent = folder or baselines_dir()
    path = parent / name
    if not path.is_dir():
        there = ", ".join(sorted(_names(parent))) or "none"
        raise SettingsError(
            f"no baseline and no run is called {name!r}",
            where="baseline",
            hint=f"Existing: {there}. workbench baseline save {name} RUN makes one",
        )
    facts = _facts(path, name)
    for file, checked in facts["files"].items():
        found = path / file
        if not found.is_file() or _sum(found) != checked:
            what = "has changed since it was saved" if found.is_file() else "is missing"
            raise RunFolderError(
                f"the baseline {name!r} is damaged: this file {what}",
                where=str(found),
                hint=f"Save it again: workbench baseline save {name} RUN",
            )
    size = sum((path / file).stat().st_size for file in facts["files"])
    return Baseline(name, path, str(facts["run"]), str(facts["saved"]), size, tuple(facts.get("notes", ())))


def remove_baseline(name: str, *, folder: Path | None = None) -> None:
    """Remove a baseline, damaged or not. Raises SettingsError if there is none."""
    path = (folder or baselines_dir()) / name
    if not _NAME.fullmatch(name) or not path.is_dir():
        open_baseline(name, folder=folder)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise of_system(RunFolderError, "cannot be removed", error, path) from None


def baseline_table(*, folder: Path | None = None) -> pd.DataFrame:
    """The existing baselines: ``name``, ``run``, ``saved`` (UTC), ``size_bytes``, ``state`` ("whole", or what is
    damaged), ``path``."""
    import pandas as pd

    parent = folder or baselines_dir()
    rows: list[tuple[Any, ...]] = []
    for name in sorted(_names(parent)):
        try:
            one = open_baseline(name, folder=folder)
            rows.append((name, one.run, one.saved, one.size_bytes, "whole", str(one.path)))
        except RunFolderError as error:
            rows.append((name, "", "", 0, str(error), str(parent / name)))
    return pd.DataFrame(rows, columns=["name", "run", "saved", "size_bytes", "state", "path"])


def find_baseline(path: Path, *, folder: Path | None = None) -> Path:
    """The path if it exists, otherwise the folder of the baseline of that name."""
    if path.exists():
        return path
    if not _NAME.fullmatch(str(path)):
        raise RunFolderError("this does not exist", where=str(path), hint="Runs are in data/runs")
    return open_baseline(str(path), folder=folder).path


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be the name of a baseline",
            where="baseline",
            hint="Use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )


def _names(parent: Path) -> Iterator[str]:
    if parent.is_dir():
        yield from (one.name for one in parent.iterdir() if one.is_dir() and _NAME.fullmatch(one.name))


def _facts(path: Path, name: str) -> dict[str, Any]:
    try:
        facts = json.loads((path / FILE).read_text("utf-8"))
        sizes = facts["files"]
        whole = facts["schema"] == SCHEMA and all(isinstance(one, str) for one in sizes.values())
        if not whole or not {"run", "saved"} <= facts.keys():
            raise ValueError("it does not say what was saved")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"the baseline {name!r} is damaged: {FILE} cannot be read ({error})",
            where=str(path),
            hint=f"Save it again: workbench baseline save {name} RUN",
        ) from None
    found: dict[str, Any] = facts
    return found


def _copied(run: Path, target: Path) -> list[str]:
    """Copy what a comparison reads; returns sentences on what was left out."""
    notes = []
    chosen = [run / MANIFEST, *(run / name for name in _TABLES if (run / name).exists())]
    samples = [path for name in ("samples", "histograms") for path in sorted((run / name).glob("step-*.parquet"))]
    if sum(path.stat().st_size for path in samples) <= SAMPLES_BYTES:
        chosen += samples
    else:
        notes.append(LEFT_OUT)
    for path in chosen:
        _copy(path, target / path.relative_to(run))
    windows = _windows(run)
    raw = {window.path(what) for window in windows for what in window.files}
    if sum(path.stat().st_size for path in raw if path.is_file()) > RAW_BYTES:
        notes.append(RAW_LEFT_OUT)
    else:
        for window in windows:
            _copy_window(window, target / FOLDER / window.service / window.mode)
    return notes


def _windows(run: Path) -> list[Window]:
    """The windows that a comparison reads. For callgrind these are the step with the most receipts and the idle window,
    since the costs of all steps are in their table."""
    from workbench.sweep.opened import open_run

    profiles = open_run(run).profiles
    kept = list(profiles.idle_windows.values())
    for service in sorted({window.service for window in profiles.windows}):
        windows, sent = profiles.windows_of(service), profiles.receipts(service)
        largest = max(range(len(windows)), key=lambda at: sent[at])
        kept += [windows[largest]] if profiles.mode == "callgrind" else windows
    return kept


def _copy_window(window: Window, folder: Path) -> None:
    """Copy the record and raw files of a window. Raw files of callgrind are compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for what in window.files:
        source = window.path(what)
        files[what] = source.name
        target = folder / source.name
        if not source.is_file() or target.exists():
            continue
        if window.mode == "callgrind" and not _packed(source):
            with source.open("rb") as plain, gzip.open(target, "wb", compresslevel=6) as packed:
                shutil.copyfileobj(plain, packed)
        else:
            shutil.copyfile(source, target)
    replace(window, folder=folder, files=files).write()


def _packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        # the prefix keeps it from being masked as a key
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
