"""The experiment: steps against one target, everything written as it happens."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.analysis import step_row as steps_table
from workbench.analysis.conclude import (
    conclude_limit,
    conclude_run,
    judge_step,
    judge_walk,
    predict,
    prediction_json,
)
from workbench.analysis.limit import Bracket, find_denial
from workbench.errors import (
    EXIT_INTERRUPTED,
    EXIT_TOOL,
    RunFolderError,
    SettingsError,
    TargetError,
    WorkbenchError,
)
from workbench.load.engines import child_process
from workbench.load.outcome import CODE_OF, Outcome, is_unsure
from workbench.load.plan import ClosedPlan, OpenPlan, Plan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepReport, StepSpec
from workbench.load.summary import summarise
from workbench.profilers.backends.local import LocalBackend
from workbench.profilers.session import Cut, Session
from workbench.receipts.address import checksum
from workbench.receipts.fields import WEI_PER_GRT
from workbench.receipts.payer import Payer
from workbench.runs.folder import RunFolder, one_run_at_a_time
from workbench.service.budget import Fees, budget
from workbench.service.connect import Target, connect, receipt_template
from workbench.settings import Settings
from workbench.sweep.opened import SweepRun, open_run
from workbench.sweep.pinpoint import approach, walk
from workbench.sweep.profiled import (
    absent,
    check_profiler,
    profiled,
    tool_sentence,
    window_name,
    with_compose_target,
)
from workbench.sweep.quiet import until_quiet, used_cpu_s
from workbench.sweep.record import OnEvent, Record
from workbench.sweep.settle import Settled, settle
from workbench.sweep.steps import Step, extra_steps, parse_steps
from workbench.sweep.watch import Watch, watching

DEFAULT_RATE = 400.0
"""Receipts per second of a sweep that names neither rate nor concurrency."""

PROFILED_IN_FLIGHT = 4
"""Requests in flight of a sweep under a profiler that names neither: no rate worth planning can be kept there."""

PROFILED_TIMEOUT_S = 60.0
"""Least time limit of a request in a sweep under a profiler: under Valgrind it takes fifty times as long, and what is
enough for a service alone would end requests that are being worked on."""

PROGRESS_EVENT_S = 1.0


async def sweep(
    *,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    on_event: OnEvent | None = None,
    **parameters: Any,
) -> SweepRun:
    """Step the receipt count up toward the sender limit and past it; the result is a run folder.

    ``parameters`` are fields of :class:`workbench.Settings`. ``run_dir`` names the folder to write (made when it is
    not there); a folder whose run has finished is opened and nothing is sent, so a notebook can be run again over it.
    ``resume`` goes on with an interrupted run, with that run's settings, at the first step without samples.
    ``on_event`` is called with each line that goes into events.jsonl.

    Raises SettingsError, TargetError, RunFolderError or ToolError; what was measured until then is in the folder.
    """
    if resume:
        folder = RunFolder(Path(resume))
        if parameters:
            _require_same(stored_settings(folder), parameters)
        return await resume_sweep(folder, on_event)
    settings = Settings.resolve(**parameters)
    return await run_sweep(settings, Path(run_dir) if run_dir else None, on_event)


async def run_sweep(
    settings: Settings,
    run_dir: Path | None = None,
    on_event: OnEvent | None = None,
    *,
    toward_limit: bool = True,
) -> SweepRun:
    """:func:`sweep` with resolved settings.

    ``toward_limit`` False (a load): a denied receipt is a failure, and a payer with some of its budget left will do.
    """
    parse_steps(settings.receipts)
    check_profiler(settings)
    if run_dir is not None and RunFolder(run_dir).exists():
        run = open_run(run_dir)
        if run.manifest["state"] == "finished":
            return run
        if run.manifest["state"] != "new":
            raise RunFolderError(
                f"holds a run that is {run.manifest['state']}", where=str(run_dir), hint="Go on with --resume"
            )
    folder = RunFolder.at(run_dir) if run_dir else RunFolder.create(settings.runs_dir, settings.name)
    async with one_run_at_a_time(), folder.locked():
        await _Experiment(settings, Record(settings, folder, on_event), toward_limit).run()
    return open_run(folder.path)


async def resume_sweep(folder: RunFolder, on_event: OnEvent | None = None) -> SweepRun:
    """Go on with an interrupted run at its first step without samples; a finished run is opened."""
    if folder.manifest()["state"] == "finished":
        return open_run(folder.path)
    settings = stored_settings(folder)
    async with one_run_at_a_time(), folder.locked():
        expected = folder.manifest().get("toward_limit", True)
        await _Experiment(settings, Record(settings, folder, on_event), expected).run()
    return open_run(folder.path)


def stored_settings(folder: RunFolder) -> Settings:
    """The settings a run was made with. Keys are not stored: they come from the environment or the settings file."""
    stored = {name: value for name, value in folder.manifest()["settings"].items() if name != "signer_keys"}
    if not stored.get("payers"):
        stored["signer_keys"] = []  # a run of the stand-in's own payers needs none, whatever is set by now
    return Settings.resolve(**{**stored, "runs_dir": str(folder.path.parent)})


def _require_same(settings: Settings, parameters: dict[str, Any]) -> None:
    """Raise SettingsError when a run is resumed with other settings: it would be two experiments."""
    given = Settings.resolve(**{**settings.model_dump(exclude={"signer_keys"}), **parameters})
    for name in parameters:
        before, now = getattr(settings, name), getattr(given, name)
        if name not in ("runs_dir", "name") and before != now:
            raise SettingsError(
                f"the run was made with {before}, found {now}",
                where=name,
                hint="Leave it out when resuming, or start a new run",
            )


@dataclass(frozen=True)
class _Before:
    """What a step starts from: the agent's view of the payer, the budget it leaves, the rows in the database."""

    fees: Fees | None
    budget: int | None
    stored: int | None


