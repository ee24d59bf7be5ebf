"""The paid route, ``POST /subgraphs/id/{id}``: the service's stages in the service's order.

Deployment, receipt, allocation, sender; then, inside the histogram: context (the body), auth (the checks and the
store), and the query itself. The receipt is stored before graph-node is asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from workbench.errors import ReceiptError
from workbench.receipts import v1, v2
from workbench.receipts.address import checksum, collection_of, deployment_to_qm
from workbench.receipts.eip712 import Domain
from workbench.standin.answers import compact, error, json_answer
from workbench.standin.backend import Backend, BackendError
from workbench.standin.checks import Candidate, Knowledge, first_failure
from workbench.standin.deployment import NoDeployment, read_deployment
from workbench.standin.http.body import BrokenBody
from workbench.standin.http.messages import Answer, BodyTooLarge, Request
from workbench.standin.metrics import ServiceMetrics, address_label
from workbench.standin.serde.structs import query_body
from workbench.standin.serde.tokens import BodyError
from workbench.standin.store import NewReceipt, ReceiptStore, StorageError, new_receipt_v1, new_receipt_v2
from workbench.standin.switches import Switches

MAX_BODY_BYTES = 2 * 1024 * 1024

_CHECK_PREFIX = "Issues with provided receipt: Receipt error: Issue encountered while performing check: "
_STORE_PREFIX = "Issues with provided receipt: Error from adapter.\n Caused by: "

Signed = v1.SignedReceipt | v2.SignedReceipt
Labels = tuple[str, str, str]


@dataclass(frozen=True)
class PaidConfig:
    """The route's configuration."""

    domain_v2: Domain
    domain_v1: Domain
    accept_v1: bool
    free_query_token: str
    allocations: dict[bytes, bytes]


