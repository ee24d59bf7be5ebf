"""The key of an allocation, derived from the operator's mnemonic.

indexer-service attests answers with a key that it derives from the mnemonic: BIP-39 makes a seed of the words, BIP-32
follows the path ``m/<epoch>/<each byte of the ASCII id Qm... as a number>/<index>``. No level of the path is hardened,
so one level is an HMAC and an addition on the curve: thirty lines, too few for a wallet library.

Formats: https://github.com/bitcoin/bips/blob/master/bip-0032.mediawiki and bip-0039.mediawiki.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata

from coincurve import PrivateKey

from workbench.errors import ReceiptError
from workbench.receipts.address import deployment_to_qm
from workbench.receipts.keys import SigningKey

_PBKDF2_ROUNDS = 2048
_HARDENED = 1 << 31


def allocation_key(mnemonic: str, *, epoch: int, deployment: bytes, index: int = 0) -> SigningKey:
    """The key whose address is the id of the allocation opened for ``deployment`` (32 bytes) in ``epoch``.

    ``index`` counts allocations of the same deployment and epoch. Raises ReceiptError if a number does not fit into the
    path.
    """
    path = (epoch, *deployment_to_qm(deployment).encode("ascii"), index)
    return derive_key(mnemonic, path)


def derive_key(mnemonic: str, path: tuple[int, ...]) -> SigningKey:
    """The key at ``path`` from the seed of ``mnemonic``; no level may be hardened (2^31 or more)."""
    for step in path:
        if not 0 <= step < _HARDENED:
            raise ReceiptError(f"each number of a derivation path must be from 0 to 2^31 - 1, found {step}")
    words = unicodedata.normalize("NFKD", " ".join(mnemonic.split()))
    seed = hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", _PBKDF2_ROUNDS)
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    key, chain = PrivateKey(node[:32]), node[32:]
    for step in path:
        node = hmac.digest(chain, key.public_key.format() + step.to_bytes(4, "big"), "sha512")
        key, chain = key.add(node[:32]), node[32:]
    return SigningKey(key.secret)
