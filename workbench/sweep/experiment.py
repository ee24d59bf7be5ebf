"""The experiment: steps against one target, everything written as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from workbench.analysis.conclude import conclude_limit, conclude_run
from workbench.errors import EXIT_INTERRUPTED, EXIT_TOOL, WorkbenchError
from workbench.profilers.windows.record import windows_in
from workbench.receipts.address import checksum
from workbench.service.connect import Target
from workbench.settings import Settings
from workbench.sweep.measure import measure
from workbench.sweep.payers import require_payers
from workbench.sweep.pinpoint import pinpoint
from workbench.sweep.ready import denials, ready
from workbench.sweep.record import Record
from workbench.sweep.setup import Setup, in_flight, rate_of
from workbench.sweep.steps import Step, extra_steps, parse_steps
from workbench.sweep.subject import absent, plain, profiled, tool_sentence
from workbench.sweep.watch import Watch, watching
from workbench.sweep.windows import FOLDER, IDLE, idle_seconds, idle_window


async def experiment(settings: Settings, record: Record, *, toward_limit: bool) -> None:
    """All steps, and the conclusion. The manifest's state says how it ended."""
    try:
        steps = parse_steps(settings.receipts)
        record.begin(steps, rate_of(settings), in_flight(settings), toward_limit=toward_limit)
        if settings.profiler == "none":
            to_come = _count(settings, record, steps)
            async with _set_up(settings, record, None, to_come, toward_limit=toward_limit) as setup:
                await _measure_all(setup, steps)
        else:
            await _under_profiler(settings, record, steps, toward_limit=toward_limit)
        limit = conclude_limit(record.learnt.bracket, record.learnt.predicted, record.rows)
        record.finish(limit, conclude_run(record.rows, limit))
    except (asyncio.CancelledError, KeyboardInterrupt):
        record.stop("interrupted", "interrupted by the user", EXIT_INTERRUPTED)
        raise
    except WorkbenchError as error:
        record.stop("failed", str(error), error.exit_code)
        raise
    except Exception as error:
        record.stop("failed", f"{type(error).__name__}: {error}", EXIT_TOOL)
        raise


async def _under_profiler(settings: Settings, record: Record, steps: tuple[Step, ...], *, toward_limit: bool) -> None:
    """The paired step without a profiler, then under it the warm-up, all steps and the idle window."""
    paired, warm_up = extra_steps(steps, settings)
    record.folder.update_manifest(profiler={"mode": settings.profiler, "sentence": tool_sentence(settings)})
    if not _to_come(settings, record, steps):
        return  # resumed for its conclusion only
    if paired is not None and not record.has(paired):
        if why := await absent(settings):
            record.event("paired_left_out", why=why)
        else:
            to_come = _count(settings, record, (*steps, paired)) + (warm_up is not None)
            async with _set_up(settings, record, None, to_come, toward_limit=toward_limit) as setup:
                await measure(setup, paired)
    record.event("profiler_starting", mode=settings.profiler)
    to_come = _count(settings, record, steps) + (warm_up is not None)
    async with _set_up(settings, record, settings.profiler, to_come, toward_limit=toward_limit) as setup:
        if warm_up is not None:
            if record.has(warm_up):  # the service was started again
                record.drop(warm_up.number)
            await measure(setup, warm_up)
        await _measure_all(setup, steps)
        await _idle(setup)
        record.event("profiler_stopping", mode=settings.profiler)


@asynccontextmanager
async def _set_up(
    settings: Settings, record: Record, mode: str | None, to_come: int, *, toward_limit: bool
) -> AsyncIterator[Setup]:
    """The services, running plainly (``mode`` None) or under a profiler, watched while the block runs, with payers for
    the steps ``to_come``."""
    folder = record.folder.path
    async with plain(settings, folder) if mode is None else profiled(settings, folder) as (target, session):
        record.folder.update_manifest(target=_target_facts(target))
        require_payers(target, settings, record.given, to_come, toward_limit=toward_limit)
        target = await ready(target, settings, record, to_come, toward_limit=toward_limit)
        async with watching(Watch(target, record.clock)) as watch, denials(target, record, watch) as denylist:
            record.watch = watch
            yield Setup(settings, record, target, watch, session, toward_limit, denylist)


async def _measure_all(setup: Setup, steps: tuple[Step, ...]) -> None:
    """The steps that are not measured yet, and the walk to the exact limit."""
    record = setup.record
    for step in steps:
        if record.has(step):
            continue
        if _stopped(setup.settings, record):
            record.event("step_left_out", step=step.number, receipts=step.receipts)
            continue
        await measure(setup, step)
    walk = Step(len(steps), 0, "pinpoint")
    # a profiler slows the walk a hundredfold, and the limit is not what it is about
    if setup.settings.pinpoint and setup.session is None and not record.has(walk):
        await pinpoint(setup, walk.number)


async def _idle(setup: Setup) -> None:
    """The window without a receipt, where the mode's windows can have one and it is not there yet."""
    if setup.session is None or setup.session.restarts:
        return
    windows = windows_in(setup.record.folder.path / FOLDER)
    if any(window.name == IDLE for window in windows):
        return
    seconds = idle_seconds(setup.settings, windows)
    if seconds:
        await asyncio.to_thread(setup.record.keep_idle, await idle_window(setup, seconds))


def _count(settings: Settings, record: Record, steps: tuple[Step, ...]) -> int:
    """How many of the steps are to be measured."""
    return 0 if _stopped(settings, record) else sum(not record.has(step) for step in steps)


def _stopped(settings: Settings, record: Record) -> bool:
    """Whether a denied step has ended the sweep. The paired step or the warm-up does not: nothing would have been
    measured."""
    denied = any(row.denied_after_settle == "yes" for row in record.rows if row.kind == "step")
    return settings.stop_after_denial and denied


def _to_come(settings: Settings, record: Record, steps: tuple[Step, ...]) -> bool:
    """Whether any of the steps is still to be measured."""
    return bool(_count(settings, record, steps))


def _target_facts(target: Target) -> dict[str, Any]:
    """The target as it goes into the manifest."""
    what = "indexer-service"
    if target.is_standin:
        what = "the embedded stand-in, which imitates indexer-service and tap-agent and is neither"
    return {
        "sentence": f"Measured at {target.url}: {what}.",
        "url": target.url,
        "is_standin": target.is_standin,
        "allocation": checksum(target.allocation),
        "service_metrics_url": target.service_metrics_url,
        "agent_metrics_url": target.agent_metrics_url,
        "graph_url": target.graph_url,
        "pids": target.pids,
    }
