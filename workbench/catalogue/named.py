"""Finds a run by its folder, its name, or a part of a name that only one run has."""

from __future__ import annotations

import difflib
from pathlib import Path

from workbench.catalogue.listing import folders_in
from workbench.errors import RunFolderError
from workbench.runs.folder import MANIFEST, is_stamped

_SHOWN = 5


def run_named(text: str, runs_dir: Path) -> Path:
    """The folder of the run that ``text`` names. Raises RunFolderError if no run matches, or several do."""
    given = Path(text)
    if _is_run(given):
        return given
    runs = [run for run, _ in folders_in(runs_dir)]
    exact = [run for run in runs if text in (run.name, f"{run.parent.name}/{run.name}")]
    found = exact or [run for run in runs if text in run.name]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(run.name for run in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise RunFolderError(f"{len(found)} runs have {text!r} in their name", where=str(runs_dir), hint=names + more)
    close = difflib.get_close_matches(text, [run.name for run in runs], n=1)
    hint = f"Did you mean {close[0]!r}?" if close else "`workbench runs` lists them"
    raise RunFolderError(f"there is no run {text!r}", where=str(runs_dir), hint=hint)


def _is_run(path: Path) -> bool:
    """Whether it is a folder, not a link, that has a manifest or the name of a run."""
    return path.is_dir() and not path.is_symlink() and ((path / MANIFEST).is_file() or is_stamped(path.resolve().name))
