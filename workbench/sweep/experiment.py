"""The experiment: steps against one target, with everything written to disk as it happens."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.analysis.conclude import conclude_limit, conclude_run
from workbench.errors import EXIT_INTERRUPTED, EXIT_TOOL, RESUME, RunFolderError, WorkbenchError, of_file, with_remedy
from workbench.load.engines.child import child_process
from workbench.load.engines.chosen import Engine, engine_of
from workbench.profilers.commands import has_commands
from workbench.profilers.modes import Mode
from workbench.profilers.tools.chosen import tool_of
from workbench.profilers.tools.flamegraph import START_DELAY_S
from workbench.profilers.windows.record import windows_in
from workbench.receipts.address import checksum
from workbench.runs.atomic import has_room
from workbench.service.connect import Target
from workbench.service.program import built_with_profiling, of_command
from workbench.settings import Settings
from workbench.sweep.expected import expect
from workbench.sweep.figures import run_figures
from workbench.sweep.interrupt import mark
from workbench.sweep.judged import judge_run
from workbench.sweep.measure import measure
from workbench.sweep.opened import open_run
from workbench.sweep.payers import require_payers
from workbench.sweep.pinpoint import pinpoint
from workbench.sweep.quiet import until_old, until_quiet
from workbench.sweep.ready import denials, ready
from workbench.sweep.record import Record
from workbench.sweep.setup import Setup, in_flight, rate_of
from workbench.sweep.steps import Step, extra_steps, steps_of, walk_of
from workbench.sweep.subject import absent, running, tool_sentence
from workbench.sweep.surroundings import Surroundings, forget, surroundings
from workbench.sweep.watch import Watch, watching
from workbench.sweep.windows import FOLDER, IDLE, idle_seconds, idle_window

if TYPE_CHECKING:
    from distributed import Client

SAMPLER_START_S = 2.0
"""How long a sampler may take, after its delay, until it is known to be sampling."""


async def experiment(
    settings: Settings,
    record: Record,
    *,
    toward_limit: bool,
    client: Client | None = None,
    engine: Engine | None = None,
) -> None:
    """Run all steps and the conclusion. The manifest's state says how the run ended. ``client``: as in
    :func:`.run.sweep`; ``engine`` replaces the one that the settings name."""
    with told_how_it_ended(record):
        steps = steps_of(settings, record.first)
        rates = [rate_of(settings, step.receipts) for step in steps]
        record.begin(steps, rates, in_flight(settings), toward_limit=toward_limit)
        if settings.profiler != "none":
            record.folder.update_manifest(profiler={"mode": settings.profiler, "sentence": tool_sentence(settings)})
        if _to_come(settings, record, steps):  # otherwise only the conclusion is missing
            expect(settings, record, steps)
            async with experimenting(settings, record, toward_limit=toward_limit, client=client, engine=engine) as run:
                await (_plainly if settings.profiler == "none" else _under_profiler)(run, steps)
        else:
            await forget(settings, record.folder.path.name)
        limit = conclude_limit(record.learnt.bracket, record.learnt.predicted, record.rows)
        judged = judge_run(open_run(record.folder.path), settings.fail_if, limit)
        record.finish(limit, conclude_run(record.rows, limit, judged), judged, figures=run_figures(record))


@contextmanager
def told_how_it_ended(record: Record) -> Iterator[None]:
    """Write into the manifest what ended a run early; everything measured until then is in its folder."""
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt) as error:
        record.stop("interrupted", "interrupted by the user", EXIT_INTERRUPTED)
        command = "find-limit" if record.folder.manifest().get("what") else "sweep"
        mark(error, record.folder.path, f"workbench {command} --resume {record.folder.path}")
        raise
    except Exception as error:
        told = _to_tell(error, record.folder.path)
        if isinstance(told, WorkbenchError):
            record.stop("failed", str(told), told.exit_code)
        else:
            record.stop("failed", f"{type(error).__name__}: {error}", EXIT_TOOL)
        if told is error:
            raise
        raise told from error


def _to_tell(error: Exception, run: Path) -> Exception:
    """The error to report: which file cannot be written, and whether the disk is full. When the disk is full, a service
    ends too, with any reason or none."""
    if isinstance(error, OSError):
        return of_file(error, RESUME) or error
    if not isinstance(error, WorkbenchError) or isinstance(error, RunFolderError) or has_room(run):
        return error
    what = f"{error.where}: {error.what}" if error.where else error.what
    hint = with_remedy(RESUME, errno.ENOSPC)
    return RunFolderError(f"No space left on device, and because of that: {what}", where=str(run), hint=hint)


@asynccontextmanager
async def experimenting(
    settings: Settings,
    record: Record,
    *,
    toward_limit: bool,
    client: Client | None = None,
    engine: Engine | None = None,
) -> AsyncIterator[Experiment]:
    """Within the block, everything that the services need is running, and the engine is chosen."""
    if settings.network:
        record.event("network_starting")
    async with surroundings(settings, record.folder.path.name) as around:
        yield Experiment(around, record, toward_limit, engine or engine_for(settings, client))


@dataclass(frozen=True)
class Experiment:
    """What all set-ups of a run share."""

    around: Surroundings
    record: Record
    toward_limit: bool
    send: Engine

    @property
    def settings(self) -> Settings:
        """The run's settings, complete."""
        return self.around.settings

    @asynccontextmanager
    async def set_up(self, mode: Mode, steps: Sequence[Step]) -> AsyncIterator[Setup]:
        """Within the block the services run under ``mode`` and are watched, with payers for the ``steps`` still to
        come. Raises before anything is sent if the run would fail."""
        settings, record = self.settings, self.record
        async with AsyncExitStack() as stack:
            if has_commands(settings):
                record.event("services_starting", mode=mode)
            subject = await stack.enter_async_context(running(settings, record.folder.path, mode))
            target = subject.target
            record.folder.update_manifest(target=_target_facts(target))
            to_come = sum(not record.has(step) for step in steps)
            require_payers(target, settings, record.given, to_come, toward_limit=self.toward_limit)
            target = await ready(target, settings, record, to_come, toward_limit=self.toward_limit)
            watch = await stack.enter_async_context(watching(Watch(target, record.clock)))
            denylist = await stack.enter_async_context(denials(target, record, watch))
            record.watch = watch

            async def require_alive() -> None:
                await self.around.require_answering()
                await subject.require_running()

            session, toward_limit = subject.session, self.toward_limit
            yield Setup(settings, record, target, watch, session, toward_limit, denylist, require_alive, self.send)
            await require_alive()  # no later step would notice a program that ended in the last step


