"""Measures one step: plans it, sends it, waits until the agent has counted it, judges and writes it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from workbench.analysis.conclude import judge_step, judge_walk, predict, prediction_json
from workbench.analysis.limit import Denial, find_denial, heard_denial
from workbench.analysis.step_row import Judgement, StepRow, step_row
from workbench.errors import TargetError
from workbench.load.engines.conduct import OnProgress
from workbench.load.plan import Plan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepReport
from workbench.load.summary import StepSummary, summarise, tally
from workbench.profilers.session import Cut
from workbench.receipts.address import checksum
from workbench.receipts.fields import WEI_PER_GRT
from workbench.receipts.payer import Payer
from workbench.service.budget import Fees, budget
from workbench.service.stored import Stored, StoredSince, since
from workbench.settings import Settings
from workbench.sweep.payers import payer_of
from workbench.sweep.quiet import until_quiet, used_cpu_s
from workbench.sweep.reachable import send_while_reachable
from workbench.sweep.record import Record
from workbench.sweep.settle import Settled, settle
from workbench.sweep.setup import Before, PlannedStep, Setup, plan_of, spec_of
from workbench.sweep.steps import Step
from workbench.sweep.watch import pause_s
from workbench.sweep.windows import open_window, reach

PROGRESS_EVENT_S = 1.0


async def measure(setup: Setup, step: Step, payer: Payer | None = None, plan: Plan | None = None) -> StepRow:
    """Measure and write a step; returns its row. Raises before it begins if a program of the run has ended, and later
    if the target is gone.

    ``payer`` and ``plan`` replace those of the settings.
    """
    if setup.require_alive is not None:
        await setup.require_alive()
    planned = await plan_step(setup, step, payer, plan)
    spec, key = planned.spec, planned.payer.key
    SampleBuffer.create(spec.buffer, planned.plan.count)
    async with AsyncExitStack() as window:
        cut = await open_window(window, setup, step)
        pids = await _watched_pids(setup, step)
        used_s = used_cpu_s(pids)
        report = await send_while_reachable(setup, step, partial(setup.send, spec, key), progress(setup, step))
        quiet = await until_quiet(pids, setup.settings.settle_timeout_s) if pids else None
        used_s = used_cpu_s(pids) - used_s
        if cut is not None:
            cut.notes += reach(step, quiet)
            cut.facts["session"] = setup.record.session
            await window.aclose()
        return await finish(setup, planned, report, cut, used_s)


async def plan_step(setup: Setup, step: Step, payer: Payer | None = None, plan: Plan | None = None) -> PlannedStep:
    """Plan a step without sending anything. The prediction of the run is made from the state before the first step.

    ``payer`` and ``plan`` replace those of the settings.
    """
    settings, record, target = setup.settings, setup.record, setup.target
    if payer is None:
        payer = await payer_of(target, settings, record.given, step, toward_limit=setup.toward_limit)
    if plan is None:
        plan = plan_of(settings, step.receipts, step.number)
    address = checksum(payer.address)
    setup.watch.step, setup.watch.payer = step.number, payer.address
    fees, stored = await target.fees(payer.address), await _rows(setup, payer)
    if fees is not None and target.agent_metrics_url is None:
        fees = _without_agent(fees, stored, record.paid_by(address), settings)
    found = None if fees is None else budget(fees, settings.value_wei)
    if record.learnt.predicted is None and step.kind != "pinpoint" and not record.rows:
        prediction = predict(fees, found, settings.value_wei)
        record.learnt = replace(record.learnt, predicted=prediction.receipts)
        record.folder.update_manifest(prediction=prediction_json(prediction))
        record.event("predicted", receipts=prediction.receipts, sentence=prediction.sentence)
    record.give(step.number, address, None if fees is None else fees.spent)
    left = None if found is None else found.receipts
    record.event(
        "step_started",
        step=step.number,
        kind_of_step=step.kind,
        receipts=step.receipts,
        payer=address,
        budget=left,
    )
    spec = spec_of(setup, payer, plan, step.number)
    return PlannedStep(step, payer, plan, spec, Before(fees, left, stored))


async def finish(
    setup: Setup,
    planned: PlannedStep,
    report: StepReport,
    cut: Cut | None = None,
    service_cpu_s: float = math.nan,
) -> StepRow:
    """Finish a step: denial, waiting for the agent, audit, verdict, profile. Everything is written and its facts are
    kept for later steps."""
    settings, step, before = setup.settings, planned.step, planned.before
    # a large step takes seconds to summarise; watching goes on meanwhile
    live = setup.record.live(step.number)
    tallied = await asyncio.to_thread(tally, live)
    denial = await asyncio.to_thread(
        find_denial,
        live,
        spent_wei=0 if before.fees is None else before.fees.spent,
        value_wei=settings.value_wei,
        budget=before.budget,
    )
    settled, found = await _settled(setup, planned, tallied.unsure, denial, cut)
    denied_ns = None
    if setup.denylist is not None:
        denied_ns = setup.denylist.denied_ns(planned.payer.address, report.started_ns)
    charged, counted = _charged(setup, planned, settled, denial.paid)
    summary = await asyncio.to_thread(summarise, live, planned.plan, report, tallied)
    heard = await asyncio.to_thread(heard_denial, live, denial, denied_ns)
    setup.record.keep_generators(step.number, report)
    row = step_row(
        step=step.number,
        kind=step.kind,
        repeat=step.repeat,
        plan=planned.plan,
        payer=planned.address,
        value_wei=settings.value_wei,
        before=before.fees,
        budget=before.budget,
        summary=summary,
        denial=denial,
        after=settled.fees,
        settled=settled.complete,
        settle_s=settled.seconds,
        counted=counted,
        judgement=_judgement(setup, planned, summary, denial, settled, charged, found),
        profiler="none" if setup.session is None else setup.session.mode,
        service_cpu_s=service_cpu_s,
        found=found,
        heard=heard,
        survived=_survived(setup, planned, settled),
    )
    if cut is not None:
        await asyncio.to_thread(setup.record.keep_profiles, step, summary, cut.windows)
    await _to_its_end(setup.record.keep_rows, step.number, tallied)
    setup.record.write(row)
    _say_finished(setup, row)
    return row


def _say_finished(setup: Setup, row: StepRow) -> None:
    setup.record.event(
        "step_finished",
        step=row.step,
        accepted=row.accepted,
        denied=row.denied,
        failed=row.failed,
        throughput_per_s=round(row.throughput_per_s, 1),
        verdict=row.verdict,
        reason=row.reason,
    )


async def _to_its_end(work: Callable[..., None], *arguments: Any) -> None:
    """Do ``work`` in a thread and, if cancelled, wait for it: nothing else may touch its files before it has ended."""
    task = asyncio.create_task(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


async def _settled(
    setup: Setup, planned: PlannedStep, unsure: int, denial: Denial, cut: Cut | None
) -> tuple[Settled, StoredSince | None]:
    """The agent's view of the payer after it has counted the step, and the payer's rows in the database then."""
    found = await _since(setup, planned)
    taken = denial.paid if found is None else found.receipts
    settled = await settle(
        setup.target,
        planned.payer.address,
        await _expected(setup, planned, taken, cut),
        setup.settings.settle_timeout_s,
        unsure=max(0, unsure - max(0, taken - denial.paid)),
    )
    return settled, None if found is None else await _since(setup, planned)  # a lost database is reported once


def progress(setup: Setup, step: Step) -> OnProgress:
    """Turns the generators' messages into events (one a second, fewer in a long step) and into processes to watch."""
    began, last = time.monotonic(), 0.0

    def on_progress(message: dict[str, Any]) -> None:
        nonlocal last
        setup.watch.generator(message["pids"])
        setup.record.generators[step.number] = message["generators"]
        now = time.monotonic()
        if now - last >= pause_s(now - began, PROGRESS_EVENT_S):
            last = now
            setup.record.event("progress", step=step.number, receipts=step.receipts, **message)

    return on_progress


