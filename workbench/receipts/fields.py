"""Fields of both receipt versions: range checks, and the EIP-712 words of the fields that change."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import NoReturn

from workbench.errors import ReceiptError

U64_MAX = (1 << 64) - 1
U128_MAX = (1 << 128) - 1
WEI_PER_GRT = 10**18

_LAST_WORDS = Struct(">24xQ24xQ16xQQ").pack


def last_words(timestamp_ns: int, nonce: int, value: int) -> bytes:
    """The last three words of a receipt in EIP-712's encoding, which alone differ between receipts of one signer.

    Raises ReceiptError naming the field that is not an integer or out of range.
    """
    try:
        return _LAST_WORDS(timestamp_ns, nonce, value >> 64, value & U64_MAX)
    except (StructError, TypeError):
        require_uint("timestamp_ns", timestamp_ns, U64_MAX)
        require_uint("nonce", nonce, U64_MAX)
        refuse_uint("value", value, U128_MAX)


def require_uint(field: str, value: int, maximum: int) -> None:
    """Raise ReceiptError naming ``field`` unless ``value`` is an integer in 0..maximum."""
    if type(value) is not int or not 0 <= value <= maximum:
        refuse_uint(field, value, maximum)


def refuse_uint(field: str, value: object, maximum: int) -> NoReturn:
    """Raise the error of require_uint."""
    bits = maximum.bit_length()
    raise ReceiptError(f"{field} must be an integer from 0 to 2^{bits} - 1, found {value!r}")


def require_bytes(field: str, value: bytes, size: int) -> None:
    """Raise ReceiptError naming ``field`` unless ``value`` is exactly ``size`` bytes."""
    if type(value) is not bytes or len(value) != size:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
        raise ReceiptError(f"{field} must be {size} bytes, found {found}")
