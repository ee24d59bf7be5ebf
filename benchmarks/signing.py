"""Signed receipts per second of one core: ours, eth-account over the same typed data, and the bare signature.

eth-account alone signs in pure Python; if coincurve is installed it uses that (libsecp256k1, like ours). Both are
measured; the target refers to the first.

Then a process a core: how many receipts they sign in a second, and what they cost the generator that takes them.

The bare signature (coincurve over a digest that is there already) is in both of them, so it is what can be reached.
Time is CPU time of this process, which a busy machine does not falsify. The headers of both are compared byte for
byte before anything is timed.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from benchmarks.harness import Measure, arguments, interleave, median_of, run_process, table, write
from workbench.load.ahead import Ahead
from workbench.load.cores import usable_cores
from workbench.load.pace import Freshness
from workbench.load.samples import nonces
from workbench.load.signing import MOST_SIGNERS, SigningPool
from workbench.receipts import v1, v2
from workbench.receipts.address import checksum, collection_of, parse_address
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate
from workbench.settings import TargetSettings

KEY = bytes(range(1, 33))
PAYER = SigningKey(KEY).address
ALLOCATION = parse_address("0xfa44c72b753a66591f241c7dc04e8178c30e13af")
VALUE, TIMESTAMP_NS = 10**15, 1_700_000_000_000_000_000
TARGET = 25.0  # target: at least this many times the receipts per second of eth-account alone
QUANTITY = "receipts per CPU second"
BARE = "signature alone"
BACKENDS = {"": "eth_keys.backends.NativeECCBackend", ", coincurve": "eth_keys.backends.CoinCurveECCBackend"}
"""eth-account's backends: alone, and with coincurve. Chosen once per process, by a variable."""
BACKEND_VARIABLE = "ECC_BACKEND_CLASS"
SIGNERS = min(usable_cores(), MOST_SIGNERS)

Header = Callable[[int], object]


def ours_v2() -> Header:
    """A V2 header by the workbench."""
    settings = TargetSettings()
    signer = v2.Signer(
        SigningKey(KEY),
        v2.domain(settings.chain_id, parse_address(settings.collector)),
        collection_id=collection_of(ALLOCATION),
        payer=PAYER,
        data_service=parse_address(settings.data_service),
        service_provider=parse_address(settings.indexer),
    )
    return lambda nonce: signer.header(TIMESTAMP_NS, nonce, VALUE)


def ours_v1() -> Header:
    """A V1 header by the workbench."""
    settings = TargetSettings()
    signer = v1.Signer(
        SigningKey(KEY),
        v1.domain(settings.chain_id, parse_address(settings.tap_verifier)),
        allocation_id=ALLOCATION,
    )
    return lambda nonce: signer.header(TIMESTAMP_NS, nonce, VALUE)


def eth_account_v2() -> Header:
    """A V2 header with eth-account's hashing and signing. Its encoding is ours, eth-account has none."""
    settings = TargetSettings()
    addresses = [parse_address(a) for a in (settings.data_service, settings.indexer)]
    account, collection = Account.from_key(KEY), collection_of(ALLOCATION)
    typed = typed_data(v2.RECEIPT_TYPE, "GraphTallyCollector", settings.chain_id, settings.collector)
    constant = {
        "collection_id": collection,
        "payer": checksum(PAYER),
        "data_service": checksum(addresses[0]),
        "service_provider": checksum(addresses[1]),
        "timestamp_ns": TIMESTAMP_NS,
        "value": VALUE,
    }

    def header(nonce: int) -> str:
        message = encode_typed_data(full_message={**typed, "message": {**constant, "nonce": nonce}})
        signature = bytes(account.sign_message(message).signature)
        receipt = v2.Receipt(collection, PAYER, addresses[0], addresses[1], TIMESTAMP_NS, nonce, VALUE)
        return v2.SignedReceipt(receipt, signature).header()

    return header


def eth_account_v1() -> Header:
    """A V1 header with eth-account's hashing and signing."""
    settings = TargetSettings()
    account = Account.from_key(KEY)
    typed = typed_data(v1.RECEIPT_TYPE, "TAP", settings.chain_id, settings.tap_verifier)
    constant = {"allocation_id": checksum(ALLOCATION), "timestamp_ns": TIMESTAMP_NS, "value": VALUE}

    def header(nonce: int) -> str:
        message = encode_typed_data(full_message={**typed, "message": {**constant, "nonce": nonce}})
        signature = bytes(account.sign_message(message).signature)
        return v1.SignedReceipt(v1.Receipt(ALLOCATION, TIMESTAMP_NS, nonce, VALUE), signature).header()

    return header


RIVALS: dict[str, Callable[[], Header]] = {"V2": eth_account_v2, "V1": eth_account_v1}


def theirs(name: str, backend: str, count: int) -> dict[str, float]:
    """eth-account's rate with one of its backends, in a separate process."""
    command = [sys.executable, "-m", "benchmarks.signing", "--rival", name, "--count", str(count)]
    return {QUANTITY: float(run_process(command, None, {BACKEND_VARIABLE: backend}).output)}


