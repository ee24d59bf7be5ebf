"""The experiment: steps against one target, everything written as it happens."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import (
    EXIT_INTERRUPTED,
    EXIT_TOOL,
    RunFolderError,
    SettingsError,
    TargetError,
    WorkbenchError,
)
from workbench.load.engines import child_process
from workbench.load.plan import ClosedPlan, OpenPlan, Plan
from workbench.load.samples import SampleBuffer, nonces, to_frame
from workbench.load.spec import StepReport, StepSpec
from workbench.load.summary import summarise
from workbench.receipts.address import checksum
from workbench.runs.atomic import write_parquet
from workbench.runs.folder import RunFolder, one_run_at_a_time, utc_now
from workbench.runs.machine import machine, versions
from workbench.runs.read import Run, open_run
from workbench.settings import Settings
from workbench.standin.accounts import Payer
from workbench.sweep import table
from workbench.sweep.conclude import (
    conclude_limit,
    conclude_run,
    judge_step,
    judge_walk,
    predict,
    prediction_json,
)
from workbench.sweep.limit import Bracket, find_denial
from workbench.sweep.pinpoint import approach, walk
from workbench.sweep.series import per_second
from workbench.sweep.settle import settle
from workbench.sweep.steps import Step, parse_steps
from workbench.sweep.watch import Clock, Watch, watching
from workbench.target.budget import Fees, budget
from workbench.target.connect import Target, connect, receipt_template

OnEvent = Callable[[str, dict[str, Any]], None]
DEFAULT_RATE = 400.0
"""Receipts per second of a sweep that names neither rate nor concurrency."""

PROGRESS_EVENT_S = 1.0


async def sweep(
    *,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    on_event: OnEvent | None = None,
    **parameters: Any,
) -> Run:
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
    denial_expected: bool = True,
) -> Run:
    """:func:`sweep` with resolved settings. ``denial_expected`` False: a denied receipt is a failure."""
    parse_steps(settings.receipts)
    if run_dir is not None and (run_dir / "manifest.json").exists():
        run = open_run(run_dir)
        if run.manifest["state"] == "finished":
            return run
        if run.manifest["state"] != "new":
            raise RunFolderError(
                f"holds a run that is {run.manifest['state']}", where=str(run_dir), hint="Go on with --resume"
            )
    with one_run_at_a_time(settings.runs_dir):
        folder = RunFolder.at(run_dir) if run_dir else RunFolder.create(settings.runs_dir, settings.name)
        with folder.locked():
            await _Experiment(settings, folder, on_event, denial_expected).run()
    return open_run(folder.path)


async def resume_sweep(folder: RunFolder, on_event: OnEvent | None = None) -> Run:
    """Go on with an interrupted run at its first step without samples; a finished run is opened."""
    if folder.manifest()["state"] == "finished":
        return open_run(folder.path)
    settings = stored_settings(folder)
    with one_run_at_a_time(settings.runs_dir), folder.locked():
        await _Experiment(settings, folder, on_event).run()
    return open_run(folder.path)


def stored_settings(folder: RunFolder) -> Settings:
    """The settings a run was made with. Keys are not stored: they come from the environment or the settings file."""
    stored = {name: value for name, value in folder.manifest()["settings"].items() if name != "signer_keys"}
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
    """One session of a sweep over its folder: the state that grows step by step."""

    def __init__(
        self,
        settings: Settings,
        folder: RunFolder,
        on_event: OnEvent | None,
        denial_expected: bool = True,
    ) -> None:
        self.denial_expected = denial_expected
        self.settings = settings
        self.folder = folder
        self.on_event = on_event
        self.rows: list[table.StepRow] = []
        self.bracket = Bracket(None, None)
        self.predicted: int | None = None
        self.used: set[str] = set()
        self.approached = 0  # receipts the pinpoint sent before it went on one by one

    async def run(self) -> None:
        """All steps, and the conclusion. The manifest's state says how it ended."""
        steps = parse_steps(self.settings.receipts)
        try:
            self._begin(steps)
            async with connect(self.settings, self.folder.path) as target:
                await self._steps(target, steps)
            self._end()
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._stopped("interrupted", "interrupted by the user", EXIT_INTERRUPTED)
            raise
        except WorkbenchError as error:
            self._stopped("failed", str(error), error.exit_code)
            raise
        except Exception as error:
            self._stopped("failed", f"{type(error).__name__}: {error}", EXIT_TOOL)
            raise

    # --- beginning and end ------------------------------------------------------------------------------------

    def _begin(self, steps: tuple[Step, ...]) -> None:
        wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        if (self.folder.path / "manifest.json").exists() and self.folder.manifest()["state"] != "new":
            manifest = self.folder.manifest()
            self._take_up(manifest)
        else:
            manifest = {}
        sessions = manifest.get("clock", {}).get("sessions", [])
        sessions = [*sessions, {"step": len(self.rows), "wall_ns": wall_ns, "monotonic_ns": monotonic_ns}]
        self.clock = Clock(sessions[0]["wall_ns"], wall_ns, monotonic_ns)
        self.folder.update_manifest(
            name=self.settings.name,
            created=manifest.get("created", utc_now()),
            state="running",
            error=None,
            settings=self.settings.public(),
            versions=versions(),
            machine=machine(),
            clock={"sessions": sessions},
            steps_planned=[asdict(step) for step in steps],
        )
        write_parquet(self.folder.path / "plan.parquet", _plan_frame(steps, self.settings))
        self._event("run_started" if len(sessions) == 1 else "run_resumed", steps=len(steps), done=len(self.rows))

    def _take_up(self, manifest: dict[str, Any]) -> None:
        """Take over what an interrupted session finished, and put aside what it cut off."""
        self._put_aside(manifest)
        run = open_run(self.folder.path)
        rows = table.from_frame(run.steps) if len(run.steps) else []
        self.rows = [row for row in rows if self.folder.samples(row.step).exists()]
        for path in (self.folder.path / "samples").glob("step-*.parquet"):
            if int(path.stem.removeprefix("step-")) not in {row.step for row in self.rows}:
                # the step ended, but the workbench was killed before its row was written: it is run again
                path.replace(self.folder.interrupted_samples(int(path.stem.removeprefix("step-"))))
        self.used = set(manifest.get("payers", {}).values())
        self.approached = manifest.get("approached", 0)
        self.predicted = (manifest.get("prediction") or {}).get("receipts")
        for row in self.rows:
            self._learn(row)

    def _put_aside(self, manifest: dict[str, Any]) -> None:
        """Keep the rows of a step that was cut off, apart from those of finished steps."""
        for live in sorted((self.folder.path / "samples").glob("step-*.live")):
            step = int(live.stem.removeprefix("step-"))
            if not self.folder.samples(step).exists():
                rows = SampleBuffer.open(live).rows
                payer = manifest.get("payers", {}).get(str(step), "")
                samples = self._samples(rows, step, payer)
                if len(samples):
                    write_parquet(self.folder.interrupted_samples(step), samples)
            live.unlink()

    def _samples(self, rows: Any, step: int, payer: str) -> Any:
        return to_frame(
            rows,
            step=step,
            nonce=nonces(self.settings.seed, step, len(rows)),
            payer=payer,
            value_grt=float(self.settings.value_grt),
        )

    def _end(self) -> None:
        limit = conclude_limit(self.bracket, self.predicted, self.rows)
        verdict = conclude_run(self.rows, limit)
        self.folder.update_manifest(
            state="finished",
            finished=utc_now(),
            limit=limit,
            verdict=verdict,
            exit_code=verdict["exit_code"],
        )
        self._event("run_finished", verdict=verdict["verdict"], sentence=verdict["sentence"])

    def _stopped(self, state: str, why: str, exit_code: int) -> None:
        try:
            manifest = self.folder.update_manifest(state=state, error=why, exit_code=exit_code, stopped=utc_now())
            self._put_aside(manifest)
            self._event(f"run_{state}", why=why)
        except RunFolderError:
            pass  # a full disk: the first error is the one to tell, and --resume finds what there is

    # --- steps ------------------------------------------------------------------------------------------------

    async def _steps(self, target: Target, steps: tuple[Step, ...]) -> None:
        self.folder.update_manifest(
            target={
                "url": target.url,
                "is_standin": target.is_standin,
                "allocation": checksum(target.allocation),
                "service_metrics_url": target.service_metrics_url,
                "agent_metrics_url": target.agent_metrics_url,
                "graph_url": target.graph_url,
                "pids": target.pids,
            }
        )
        done = {row.step for row in self.rows}
        async with watching(Watch(target, self.clock)) as watch:
            for step in steps:
                if step.number in done:
                    continue
                if self.settings.stop_after_denial and any(row.denied_after_settle == "yes" for row in self.rows):
                    self._event("step_left_out", step=step.number, receipts=step.receipts)
                    continue
                payer = await self._payer(target, step)
                await self._step(target, watch, step, payer)
            if self.settings.pinpoint and len(steps) not in done:
                await self._pinpoint(target, watch, len(steps))

    async def _payer(self, target: Target, step: Step) -> Payer:
        """A payer with its whole budget, or in cumulative mode the one that the first step took."""
        if self.settings.mode == "cumulative" and step.kind == "step":
            known = self.folder.manifest().get("payers", {}).get("0")
            for payer in target.payers:
                if known is not None and checksum(payer.address) == known:
                    return payer
        for payer in target.payers:
            if checksum(payer.address) in self.used:
                continue
            fees = await target.fees(payer.address)
            if fees is None or (fees.spent == 0 and not fees.denied):
                return payer
        raise TargetError(
            f"step {step.number} needs a payer whose budget is unspent, and none of {len(target.payers)} is left",
            where=target.url,
            hint="Use --mode cumulative, give more payers, or raise --standin-payers",
        )

    def _plan(self, receipts: int, step: int) -> Plan:
        settings = self.settings
        if settings.concurrency is not None:
            return ClosedPlan(receipts, settings.concurrency)
        return OpenPlan(receipts, settings.rate or DEFAULT_RATE, settings.arrivals, settings.seed + step)

    def _spec(self, target: Target, payer: Payer, plan: Plan, step: int) -> StepSpec:
        settings = self.settings
        return StepSpec(
            url=target.paid_url,
            query=settings.query,
            plan=plan,
            buffer=self.folder.live_samples(step),
            receipt=receipt_template(target, payer),
            step=step,
            seed=settings.seed,
            timeout_s=settings.timeout_s,
            max_in_flight=settings.max_in_flight,
            timestamp_window_s=settings.timestamp_window_s,
        )

    async def _step(self, target: Target, watch: Watch, step: Step, payer: Payer) -> None:
        plan = self._plan(step.receipts, step.number)
        spec = self._spec(target, payer, plan, step.number)
        before = await self._before(target, watch, step, payer)
        SampleBuffer.create(spec.buffer, plan.count)
        report = await child_process(spec, payer.key, self._progress(step, watch))
        await self._finish_step(target, step, payer, plan, before, report)

    async def _before(self, target: Target, watch: Watch, step: Step, payer: Payer) -> _Before:
        """The state a step starts from; the first one is the prediction of the run."""
        address = checksum(payer.address)
        watch.step, watch.payer = step.number, payer.address
        self.watch = watch
        fees = await target.fees(payer.address)
        found = None if fees is None else budget(fees, self.settings.value_wei)
        if self.predicted is None and step.kind == "step" and not self.rows:
            prediction = predict(fees, found, self.settings.value_wei)
            self.predicted = prediction.receipts
            self.folder.update_manifest(prediction=prediction_json(prediction))
            self._event("predicted", receipts=prediction.receipts, sentence=prediction.sentence)
        self.used.add(address)
        payers = self.folder.manifest().get("payers", {})
        self.folder.update_manifest(payers={**payers, str(step.number): address})
        self._event(
            "step_started",
            step=step.number,
            kind_of_step=step.kind,
            receipts=step.receipts,
            payer=address,
            budget=None if found is None else found.receipts,
        )
        stored = await asyncio.to_thread(target.stored, payer)
        return _Before(fees, None if found is None else found.receipts, stored)

    async def _finish_step(
        self, target: Target, step: Step, payer: Payer, plan: Plan, before: _Before, report: StepReport
    ) -> None:
        settings, address = self.settings, checksum(payer.address)
        buffer = SampleBuffer.open(self.folder.live_samples(step.number))
        samples = self._samples(buffer.rows, step.number, address)
        denial = find_denial(
            samples,
            spent_wei=0 if before.fees is None else before.fees.spent,
            value_wei=settings.value_wei,
            budget=before.budget,
        )
        received = None if before.fees is None else before.fees.received + denial.paid
        settled = await settle(target, payer.address, received, settings.settle_timeout_s)
        stored = await asyncio.to_thread(target.stored, payer)
        new = None if stored is None or before.stored is None else stored - before.stored
        summary = summarise(samples, plan, report)
        if step.kind == "pinpoint":
            judgement = judge_walk(denial, None if settled.fees is None else settled.fees.denied, new)
        else:
            judgement = judge_step(summary, denial, before.budget, new, denial_expected=self.denial_expected)
        row = table.step_row(
            step=step.number,
            kind=step.kind,
            plan=plan,
            payer=address,
            value_wei=settings.value_wei,
            before=before.fees,
            budget=before.budget,
            summary=summary,
            denial=denial,
            after=settled.fees,
            settled=settled.complete,
            settle_s=settled.seconds,
            stored=new,
            judgement=judgement,
        )
        self._write(row, samples)
        self._learn(row)
        self._event(
            "step_finished",
            step=step.number,
            accepted=row.accepted,
            denied=row.denied,
            failed=row.failed,
            throughput_per_s=round(row.throughput_per_s, 1),
            verdict=row.verdict,
            reason=row.reason,
        )

    def _write(self, row: table.StepRow, samples: Any) -> None:
        """Samples first: the row says that the step is complete."""
        import pandas as pd

        path = self.folder.path
        write_parquet(self.folder.samples(row.step), samples)
        self.folder.live_samples(row.step).unlink()
        run = open_run(path)
        series = per_second(samples, row.step, self.clock)
        earlier = run.series
        write_parquet(path / "series.parquet", pd.concat([earlier, series]) if len(earlier) else series)
        watched, self.watch.rows = self.watch.frame(), []
        earlier = run.watch
        write_parquet(path / "watch.parquet", pd.concat([earlier, watched]) if len(earlier) else watched)
        self.rows.append(row)
        write_parquet(path / "steps.parquet", table.to_frame(self.rows))

    def _learn(self, row: table.StepRow) -> None:
        """What the step says about the limit, in receipts of one fresh budget."""
        paid = row.paid
        if self.settings.mode == "cumulative" and row.value_grt and not math.isnan(row.fees_after_grt):
            paid = round(row.fees_after_grt / row.value_grt)
        denied = {"yes": True, "no": False}.get(row.denied_after_settle)
        if row.kind == "pinpoint" and denied and paid > self.approached:
            # the agent had counted the receipt before the last one, and had not denied the payer
            self.bracket = self.bracket.with_step(paid - 1, False)
        self.bracket = self.bracket.with_step(paid, denied)

    async def _pinpoint(self, target: Target, watch: Watch, number: int) -> None:
        """Find the limit to the receipt, with a payer of its own."""
        way = approach(self.bracket, self.predicted)
        if way is None or target.agent_metrics_url is None:
            return
        at_once, up_to = way
        step = Step(number, up_to, "pinpoint")
        try:
            payer = await self._payer(target, step)
        except TargetError as error:
            self._event("pinpoint_left_out", why=str(error))
            return
        before = await self._before(target, watch, step, payer)
        self.approached = at_once
        self.folder.update_manifest(approached=at_once)
        buffer = SampleBuffer.create(self.folder.live_samples(number), up_to)
        spec = self._spec(target, payer, ClosedPlan(up_to, 1), number)
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
        await self._finish_step(target, step, payer, ClosedPlan(max(sent, 1), 1), before, report)

    # --- events ---------------------------------------------------------------------------------------------------

    def _progress(self, step: Step, watch: Watch) -> Callable[[dict[str, int]], None]:
        last = 0.0

        def on_progress(message: dict[str, int]) -> None:
            nonlocal last
            watch.generator(message["pid"])
            if time.monotonic() - last >= PROGRESS_EVENT_S:
                last = time.monotonic()
                self._event("progress", step=step.number, receipts=step.receipts, **message)

        return on_progress

    def _event(self, kind: str, **facts: Any) -> None:
        self.folder.event(kind, **facts)
        if self.on_event is not None:
            self.on_event(kind, facts)


def _plan_frame(steps: tuple[Step, ...], settings: Settings) -> Any:
    """The plan as a table: ``step``, ``receipts``, ``rate_per_s``, ``concurrency`` (NaN where it is not the loop)."""
    import pandas as pd

    rate = math.nan if settings.concurrency is not None else settings.rate or DEFAULT_RATE
    return pd.DataFrame(
        {
            "step": [step.number for step in steps],
            "receipts": [step.receipts for step in steps],
            "rate_per_s": rate,
            "concurrency": math.nan if settings.concurrency is None else float(settings.concurrency),
        }
    )
