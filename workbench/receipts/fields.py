"""Range checks of receipt fields, shared by both receipt versions."""

from __future__ import annotations

from typing import NoReturn

from workbench.errors import ReceiptError

U64_MAX = (1 << 64) - 1
U128_MAX = (1 << 128) - 1
WEI_PER_GRT = 10**18


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