def _judgement(
    setup: Setup,
    planned: PlannedStep,
    summary: StepSummary,
    denial: Denial,
    settled: Settled,
    charged: int,
    found: StoredSince | None,
) -> Judgement:
    if planned.step.kind == "pinpoint":
        return judge_walk(summary, denial, None if settled.fees is None else settled.fees.denied, found)
    return judge_step(
        summary,
        denial,
        charged,
        planned.before.budget,
        found,
        toward_limit=setup.toward_limit,
        distorted=setup.session is not None,
    )


async def _watched_pids(setup: Setup, step: Step) -> set[int]:
    """The services' processes in a profiled step; none if they are on another machine.

    A window ends when they have done all work of the step, including the agent's counting.
    """
    if step.kind == "paired":
        return set(setup.target.pids.values())
    if step.kind != "step" or setup.session is None:
        return set()
    # looked up again: some modes start a process for each window
    return set((await setup.session.backend.host_pids()).values())


async def _expected(setup: Setup, planned: PlannedStep, taken: int, cut: Cut | None) -> int | None:
    """How many receipts of the payer the agent has received when it has counted the step.

    An agent counts from its start; receipts already in the database go into its sums but not into its count. So an
    agent that was restarted at the end of the step's window counts none of the step's receipts.
    """
    fees = planned.before.fees
    if fees is None:
        return None
    if cut is None or setup.session is None or not setup.session.tool.run_a_window:
        return fees.received + taken
    try:
        fees = await setup.target.fees(planned.payer.address)
    except TargetError:
        return None
    return None if fees is None else fees.received


