"""Deployment ids as read by the service's library (thegraph-core), with its error texts."""

from __future__ import annotations

from workbench.standin.rust import debug

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES = {character: value for value, character in enumerate(_BASE58)}
_HEX = frozenset("0123456789abcdefABCDEF")
_CID_SIZE = 46


class NoDeployment(Exception):
    """The text is not a deployment id; has the library's message."""


def read_deployment(text: str) -> bytes:
    """The 32 bytes of an id: 46 base58 characters from ``Qm`` on, or 64 hex digits with or without 0x.

    The first two bytes of a decoded ``Qm`` id are not checked. Raises NoDeployment.
    """
    return _from_base58(text) if text.startswith("Qm") else _from_hex(text)


def _from_base58(text: str) -> bytes:
    size = len(text.encode())
    if size != _CID_SIZE:
        raise NoDeployment(f"invalid IPFS / CIDv0 hash length {size}: {text} (length must be {_CID_SIZE})")
    number = 0
    for index, character in enumerate(text):
        value = _BASE58_VALUES.get(character)
        if value is None:
            shown = debug(character, "'")
            what = f"provided string contained invalid character {shown} at byte {index}"
            if not character.isascii():
                what = f"provided string contained non-ascii character starting at byte {index}"
            raise NoDeployment(f'invalid IPFS hash "{text}": {what}')
        number = number * 58 + value
    return number.to_bytes(34, "big")[2:]


def _from_hex(text: str) -> bytes:
    digits = text.removeprefix("0x")
    size = len(digits.encode())
    if size % 2:
        raise _no_hex("odd number of digits")
    if size != 64:
        raise _no_hex("invalid string length")
    for index, character in enumerate(digits):
        if character not in _HEX:
            shown = debug(character, "'")
            raise _no_hex(f"invalid character {shown} at position {index}")
    return bytes.fromhex(digits)


def _no_hex(why: str) -> NoDeployment:
    # The library leaves out the text it could not read.
    return NoDeployment(f'invalid hex string "": {why}')
