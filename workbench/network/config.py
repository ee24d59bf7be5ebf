"""The configuration files of the two programs, made from the same settings as the stand-in's.

The keys are those of indexer-rs (``crates/config``). Both programs read the same model and use their parts of it, so
the two files differ only in the metrics port. The programs' own variables ``INDEXER_SERVICE_*`` and ``TAP_AGENT_*`` can
override every line.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from workbench.errors import SettingsError, ToolError
from workbench.network.node import STATUS_PATH
from workbench.network.subgraph import PATH as SUBGRAPH_PATH
from workbench.network.world import OPERATOR_MNEMONIC
from workbench.receipts.address import checksum, parse_address
from workbench.settings import Settings
from workbench.standin.chain import MIN_BALANCE_WEI

CHAIN_IDS = (1, 5, 1337, 42161, 421613, 421614, 11155111)
"""The chains that the two programs know; with another one they end at once."""

RECENTLY_CLOSED_S = 3600
MAX_STALENESS_MINUTES = 30
MAX_RECEIPTS_PER_REQUEST = 10_000
REQUEST_TIMEOUT_S = 5
SENDER_TIMEOUT_S = 30
RECONCILIATION_S = 300

Table = Mapping[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Wiring:
    """All addresses for the files. Ports of the programs are never 0 here.

    ``graph_node_url`` is the address of graph-node and the network subgraph; ``aggregators`` are those of each payer
    that the agent must know.
    """

    database_url: str
    graph_node_url: str
    aggregators: Mapping[bytes, str]
    service_port: int
    service_metrics_port: int
    agent_metrics_port: int

    @property
    def graph_url(self) -> str:
        """The network subgraph's URL."""
        return f"{self.graph_node_url}{SUBGRAPH_PATH}"

    @property
    def status_url(self) -> str:
        """The URL of graph-node's indexing status."""
        return f"{self.graph_node_url}{STATUS_PATH}"

    @property
    def query_url(self) -> str:
        """The URL to which the service appends ``subgraphs/id/Qm...``."""
        return f"{self.graph_node_url}/"

    def host_and_port(self, host: str) -> str:
        """The service's listening address."""
        return _joined(in_numbers(host), self.service_port)

    def service_url(self, host: str) -> str:
        """The service's URL on this machine."""
        address = in_numbers(host)
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        return f"http://{_joined(address, self.service_port)}"


def service_config(settings: Settings, wiring: Wiring) -> str:
    """``service.toml``. Raises SettingsError for a setting that the programs would refuse."""
    return to_toml(_tables(settings, wiring, wiring.service_metrics_port))


def agent_config(settings: Settings, wiring: Wiring) -> str:
    """``agent.toml``. Raises SettingsError as :func:`service_config`."""
    return to_toml(_tables(settings, wiring, wiring.agent_metrics_port))


def in_numbers(host: str) -> Address:
    """The service's host as an address: the service accepts no names. Raises SettingsError for another name than
    localhost."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise SettingsError(f"the service needs a numeric address, found {host!r}", where="host") from None


def require_fitting(settings: Settings) -> None:
    """Raise SettingsError for settings that the stand-in accepts but the two programs refuse, and for a host that other
    machines could reach without permission."""
    if not in_numbers(settings.host).is_loopback and not settings.allow_remote:
        raise SettingsError(
            f"the service would be reachable from other machines at {settings.host!r}",
            where="host",
            hint="Use 127.0.0.1, or --allow-remote if that is meant",
        )
    if settings.chain_id not in CHAIN_IDS:
        raise SettingsError(
            f"the programs know the chains {', '.join(map(str, CHAIN_IDS))}, found {settings.chain_id}",
            where="chain_id",
        )
    if settings.trigger_value_divisor <= 1:
        raise SettingsError(
            f"must be greater than 1 for the tap-agent, found {settings.trigger_value_divisor:g}",
            where="trigger_value_divisor",
        )
    for name in ("limit_grt", "max_receipt_value_grt"):
        if getattr(settings, name) <= 0:
            raise SettingsError("must be more than 0 for the programs", where=name)
    if settings.receipt_version != 2:
        raise SettingsError(
            "since 2.0.0 the programs only accept V2 receipts", where="receipt_version", hint="Leave it out"
        )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read: it contains a mnemonic, a token and a database password."""
    try:
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ToolError(
            f"cannot be written: {error.strerror}", where=str(path), hint="Give another folder with --network-folder"
        ) from None


def _tables(settings: Settings, wiring: Wiring, metrics_port: int) -> dict[str, Table]:
    require_fitting(settings)
    return {
        "indexer": {
            "indexer_address": checksum(parse_address(settings.indexer)),
            "operator_mnemonic": OPERATOR_MNEMONIC,
        },
        "metrics": {"port": metrics_port},
        "database": {"postgres_url": wiring.database_url},
        "graph_node": {"query_url": wiring.query_url, "status_url": wiring.status_url},
        "subgraphs.network": {
            "query_url": wiring.graph_url,
            "syncing_interval_secs": settings.syncing_interval_s,
            "recently_closed_allocation_buffer_secs": RECENTLY_CLOSED_S,
            "max_data_staleness_mins": MAX_STALENESS_MINUTES,
            "escrow_min_balance_grt_wei": str(MIN_BALANCE_WEI),
            "max_signers_per_payer": 0,
        },
        "blockchain": {
            "chain_id": settings.chain_id,
            "receipts_verifier_address_v2": checksum(parse_address(settings.collector)),
            "subgraph_service_address": checksum(parse_address(settings.data_service)),
        },
        "service": {
            "host_and_port": wiring.host_and_port(settings.host),
            "url_prefix": settings.url_prefix,
            "serve_network_subgraph": False,
            "free_query_auth_token": settings.free_query_token,
            # only used for offers of indexing agreements, and there are none
            "ipfs_url": wiring.query_url,
        },
        "service.tap": {"max_receipt_value_grt": _plain(settings.max_receipt_value_grt)},
        "tap": {
            "max_amount_willing_to_lose_grt": _plain(settings.limit_grt),
            "sender_timeout_secs": SENDER_TIMEOUT_S,
            "allocation_reconciliation_interval_secs": RECONCILIATION_S,
        },
        "tap.rav_request": {
            "trigger_value_divisor": settings.trigger_value_divisor,
            "timestamp_buffer_secs": settings.timestamp_tolerance_s,
            "request_timeout_secs": REQUEST_TIMEOUT_S,
            "max_receipts_per_request": MAX_RECEIPTS_PER_REQUEST,
        },
        "tap.sender_aggregator_endpoints": {checksum(payer): url for payer, url in wiring.aggregators.items()},
    }


def to_toml(tables: Mapping[str, Table]) -> str:
    """Tables of text, numbers and booleans as TOML. Names of tables are dotted, keys are bare or hexadecimal."""
    parts = []
    for name, table in tables.items():
        lines = [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _joined(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _value(value: str | int | float | bool) -> str:
    # JSON's strings, numbers, true and false are valid TOML
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plain(amount: Decimal) -> str:
    """An amount of GRT as text without an exponent: the programs would round a number."""
    return format(amount, "f")