async def _rows(setup: Setup, payer: Payer) -> Stored | None:
    """The payer's rows in the database; None if it cannot be read or no longer answers.

    A lost database must not lose the measurement, so it is only an event.
    """
    try:
        return await asyncio.to_thread(setup.target.rows, payer)
    except TargetError as error:
        setup.record.event("database_note", why=f"How much was stored is not known: {error}")
        return None


async def _since(setup: Setup, planned: PlannedStep) -> StoredSince | None:
    """Rows added to the database since the step began, if it can be read."""
    before = planned.before.stored
    now = None if before is None else await _rows(setup, planned.payer)
    return None if before is None or now is None else since(before, now, setup.settings.value_wei)


def _without_agent(fees: Fees, stored: Stored | None, paid: int, settings: Settings) -> Fees:
    """The fees of a payer without an agent: from the database, otherwise from the ``paid`` receipts of this run, which
    is a lower bound."""
    if stored is None:
        return replace(fees, unaggregated=paid * settings.value_wei)
    return replace(
        fees,
        unaggregated=stored.unaggregated_wei,
        invalid=stored.invalid_wei,
        pending=stored.pending_wei,
        denied=stored.denied,
        source="settings, network subgraph and database",
    )


def _charged(setup: Setup, planned: PlannedStep, settled: Settled, paid: int) -> tuple[int, float]:
    """Receipts charged for in the step, and all receipts charged to its budget since the run began.

    From the agent's own count if it is complete, since a receipt whose answer was lost is charged too. Otherwise from
    the answers, and NaN.
    """
    value, before = setup.settings.value_wei, planned.before.fees
    if not settled.complete or settled.fees is None or before is None or not value:
        return paid, math.nan
    start = _spent_at_start(setup.record, planned)
    spent = settled.fees.spent
    return round((spent - before.spent) / value), float(round((spent - start) / value))


def _spent_at_start(record: Record, planned: PlannedStep) -> int:
    """The payer's fees at the agent, in wei, when the run first used the payer; one of its steps may have been cut off
    since."""
    known = record.spent_before.get(planned.address)
    if known is not None:
        return known
    rows = [row for row in record.rows if row.payer == planned.address]  # a run of an earlier release
    before = 0 if planned.before.fees is None else planned.before.fees.spent
    return round(rows[0].fees_before_grt * WEI_PER_GRT) if rows else before


def _survived(setup: Setup, planned: PlannedStep, settled: Settled) -> float:
    """The most receipts of the payer's budget that the agent held without denying the payer, before, during or after
    the step; less one, since the agent's figures are not all of one moment. NaN if this was not seen."""
    value, before = setup.settings.value_wei, planned.before.fees
    seen = [settled.survived_wei, setup.watch.survived_wei.get(planned.payer.address)]
    if before is not None and not before.denied and setup.target.agent_metrics_url is not None:
        seen.append(before.spent)
    most = max((wei for wei in seen if wei is not None), default=None)
    if most is None or not value:
        return math.nan
    return float(max(0, (most - _spent_at_start(setup.record, planned)) // value - 1))
