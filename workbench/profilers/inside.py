"""Supports commands inside a window cut by hand: they find the session's service, and the runs that they make tell how
many receipts the window had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import RunFolderError
from workbench.profilers.modes import Mode
from workbench.runs.folder import MANIFEST
from workbench.runs.read import open_run
from workbench.settings import ENV_PREFIX, default_runs_dir

SLOW_TIMEOUT_S = 60
"""Time limit of a request to a service under a tool, which answers up to a hundred times slower."""

COUNTS = ("sent", "accepted", "denied")


def variables_of(addresses: Mapping[str, str], mode: Mode, environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` with a session's addresses (settings by name) as variables that every workbench command reads;
    existing ones are kept."""
    known = dict(addresses)
    if mode != "none":
        known["timeout_s"] = str(SLOW_TIMEOUT_S)
    return {**{ENV_PREFIX + name.upper(): value for name, value in known.items()}, **environment}


def runs_dir_of(command: Sequence[str], environment: Mapping[str, str]) -> Path:
    """Where workbench commands make their run folders."""
    for number, word in enumerate(command):
        if word == "--runs-dir" and number + 1 < len(command):
            return Path(command[number + 1])
        if word.startswith("--runs-dir="):
            return Path(word.partition("=")[2])
    given = environment.get(f"{ENV_PREFIX}RUNS_DIR")
    return Path(given) if given else default_runs_dir()


@dataclass(frozen=True)
class Runs:
    """The run folders in ``folder``, and those that existed ``before``."""

    folder: Path
    before: frozenset[str]

    @classmethod
    def now(cls, folder: Path) -> Runs:
        """The existing run folders."""
        return cls(folder, frozenset(_runs_in(folder)))

    def facts(self) -> dict[str, Any]:
        """For a window's record: ``runs``, the folders made since, and ``receipts``, the sum of receipts sent, accepted
        and denied in them; {} if there are none."""
        made = sorted(set(_runs_in(self.folder)) - self.before)
        if not made:
            return {}
        counts = dict.fromkeys(COUNTS, 0)
        for name in made:
            for count, value in receipts_of(self.folder / name).items():
                counts[count] += value
        return {"runs": [str((self.folder / name).resolve()) for name in made], "receipts": counts}


def receipts_of(run: Path) -> dict[str, int]:
    """How many receipts a run sent, and how many of them were accepted and denied, in all steps that ended."""
    try:
        steps = open_run(run).steps
    except RunFolderError:
        return dict.fromkeys(COUNTS, 0)
    return {count: int(steps[count].sum()) if len(steps) else 0 for count in COUNTS}


def _runs_in(folder: Path) -> list[str]:
    return [path.parent.name for path in folder.glob(f"*/{MANIFEST}")]