class PaidRoute:
    """The handler; one instance a service."""

    def __init__(
        self,
        config: PaidConfig,
        known: Knowledge,
        store: ReceiptStore,
        backend: Backend,
        switches: Switches,
        metrics: ServiceMetrics,
        seed: int,
    ) -> None:
        self._config = config
        self._known = known
        self._store = store
        self._backend = backend
        self._switches = switches
        self._metrics = metrics
        self._bearer = f"Bearer {config.free_query_token}"
        self._random = Random(seed)  # noqa: S311 - which connections are reset, no secret

    async def handle(self, request: Request, segment: bytes) -> Answer | None:
        """One paid or free query; ``segment`` is the path's last part. None when the connection was reset."""
        if self._switches.reset_share and self._random.random() < self._switches.reset_share:
            request.reset()
            return None
        deployment = _deployment(segment)
        signed = self._decode(request.header("tap-receipt"))
        candidate = sender = None
        if signed is not None:
            try:
                signer = self._signer(signed)
            except ReceiptError as problem:
                return error(400, f"Issues with provided receipt: {problem.what}")
            sender = self._known.chain.sender_of(signer)
            if sender is None:
                found = f"No sender found for signer {checksum(signer)}"
                return error(402, f"There was an error while accessing escrow account: {found}")
            candidate = _candidate(signed, sender)
        labels = self._labels(deployment, candidate, sender)
        started = time.perf_counter()
        answer = await self._metered(request, deployment, signed, candidate, sender, labels)
        self._metrics.handled(labels, answer.status, time.perf_counter() - started)
        return answer

    async def _metered(
        self,
        request: Request,
        deployment: str | None,
        signed: Signed | None,
        candidate: Candidate | None,
        sender: bytes | None,
        labels: Labels,
    ) -> Answer:
        if deployment is None:
            return error(500, "Could not find deployment id")
        try:
            body = await request.read(MAX_BODY_BYTES)
            query = query_body(body)
        except BodyTooLarge:
            return error(502, "length limit exceeded")
        except BrokenBody:
            return error(502, "error reading a body from connection")
        except BodyError as problem:
            return error(502, str(problem))
        if request.header("authorization") != self._bearer:
            if signed is None or candidate is None or sender is None:
                return error(402, "No Tap receipt was found in the request")
            refusal = await self._take(signed, candidate, sender)
            if refusal is not None:
                self._metrics.receipt_failed(labels)
                return refusal
        try:
            body.decode()
            text = await self._backend.query(f"subgraphs/id/{deployment}", query)
        except UnicodeDecodeError as problem:
            return Answer(200, compact(_envelope(_not_utf8(problem))), "text/plain; charset=utf-8")
        except BackendError as problem:
            text = compact({"message": f"Failed to process query: {problem}"}).decode()
            return json_answer(_envelope(text))
        indexed = self._switches.graph_indexed
        return Answer(200, _success(text), headers=() if indexed is None else (("graph-indexed", indexed),))

    def _decode(self, header: str | None) -> Signed | None:
        if header is not None:
            try:
                return v2.decode_header(header)
            except ReceiptError:
                if self._config.accept_v1:
                    try:
                        return v1.decode_header(header)
                    except ReceiptError:
                        pass
        self._metrics.tap_invalid.inc()
        return None

    def _signer(self, signed: Signed) -> bytes:
        if isinstance(signed, v2.SignedReceipt):
            return signed.signer(self._config.domain_v2)
        return signed.signer(self._config.domain_v1)

    def _labels(self, deployment: str | None, candidate: Candidate | None, sender: bytes | None) -> Labels:
        allocation = candidate.allocation if candidate is not None else None
        if allocation is None and deployment is not None:
            allocation = self._config.allocations.get(read_deployment(deployment))
        return (
            deployment or "no-deployment",
            address_label(allocation) if allocation is not None else "no-allocation",
            address_label(sender) if sender is not None else "no-sender",
        )

    async def _take(self, signed: Signed, candidate: Candidate, sender: bytes) -> Answer | None:
        """Check and store a receipt: None, or the refusal."""
        failure = first_failure(candidate, sender, time.time_ns(), self._known)
        if failure is not None:
            return error(400, _CHECK_PREFIX + failure)
        # The real service recovers the signer a second time here, so this does too, for the same cost.
        receipt = self._row(signed, sender)
        try:
            await self._store.store(receipt)
        except StorageError as problem:
            return error(500, f"{_STORE_PREFIX}{problem}")
        return None

    def _row(self, signed: Signed, sender: bytes) -> NewReceipt:
        signer = self._signer(signed)
        if isinstance(signed, v2.SignedReceipt):
            return new_receipt_v2(signed, signer)
        return new_receipt_v1(signed, signer, sender, collection_of(signed.receipt.allocation_id))


def _candidate(signed: Signed, sender: bytes) -> Candidate:
    receipt = signed.receipt
    if isinstance(receipt, v2.Receipt):
        return Candidate(
            2,
            receipt.collection_id,
            receipt.payer,
            receipt.service_provider,
            receipt.data_service,
            receipt.timestamp_ns,
            receipt.value,
        )
    collection = collection_of(receipt.allocation_id)
    return Candidate(1, collection, sender, b"", b"", receipt.timestamp_ns, receipt.value)


@lru_cache(maxsize=1024)
def _deployment(segment: bytes) -> str | None:
    """The ``Qm...`` form of the path's id; None for an invalid id, which is answered two stages later."""
    try:
        return deployment_to_qm(read_deployment(segment.decode()))
    except (NoDeployment, UnicodeDecodeError):
        return None


def _envelope(text: str) -> dict[str, object]:
    return {"graphQLResponse": text, "attestation": None}


def _not_utf8(problem: UnicodeDecodeError) -> str:
    """axum's answer to a body that is not UTF-8, where serde did not fail. The receipt is spent."""
    where = f"invalid utf-8 sequence of {problem.end - problem.start} bytes from index {problem.start}"
    return f"Request body didn't contain valid UTF-8: {where}"


@lru_cache(maxsize=256)
def _success(text: str) -> bytes:
    return compact(_envelope(text))
