"""``workbench network``: the network around the real programs: up, status, set, down."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from workbench.cli.options import add_config, add_settings, all_but, given, settings_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result, tell
from workbench.cli.waiting import awaited
from workbench.errors import EXIT_PASS, EXIT_TARGET, SettingsError

if TYPE_CHECKING:
    from workbench.network.run import Network
    from workbench.settings import Settings

_SHOWN_PAYERS = 10
# the settings of the stand-in that the network uses too
_OF_STANDIN = (
    "limit_grt", "escrow_grt", "standin_payers", "max_receipt_value_grt", "timestamp_tolerance_s",
    "trigger_value_divisor", "backend_latency", "backend_down", "reset_share", "url_prefix", "host", "service_port",
    "service_metrics_port", "agent_metrics_port", "graph_port", "standin_seed",
)  # fmt: skip
_OF_TARGET = ("deployment", "indexer", "data_service", "collector", "chain_id", "allow_remote")
_FAULTS = ("backend_latency", "backend_down", "reset_share")


def add_up(parser: OneLineParser) -> None:
    """The arguments of ``workbench network up``."""
    from workbench.settings import NetworkSettings, StandinSettings, TargetSettings

    parser.first = (
        "fresh",
        "network_folder",
        "postgres",
        "limit_grt",
        "escrow_grt",
        "standin_payers",
        "json",
        "config",
    )
    parser.add_argument("--fresh", action="store_true", help="Begin with an empty database.")
    _add_common(parser)
    add_settings(parser, NetworkSettings, "network", leave_out=("network", "network_folder"))
    add_settings(
        parser,
        StandinSettings,
        "shared with the stand-in",
        leave_out=all_but(StandinSettings, *_OF_STANDIN),
    )
    add_settings(parser, TargetSettings, "indexer and contracts", leave_out=all_but(TargetSettings, *_OF_TARGET))


def add_status(parser: OneLineParser) -> None:
    """The arguments of ``workbench network status``."""
    _add_common(parser)


def add_set(parser: OneLineParser) -> None:
    """The arguments of ``workbench network set``."""
    from workbench.settings import NetworkSettings, StandinSettings

    parser.first = ("payer", "balance_grt", "thawing_grt", "signer", "backend_latency", "backend_down", "reset_share",
                    "subgraph_down", "json")  # fmt: skip
    _add_common(parser)
    parser.add_argument("--payer", metavar="N|ADDRESS", help="The payer, by its number from 0 or its address.")
    parser.add_argument("--balance-grt", metavar="GRT", help="The payer's escrow.")
    parser.add_argument("--thawing-grt", metavar="GRT", help="How much of it is thawing.")
    parser.add_argument("--signer", metavar="ADDRESS", help="Signer of a new payer.")
    parser.add_argument(
        "--subgraph-down",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="The network subgraph does not answer.",
    )
    add_settings(parser, StandinSettings, "failures", leave_out=all_but(StandinSettings, *_FAULTS))
    interval = all_but(NetworkSettings, "syncing_interval_s")
    add_settings(parser, NetworkSettings, "when the programs see it", leave_out=interval)


def add_down(parser: OneLineParser) -> None:
    """The arguments of ``workbench network down``."""
    _add_common(parser)


def _add_common(parser: OneLineParser) -> None:
    from workbench.settings import NetworkSettings

    add_json(parser)
    add_config(parser)
    add_settings(parser, NetworkSettings, "where", leave_out=all_but(NetworkSettings, "network_folder"))


def do_up(options: argparse.Namespace) -> int:
    """Start it, and say where everything answers."""
    return awaited(_up(options, settings_of(options)))


def do_status(options: argparse.Namespace) -> int:
    """Print what runs and answers; exit code 3 if something does not."""
    return awaited(_status(options, settings_of(options)))


def do_set(options: argparse.Namespace) -> int:
    """Change accounts or failures, and print the new state."""
    return awaited(_set(options, settings_of(options), given(options)))


def do_down(options: argparse.Namespace) -> int:
    """Stop the network."""
    return awaited(_down(options, settings_of(options)))


async def _up(options: argparse.Namespace, settings: Settings) -> int:
    from workbench.network import detached

    network = await detached.up(settings, fresh=options.fresh)
    facts = _facts_of(network)
    if options.json:
        print_json({name.replace(" ", "_"): value for name, value in facts.items()} | {"commands": network.commands()})
        return EXIT_PASS
    result("\n".join(f"{name:27} {value}" for name, value in facts.items()))
    result("\n".join(["Run the two programs:", *(f"  {command}" for command in network.commands())]))
    return EXIT_PASS


async def _status(options: argparse.Namespace, settings: Settings) -> int:
    from workbench.network import detached, look

    state = detached.require(settings.network_folder)
    parts = await look.look(state.network)
    every = (*parts, *await look.programs(state.network))
    facts: dict[str, Any] = {}
    denied: set[str] = set()
    if not parts[1].wrong:
        denied = await look.denied(state.network) if not parts[0].wrong else set()
        facts = await look.describe(state.network)
    if options.json:
        rows = [{"name": part.name, "address": part.address, "wrong": part.wrong} for part in every]
        print_json({"started": state.started, "process": state.keeper, "parts": rows, **_with_denied(facts, denied)})
    else:
        result(f"up since {state.started} (process {state.keeper})")
        result("\n".join(f"{part.name:16} {part.address:60} {part.wrong or 'answers'}" for part in every))
        if facts:
            result("\n".join(_payer_lines(facts, denied)))
    return EXIT_TARGET if any(part.wrong for part in parts) else EXIT_PASS


async def _set(options: argparse.Namespace, settings: Settings, given: dict[str, Any]) -> int:
    from workbench.network import detached, look

    changes = {name: getattr(settings, name) for name in _FAULTS if name in given}
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
            "no change was given",
            where="workbench network set",
            hint="For example --payer 0 --balance-grt 5, or --backend-down",
        )
    state = detached.require(settings.network_folder)
    facts = await look.change(state.network, changes)
    if options.json:
        print_json(_with_denied(facts, set()))
        return EXIT_PASS
    result("\n".join(_payer_lines(facts, set())))
    result(f"The programs see the new escrow at their next poll, every {settings.syncing_interval_s:g} s")
    return EXIT_PASS


async def _down(options: argparse.Namespace, settings: Settings) -> int:
    from workbench.network import detached

    network = await detached.down(settings.network_folder)
    tell(options, {"folder": str(network.folder)}, f"the network is down; its data is in {network.folder}")
    return EXIT_PASS


def _payer(text: str) -> tuple[str, str | None]:
    """Address of a payer, and its signer if the payer is given by number."""
    if not text.isdecimal():
        return text, None
    from workbench.receipts.address import checksum
    from workbench.standin.accounts import payer

    found = payer(int(text))
    return checksum(found.address), checksum(found.key.address)


def _facts_of(network: Network) -> dict[str, str]:
    """Addresses and files of the network, by name."""
    from workbench.receipts.address import checksum
    from workbench.settings.kinds import without_password

    addresses = network.addresses
    return {
        "database": without_password(network.database_url),
        "network subgraph": network.graph_url,
        "graph-node": f"{network.query_url}subgraphs/id/..., status {network.status_url}",
        "aggregator": network.aggregator_url,
        "admin": network.admin_url,
        "allocation": f"{checksum(network.allocation)} (derived from the operator's mnemonic)",
        "payers": f"{network.payer_count} with escrow",
        "service will answer at": f"{addresses.service_url}, metrics {addresses.service_metrics_url}",
        "agent's metrics will be at": str(addresses.agent_metrics_url),
        "configuration": f"{network.service_config}, {network.agent_config} (with the database's password)",
    }


def _with_denied(facts: dict[str, Any], denied: set[str]) -> dict[str, Any]:
    """What the subgraph says, with each payer's ``denied``."""
    payers = {
        address: {**account, "denied": address[2:].lower() in denied}
        for address, account in facts.get("payers", {}).items()
    }
    return {**facts, "payers": payers}


def _payer_lines(facts: dict[str, Any], denied: set[str]) -> list[str]:
    faults = [name for name in ("backend_down", "subgraph_down") if facts[name]]
    lines = [" ".join([f"latency {facts['backend_latency']}", *faults])]
    payers = facts["payers"]
    for number, (address, account) in enumerate(payers.items()):
        if number == _SHOWN_PAYERS:
            lines.append(f"... and {len(payers) - number} more: see the admin address, or --json")
            break
        thawing = f", {account['thawing_grt']} thawing" if account["thawing_grt"] != "0" else ""
        mark = "  DENIED" if address[2:].lower() in denied else ""
        lines.append(f"payer {number:3}  {address}  {account['balance_grt']} GRT{thawing}{mark}")
    return lines
