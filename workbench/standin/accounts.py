"""The payers, signers and the allocation that exist in the stand-in.

Index 0 is the pair of the local test network. All keys here are public: they belong only to test accounts.
"""

from __future__ import annotations

from workbench.receipts.address import parse_address
from workbench.receipts.eip712 import keccak
from workbench.receipts.keys import SigningKey
from workbench.receipts.payer import Payer

ALLOCATION = parse_address("0xfa44c72b753a66591f241c7dc04e8178c30e13af")

_ACCOUNT0 = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
# Account 1 of every Ethereum development chain ("test test ... junk"), which the tools print themselves.
_ACCOUNT1_PUBLIC_KEY_OF_DEV_CHAINS = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
_PHRASE = b"indexer workbench stand-in"


def payer(index: int) -> Payer:
    """The payer with this number, from 0; the same one in every process and on every machine."""
    if index == 0:
        return Payer(_ACCOUNT0, SigningKey(_ACCOUNT1_PUBLIC_KEY_OF_DEV_CHAINS))
    number = index.to_bytes(8, "big")
    return Payer(keccak(_PHRASE + b" payer " + number)[12:], SigningKey(keccak(_PHRASE + b" signer " + number)))


def aggregator_key() -> SigningKey:
    """The tap-aggregator's key, which signs RAVs; in the local network it is payer 0's signer."""
    return payer(0).key
