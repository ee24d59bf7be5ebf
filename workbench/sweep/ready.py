"""The preflight of a run's payers, before the first receipt; and the denylist, watched during the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from workbench.errors import TargetError
from workbench.receipts.address import checksum
from workbench.service.connect import Target
from workbench.service.denylist import Change, DenylistWatch, watching_denylist
from workbench.service.preflight import preflight
from workbench.settings import Settings
from workbench.sweep.record import Record
from workbench.sweep.watch import Watch


async def ready(target: Target, settings: Settings, record: Record, steps: int, *, toward_limit: bool) -> Target:
    """The target with the payers that can pay for ``steps`` steps; results are written as events.

    Payers of earlier steps are kept, denied or not: a cumulative sweep continues with its payer past the limit. Raises
    TargetError, before anything is sent, if the run must not begin.
    """
    given = set(record.given)
    fresh = toward_limit and settings.mode == "fresh"
    if not steps or (given and not fresh):
        return target
    earlier = tuple(payer for payer in target.payers if checksum(payer.address) in given)
    candidates = tuple(payer for payer in target.payers if payer not in earlier)
    try:
        found = await preflight(target, candidates, needed=steps if fresh else 1)
    except TargetError as error:
        if settings.preflight:
            raise
        record.event("preflight", check="facts", what=str(error), remedy="", refuses=False, raised=False)
        return target
    raised = next((note for note in found.notes if note.refuses), None)
    for note in found.notes:
        facts = {"check": note.check, "what": note.what, "remedy": note.remedy, "refuses": note.refuses}
        record.event("preflight", **facts, raised=note is raised)
    found.require(target.url)
    return replace(target, payers=(*earlier, *found.usable), probed=found.probed)


@asynccontextmanager
async def denials(target: Target, record: Record, watch: Watch) -> AsyncIterator[DenylistWatch | None]:
    """Listen to the denylist of the services' database while the block runs; None if there is no database.

    Changes for the target's payers, and times without a connection, are written as events.
    """
    if target.database_url is None:
        yield None
        return
    payers = {payer.address.hex(): checksum(payer.address) for payer in target.payers}

    def changed(change: Change) -> None:
        if change.payer in payers:
            record.event(
                "denied_in_database" if change.denied else "allowed_in_database",
                step=watch.step,
                payer=payers[change.payer],
                t_s=round(record.clock.at(change.monotonic_ns), 6),
                late=change.late,
            )

    def noted(note: str) -> None:
        record.event("database_note", why=note)

    version = target.settings.receipt_version
    async with watching_denylist(target.database_url, version=version, on_change=changed, on_note=noted) as denylist:
        yield denylist
