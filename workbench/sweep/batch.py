"""A batch: the same sweep once a profiler mode, each run in a folder of its own, with one record of them all.

``<UTC time>-<name>/``: ``batch.json``, the runs' folders, ``notebook.ipynb`` and ``report.html`` of all together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RunFolderError, SettingsError, WorkbenchError
from workbench.profilers.modes import MODES, Mode, parse_mode
from workbench.runs.atomic import write_json
from workbench.runs.folder import RunFolder, utc_now
from workbench.runs.read import Run, open_run
from workbench.settings import Settings
from workbench.sweep.profiles import RunProfiles
from workbench.sweep.subject import check_subject

if TYPE_CHECKING:
    from workbench.analysis.findings import Findings

FILE = "batch.json"
SCHEMA = 1
DEFAULT_MODES: tuple[Mode, ...] = ("none", "flamegraph", "massif", "callgrind", "strace")


def parse_modes(text: str) -> tuple[Mode, ...]:
    """Modes from a list with commas, each once. Raises SettingsError naming the one that is none."""
    modes = tuple(dict.fromkeys(parse_mode(part.strip()) for part in text.split(",") if part.strip()))
    if not modes:
        raise SettingsError("no mode was given", where="modes", hint=f"Give some of {', '.join(MODES)}")
    return modes


def unfit_modes(settings: Settings, modes: Sequence[Mode]) -> dict[Mode, WorkbenchError]:
    """The modes that a sweep with ``settings`` cannot be run in, and why: its tool is not installed, or the target
    cannot be put under it."""
    unfit: dict[Mode, WorkbenchError] = {}
    for mode in modes:
        try:
            check_subject(settings.model_copy(update={"profiler": mode}))
        except WorkbenchError as error:
            unfit[mode] = error
    return unfit


@dataclass(frozen=True)
class Batch:
    """One batch, read from its folder each time."""

    path: Path

    @classmethod
    def create(cls, runs_dir: Path, name: str, modes: Sequence[Mode], skipped: dict[Mode, str], command: str) -> Batch:
        """A new batch folder that plans ``modes``. Raises RunFolderError when it cannot be made."""
        folder = RunFolder.create(runs_dir, name).path
        for unused in ("samples", "interrupted"):
            (folder / unused).rmdir()
        batch = cls(folder)
        batch._write(
            {
                "schema": SCHEMA,
                "created": utc_now(),
                "command": command,
                "modes": list(modes),
                "skipped": dict(skipped),
                "errors": {},
            }
        )
        return batch

    @classmethod
    def open(cls, path: Path) -> Batch:
        """The batch in a folder. Raises RunFolderError where it is none."""
        batch = cls(path)
        batch.facts()
        return batch

    def facts(self) -> dict[str, Any]:
        """What batch.json says."""
        try:
            facts = json.loads((self.path / FILE).read_text("utf-8"))
        except FileNotFoundError:
            raise RunFolderError(f"this is not the folder of a batch: it has no {FILE}", where=str(self.path)) from None
        except (OSError, ValueError) as error:
            raise RunFolderError(f"cannot be read: {error}", where=str(self.path / FILE)) from None
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            raise RunFolderError(f"is not of schema {SCHEMA}", where=str(self.path / FILE))
        return facts

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes of the batch, in their order."""
        return tuple(parse_mode(mode) for mode in self.facts()["modes"])

    @property
    def skipped(self) -> dict[str, str]:
        """Modes that were left out, and why."""
        skipped: dict[str, str] = self.facts()["skipped"]
        return skipped

    @property
    def errors(self) -> dict[str, str]:
        """Modes whose run ended in an error, and which."""
        errors: dict[str, str] = self.facts()["errors"]
        return errors

    def remember(self, settings: Settings, profiled_receipts: str | None) -> None:
        """Keep what the batch is run with, keys and passwords excepted, so that it can be gone on with."""
        self._write({**self.facts(), "settings": settings.public(), "profiled_receipts": profiled_receipts})

    def failed(self, mode: Mode, error: str | None) -> None:
        """Note the error the run of a mode ended with; None: it ended well."""
        facts = self.facts()
        facts["errors"].pop(mode, None)
        if error is not None:
            facts["errors"][mode] = error
        self._write(facts)

    def folder(self, mode: Mode) -> Path | None:
        """The run folder of a mode, the newest if several were begun; None where none was."""
        found = sorted(self.path.glob(f"*Z-{mode}")) + sorted(self.path.glob(f"*Z-{mode}-*"))
        return found[-1] if found else None

    def runs(self) -> dict[Mode, Run]:
        """The runs there are, by mode, finished or not."""
        folders = {mode: self.folder(mode) for mode in self.modes}
        return {
            mode: open_run(folder)
            for mode, folder in folders.items()
            if folder is not None and RunFolder(folder).exists()
        }

    def lines(self) -> list[str]:
        """How each mode came out, a line each: the run's verdict, or the error it ended with, or why it was left
        out."""
        runs, errors, lines = self.runs(), self.errors, []
        for mode in self.modes:
            run = runs.get(mode)
            verdict = {} if run is None else run.manifest.get("verdict") or {}
            sentence = verdict.get("sentence") or errors.get(mode) or (run and run.manifest.get("error"))
            state = "no run" if run is None else verdict.get("headline", run.verdict)
            lines.append(f"{mode}: {state}: {sentence}" if sentence else f"{mode}: {state}")
            thresholds = [] if run is None else run.manifest.get("thresholds") or []
            lines += [f"  {one['sentence']}" for one in thresholds]
        return [*lines, *(f"{mode}: left out, {why}" for mode, why in self.skipped.items())]

    def profiles(self) -> dict[Mode, RunProfiles]:
        """The profiles of the runs that have any."""
        found = {mode: RunProfiles(run) for mode, run in self.runs().items() if mode != "none"}
        return {mode: profiles for mode, profiles in found.items() if profiles.services}

    @property
    def findings(self) -> Findings:
        """What the profiles of all runs say, as one ranked list."""
        from workbench.analysis.findings import find

        return find([found.measured(service) for found in self.profiles().values() for service in found.services])

    def _write(self, facts: dict[str, Any]) -> None:
        write_json(self.path / FILE, facts)
