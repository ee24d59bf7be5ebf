"""The aggregator over gRPC, asked as the agent asks: one call with a message that zstd has compressed."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import psutil
import pytest
from backports import zstd
from grpclib.client import Channel
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError

from tests.network.test_aggregate import signed_by_eth_account
from workbench.network.aggregator import MAX_REQUEST_BYTES, METHOD
from workbench.network.child import child
from workbench.receipts import tap_aggregator_v2_pb2 as wire
from workbench.receipts import v2
from workbench.receipts.keys import SigningKey
from workbench.receipts.payer import Payer
from workbench.receipts.v2 import SignedRav, rav_from_wire
from workbench.settings import Settings
from workbench.standin.accounts import payer

SETTINGS = Settings(aggregator_port=0, standin_payers=2, collector="0x" + "22" * 20)
DOMAIN = v2.domain(1337, b"\x22" * 20)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with child("aggregator", SETTINGS, tmp_path / "aggregator.log") as running:
        assert [c.laddr.ip for c in psutil.Process(running.pid).net_connections() if c.status == "LISTEN"] == [
            "127.0.0.1"
        ]
        yield int(running.url.rpartition(":")[2])


def receipts(owner: Payer, count: int, first_ns: int = 100) -> list[wire.SignedReceipt]:
    signer = v2.Signer(
        owner.key,
        DOMAIN,
        collection_id=bytes(12) + b"\xab" * 20,
        payer=owner.address,
        data_service=b"\xdd" * 20,
        service_provider=b"\xee" * 20,
    )
    made = [signer.sign(first_ns + n, n, 10**15) for n in range(count)]
    return [
        wire.SignedReceipt(
            message=wire.Receipt(
                collection_id=signed.receipt.collection_id,
                payer=signed.receipt.payer,
                data_service=signed.receipt.data_service,
                service_provider=signed.receipt.service_provider,
                timestamp_ns=signed.receipt.timestamp_ns,
                nonce=signed.receipt.nonce,
                value=wire.Uint128(high=0, low=signed.receipt.value),
            ),
            signature=signed.signature,
        )
        for signed in made
    ]


async def ask(port: int, message: bytes, *, compressed: bool = True) -> SignedRav:
    """One call with a message as it is. Raises GRPCError with the aggregator's answer."""
    channel = Channel("127.0.0.1", port)
    try:
        async with channel.request(METHOD, Cardinality.UNARY_UNARY, wire.RavRequest, wire.RavResponse) as stream:
            await stream.send_request()
            data = zstd.compress(message) if compressed else message
            await stream._stream.send_data(struct.pack(">?I", compressed, len(data)) + data, end_stream=True)
            stream._end_done = True
            answer = await stream.recv_message()
            assert answer is not None
            return rav_from_wire(answer.rav)
    finally:
        channel.close()


def order(given: Sequence[wire.SignedReceipt], previous: SignedRav | None = None) -> bytes:
    request = wire.RavRequest(receipts=given, previous_rav=previous.to_wire() if previous else None)
    return request.SerializeToString()


@pytest.mark.parametrize("compressed", [True, False])
async def test_receipts_become_a_rav(port: int, compressed: bool) -> None:
    owner = payer(1)
    first = await ask(port, order(receipts(owner, 20)), compressed=compressed)
    assert (first.rav.value_aggregate, first.rav.timestamp_ns, first.rav.metadata) == (20 * 10**15, 119, b"")
    assert signed_by_eth_account(first) == f"0x{owner.key.address.hex()}"
    second = await ask(port, order(receipts(owner, 5, first_ns=200), first), compressed=compressed)
    assert (second.rav.value_aggregate, second.rav.timestamp_ns) == (25 * 10**15, 204)
    assert signed_by_eth_account(second) == f"0x{owner.key.address.hex()}"


async def test_another_grpc_client_understands_it(port: int) -> None:
    def call() -> bytes:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer: bytes = channel.unary_unary(METHOD)(order(receipts(payer(0), 3)), timeout=30)
            return answer

    answer = await asyncio.to_thread(call)
    rav = rav_from_wire(wire.RavResponse.FromString(answer).rav)
    assert signed_by_eth_account(rav) == f"0x{payer(0).key.address.hex()}"


async def test_as_many_as_the_agent_asks_for_at_once(port: int) -> None:
    rav = await ask(port, order(receipts(payer(1), 10_000)))
    assert rav.rav.value_aggregate == 10 * 10**18


async def test_payers_that_get_escrow_later_are_known_already(port: int) -> None:
    spare = payer(SETTINGS.standin_payers + 63)
    assert (await ask(port, order(receipts(spare, 1)))).signer(DOMAIN) == spare.key.address


async def test_what_is_refused(port: int) -> None:
    owner = payer(1)
    twice = receipts(owner, 1) * 2
    before = await ask(port, order(receipts(owner, 2)))
    stranger = Payer(owner.address, SigningKey(b"\7" * 32))
    unsigned = wire.SignedReceipt(message=receipts(owner, 1)[0].message, signature=b"short")
    for message, status, words in (
        (order(twice), Status.FAILED_PRECONDITION, "Duplicate receipt signature"),
        (order(receipts(stranger, 1)), Status.FAILED_PRECONDITION, "Recovered sender address invalid 0x"),
        (order(receipts(owner, 1), before), Status.FAILED_PRECONDITION, "less or equal than previous rav timestamp"),
        (order([]), Status.FAILED_PRECONDITION, "no valid receipts"),
        (order([unsigned]), Status.INVALID_ARGUMENT, "Error while getting list of signed_receipts"),
        (b"\xff\xff", Status.INTERNAL, "failed to decode the request"),
        (bytes(MAX_REQUEST_BYTES + 1), Status.INTERNAL, "larger than the limit"),
    ):
        with pytest.raises(GRPCError) as caught:
            await ask(port, message)
        assert caught.value.status is status
        assert words in str(caught.value.message)
    # and goes on
    assert (await ask(port, order(receipts(owner, 1)))).rav.value_aggregate == 10**15


async def test_compressed_with_something_else(port: int) -> None:
    channel = Channel("127.0.0.1", port)
    async with channel.request(METHOD, Cardinality.UNARY_UNARY, wire.RavRequest, wire.RavResponse) as stream:
        await stream.send_request()
        await stream._stream.send_data(struct.pack(">?I", True, 4) + b"gzip", end_stream=True)
        stream._end_done = True
        with pytest.raises(GRPCError, match="not zstd"):
            await stream.recv_message()
    channel.close()