class _Experiment:
    """One session of a sweep: what it has learnt of the limit, and the steps that teach it."""

    def __init__(self, settings: Settings, record: Record, toward_limit: bool) -> None:
        self.settings = settings
        self.record = record
        self.toward_limit = toward_limit
        self.bracket = Bracket(None, None)
        self.predicted: int | None = None
        self.approached = 0  # receipts the pinpoint sent before it went on one by one
        self.session: Session | None = None  # the profiler's, while the service is under it

    async def run(self) -> None:
        """All steps, and the conclusion. The manifest's state says how it ended."""
        record = self.record
        try:
            steps = parse_steps(self.settings.receipts)
            record.begin(steps, self._rate, self._concurrency, toward_limit=self.toward_limit)
            self._remember()
            if self.settings.profiler == "none":
                async with connect(self.settings, record.folder.path) as target:
                    await self._watched(target, lambda watch: self._steps(target, watch, steps))
            else:
                await self._profiled(steps)
            limit = conclude_limit(self.bracket, self.predicted, record.rows)
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

    async def _watched(self, target: Target, measure: Callable[[Watch], Awaitable[None]]) -> None:
        """Measure at a target with its processes and metrics watched."""
        self.record.folder.update_manifest(target=_target_facts(target))
        async with watching(Watch(target, self.record.clock)) as watch:
            self.record.watch = watch
            await measure(watch)

    async def _profiled(self, steps: tuple[Step, ...]) -> None:
        """The paired step without a profiler, then under it the warm-up and all steps, a window each."""
        settings, record = self.settings, self.record
        done = {row.step for row in record.rows}
        paired, warm_up = extra_steps(steps, settings)
        record.folder.update_manifest(profiler={"mode": settings.profiler, "sentence": tool_sentence(settings)})
        if not self._to_come(steps):
            return  # resumed for its conclusion only
        if paired is not None and paired.number in done:
            paired = None
        if paired is not None and (why := await absent(settings)):
            record.event("paired_left_out", why=why)
            paired = None
        if paired is not None:
            async with connect(with_compose_target(settings), record.folder.path) as target:
                to_come = sum(step.number not in done for step in (*steps, paired))
                self._require_payers(target, to_come + (warm_up is not None))
                await self._watched(target, lambda watch: self._step(target, watch, paired))
        record.event("profiler_starting", mode=settings.profiler)
        async with profiled(settings, record.folder.path) as (target, session):
            self.session = session
            try:

                async def measure(watch: Watch) -> None:
                    if warm_up is not None:
                        await self._warm_up(target, watch, warm_up, done)
                    await self._steps(target, watch, steps)

                await self._watched(target, measure)
            finally:
                self.session = None
            record.event("profiler_stopping", mode=settings.profiler)

    @property
    def _stopped(self) -> bool:
        """Whether a denied step has ended the sweep. The paired step or the warm-up does not: nothing would have been
        measured."""
        denied = any(row.denied_after_settle == "yes" for row in self.record.rows if row.kind == "step")
        return self.settings.stop_after_denial and denied

    def _to_come(self, steps: tuple[Step, ...]) -> bool:
        """Whether any of the steps is still to be measured."""
        done = {row.step for row in self.record.rows}
        return not self._stopped and any(step.number not in done for step in steps)

    async def _warm_up(self, target: Target, watch: Watch, step: Step, done: set[int]) -> None:
        """Bring a service that was just started to what it is in the long run; again, where the run was resumed."""
        if step.number in done:
            self.record.drop(step.number)
        await self._step(target, watch, step)

    def _remember(self) -> None:
        """What the steps of an interrupted session taught."""
        manifest = self.record.manifest
        self.approached = manifest.get("approached", 0)
        self.predicted = (manifest.get("prediction") or {}).get("receipts")
        rows, self.record.rows = self.record.rows, []
        for row in rows:
            self.record.rows.append(row)
            self._learn(row)

    def _learn(self, row: steps_table.StepRow) -> None:
        """What the step says about the limit, in receipts of one budget."""
        if not math.isnan(row.counted):
            charged = round(row.counted)
        else:
            charged = sum(other.paid for other in self.record.rows if other.payer == row.payer)
        denied = {"yes": True, "no": False}.get(row.denied_after_settle)
        if row.kind == "pinpoint" and denied and charged > self.approached:
            # the agent had counted the receipt before the last one, and had not denied the payer
            self.bracket = self.bracket.with_step(charged - 1, False)
        self.bracket = self.bracket.with_step(charged, denied)

    # --- steps ------------------------------------------------------------------------------------------------

    async def _steps(self, target: Target, watch: Watch, steps: tuple[Step, ...]) -> None:
        rows = self.record.rows
        done = {row.step for row in rows}
        self._require_payers(target, sum(step.number not in done for step in steps))
        for step in steps:
            if step.number in done:
                continue
            if self._stopped:
                self.record.event("step_left_out", step=step.number, receipts=step.receipts)
                continue
            await self._step(target, watch, step)
        # a profiler slows the walk a hundredfold, and the limit is not what it is about
        if self.settings.pinpoint and self.session is None and len(steps) not in done:
            await self._pinpoint(target, watch, len(steps))

    async def _step(self, target: Target, watch: Watch, step: Step) -> None:
        payer = await self._payer(target, step)
        plan = self._plan(step.receipts, step.number)
        spec = self._spec(target, payer, plan, step.number)
        before = await self._before(target, watch, step, payer)
        SampleBuffer.create(spec.buffer, plan.count)
        async with AsyncExitStack() as window:
            cut = await self._open_window(window, step, watch)
            pids = await self._pids(target, step)
            used_s = used_cpu_s(pids)
            report = await child_process(spec, payer.key, self._progress(step, watch))
            quiet = await until_quiet(pids, self.settings.settle_timeout_s) if pids else None
            used_s = used_cpu_s(pids) - used_s
            if cut is not None:
                cut.notes += _reach(step, quiet)
                cut.facts["session"] = self.record.session
                await window.aclose()
            await self._after(target, step, payer, plan, before, report, cut, used_s)

    async def _open_window(self, stack: AsyncExitStack, step: Step, watch: Watch) -> Cut | None:
        """Begin the profile of a step; None where none is made. It ends when ``stack`` is closed.

        Nothing is asked of the service meanwhile, in the paired step neither: it would cost in the one only.
        """
        if step.kind == "paired" or (step.kind == "step" and self.session is not None):
            watch.scraping = False
            stack.callback(setattr, watch, "scraping", True)
        if self.session is None or step.kind != "step":
            return None
        return await stack.enter_async_context(self.session.window(window_name(step.number)))

    async def _pids(self, target: Target, step: Step) -> set[int]:
        """The service's processes in a step whose cost is looked at; none where they are not of this machine.

        A window ends once they have done what the step gave them to do, the agent's counting included.
        """
        if step.kind == "paired":
            return set(target.pids.values())
        if step.kind != "step" or self.session is None or not isinstance(self.session.backend, LocalBackend):
            return set()
        # asked for anew: pprofile's windows are processes of their own
        return {await self.session.backend.pid(service) for service in self.session.backend.services}

    async def _pinpoint(self, target: Target, watch: Watch, number: int) -> None:
        """Find the limit to the receipt, with a payer of its own."""
        way = approach(self.bracket, self.predicted)
        if way is None:
            return
        at_once, up_to = way
        step = Step(number, up_to, "pinpoint")
        try:
            if target.agent_metrics_url is None:
                raise TargetError("the agent has to be asked after each receipt", hint="Give --agent-metrics-url")
            payer = await self._payer(target, step)
        except TargetError as error:
            self.record.event("pinpoint_left_out", why=str(error))
            return
        before = await self._before(target, watch, step, payer)
        self.approached = at_once
        self.record.folder.update_manifest(approached=at_once)
        spec = self._spec(target, payer, ClosedPlan(up_to, 1), number)
        buffer = SampleBuffer.create(spec.buffer, up_to)
        started_ns, cpu_s = time.monotonic_ns(), 0.0
        if at_once:
            bulk = replace(spec, plan=self._plan(at_once, number))
            cpu_s = (await child_process(bulk, payer.key, self._progress(step, watch))).cpu_s
        received = 0 if before.fees is None else before.fees.received
        await walk(target, payer, spec, buffer, at_once, received, self.settings.settle_timeout_s)
        sent = buffer.measured()
        report = StepReport(
            started_ns=started_ns,
            ended_ns=time.monotonic_ns(),
            cpu_s=cpu_s,
            connections=1,
            sent=sent,
            in_flight_max=1,
            cap_hits=0,
            signed_late=0,
            interrupted=False,
            pid=os.getpid(),
        )
        await self._after(target, step, payer, ClosedPlan(max(sent, 1), 1), before, report, None)

    def _require_payers(self, target: Target, steps: int) -> None:
        """Raise SettingsError, before anything is spent, when there cannot be a fresh payer for each step."""
        left = len({checksum(payer.address) for payer in target.payers} - set(self.record.given))
        if self.toward_limit and self.settings.mode == "fresh" and left < steps:
            raise SettingsError(
                f"fresh needs a payer for each of {steps} steps, there are {left}",
                where="mode",
                hint="Use --mode cumulative, give more payers, or raise --standin-payers",
            )

    async def _payer(self, target: Target, step: Step) -> Payer:
        """Who pays for a step.

        In cumulative mode the payer that the first step took, the paired one and the warm-up included. A fresh step
        needs one with its whole budget; a load, or the first cumulative step, prefers such a one and takes any that is
        not denied.
        """
        given = self.record.given
        cumulative = self.settings.mode == "cumulative" and step.kind != "pinpoint"
        for payer in target.payers:
            if cumulative and given and checksum(payer.address) == given[0]:
                return payer
        usable = None
        for payer in target.payers:
            fees = await target.fees(payer.address)
            unspent = fees is None or (fees.spent == 0 and not fees.denied)
            if unspent and checksum(payer.address) not in given:
                return payer
            if usable is None and (fees is None or not fees.denied):
                usable = payer
        if usable is not None and (cumulative or not self.toward_limit):
            return usable
        raise TargetError(
            f"step {step.number} needs a payer with budget left, and none of {len(target.payers)} has it",
            where=target.url,
            hint="Redeem or top up, give other payers, or raise --standin-payers",
        )

    @property
    def _rate(self) -> float:
        return self.settings.rate or DEFAULT_RATE

    @property
    def _concurrency(self) -> int | None:
        settings = self.settings
        if settings.concurrency is None and settings.rate is None and settings.profiler != "none":
            return PROFILED_IN_FLIGHT
        return settings.concurrency

    def _plan(self, receipts: int, step: int) -> Plan:
        settings = self.settings
        if self._concurrency is not None:
            return ClosedPlan(receipts, self._concurrency)
        return OpenPlan(receipts, self._rate, settings.arrivals, settings.seed + step)

    def _spec(self, target: Target, payer: Payer, plan: Plan, step: int) -> StepSpec:
        settings = self.settings
        return StepSpec(
            url=target.paid_url,
            query=settings.query,
            plan=plan,
            buffer=self.record.folder.live_samples(step),
            receipt=receipt_template(target, payer),
            step=step,
            seed=settings.seed,
            timeout_s=max(settings.timeout_s, 0.0 if settings.profiler == "none" else PROFILED_TIMEOUT_S),
            max_in_flight=settings.max_in_flight,
            timestamp_window_s=settings.timestamp_window_s,
        )

    async def _before(self, target: Target, watch: Watch, step: Step, payer: Payer) -> _Before:
        """The state a step starts from; the first step's is the prediction of the run."""
        address = checksum(payer.address)
        watch.step, watch.payer = step.number, payer.address
        fees = await target.fees(payer.address)
        if fees is not None and target.agent_metrics_url is None:
            # nobody says what was spent: at least what this run has spent itself
            paid = sum(row.paid for row in self.record.rows if row.payer == address)
            fees = replace(fees, unaggregated=paid * self.settings.value_wei)
        found = None if fees is None else budget(fees, self.settings.value_wei)
        if self.predicted is None and step.kind != "pinpoint" and not self.record.rows:
            prediction = predict(fees, found, self.settings.value_wei)
            self.predicted = prediction.receipts
            self.record.folder.update_manifest(prediction=prediction_json(prediction))
            self.record.event("predicted", receipts=prediction.receipts, sentence=prediction.sentence)
        self.record.give(step.number, address)
        self.record.event(
            "step_started",
            step=step.number,
            kind_of_step=step.kind,
            receipts=step.receipts,
            payer=address,
            budget=None if found is None else found.receipts,
        )
        stored = await asyncio.to_thread(target.stored, payer)
        return _Before(fees, None if found is None else found.receipts, stored)

    async def _after(
        self,
        target: Target,
        step: Step,
        payer: Payer,
        plan: Plan,
        before: _Before,
        report: StepReport,
        cut: Cut | None,
        service_cpu_s: float = math.nan,
    ) -> None:
        """What a step did: denial, settling, audit, judgement, profile; written and learnt from."""
        settings = self.settings
        samples = self.record.samples(step.number)
        denial = find_denial(
            samples,
            spent_wei=0 if before.fees is None else before.fees.spent,
            value_wei=settings.value_wei,
            budget=before.budget,
        )
        stored = await self._stored(target, payer, before)
        taken = denial.paid if stored is None else stored
        unsure = sum(is_unsure(CODE_OF[Outcome(name)]) for name in samples["outcome"].astype(str))
        settled = await settle(
            target,
            payer.address,
            await self._expected(target, payer, before, taken, cut),
            settings.settle_timeout_s,
            unsure=max(0, unsure - max(0, taken - denial.paid)),
        )
        stored = await self._stored(target, payer, before)
        charged, counted = self._charged(before, settled, denial.paid, checksum(payer.address))
        summary = summarise(samples, plan, report)
        if step.kind == "pinpoint":
            judgement = judge_walk(summary, denial, None if settled.fees is None else settled.fees.denied, stored)
        else:
            judgement = judge_step(
                summary,
                denial,
                charged,
                before.budget,
                stored,
                toward_limit=self.toward_limit,
                distorted=self.session is not None,
            )
        row = steps_table.step_row(
            step=step.number,
            kind=step.kind,
            plan=plan,
            payer=checksum(payer.address),
            value_wei=settings.value_wei,
            before=before.fees,
            budget=before.budget,
            summary=summary,
            denial=denial,
            after=settled.fees,
            settled=settled.complete,
            settle_s=settled.seconds,
            counted=counted,
            stored=stored,
            judgement=judgement,
            profiler="none" if self.session is None else self.session.mode,
            service_cpu_s=service_cpu_s,
        )
        if cut is not None:
            await asyncio.to_thread(self.record.keep_profiles, step, summary, cut.windows)
        self.record.write(row, samples)
        self._learn(row)
        self.record.event(
            "step_finished",
            step=step.number,
            accepted=row.accepted,
            denied=row.denied,
            failed=row.failed,
            throughput_per_s=round(row.throughput_per_s, 1),
            verdict=row.verdict,
            reason=row.reason,
        )

    async def _expected(self, target: Target, payer: Payer, before: _Before, taken: int, cut: Cut | None) -> int | None:
        """How many receipts of the payer the agent will have received once it has counted the step.

        An agent counts from its start, and takes what is in the database then into its sums without counting it: one
        that was started again at the end of the step's window (pprofile's) has none of the step's to come.
        """
        if before.fees is None:
            return None
        if cut is None or self.session is None or self.session.mode != "pprofile":
            return before.fees.received + taken
        try:
            fees = await target.fees(payer.address)
        except TargetError:
            return None
        return None if fees is None else fees.received

    async def _stored(self, target: Target, payer: Payer, before: _Before) -> int | None:
        """Receipts of the step in the database, where it can be read."""
        found = await asyncio.to_thread(target.stored, payer)
        return None if found is None or before.stored is None else found - before.stored

    def _charged(self, before: _Before, settled: Settled, paid: int, payer: str) -> tuple[int, float]:
        """Receipts that the step was charged for, and all that its budget was charged for since the run began.

        By the agent's own count where it is complete: a receipt whose answer was lost is charged all the same. Else
        what the answers say, and NaN.
        """
        value = self.settings.value_wei
        if not settled.complete or settled.fees is None or before.fees is None or not value:
            return paid, math.nan
        rows = [row for row in self.record.rows if row.payer == payer]
        start = round(rows[0].fees_before_grt * WEI_PER_GRT) if rows else before.fees.spent
        spent = settled.fees.spent
        return round((spent - before.fees.spent) / value), float(round((spent - start) / value))

    def _progress(self, step: Step, watch: Watch) -> Callable[[dict[str, int]], None]:
        last = 0.0

        def on_progress(message: dict[str, int]) -> None:
            nonlocal last
            watch.generator(message["pid"])
            if time.monotonic() - last >= PROGRESS_EVENT_S:
                last = time.monotonic()
                self.record.event("progress", step=step.number, receipts=step.receipts, **message)

        return on_progress


def _reach(step: Step, quiet: bool | None) -> list[str]:
    """What has to be said of the end of a step's window: ``quiet`` whether its processes were, None where they could
    not be watched."""
    if quiet is None:
        return [
            "The service's processes are not of this machine: what they did after the last answer, such as the agent's "
            "counting, can be missing from a window"
        ]
    if not quiet:
        return [f"The window of step {step.number} ended while the service was still at work: a part can be missing"]
    return []


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
