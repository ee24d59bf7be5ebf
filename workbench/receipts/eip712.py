"""EIP-712 hashing of the four structures that TAP signs.

Everything that does not change between two receipts (type hash, domain separator, addresses) is encoded or hashed once,
so a receipt needs only the rest of two Keccak calls. Specification: https://eips.ethereum.org/EIPS/eip-712.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sha3 import keccak_256

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"

_ADDRESS_PADDING = bytes(12)


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (not the later SHA3-256)."""
    digest: bytes = keccak_256(data).digest()
    return digest


def type_hash(type_string: str) -> bytes:
    """The hash that names a structure: Keccak of its type string."""
    return keccak(type_string.encode())


def word(value: int) -> bytes:
    """An unsigned integer as one 32-byte word."""
    return value.to_bytes(32, "big")


def address_word(address: bytes) -> bytes:
    """A 20-byte address as one 32-byte word."""
    return _ADDRESS_PADDING + address


@dataclass(frozen=True)
class Domain:
    """The domain a signature is bound to: contract name and version, chain, verifying contract (20 bytes)."""

    name: str
    version: str
    chain_id: int
    verifying_contract: bytes

    @cached_property
    def separator(self) -> bytes:
        """The 32-byte domain separator, computed once per domain."""
        return keccak(
            type_hash(DOMAIN_TYPE)
            + keccak(self.name.encode())
            + keccak(self.version.encode())
            + word(self.chain_id)
            + address_word(self.verifying_contract)
        )

    @cached_property
    def digest_prefix(self) -> bytes:
        """The constant 34 bytes in front of every struct hash: 0x1901 and the separator."""
        return b"\x19\x01" + self.separator

    def digest(self, struct_hash: bytes) -> bytes:
        """The 32 bytes that are signed: keccak(0x1901 || separator || struct hash)."""
        return keccak(self.digest_prefix + struct_hash)


class Digests:
    """Digests of structures in one domain that differ only in their last words.

    ``constant`` is the encoding before those words, with the type hash; it is hashed once.
    """

    __slots__ = ("_absorbed", "_prefix")

    def __init__(self, domain: Domain, constant: bytes) -> None:
        self._absorbed = keccak_256(constant)
        self._prefix = domain.digest_prefix

    def of(self, last_words: bytes) -> bytes:
        """The digest of the structure that ends with ``last_words``."""
        struct = self._absorbed.copy()
        struct.update(last_words)
        digest: bytes = keccak_256(self._prefix + struct.digest()).digest()
        return digest
