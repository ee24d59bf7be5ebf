"""The walk to the exact limit: a fresh payer is brought near it at once, then up to it receipt by receipt.

After each receipt the agent is given time to count it, so the receipt after which it holds the payer denied is the
one that triggered denial, whatever the denial lag is under load.
"""

from __future__ import annotations

import time

from workbench.analysis.limit import Bracket
from workbench.load.client import ReceiptClient
from workbench.load.outcome import CODE_OF, Outcome, is_paid, is_unsure
from workbench.load.samples import SampleBuffer, nonces
from workbench.load.spec import StepSpec
from workbench.receipts.payer import Payer
from workbench.service.connect import Target
from workbench.sweep.settle import settle

APPROACH = 10
MAX_WALK = 250


def approach(bracket: Bracket, predicted: int | None) -> tuple[int, int] | None:
    """How many receipts to send at once, and up to how many to go on one by one; None when there is nothing to find.

    Evidence goes before prediction: the start is a count that was survived, or just under the prediction where that
    lies inside what was observed.
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


async def walk(
    target: Target,
    payer: Payer,
    spec: StepSpec,
    buffer: SampleBuffer,
    at_once: int,
    received_before: int,
    settle_timeout_s: float,
) -> None:
    """Send the receipts from index ``at_once`` on one by one into ``buffer``, until the payer is denied.

    Ends early when the agent stops counting. Not for latencies: it runs in the caller's loop, at its own pace.
    """
    if spec.receipt is None:
        return
    signer = spec.receipt.signer(payer.key)
    nonce = nonces(spec.seed, spec.step, len(buffer.rows)).tolist()
    expected, unsure = received_before + buffer.paid(), buffer.unsure()
    client = ReceiptClient(spec.url, spec.body, timeout_s=spec.timeout_s)
    try:
        for index in range(at_once, len(buffer.rows)):
            settled = await settle(target, payer.address, expected, settle_timeout_s, unsure=unsure)
            if not settled.complete or settled.fees is None or settled.fees.denied:
                return
            seen = await client.exchange(signer.header(time.time_ns(), nonce[index], spec.receipt.value_wei))
            buffer.record(index, seen.sent_ns, seen)
            if seen.outcome == CODE_OF[Outcome.DENIED]:
                return
            # from what the agent has counted: a receipt whose answer was lost may be among it
            expected = settled.fees.received + is_paid(seen.status, seen.outcome)
            unsure = int(is_unsure(seen.outcome))
    finally:
        await client.close()
