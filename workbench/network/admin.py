"""What can be changed while the network runs, as JSON over HTTP at ``/network`` of the graph address.

GET returns the state; POST changes any of these and returns the new state::

    {"payers": {"0x...": {"balance_grt": "5", "thawing_grt": "0", "signer": "0x..."}},
     "backend_latency": "constant:5", "backend_down": true, "subgraph_down": true, "reset_share": 0.1}

A new payer needs a signer. The two programs see it at their next query to the network subgraph.
"""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal, InvalidOperation
from typing import Any

from workbench.errors import ReceiptError, SettingsError
from workbench.network.world import Faults, World
from workbench.receipts.address import checksum, parse_address
from workbench.receipts.fields import U128_MAX
from workbench.settings import to_wei
from workbench.standin.chain import EscrowAccount
from workbench.standin.latency import parse_latency

PATH = "/network"

_FAULTS = {field.name for field in dataclasses.fields(Faults)}
_ACCOUNT = ("balance_grt", "thawing_grt", "signer")
_WEI = Decimal(10) ** 18


def describe(world: World) -> dict[str, Any]:
    """The state as plain values: addresses with checksum, amounts in GRT as text."""
    return {
        "allocation": checksum(world.place.allocation),
        "payers": {
            checksum(account.payer): {
                "balance_grt": _grt(account.balance),
                "thawing_grt": _grt(account.thawing),
                "signer": checksum(account.signer),
            }
            for account in world.chain.accounts.values()
        },
        **dataclasses.asdict(world.faults),
    }


def change(world: World, body: bytes) -> None:
    """Apply a POST's body. Raises SettingsError naming what cannot be used; then nothing is applied."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise SettingsError("expected a JSON object", where="network", hint='For example {"backend_down": true}')
    payers = asked.pop("payers", {})
    faults = _faults(world.faults, asked)
    if not isinstance(payers, dict):
        raise SettingsError("must be an object with addresses as keys", where="payers")
    accounts = [_account(world, address, facts) for address, facts in payers.items()]
    world.faults = faults
    for account in accounts:
        world.chain.accounts[account.payer] = account


def _faults(now: Faults, asked: dict[str, Any]) -> Faults:
    for name, value in asked.items():
        if name not in _FAULTS:
            raise SettingsError(f"unknown name; valid are payers, {', '.join(sorted(_FAULTS))}", where=name)
        if name == "backend_latency":
            parse_latency(str(value))
        elif name == "reset_share":
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise SettingsError(f"expected a share from 0 to 1, found {value!r}", where=name)
        elif not isinstance(value, bool):
            raise SettingsError(f"expected true or false, found {value!r}", where=name)
    return dataclasses.replace(now, **asked)


def _account(world: World, address: str, facts: Any) -> EscrowAccount:
    try:
        payer = parse_address(address, "payer")
        if not isinstance(facts, dict) or not set(facts) <= set(_ACCOUNT):
            raise SettingsError(f"may only have {', '.join(_ACCOUNT)}", where=address)
        known = world.chain.accounts.get(payer)
        if known is None and "signer" not in facts:
            raise SettingsError("is a new payer, so its signer must be given", where=address)
        signer = parse_address(str(facts["signer"]), "signer") if "signer" in facts else known.signer if known else b""
    except ReceiptError as error:
        raise SettingsError(str(error), where="payers") from None
    balance, thawing = (known.balance, known.thawing) if known else (0, 0)
    return EscrowAccount(
        payer,
        signer,
        _wei(facts["balance_grt"], address) if "balance_grt" in facts else balance,
        _wei(facts["thawing_grt"], address) if "thawing_grt" in facts else thawing,
    )


def _wei(value: Any, where: str) -> int:
    try:
        amount = Decimal(str(value))
        wei = to_wei(amount) if amount.is_finite() else -1
    except (InvalidOperation, ValueError):
        wei = -1
    if not 0 <= wei <= U128_MAX:
        raise SettingsError(f"expected an amount in GRT, found {value!r}", where=where)
    return wei


def _grt(wei: int) -> str:
    return format((Decimal(wei) / _WEI).normalize(), "f")