def bare_signature() -> Header:
    """A signature over 32 bytes, with neither hashing nor encoding."""
    key = PrivateKey(KEY)
    return lambda nonce: key.sign_recoverable(nonce.to_bytes(32, "big"), hasher=None)


def pooled(count: int) -> dict[str, float]:
    """``count`` V2 receipts signed by one process per core, and the generator's cost for requesting and receiving
    them."""
    settings = TargetSettings()
    template = ReceiptTemplate(
        version=2,
        chain_id=settings.chain_id,
        contract=parse_address(settings.collector).hex(),
        allocation=ALLOCATION.hex(),
        payer=PAYER.hex(),
        data_service=parse_address(settings.data_service).hex(),
        service_provider=parse_address(settings.indexer).hex(),
        value_wei=VALUE,
    )
    pool = SigningPool(template, SigningKey(KEY), SIGNERS)
    ahead = Ahead(nonces(1, 0, count), None, Freshness.within(15.0))
    while pool.ready < SIGNERS:
        pool.answers(0.1)
    started, cpu, working = time.perf_counter(), time.process_time(), True
    while working:
        while pool.free and (asked := ahead.next(count, time.time_ns())) is not None:
            pool.ask(asked.number, asked.stamps_ns, asked.nonces.tobytes())
        if working := ahead.asked > 0:
            for number, headers in pool.answers(1.0):
                ahead.put(number, headers)
    elapsed = time.perf_counter() - started
    for position in range(count):
        ahead.take(position, time.time_ns())
    spent = time.process_time() - cpu
    pool.close()
    return {"receipts per second": count / elapsed, "generator CPU a receipt, µs": 1e6 * spent / count}


def typed_data(type_string: str, name: str, chain_id: int, contract: str) -> dict[str, Any]:
    """Everything but the message of EIP-712 typed data, from an encoded type such as ``Receipt(uint64 nonce)``."""
    structure, _, members = type_string.rstrip(")").partition("(")
    domain_members = ("string name", "string version", "uint256 chainId", "address verifyingContract")
    return {
        "types": {"EIP712Domain": _members(domain_members), structure: _members(members.split(","))},
        "primaryType": structure,
        "domain": {"name": name, "version": "1", "chainId": chain_id, "verifyingContract": contract},
    }


def _members(declarations: Any) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), declaration.split(" "), strict=True)) for declaration in declarations]


def rate(header: Header, count: int) -> dict[str, float]:
    """Headers per CPU second, over ``count`` of them."""
    gc.collect()
    gc.disable()
    started = time.process_time()
    for nonce in range(count):
        header(nonce)
    spent = time.process_time() - started
    gc.enable()
    return {QUANTITY: count / spent}


def main() -> int:
    """Measure, print, write; 1 when the target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--count",
        type=int,
        default=10_000,
        help="receipts a round; eth-account signs a fiftieth of them, processes ten times",
    )
    parser.add_argument("--rival", choices=RIVALS, help="measure eth-account in this process, and print its rate")
    options = parser.parse_args()
    if options.rival is not None:
        print(rate(RIVALS[options.rival](), options.count)[QUANTITY])
        return 0
    rivals: dict[str, Measure] = {}
    for name, ours in {"V2": ours_v2(), "V1": ours_v1()}.items():
        _require_alike(name, ours, RIVALS[name]())
        rivals[f"workbench {name}"] = partial(rate, ours, options.count)
        for label, backend in BACKENDS.items():
            rivals[f"eth-account {name}{label}"] = partial(theirs, name, backend, max(1, options.count // 50))
    rivals[BARE] = partial(rate, bare_signature(), options.count)
    rivals[f"{SIGNERS} signers"] = partial(pooled, 10 * options.count)
    figures = interleave(rivals, options.rounds)

    def per_second(rival: str) -> float:
        return median_of(figures, rival, QUANTITY)

    print(table(figures))
    ratios = {
        f"{name}{label}": per_second(f"workbench {name}") / per_second(f"eth-account {name}{label}")
        for name in RIVALS
        for label in BACKENDS
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f} times eth-account {version('eth-account')}")
    for name in RIVALS:
        print(
            f"{name}: {1e6 / per_second(f'workbench {name}'):.1f} µs a receipt; alone: {1e6 / per_second(BARE):.1f} µs"
        )
    write(options.out, "signing", figures, ratios=ratios, rival=f"eth-account {version('eth-account')}")
    return 0 if min(ratios[name] for name in RIVALS) >= TARGET else 1


def _require_alike(name: str, ours: Header, theirs: Header) -> None:
    for nonce in (0, 1, 2**64 - 1):
        if ours(nonce) != theirs(nonce):
            raise SystemExit(f"{name}: the headers differ, so there is nothing to compare")


if __name__ == "__main__":
    sys.exit(main())
