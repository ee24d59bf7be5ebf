"""``workbench network``: the network around the real programs, from the shell. Thin, one function an action."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from workbench.errors import EXIT_PASS, EXIT_TARGET, SettingsError

if TYPE_CHECKING:
    from workbench.network.look import Part
    from workbench.network.run import Network
    from workbench.settings import Settings

ACTIONS = {
    "up": "start it, and return when all of it answers",
    "status": "what runs and answers, payers and balances",
    "set": "change a payer's balance, latency or failures while it runs",
    "down": "end all of it; the data stays",
}
_SHOWN_PAYERS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench network`` that are not settings."""
    parser.add_argument(
        "action",
        choices=tuple(ACTIONS),
        metavar="ACTION",
        help="; ".join(f"{name}: {what}" for name, what in ACTIONS.items()),
    )
    starting = parser.add_argument_group("up")
    starting.add_argument("--fresh", action="store_true", help="Begin with an empty database.")
    setting = parser.add_argument_group("set")
    setting.add_argument("--payer", metavar="N|ADDRESS", help="The payer, by its number from 0 or its address.")
    setting.add_argument("--balance-grt", metavar="GRT", help="The payer's escrow.")
    setting.add_argument("--thawing-grt", metavar="GRT", help="How much of it is thawing.")
    setting.add_argument("--signer", metavar="ADDRESS", help="Signer of a payer that is new.")
    setting.add_argument(
        "--subgraph-down",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="The network subgraph does not answer.",
    )


def run(options: argparse.Namespace, settings: Settings, given: dict[str, Any]) -> int:
    """Do one action; the exit code. ``given`` are the settings that were given as options."""
    own = ("payer", "balance_grt", "thawing_grt", "signer", "subgraph_down")
    strange = [name for name in own if getattr(options, name) is not None] if options.action != "set" else []
    strange += ["fresh"] if options.fresh and options.action != "up" else []
    if strange:
        raise SettingsError(
            f"--{strange[0].replace('_', '-')} does not go with {options.action}", where="workbench network"
        )
    actions = {"up": _up, "status": _status, "set": _set, "down": _down}
    return asyncio.run(actions[options.action](options, settings, given))


async def _up(options: argparse.Namespace, settings: Settings, given: dict[str, Any]) -> int:
    from workbench.network import detached

    network = await detached.up(settings, fresh=options.fresh)
    _print_network(network)
    return EXIT_PASS


async def _status(options: argparse.Namespace, settings: Settings, given: dict[str, Any]) -> int:
    from workbench.network import detached, look

    state = detached.require(settings.network_folder)
    parts = await look.look(state.network)
    print(f"up since {state.started} (process {state.keeper})")
    for part in (*parts, *await look.programs(state.network)):
        _print_part(part)
    if not parts[1].wrong:
        denied = await look.denied(state.network) if not parts[0].wrong else set()
        _print_payers(await look.describe(state.network), denied)
    return EXIT_TARGET if any(part.wrong for part in parts) else EXIT_PASS


async def _set(options: argparse.Namespace, settings: Settings, given: dict[str, Any]) -> int:
    from workbench.network import detached, look

    faults = ("backend_latency", "backend_down", "reset_share")
    changes = {name: getattr(settings, name) for name in faults if name in given}
    if options.subgraph_down is not None:
        changes["subgraph_down"] = options.subgraph_down
    account = {
        name: value
        for name in ("balance_grt", "thawing_grt", "signer")
        if (value := getattr(options, name)) is not None
    }
    if (options.payer is None) == bool(account):
        raise SettingsError("--payer goes with --balance-grt, --thawing-grt or --signer", where="workbench network set")
    if options.payer is not None:
        address, signer = _payer(options.payer)
        changes["payers"] = {address: ({"signer": signer} if signer else {}) | account}
    if not changes:
        raise SettingsError(
            "nothing to change was given",
            where="workbench network set",
            hint="For example --payer 0 --balance-grt 5, or --backend-down",
        )
    state = detached.require(settings.network_folder)
    _print_payers(await look.change(state.network, changes), set())
    print(f"The programs see changes of escrow when they next ask, every {settings.syncing_interval_s:g} s")
    return EXIT_PASS


async def _down(options: argparse.Namespace, settings: Settings, given: dict[str, Any]) -> int:
    from workbench.network import detached

    network = await detached.down(settings.network_folder)
    print(f"the network is down; its data is in {network.folder}")
    return EXIT_PASS


def _payer(text: str) -> tuple[str, str | None]:
    """Address of a payer, and the signer of one that is given by its number."""
    if not text.isdecimal():
        return text, None
    from workbench.receipts.address import checksum
    from workbench.standin.accounts import payer

    found = payer(int(text))
    return checksum(found.address), checksum(found.key.address)


def _print_network(network: Network) -> None:
    from workbench.receipts.address import checksum
    from workbench.settings.kinds import without_password

    addresses = network.addresses
    for name, value in (
        ("database", without_password(network.database_url)),
        ("network subgraph", network.graph_url),
        ("graph-node", f"{network.query_url}subgraphs/id/..., status {network.status_url}"),
        ("aggregator", network.aggregator_url),
        ("admin", network.admin_url),
        ("allocation", f"{checksum(network.allocation)} (derived from the operator's mnemonic)"),
        ("payers", f"{network.payer_count} with escrow"),
        ("service will answer at", f"{addresses.service_url}, metrics {addresses.service_metrics_url}"),
        ("agent's metrics will be at", str(addresses.agent_metrics_url)),
        ("configuration", f"{network.service_config}, {network.agent_config} (with the database's password)"),
    ):
        print(f"{name:27} {value}")
    print("Run the two programs:")
    for command in network.commands():
        print(f"  {command}")


def _print_part(part: Part) -> None:
    print(f"{part.name:16} {part.address:60} {part.wrong or 'answers'}")


def _print_payers(facts: dict[str, Any], denied: set[str]) -> None:
    print(f"latency {facts['backend_latency']}", *(name for name in ("backend_down", "subgraph_down") if facts[name]))
    payers = facts["payers"]
    for number, (address, account) in enumerate(payers.items()):
        if number == _SHOWN_PAYERS:
            print(f"... and {len(payers) - number} more: see the admin address")
            break
        thawing = f", {account['thawing_grt']} thawing" if account["thawing_grt"] != "0" else ""
        mark = "  DENIED" if address[2:].lower() in denied else ""
        print(f"payer {number:3}  {address}  {account['balance_grt']} GRT{thawing}{mark}")
