"""Finds the exact limit with a fresh payer: many receipts at once to get near it, then one by one.

After each single receipt it waits until the agent has counted it. So the receipt after which the agent denies the payer
is exactly the one that triggered denial, whatever the denial lag is under load.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial

from workbench.analysis.limit import Bracket
from workbench.errors import TargetError
from workbench.load.client import ReceiptClient
from workbench.load.engines.child import child_process
from workbench.load.outcome import CODE_OF, Outcome, is_paid, is_unsure
from workbench.load.plan import ClosedPlan
from workbench.load.samples import SampleBuffer, nonces_from
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.payer import Payer
from workbench.service.connect import Target
from workbench.sweep.measure import finish, plan_step, progress
from workbench.sweep.payers import payer_of
from workbench.sweep.reachable import require_reachable, send_while_reachable
from workbench.sweep.settle import settle
from workbench.sweep.setup import Setup, plan_of
from workbench.sweep.steps import Step

APPROACH = 10
MAX_WALK = 250


def approach(bracket: Bracket, predicted: int | None) -> tuple[int, int] | None:
    """How many receipts to send at once, and the most to reach one by one; None if there is nothing to find.

    Observations go before the prediction: the start is a count that was seen undenied, or just under the prediction if
    that agrees with the observations.
    """
    if bracket.high is None or bracket.exact:
        return None
    low = bracket.low or 0
    start = low
    if predicted is not None and low < predicted <= bracket.high:
        start = max(low, predicted - APPROACH)
    if start >= bracket.high:
        return None
    return start, min(bracket.high, start + MAX_WALK)


async def pinpoint(setup: Setup, number: int) -> None:
    """Find the exact limit as step ``number``, with a separate payer.

    If that is not possible, an event says why.
    """
    learnt, target, record = setup.record.learnt, setup.target, setup.record
    way = approach(learnt.bracket, learnt.predicted)
    if way is None:
        return
    at_once, up_to = way
    step = Step(number, up_to, "pinpoint")
    try:
        if target.agent_metrics_url is None:
            raise TargetError("the agent must be asked after each receipt", hint="Give --agent-metrics-url")
        payer = await payer_of(target, setup.settings, record.given, step, toward_limit=setup.toward_limit)
    except TargetError as error:
        record.event("pinpoint_left_out", why=str(error))
        return
    planned = await plan_step(setup, step, payer, ClosedPlan(up_to, 1))
    record.learnt = replace(record.learnt, approached=at_once)
    record.folder.update_manifest(approached=at_once)
    buffer = SampleBuffer.create(planned.spec.buffer, up_to)
    started_ns, cpu_s = time.monotonic_ns(), 0.0
    if at_once:
        bulk = replace(planned.spec, plan=plan_of(setup.settings, at_once, number))
        send = partial(child_process, bulk, payer.key)
        cpu_s = (await send_while_reachable(setup, step, send, progress(setup, step))).cpu_s
    fees = planned.before.fees
    received = 0 if fees is None else fees.received
    await walk(target, payer, planned.spec, buffer, at_once, received, setup.settings.settle_timeout_s)
    await require_reachable(setup, step)
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
    await finish(setup, replace(planned, plan=ClosedPlan(max(sent, 1), 1)), report)


async def walk(
    target: Target,
    payer: Payer,
    spec: StepSpec,
    buffer: SampleBuffer,
    at_once: int,
    received_before: int,
    settle_timeout_s: float,
) -> None:
    """Send the receipts from index ``at_once`` on one by one, until the payer is denied; rows go into ``buffer``.

    Ends early when the agent stops counting. Its latencies mean nothing: it runs in the caller's loop, at its own pace.
    """
    if spec.receipt is None:
        return
    signer = spec.receipt.signer(payer.key)
    nonce = nonces_from(spec.seed, spec.step, at_once, len(buffer.rows) - at_once).tolist()
    expected, unsure = received_before + buffer.paid(), buffer.unsure()
    client = ReceiptClient(spec.url, spec.body, timeout_s=spec.timeout_s)
    try:
        for index in range(at_once, len(buffer.rows)):
            settled = await settle(target, payer.address, expected, settle_timeout_s, unsure=unsure)
            if not settled.complete or settled.fees is None or settled.fees.denied:
                return
            receipt = signer.header(time.time_ns(), nonce[index - at_once], spec.receipt.value_wei).encode()
            seen = await client.exchange(receipt)
            buffer.record(index, seen.sent_ns, seen)
            if seen.outcome == CODE_OF[Outcome.DENIED]:
                return
            # by the agent's count, which includes receipts whose answers were lost
            expected = settled.fees.received + is_paid(seen.status, seen.outcome)
            unsure = int(is_unsure(seen.outcome))
    finally:
        await client.close()
