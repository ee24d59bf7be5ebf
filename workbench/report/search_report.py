"""A search for a limit run through its notebook: parameters in, run folder with executed notebook and report out."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import SettingsError
from workbench.report.sweep_report import FIND_LIMIT, Say, command_line, execute, notebook_path, split
from workbench.runs.folder import RunFolder
from workbench.runs.read import Run
from workbench.settings import CONFIG_VARIABLE, Settings
from workbench.sweep.subject import check_subject


async def report_search(settings: Settings | None, *, resume: Path | None, config: Path | None, say: Say) -> Run:
    """Run (with ``resume``: continue) a search by papermill; ``say`` gets its progress line by line. ``config`` and
    errors as in :func:`workbench.report.sweep_report.report_sweep`."""
    file = {} if config is None else {CONFIG_VARIABLE: str(config)}
    if resume is not None:
        folder = RunFolder(resume)
        Settings.restore(folder.manifest()["settings"], toml=config)
        return await execute(folder, {"resume": str(resume)}, file, say, notebook=FIND_LIMIT)
    if settings is None:
        raise SettingsError("neither settings nor a search to resume were given")
    check_subject(settings)
    folder = RunFolder.create(settings.runs_dir, settings.name)
    folder.update_manifest(
        state="new", what="find-limit", name=settings.name, settings=settings.public(), command=command_line()
    )
    parameters, environment = split(settings, notebook_path(FIND_LIMIT.name))
    given = {**parameters, "run_dir": str(folder.path)}
    return await execute(folder, given, {**environment, **file}, say, notebook=FIND_LIMIT)
