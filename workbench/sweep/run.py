"""The public ways into a sweep: start, resume or open a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from workbench.errors import RunFolderError, SettingsError
from workbench.load.engines.chosen import Engine, address_of
from workbench.runs.alone import measuring
from workbench.runs.folder import MANIFEST, RunFolder
from workbench.settings import LoadSettings, Settings, SweepSettings, without_passwords
from workbench.settings.parameters import Parameters
from workbench.settings.signature import with_settings
from workbench.sweep.experiment import experiment
from workbench.sweep.interrupt import for_a_person
from workbench.sweep.judged import require_fitting
from workbench.sweep.opened import SweepRun, open_run
from workbench.sweep.record import OnEvent, Record
from workbench.sweep.steps import steps_of
from workbench.sweep.subject import check_subject

if TYPE_CHECKING:
    from distributed import Client


@with_settings(SweepSettings, LoadSettings)
async def sweep(
    *,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    on_event: OnEvent | None = None,
    client: Client | None = None,
    **parameters: Unpack[Parameters],
) -> SweepRun:
    """Step the receipt count up toward the sender limit and past it; the result is a run folder.

    ``parameters`` are fields of :class:`workbench.Settings`. ``run_dir`` names the folder to write (made if missing);
    if its run has finished, it is opened and nothing is sent, so a notebook can be run again. ``resume`` resumes an
    interrupted run with that run's settings, at the first step without samples. ``on_event`` is called with each line
    that goes into events.jsonl; without it a notebook or terminal shows progress. If a notebook's kernel is
    interrupted, the result is the run with what was measured so far, with ``state`` interrupted. ``client``: a
    ``distributed.Client`` whose cluster sends, with ``engine="dask"`` and its scheduler as the settings.

    Raises SettingsError, TargetError, RunFolderError or ToolError; everything measured until then is in the folder.
    """
    given = cast(dict[str, Any], parameters)
    if resume:
        folder = RunFolder(Path(resume))
        if given:
            _require_same(stored_settings(folder), given)
        return await for_a_person(lambda heard: resume_sweep(folder, heard, client), on_event, open_run, "sweep")
    settings = Settings.resolve(**{**of_client(client), **given})
    into = Path(run_dir) if run_dir else None
    return await for_a_person(
        lambda heard: run_sweep(settings, into, heard, client=client), on_event, open_run, "sweep"
    )


async def run_sweep(
    settings: Settings,
    run_dir: Path | None = None,
    on_event: OnEvent | None = None,
    *,
    toward_limit: bool = True,
    client: Client | None = None,
    engine: Engine | None = None,
) -> SweepRun:
    """:func:`sweep` with resolved settings.

    ``toward_limit`` False (a load): a denied receipt is a failure, and a payer with part of its budget left is enough.
    ``engine`` replaces the one that the settings name.
    """
    steps_of(settings)
    require_fitting(settings.fail_if, (settings.profiler,))
    check_subject(settings)
    if run_dir is not None and RunFolder(run_dir).exists():
        run = open_run(run_dir)
        if run.manifest["state"] == "finished":
            return run
        if run.manifest["state"] != "new":
            raise RunFolderError(
                f"holds a run that is {run.state}",
                where=str(run_dir),
                hint=f"Go on with `{run.folder.next_command()}`",
            )
    folder = RunFolder.at(run_dir) if run_dir else RunFolder.create(settings.runs_dir, settings.name)
    async with held(folder, on_event):
        record = Record(settings, folder, on_event)
        await experiment(settings, record, toward_limit=toward_limit, client=client, engine=engine)
    return open_run(folder.path)


@asynccontextmanager
async def held(folder: RunFolder, on_event: OnEvent | None) -> AsyncIterator[None]:
    """Lock the run folder for measuring. If another run measures at the same time, this is written as an event and into
    the manifest."""
    async with measuring(folder.path) as company, folder.locked():
        beside = company.others()
        if beside is not None:
            Record.tell(folder, on_event, "beside_another", why=beside)
        try:
            yield
        finally:
            beside = beside or company.others()
            if beside is not None and folder.exists():
                folder.update_manifest(beside=beside)


def of_client(client: Client | None) -> dict[str, Any]:
    """The settings that select a Dask client's cluster. Raises SettingsError if it is not connected."""
    return {} if client is None else {"engine": "dask", "scheduler": address_of(client)}


async def resume_sweep(folder: RunFolder, on_event: OnEvent | None = None, client: Client | None = None) -> SweepRun:
    """Continue an interrupted run at its first step without samples; a finished run is only opened."""
    if open_run(folder.path).state == "finished":
        return open_run(folder.path)
    if folder.manifest().get("what") == "find-limit":
        raise RunFolderError(
            "holds a search for a limit", where=str(folder.path), hint=f"Go on with `{folder.next_command()}`"
        )
    settings = stored_settings(folder)
    async with held(folder, on_event):
        toward_limit = folder.manifest().get("toward_limit", True)
        await experiment(settings, Record(settings, folder, on_event), toward_limit=toward_limit, client=client)
    return open_run(folder.path)


def stored_settings(folder: RunFolder) -> Settings:
    """The settings of a run, see :meth:`workbench.Settings.restore`."""
    return Settings.restore(settings_in(folder), runs_dir=str(folder.path.parent))


def settings_in(folder: RunFolder) -> dict[str, Any]:
    """The settings in a run's manifest. Raises RunFolderError if there are none, so that it cannot be resumed."""
    settings = open_run(folder.path).manifest.get("settings")
    if not isinstance(settings, dict):
        raise RunFolderError(
            "lacks 'settings', so the run cannot be resumed",
            where=str(folder.path / MANIFEST),
            hint="Its measurements can be read with workbench.open_run; measure the rest in a new run",
        )
    return settings


def _require_same(settings: Settings, parameters: dict[str, Any]) -> None:
    """Raise SettingsError if a run is resumed with other settings: it would be two experiments."""
    given = Settings.resolve(**{**settings.model_dump(exclude={"signer_keys"}), **parameters})
    for name in parameters:
        before, now = getattr(settings, name), getattr(given, name)
        if name not in ("runs_dir", "name") and before != now:
            raise SettingsError(
                without_passwords(f"the run was made with {before}, found {now}"),
                where=name,
                hint="Leave it out when resuming, or start a new run",
            )
