"""Addresses, deployment ids and collection ids: their byte and text forms."""

from __future__ import annotations

from functools import lru_cache

from workbench.errors import ReceiptError
from workbench.masking import shown
from workbench.receipts.eip712 import keccak

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_INDEX = {letter: value for value, letter in enumerate(_BASE58)}
_IPFS_SHA256 = b"\x12\x20"
_HEX = frozenset("0123456789abcdefABCDEF")


def parse_hex(text: str, size: int, field: str) -> bytes:
    """``size`` bytes from hex with or without 0x, in any case.

    Raises ReceiptError naming ``field`` when the text is not hex or has another length.
    """
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    if len(digits) == 2 * size and _HEX.issuperset(digits):
        return bytes.fromhex(digits)
    raise ReceiptError(
        f"{field} must be {size} bytes of hex, found {shown(text)}",
        hint=f"Write 0x and {2 * size} hex digits",
    )


def parse_address(text: str, field: str = "address") -> bytes:
    """20 bytes from an address in any letter case; the checksum is not checked, as in the service."""
    return parse_hex(text, 20, field)


@lru_cache(maxsize=16_384)  # a run asks for the same few payers thousands of times
def checksum(address: bytes) -> str:
    """An address with 0x in EIP-55's mixed case, as the service prints it."""
    digits = address.hex()
    casing = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(case, 16) >= 8 else digit for digit, case in zip(digits, casing, strict=False)
    )


def collection_of(allocation: bytes) -> bytes:
    """The 32-byte collection id of an allocation: 12 zero bytes and the address."""
    return bytes(12) + allocation


def deployment_to_qm(deployment: bytes) -> str:
    """A 32-byte deployment id as the 46 characters ``Qm...`` (base58 of an IPFS SHA-256 multihash)."""
    number = int.from_bytes(_IPFS_SHA256 + deployment, "big")
    letters = []
    while number:
        number, rest = divmod(number, 58)
        letters.append(_BASE58[rest])
    return "".join(reversed(letters))


def parse_deployment(text: str) -> bytes:
    """32 bytes from a deployment id in either form that the service accepts in its path.

    ``Qm`` and 44 more base58 characters, or 32 bytes of hex with or without 0x. Raises ReceiptError otherwise.
    """
    if text.startswith("Qm"):
        number = 0
        try:
            for letter in text:
                number = number * 58 + _BASE58_INDEX[letter]
        except KeyError:
            pass
        else:
            if len(text) == 46 and number < 1 << (34 * 8):
                raw = number.to_bytes(34, "big")
                if raw.startswith(_IPFS_SHA256):
                    return raw[2:]
        raise ReceiptError(
            f"deployment id {shown(text)} begins with Qm but is not 46 base58 characters of a SHA-256 multihash",
            hint="Copy the whole id, or give its 32 bytes as hex",
        )
    return parse_hex(text, 32, "deployment id")