def engine_for(settings: Settings, client: Client | None) -> Engine:
    """The engine: under a profiler only the service's cost is measured, so one process on this machine is enough."""
    return child_process if settings.profiler != "none" else engine_of(settings, client)


async def _plainly(experiment: Experiment, steps: tuple[Step, ...]) -> None:
    """Run all steps without a profiler, and find the exact limit."""
    record = experiment.record
    async with experiment.set_up("none", steps) as setup:
        await _measure_all(setup, steps)
        walk = walk_of(steps)
        # a profiler would make it a hundred times slower, and a profiled run does not look for the limit
        if setup.settings.pinpoint and not record.has(walk):
            await pinpoint(setup, walk.number)


async def _under_profiler(experiment: Experiment, steps: tuple[Step, ...]) -> None:
    """Run the paired step without a profiler, then under it the warm-up, all steps and the idle window."""
    settings, record = experiment.settings, experiment.record
    paired, warm_up = extra_steps(steps, settings)
    warm_ups = () if warm_up is None else (warm_up,)
    if paired is not None and not record.has(paired):
        if why := await absent(settings):
            record.event("paired_left_out", why=why)
        else:
            async with experiment.set_up("none", (*steps, paired, *warm_ups)) as setup:
                await measure(setup, paired)
    record.event("profiler_starting", mode=settings.profiler)
    for step in warm_ups:
        if record.has(step):  # the service was started again
            record.drop(step.number)
    async with experiment.set_up(settings.profiler, (*steps, *warm_ups)) as setup:
        for step in warm_ups:
            await measure(setup, step)
        await _until_sampler_began(setup)
        await _measure_all(setup, steps)
        await _idle(setup)
        record.event("profiler_stopping", mode=settings.profiler)


