"""The rules for aggregating receipts into a RAV, as in tap_aggregator 0.6.3, with its error texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.errors import ReceiptError
from workbench.receipts.address import checksum
from workbench.receipts.eip712 import Domain
from workbench.receipts.fields import U128_MAX
from workbench.receipts.keys import SigningKey, normalised
from workbench.receipts.v2 import Rav, Receipt, SignedRav, SignedReceipt


class Refused(Exception):
    """The aggregator refuses to sign; has its answer's text."""


def aggregate(
    receipts: Sequence[SignedReceipt], previous: SignedRav | None, domain: Domain, keys: Mapping[bytes, SigningKey]
) -> SignedRav:
    """The RAV over ``receipts`` and the previous RAV.

    ``keys`` are the accepted signers by address. The RAV is signed with the key that signed the first receipt: the
    agent accepts it only from a signer of the same payer. Raises Refused, in the order of the real aggregator's checks,
    for a duplicate signature, an unknown signer, a timestamp covered by the previous RAV, no receipts, receipts of
    different collections or parties, a RAV of another collection, and a sum over 2^128.
    """
    _unique(receipts)
    signers = [_accepted(receipt, domain, keys) for receipt in receipts]
    if previous is not None:
        _accepted(previous, domain, keys)
        for receipt in receipts:
            if receipt.receipt.timestamp_ns <= previous.rav.timestamp_ns:
                raise Refused(
                    f"Receipt timestamp ({receipt.receipt.timestamp_ns}) is less or equal than previous rav timestamp "
                    f"({previous.rav.timestamp_ns})"
                )
    if not receipts:
        raise Refused("Failed to produce rav request, no valid receipts")
    first = receipts[0].receipt
    if any(_parties(receipt.receipt) != _parties(first) for receipt in receipts):
        raise Refused("All receipts should have the same allocation id, but they don't")
    if previous is not None and _parties(previous.rav) != _parties(first):
        raise Refused(
            f"Previous RAV allocation id ({_hex(previous.rav.collection_id)}) doesn't match the allocation id from the "
            f"new receipt ({_hex(first.collection_id)})."
        )
    value = sum(receipt.receipt.value for receipt in receipts) + (previous.rav.value_aggregate if previous else 0)
    if value > U128_MAX:
        raise Refused("Aggregating receipt results in overflow")
    rav = Rav(
        first.collection_id,
        first.payer,
        first.service_provider,
        first.data_service,
        max(receipt.receipt.timestamp_ns for receipt in receipts),
        value,
    )
    return SignedRav(rav, keys[signers[0]].sign(domain.digest(rav.struct_hash())))


def _parties(message: Receipt | Rav) -> tuple[bytes, bytes, bytes, bytes]:
    return message.collection_id, message.payer, message.data_service, message.service_provider


def _unique(receipts: Sequence[SignedReceipt]) -> None:
    seen: set[bytes] = set()
    for receipt in receipts:
        try:
            signature = normalised(receipt.signature)
        except ReceiptError as error:
            raise Refused(str(error)) from None
        if signature in seen:
            raise Refused(f"Duplicate receipt signature: SignatureBytes({list(signature)})")
        seen.add(signature)


def _accepted(message: SignedReceipt | SignedRav, domain: Domain, keys: Mapping[bytes, SigningKey]) -> bytes:
    try:
        signer = message.signer(domain)
    except ReceiptError as error:
        raise Refused(str(error)) from None
    if signer not in keys:
        raise Refused(f"Recovered sender address invalid {checksum(signer)}")
    return signer


def _hex(collection_id: bytes) -> str:
    return f"0x{collection_id.hex().upper()}"
