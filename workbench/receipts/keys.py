"""secp256k1 keys and signatures.

A signature is 65 bytes, r (32, big-endian) || s (32) || v with v = 27 + parity. Signing is deterministic (RFC 6979),
so a receipt with the same fields always has the same bytes.
"""

from __future__ import annotations

import re
from typing import NoReturn

from coincurve import PrivateKey, PublicKey

from workbench.errors import ReceiptError
from workbench.receipts.eip712 import keccak

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER = _ORDER // 2
_KEY = re.compile("(?:0[xX])?([0-9a-fA-F]{64})")  # workbench.masking hides it


class SigningKey:
    """A private key that cannot be printed or pickled by accident.

    Build it from 32 bytes or 64 hex digits (with or without 0x). Raises ReceiptError, without the key in its text,
    when the input is not a valid key.
    """

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes | str) -> None:
        try:
            if isinstance(secret, str):
                digits = _KEY.fullmatch(secret.strip())
                secret = bytes.fromhex(digits[1]) if digits else b""
            if len(secret) != 32:
                raise ValueError
            key = PrivateKey(secret)
        except ValueError:
            # "from None": the original error can quote its input
            raise ReceiptError(
                "the signer key is not a secp256k1 private key",
                hint="Give 32 bytes as 64 hex digits, between 1 and the curve order",
            ) from None
        self._key = key
        self.address: bytes = _address(key.public_key)

    def sign(self, digest: bytes) -> bytes:
        """The 65-byte signature over a 32-byte digest."""
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + (b"\x1c" if signature[64] else b"\x1b")

    def reveal(self) -> str:
        """The key as 64 hex digits, only for the pipe to a generator process."""
        return self._key.to_hex()

    def __repr__(self) -> str:
        return f"SigningKey(address=0x{self.address.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey cannot be pickled: pass the secret to the other process through a pipe")


def _address(key: PublicKey) -> bytes:
    return keccak(key.format(compressed=False)[1:])[12:]


def parity_of(v: int) -> int:
    """0 or 1 from any v that Ethereum tools write: 0/1, 27/28, or >= 35 (EIP-155)."""
    if v in (0, 1):
        return v
    if v in (27, 28):
        return v - 27
    if v >= 35:
        return (v - 35) % 2
    raise ReceiptError(f"signature: v must be 0, 1, 27, 28 or at least 35, found {v}")


def normalised(signature: bytes) -> bytes:
    """A 65-byte signature with s in its lower half and v 27 or 28, so that equal signatures have equal bytes.

    Raises ReceiptError for another length or a v that no tool writes.
    """
    if len(signature) != 65:
        raise ReceiptError(f"signature must be 65 bytes, found {len(signature)}")
    parity = parity_of(signature[64])
    s = int.from_bytes(signature[32:64], "big")
    if s > _HALF_ORDER and s < _ORDER:
        signature = signature[:32] + (_ORDER - s).to_bytes(32, "big") + signature[64:]
        parity ^= 1
    return signature[:64] + bytes((27 + parity,))


def recover_address(digest: bytes, signature: bytes) -> bytes:
    """The 20-byte address that signed ``digest``.

    A signature with a high s is normalised first, as the service does. Raises ReceiptError when no public key fits (r
    or s out of range, no such point). A wrong domain or a changed message raises nothing but gives another address.
    """
    signature = normalised(signature)
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes((signature[64] - 27,)), digest, hasher=None)
    except Exception as error:  # coincurve raises a bare Exception here
        raise ReceiptError("signature error") from error
    return _address(key)