async def _measure_all(setup: Setup, steps: tuple[Step, ...]) -> None:
    """Measure the steps that are still missing."""
    for step in steps:
        if setup.record.has(step):
            continue
        if _stopped(setup.settings, setup.record, steps, step):
            setup.record.event("step_left_out", step=step.number, receipts=step.receipts)
            continue
        await measure(setup, step)


async def _until_sampler_began(setup: Setup) -> None:
    """Wait for a sampler built into a service, which starts later than the service. Until then a window has no samples.
    Under Valgrind it takes none, but first it still reads all debug information of its binary: 440 M instructions in
    the real service, 1,550 M in the agent, which must not be in a window."""
    settings, session = setup.settings, setup.session
    if session is None or not (session.tool.blocks_sampler or session.tool.writes_reports):
        return
    commands = [command for command in (settings.service_command, settings.agent_command) if command is not None]
    files = [of_command("", command).executable for command in commands]
    if not any(file is not None and built_with_profiling(file) for file in files):
        return
    pids = (await session.backend.host_pids()).values()
    await until_old(pids, START_DELAY_S + SAMPLER_START_S)
    await until_quiet(pids, settings.settle_timeout_s)


async def _idle(setup: Setup) -> None:
    """Cut the idle window, if the mode has one and it is missing."""
    if setup.session is None:
        return
    if seconds := _idle_due(setup.settings, setup.record):
        await asyncio.to_thread(setup.record.keep_idle, await idle_window(setup, seconds))


def _idle_due(settings: Settings, record: Record) -> float:
    """Seconds of the idle window still to measure; 0 if it exists, is not wanted or is not possible."""
    if settings.profiler == "none" or tool_of(settings.profiler).run_a_window:
        return 0.0
    windows = windows_in(record.folder.path / FOLDER)
    return 0.0 if any(window.name == IDLE for window in windows) else idle_seconds(settings, windows)


def _stopped(settings: Settings, record: Record, steps: tuple[Step, ...], step: Step) -> bool:
    """Whether a denial in ``steps`` has ended the sweep or this repeat of it: each repeat goes as far as the one
    before. Denial in the paired step or the warm-up does not count: nothing would have been measured."""
    if not settings.stop_after_denial:
        return False
    denied = [row for row in record.rows if row.kind == "step" and row.denied_after_settle == "yes"]
    if settings.mode == "cumulative":
        return bool(denied)
    a_round = len(steps) // settings.repeats
    at = step.number - step.repeat * a_round
    return any(row.step - row.repeat * a_round < at for row in denied)


def _to_come(settings: Settings, record: Record, steps: tuple[Step, ...]) -> bool:
    """Whether anything of the run is still to be measured."""
    if any(not record.has(step) and not _stopped(settings, record, steps, step) for step in steps):
        return True
    if _idle_due(settings, record):
        return True
    walk = walk_of(steps)
    return settings.profiler == "none" and settings.pinpoint and not record.has(walk)


def _target_facts(target: Target) -> dict[str, Any]:
    """Facts about the target for the manifest."""
    what = "indexer-service"
    if target.is_standin:
        what = "the embedded stand-in, which imitates indexer-service and tap-agent"
    return {
        "sentence": f"Measured at {target.url}: {what}.",
        "url": target.url,
        "is_standin": target.is_standin,
        "service_version": target.version,
        "allocation": checksum(target.allocation),
        "service_metrics_url": target.service_metrics_url,
        "agent_metrics_url": target.agent_metrics_url,
        "graph_url": target.graph_url,
        "pids": target.pids,
    }
