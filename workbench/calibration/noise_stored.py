"""The file that keeps noise floors: ``noise.json`` beside ``calibration.json``, in the folder of the runs.

A floor is valid for one machine, target and load. A newer measurement of the same three replaces the older one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.calibration.identity import same_machine
from workbench.errors import RunFolderError, of_system
from workbench.runs.atomic import write_json

FILE = "noise.json"
SCHEMA = 1


def keep_noise(runs_dir: Path, facts: Mapping[str, Any]) -> Path:
    """Store ``facts``: ``identity`` (of the machine), ``target``, ``load`` and ``floors``. Returns the file's path.
    Raises RunFolderError if the file cannot be written, or holds something else."""
    path = runs_dir / FILE
    kept = [one for one in _read(path) if not _alike(one, facts)]
    write_json(path, {"schema": SCHEMA, "noise": [*kept, dict(facts)]}, hint="Choose another folder with --runs-dir")
    return path


def noise_of(runs_dir: Path, identity: Mapping[str, Any], target: str, load: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The floors, as plain values, for this machine and target: those of the same load, else the newest ones; empty if
    there are none. Looks in the folder above too, for the runs of a batch."""
    for place in (runs_dir, runs_dir.parent):
        found = [
            one for one in _read(place / FILE) if one["target"] == target and same_machine(one["identity"], identity)
        ]
        if found:
            best = next((one for one in reversed(found) if one["load"] == dict(load)), found[-1])
            floors: list[dict[str, Any]] = best["floors"]
            return floors
    return []


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    same = all(one[name] == other[name] for name in ("target", "load"))
    return same and same_machine(one["identity"], other["identity"])


def _read(path: Path) -> Sequence[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"its schema is {facts['schema']}")
        found: list[dict[str, Any]] = facts["noise"]
        for one in found:
            _ = one["target"], one["load"], one["identity"], one["floors"]
    except OSError as error:
        raise of_system(RunFolderError, "cannot be read", error, path) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"cannot be read as noise floors: {error}",
            where=str(path),
            hint="Delete it, then run `workbench calibrate --aa`",
        ) from None
    return found
