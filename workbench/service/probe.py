"""One request that asks the service whether it would accept a payer's receipts, and costs nothing.

The service checks a receipt in a fixed order and answers with the first check that fails. The probe is a receipt like
the planned ones, with one fault that only a late check finds: it names another payer (V2) or has the value 0 (V1). If
the service refuses it for that fault, allocation, escrow, clock, denylist and value are in order; the receipt is not
stored and nobody is charged.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, replace

from workbench.errors import TargetError
from workbench.load.outcome import CODE_OF, Outcome, classify, is_paid
from workbench.load.request import RECEIPT_HEADER
from workbench.receipts.payer import Payer
from workbench.receipts.template import ReceiptTemplate
from workbench.service.fetch import post_json

NOBODY = bytes(20)
_PASSED = {2: "Invalid payer: receipt claims payer", 1: "does not have the minimum value"}


@dataclass(frozen=True)
class ProbeAnswer:
    """The service's answer. ``message``: the text of its refusal. ``passed``: only the check that had to refuse the
    probe refused it. ``charged``: it was charged as a receipt, which no known release does."""

    status: int
    message: str
    outcome: Outcome
    passed: bool
    charged: bool


async def probe(url: str, template: ReceiptTemplate, payer: Payer, query: str, timeout_s: float) -> ProbeAnswer:
    """Send the probe of ``payer`` to the paid route ``url``. Raises TargetError if no answer comes."""
    asking = replace(template, payer=NOBODY.hex()) if template.version == 2 else replace(template, value_wei=0)
    header = asking.signer(payer.key).header(time.time_ns(), secrets.randbits(63), asking.value_wei)
    answer = await post_json(
        url, {"query": query}, "the indexer-service", headers={RECEIPT_HEADER: header}, timeout_s=timeout_s
    )
    outcome = classify(answer.status, answer.text.encode())
    return ProbeAnswer(
        status=answer.status,
        message=_message(answer.text),
        outcome=outcome,
        passed=answer.status == 400 and _PASSED[template.version] in answer.text,
        charged=is_paid(answer.status, CODE_OF[outcome]),
    )


@dataclass(frozen=True)
class Attestation:
    """Whether graph-node calls an answer attestable, and whether the service attested the same query."""

    attestable: bool
    attested: bool


async def ask_attestation(paid_url: str, query_url: str, token: str, query: str) -> Attestation | None:
    """Send a free query to the service and the same to graph-node; None if one of them does not answer it.

    ``paid_url`` ends with a path that graph-node has too. A free query is attested like a paid one, by the deployment's
    allocation.
    """
    path = paid_url[paid_url.index("/subgraphs/id/") :]
    try:
        free = await post_json(
            paid_url, {"query": query}, "the indexer-service", headers={"Authorization": f"Bearer {token}"}
        )
        direct = await post_json(f"{query_url}{path}", {"query": query}, "graph-node")
    except TargetError:
        return None
    try:
        attested = json.loads(free.text)["attestation"] is not None
    except (ValueError, KeyError, TypeError):
        return None
    return Attestation(direct.headers.get("graph-attestable", "").lower() == "true", attested)


def _message(text: str) -> str:
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text
    return " ".join(str(message).rpartition("performing check: ")[2].split())[:200]
