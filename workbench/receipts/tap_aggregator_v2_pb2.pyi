from collections.abc import Iterable as _Iterable
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar

from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers

DESCRIPTOR: _descriptor.FileDescriptor

class Uint128(_message.Message):
    __slots__ = ("high", "low")
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    high: int
    low: int
    def __init__(self, high: int | None = ..., low: int | None = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("collection_id", "data_service", "nonce", "payer", "service_provider", "timestamp_ns", "value")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    PAYER_FIELD_NUMBER: _ClassVar[int]
    DATA_SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    collection_id: bytes
    payer: bytes
    data_service: bytes
    service_provider: bytes
    timestamp_ns: int
    nonce: int
    value: Uint128
    def __init__(
        self,
        collection_id: bytes | None = ...,
        payer: bytes | None = ...,
        data_service: bytes | None = ...,
        service_provider: bytes | None = ...,
        timestamp_ns: int | None = ...,
        nonce: int | None = ...,
        value: Uint128 | _Mapping | None = ...,
    ) -> None: ...

class SignedReceipt(_message.Message):
    __slots__ = ("message", "signature")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    message: Receipt
    signature: bytes
    def __init__(self, message: Receipt | _Mapping | None = ..., signature: bytes | None = ...) -> None: ...

class ReceiptAggregateVoucher(_message.Message):
    __slots__ = (
        "collection_id",
        "data_service",
        "metadata",
        "payer",
        "service_provider",
        "timestamp_ns",
        "value_aggregate",
    )
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    PAYER_FIELD_NUMBER: _ClassVar[int]
    DATA_SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    VALUE_AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    collection_id: bytes
    payer: bytes
    data_service: bytes
    service_provider: bytes
    timestamp_ns: int
    value_aggregate: Uint128
    metadata: bytes
    def __init__(
        self,
        collection_id: bytes | None = ...,
        payer: bytes | None = ...,
        data_service: bytes | None = ...,
        service_provider: bytes | None = ...,
        timestamp_ns: int | None = ...,
        value_aggregate: Uint128 | _Mapping | None = ...,
        metadata: bytes | None = ...,
    ) -> None: ...

class SignedRav(_message.Message):
    __slots__ = ("message", "signature")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    message: ReceiptAggregateVoucher
    signature: bytes
    def __init__(
        self, message: ReceiptAggregateVoucher | _Mapping | None = ..., signature: bytes | None = ...
    ) -> None: ...

class RavRequest(_message.Message):
    __slots__ = ("previous_rav", "receipts")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_RAV_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[SignedReceipt]
    previous_rav: SignedRav
    def __init__(
        self,
        receipts: _Iterable[SignedReceipt | _Mapping] | None = ...,
        previous_rav: SignedRav | _Mapping | None = ...,
    ) -> None: ...

class RavResponse(_message.Message):
    __slots__ = ("rav",)
    RAV_FIELD_NUMBER: _ClassVar[int]
    rav: SignedRav
    def __init__(self, rav: SignedRav | _Mapping | None = ...) -> None: ...
