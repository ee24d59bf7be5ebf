"""The tap-aggregator: gRPC ``tap_aggregator.v2.TapAggregator/AggregateReceipts``.

The agent compresses every request with zstd, which no gRPC library of Python reads. So grpclib handles HTTP/2,
deadlines and status, and the message of a call is read from its stream here. The answer is not compressed, like the
real aggregator's.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from workbench.errors import ReceiptError
from workbench.network.aggregate import Refused, aggregate
from workbench.receipts import tap_aggregator_v2_pb2 as wire
from workbench.receipts.eip712 import Domain
from workbench.receipts.keys import SigningKey
from workbench.receipts.v2 import rav_from_wire, receipt_from_wire

METHOD = "/tap_aggregator.v2.TapAggregator/AggregateReceipts"
MAX_REQUEST_BYTES = 10 << 20
"""The real aggregator's limit; a receipt has some 200 bytes, so 10,000 of them fit."""

_HEAD = struct.Struct(">?I")


class Aggregator:
    """The gRPC service, for :class:`grpclib.server.Server`. ``keys`` are the accepted signers by address."""

    def __init__(self, domain: Domain, keys: Mapping[bytes, SigningKey]) -> None:
        self._domain = domain
        self._keys = keys

    def __mapping__(self) -> dict[str, Any]:
        """The service's methods by path, as grpclib needs them."""
        from grpclib.const import Cardinality, Handler

        return {METHOD: Handler(self._aggregate_receipts, Cardinality.UNARY_UNARY, wire.RavRequest, wire.RavResponse)}

    async def _aggregate_receipts(self, stream: Any) -> None:
        from grpclib.const import Status
        from grpclib.exceptions import GRPCError

        request = await _request(stream)
        try:
            receipts = [receipt_from_wire(receipt) for receipt in request.receipts]
        except ReceiptError:
            raise GRPCError(Status.INVALID_ARGUMENT, "Error while getting list of signed_receipts") from None
        try:
            previous = rav_from_wire(request.previous_rav) if request.HasField("previous_rav") else None
        except ReceiptError:
            raise GRPCError(Status.INVALID_ARGUMENT, "Error while getting previous rav") from None
        try:
            # thousands of signatures take a second: in a thread, other payers' requests and pings continue meanwhile
            signed = await asyncio.to_thread(aggregate, receipts, previous, self._domain, self._keys)
        except Refused as refused:
            raise GRPCError(Status.FAILED_PRECONDITION, str(refused)) from None
        await stream.send_message(wire.RavResponse(rav=signed.to_wire()))


async def _request(stream: Any) -> wire.RavRequest:
    """The message of a call; its gRPC frame tells whether it is compressed."""
    from grpclib.const import Status
    from grpclib.exceptions import GRPCError

    raw = stream._stream  # grpclib's own reader refuses compressed messages
    compressed, size = _HEAD.unpack(await raw.recv_data(_HEAD.size))
    if size > MAX_REQUEST_BYTES:
        raise GRPCError(
            Status.OUT_OF_RANGE,
            f"Error, decoded message length too large: found {size} bytes, the limit is: {MAX_REQUEST_BYTES} bytes",
        )
    data = await raw.recv_data(size)
    try:
        request: wire.RavRequest = wire.RavRequest.FromString(_decompressed(data) if compressed else data)
    except (DecodeError, ValueError) as error:
        raise GRPCError(Status.INTERNAL, f"failed to decode the request: {error}") from None
    return request


def _decompressed(data: bytes) -> bytes:
    """The content of a zstd frame, up to the limit of a request. Raises ValueError for anything else."""
    from backports import zstd

    reader = zstd.ZstdDecompressor()
    try:
        content: bytes = reader.decompress(data, MAX_REQUEST_BYTES + 1)
    except zstd.ZstdError as error:
        raise ValueError(f"not zstd: {error}") from None
    if len(content) > MAX_REQUEST_BYTES:
        raise ValueError(f"decompressed it is larger than the limit of {MAX_REQUEST_BYTES} bytes")
    return content
