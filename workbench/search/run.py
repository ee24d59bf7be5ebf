"""The public functions for searches: start, resume or open one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Unpack, cast

from workbench.analysis.conclude import conclude_limit
from workbench.errors import RunFolderError, SettingsError
from workbench.runs.folder import RunFolder
from workbench.search.capacity import conclude_capacity, find_capacity
from workbench.search.condition import Condition, of_settings, sentence, unseen
from workbench.search.result import FoundLimit
from workbench.search.sender import conclude_sender, find_sender_limit
from workbench.settings import LoadSettings, SearchSettings, Settings
from workbench.settings.parameters import Parameters
from workbench.settings.signature import with_settings
from workbench.sweep.experiment import experimenting, told_how_it_ended
from workbench.sweep.interrupt import for_a_person
from workbench.sweep.opened import open_run
from workbench.sweep.record import OnEvent, Record
from workbench.sweep.run import held, stored_settings
from workbench.sweep.setup import in_flight
from workbench.sweep.subject import check_subject

CAPACITY_VALUE = Decimal("0.000001")
"""GRT per receipt in a search for the capacity without a given value. Only the rate matters, and a trial of thousands
of receipts must fit into a payer's budget."""


@with_settings(SearchSettings, LoadSettings)
async def find_limit(
    *,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    on_event: OnEvent | None = None,
    passes: Condition | None = None,
    condition: str = "",
    **parameters: Unpack[Parameters],
) -> FoundLimit:
    """Find the sender limit to the receipt, or with ``capacity=True`` the highest rate that passes the thresholds.

    ``parameters`` are fields of :class:`workbench.Settings`. ``run_dir`` names the folder to write; one whose search
    has finished is opened and nothing is sent. ``resume`` resumes an interrupted search with its own settings.
    ``passes`` returns why the row of a trial does not pass ("" if it passes) and replaces ``max_p95_ms`` and
    ``max_error_share``; ``condition`` is the same in words. ``on_event`` and interrupts work as in
    :func:`workbench.sweep.run.sweep`.

    Raises SettingsError, TargetError, RunFolderError or ToolError; what was measured until then is in the folder.
    """
    if resume:
        if parameters:
            raise SettingsError("a resumed search keeps its own settings", where=next(iter(parameters)))
        begun = RunFolder(Path(resume))
        return await for_a_person(
            lambda heard: resume_search(begun, heard, passes, condition), on_event, _opened, "find_limit"
        )
    given = cast(dict[str, Any], parameters)
    settings = search_settings(Settings.resolve(**{"name": "find-limit", **given}))
    into = Path(run_dir) if run_dir else None
    return await for_a_person(
        lambda heard: run_search(settings, into, heard, passes, condition), on_event, _opened, "find_limit"
    )


def _opened(path: Path) -> FoundLimit:
    return FoundLimit(open_run(path))


def search_settings(settings: Settings) -> Settings:
    """The settings of a search: fresh payers, no pinpointing, and for a capacity a small value if none is given."""
    changes: dict[str, Any] = {"mode": "fresh", "pinpoint": False}
    if settings.profiler != "none":
        raise SettingsError("a limit search cannot run under a profiler", where="profiler", hint="Leave it out")
    if settings.capacity and "value_grt" not in settings.model_fields_set:
        changes["value_grt"] = CAPACITY_VALUE
    return settings.model_copy(update=changes)


async def run_search(
    settings: Settings,
    run_dir: Path | None = None,
    on_event: OnEvent | None = None,
    passes: Condition | None = None,
    condition: str = "",
) -> FoundLimit:
    """:func:`find_limit` with the settings of :func:`search_settings`."""
    check_subject(settings)
    if run_dir is not None and RunFolder(run_dir).exists():
        state = open_run(run_dir).manifest["state"]
        if state == "finished":
            return FoundLimit(open_run(run_dir))
        if state != "new":
            raise RunFolderError(
                f"holds a run that is {state}",
                where=str(run_dir),
                hint=f"Go on with `{RunFolder(run_dir).next_command()}`",
            )
    folder = RunFolder.at(run_dir) if run_dir else RunFolder.create(settings.runs_dir, settings.name)
    return await _search(settings, folder, on_event, passes, condition)


async def resume_search(
    folder: RunFolder, on_event: OnEvent | None = None, passes: Condition | None = None, condition: str = ""
) -> FoundLimit:
    """Continue an interrupted search at its next trial; a finished one is opened."""
    manifest = folder.manifest()
    if manifest["state"] == "finished":
        return FoundLimit(open_run(folder.path))
    if manifest["state"] != "new" and manifest.get("what") != "find-limit":
        raise RunFolderError(
            "holds a sweep, not a search for a limit",
            where=str(folder.path),
            hint=f"Go on with `{folder.next_command()}`",
        )
    return await _search(stored_settings(folder), folder, on_event, passes, condition)


async def _search(
    settings: Settings, folder: RunFolder, on_event: OnEvent | None, passes: Condition | None, condition: str
) -> FoundLimit:
    record = Record(settings, folder, on_event)
    async with held(folder, on_event):
        with told_how_it_ended(record):
            toward_limit = not settings.capacity
            record.begin((), (), in_flight(settings), toward_limit=toward_limit, what="find-limit")
            async with experimenting(settings, record, toward_limit=toward_limit) as experiment:
                if settings.capacity:
                    given = (of_settings(settings), sentence(settings), unseen(settings.trial_s))
                    await find_capacity(experiment, *(given if passes is None else (passes, condition, 1.0)))
                else:
                    await find_sender_limit(experiment)
            limit = conclude_limit(record.learnt.bracket, record.learnt.predicted, record.rows)
            search = folder.manifest()["search"]
            if settings.capacity:
                record.finish(limit, conclude_capacity(search, record.rows))
            else:
                record.finish(limit, conclude_sender(record.rows, limit, search))
    return FoundLimit(open_run(folder.path))
