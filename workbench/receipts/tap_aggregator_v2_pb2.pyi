from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Uint128(_message.Message):
    __slots__ = ("high", "low")
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    high: int
    low: int
    def __init__(self, high: _Optional[int] = ..., low: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("collection_id", "payer", "data_service", "service_provider", "timestamp_ns", "nonce", "value")
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
    def __init__(self, collection_id: _Optional[bytes] = ..., payer: _Optional[bytes] = ..., data_service: _Optional[bytes] = ..., service_provider: _Optional[bytes] = ..., timestamp_ns: _Optional[int] = ..., nonce: _Optional[int] = ..., value: _Optional[_Union[Uint128, _Mapping]] = ...) -> None: ...

class SignedReceipt(_message.Message):
    __slots__ = ("message", "signature")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    message: Receipt
    signature: bytes
    def __init__(self, message: _Optional[_Union[Receipt, _Mapping]] = ..., signature: _Optional[bytes] = ...) -> None: ...
