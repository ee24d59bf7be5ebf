"""The configuration files, read back as the two programs read them."""

from __future__ import annotations

import stat
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.network.config import Wiring, agent_config, service_config, to_toml, write_private
from workbench.network.world import OPERATOR_MNEMONIC
from workbench.settings import Settings
from workbench.standin.accounts import payer

WIRING = Wiring(
    database_url="postgresql://postgres:s3cret@127.0.0.1:5432/indexer_components_1",
    graph_node_url="http://127.0.0.1:8000",
    aggregators={payer(0).address: "http://127.0.0.1:7610"},
    service_port=7601,
    service_metrics_port=7302,
    agent_metrics_port=7303,
)
SETTINGS = Settings(
    limit_grt=Decimal("1.5"),
    max_receipt_value_grt=Decimal("0.000000000000000001"),
    timestamp_tolerance_s=15,
    trigger_value_divisor=20,
    syncing_interval_s=12.5,
    free_query_token='to"ken\\',
    url_prefix="/indexer",
)


def test_every_key() -> None:
    expected: dict[str, Any] = {
        "indexer": {
            "indexer_address": "0xf4EF6650E48d099a4972ea5B414daB86e1998Bd3",
            "operator_mnemonic": OPERATOR_MNEMONIC,
        },
        "metrics": {"port": 7302},
        "database": {"postgres_url": "postgresql://postgres:s3cret@127.0.0.1:5432/indexer_components_1"},
        "graph_node": {"query_url": "http://127.0.0.1:8000/", "status_url": "http://127.0.0.1:8000/graphql"},
        "subgraphs": {
            "network": {
                "query_url": "http://127.0.0.1:8000/subgraphs/name/graph-network",
                "syncing_interval_secs": 12.5,
                "recently_closed_allocation_buffer_secs": 3600,
                "max_data_staleness_mins": 30,
                "escrow_min_balance_grt_wei": "100000000000000000",
                "max_signers_per_payer": 0,
            }
        },
        "blockchain": {
            "chain_id": 1337,
            "receipts_verifier_address_v2": "0xB0D4afd8879eD9F52b28595d31B441D079B2Ca07",
            "subgraph_service_address": "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9",
        },
        "service": {
            "host_and_port": "127.0.0.1:7601",
            "url_prefix": "/indexer",
            "serve_network_subgraph": False,
            "free_query_auth_token": 'to"ken\\',
            "ipfs_url": "http://127.0.0.1:8000/",
            "tap": {"max_receipt_value_grt": "0.000000000000000001"},
        },
        "tap": {
            "max_amount_willing_to_lose_grt": "1.5",
            "sender_timeout_secs": 30,
            "allocation_reconciliation_interval_secs": 300,
            "rav_request": {
                "trigger_value_divisor": 20.0,
                "timestamp_buffer_secs": 15.0,
                "request_timeout_secs": 5,
                "max_receipts_per_request": 10_000,
            },
            "sender_aggregator_endpoints": {"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266": "http://127.0.0.1:7610"},
        },
    }
    assert tomllib.loads(service_config(SETTINGS, WIRING)) == expected
    assert tomllib.loads(agent_config(SETTINGS, WIRING)) == expected | {"metrics": {"port": 7303}}


@given(
    st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text() | st.integers(0, 2**63) | st.booleans())
)
def test_any_value_is_read_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml({"a.b": table})) == {"a": {"b": table}}


@pytest.mark.parametrize(
    ("host", "written", "url"),
    [
        ("localhost", "127.0.0.1:7601", "http://127.0.0.1:7601"),
        ("127.0.0.2", "127.0.0.2:7601", "http://127.0.0.2:7601"),
        ("::1", "[::1]:7601", "http://[::1]:7601"),
        ("0.0.0.0", "0.0.0.0:7601", "http://127.0.0.1:7601"),
        ("::", "[::]:7601", "http://[::1]:7601"),
    ],
)
def test_the_service_gets_its_host_in_numbers(host: str, written: str, url: str) -> None:
    text = service_config(Settings(host=host, allow_remote=True), WIRING)
    assert tomllib.loads(text)["service"]["host_and_port"] == written
    assert WIRING.service_url(host) == url


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chain_id": 5000}, "chain_id: the programs know the chains 1, 5, 1337"),
        ({"trigger_value_divisor": 1}, "trigger_value_divisor: must be greater than 1 for the tap-agent, found 1"),
        ({"limit_grt": Decimal(0)}, "limit_grt: must be more than 0"),
        ({"max_receipt_value_grt": Decimal(0)}, "max_receipt_value_grt: must be more than 0"),
        ({"host": "0.0.0.0"}, "host: the service would be reachable from other machines at '0.0.0.0'"),
        ({"host": "example.org"}, "host: the service needs a numeric address, found 'example.org'"),
        ({"receipt_version": 1}, "receipt_version: since 2.0.0 the programs only accept V2 receipts"),
    ],
)
def test_what_the_programs_would_refuse(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        service_config(Settings(**changes), WIRING)


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "service.toml"
    path.write_text("open to all")
    path.chmod(0o644)
    write_private(path, "secret")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("secret", 0o600)
