"""What the aggregator signs and what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.network.aggregate import Refused, aggregate
from workbench.receipts import v2
from workbench.receipts.fields import U64_MAX, U128_MAX
from workbench.receipts.keys import SigningKey
from workbench.receipts.v2 import Rav, SignedRav, SignedReceipt
from workbench.standin.accounts import payer

DOMAIN = v2.domain(1337, b"\x22" * 20)
PAYER, OTHER = payer(1), payer(2)
KEYS = {known.key.address: known.key for known in (PAYER, OTHER)}
COLLECTION = bytes(12) + b"\xab" * 20
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def signer(**fields: bytes) -> v2.Signer:
    return v2.Signer(
        PAYER.key,
        DOMAIN,
        **{
            "collection_id": COLLECTION,
            "payer": PAYER.address,
            "data_service": b"\xdd" * 20,
            "service_provider": b"\xee" * 20,
            **fields,
        },
    )


def receipts(*values: int, first_ns: int = 100) -> list[SignedReceipt]:
    return [signer().sign(first_ns + number, number, value) for number, value in enumerate(values)]


def signed_by_eth_account(signed: SignedRav) -> str:
    """The address that eth-account finds as the signer, from the types of the contract written out."""
    rav = signed.rav
    message = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "ReceiptAggregateVoucher": [
                    {"name": "collectionId", "type": "bytes32"},
                    {"name": "payer", "type": "address"},
                    {"name": "serviceProvider", "type": "address"},
                    {"name": "dataService", "type": "address"},
                    {"name": "timestampNs", "type": "uint64"},
                    {"name": "valueAggregate", "type": "uint128"},
                    {"name": "metadata", "type": "bytes"},
                ],
            },
            "primaryType": "ReceiptAggregateVoucher",
            "domain": {
                "name": "GraphTallyCollector",
                "version": "1",
                "chainId": 1337,
                "verifyingContract": "0x" + "22" * 20,
            },
            "message": {
                "collectionId": rav.collection_id,
                "payer": "0x" + rav.payer.hex(),
                "serviceProvider": "0x" + rav.service_provider.hex(),
                "dataService": "0x" + rav.data_service.hex(),
                "timestampNs": rav.timestamp_ns,
                "valueAggregate": rav.value_aggregate,
                "metadata": rav.metadata,
            },
        }
    )
    return str(Account.recover_message(message, signature=signed.signature)).lower()


def test_a_rav_is_the_sum_and_the_newest_signed_for_its_payer() -> None:
    signed = aggregate(receipts(5, 7, 11), None, DOMAIN, KEYS)
    assert signed.rav == Rav(COLLECTION, PAYER.address, b"\xee" * 20, b"\xdd" * 20, 102, 23)
    assert signed_by_eth_account(signed) == f"0x{PAYER.key.address.hex()}"


def test_a_rav_grows_on_the_one_before() -> None:
    first = aggregate(receipts(5, 7), None, DOMAIN, KEYS)
    second = aggregate(receipts(1, first_ns=200), first, DOMAIN, KEYS)
    assert (second.rav.value_aggregate, second.rav.timestamp_ns) == (13, 200)


def test_golden_vector_of_upstream() -> None:
    """Timestamp 59, aggregate 545, with the key, chain and parties of upstream's own test."""
    key = SigningKey(b"\x01" * 32)
    domain = v2.domain(1, b"\x11" * 20)
    made = v2.Signer(
        key,
        domain,
        collection_id=b"\xab" * 32,
        payer=b"\xab" * 20,
        data_service=b"\xde\xad" * 10,
        service_provider=b"\xbe\xef" * 10,
    )
    signed = aggregate([made.sign(50 + n, n, 50 + n) for n in range(10)], None, domain, {key.address: key})
    assert (signed.rav.timestamp_ns, signed.rav.value_aggregate) == (59, 545)
    assert signed.signature.hex() == (
        "ed2663ecb148daffaaf6ff148d2ca5f215f0be02192457da01a378c148bca060"
        "67d9342b97278aad634d4d8ccc7a8f874ce2581e34198732f201b38604a570d5" + "1c"
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**20), min_size=1, max_size=8), st.integers(0, 10**30))
def test_any_receipts_in_any_order(values: list[int], before: int) -> None:
    rav = Rav(COLLECTION, PAYER.address, b"\xee" * 20, b"\xdd" * 20, 99, before)
    previous = SignedRav(rav, PAYER.key.sign(DOMAIN.digest(rav.struct_hash())))
    given_ = receipts(*values)
    signed = aggregate(given_, previous, DOMAIN, KEYS)
    assert signed == aggregate(given_[::-1], previous, DOMAIN, KEYS)
    assert signed.rav.value_aggregate == before + sum(values)
    assert signed.signer(DOMAIN) == PAYER.key.address


def turned(receipt: SignedReceipt) -> SignedReceipt:
    """The other signature that is valid for the same receipt: s in its upper half, the parity turned."""
    r, s, v = receipt.signature[:32], receipt.signature[32:64], receipt.signature[64]
    return dataclasses.replace(
        receipt, signature=r + (_ORDER - int.from_bytes(s, "big")).to_bytes(32, "big") + bytes((55 - v,))
    )


def a_stranger() -> list[SignedReceipt]:
    stranger = v2.Signer(
        SigningKey(b"\7" * 32),
        DOMAIN,
        collection_id=COLLECTION,
        payer=PAYER.address,
        data_service=b"\xdd" * 20,
        service_provider=b"\xee" * 20,
    )
    return [stranger.sign(1, 1, 1)]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (lambda: receipts(5) * 2, "Duplicate receipt signature"),
        (lambda: [*receipts(5), turned(receipts(5)[0])], "Duplicate receipt signature"),
        (a_stranger, "Recovered sender address invalid 0x"),
        (list, "Failed to produce rav request, no valid receipts"),
        (
            lambda: [*receipts(5), signer(collection_id=bytes(32)).sign(1, 1, 1)],
            "All receipts should have the same allocation id, but they don't",
        ),
        (
            lambda: [*receipts(5), signer(payer=OTHER.address).sign(1, 1, 1)],
            "All receipts should have the same allocation id, but they don't",
        ),
        (lambda: receipts(U128_MAX, 1), "Aggregating receipt results in overflow"),
    ],
)
def test_what_is_refused(given_: Callable[[], list[SignedReceipt]], words: str) -> None:
    with pytest.raises(Refused, match=words):
        aggregate(given_(), None, DOMAIN, KEYS)


def test_what_the_rav_before_refuses() -> None:
    before = aggregate(receipts(5, first_ns=200), None, DOMAIN, KEYS)
    for timestamp in (199, 200):
        with pytest.raises(Refused, match=rf"\({timestamp}\) is less or equal than previous rav timestamp \(200\)"):
            aggregate([signer().sign(timestamp, 9, 1)], before, DOMAIN, KEYS)
    with pytest.raises(Refused, match="doesn't match the allocation id from the new receipt"):
        aggregate([signer(collection_id=bytes(32)).sign(U64_MAX, 9, 1)], before, DOMAIN, KEYS)
    forged = dataclasses.replace(before, rav=dataclasses.replace(before.rav, value_aggregate=10**18))
    with pytest.raises(Refused, match="Recovered sender address invalid"):
        aggregate([signer().sign(U64_MAX, 9, 1)], forged, DOMAIN, KEYS)
