"""Where programs answer by their own configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.service.configuration import (
    Role,
    config_path,
    known_addresses,
    parse_configuration,
    secrets_of,
)

TOML = """
[indexer]
indexer_address = "0xf4EF6650E48d099a4972ea5B414daB86e1998Bd3"
operator_mnemonic = "test test test zero"
[metrics]
port = 7302
[database]
postgres_url = "postgresql://postgres:hunter2@db:5432/indexer"
[graph_node]
query_url = "http://127.0.0.1:8000"
status_url = "http://127.0.0.1:8030/graphql"
[subgraphs.network]
query_url = "http://127.0.0.1:8000/subgraphs/name/graph-network"
[service]
host_and_port = "0.0.0.0:7601"
"""


def addresses(text: str, role: Role = "service", **environment: str) -> dict[str, str]:
    return known_addresses(parse_configuration(text, role, environment, "x.toml"), role)


def test_addresses_of_the_two_programs() -> None:
    shared = {
        "graph_url": "http://127.0.0.1:8000/subgraphs/name/graph-network",
        "database_url": "postgresql://postgres:hunter2@db:5432/indexer",
    }
    assert addresses(TOML) == {
        **shared,
        "service_url": "http://127.0.0.1:7601",
        "service_metrics_url": "http://127.0.0.1:7302/metrics",
    }
    assert addresses(TOML, "agent") == {**shared, "agent_metrics_url": "http://127.0.0.1:7302/metrics"}


def test_defaults_are_those_of_the_programs() -> None:
    assert addresses("[indexer]") == {
        "service_url": "http://127.0.0.1:7600",
        "service_metrics_url": "http://127.0.0.1:7300/metrics",
    }


@pytest.mark.parametrize(
    ("host_and_port", "url"),
    [
        ("0.0.0.0:1", "http://127.0.0.1:1"),
        ("[::]:2", "http://[::1]:2"),
        ("10.0.0.3:3", "http://10.0.0.3:3"),
        ("[2001:db8::1]:4", "http://[2001:db8::1]:4"),
    ],
)
def test_any_address_is_this_machine(host_and_port: str, url: str) -> None:
    assert addresses(f'[service]\nhost_and_port = "{host_and_port}"')["service_url"] == url


@pytest.mark.parametrize("host_and_port", ["7600", "localhost:", ":7600", ""])
def test_an_address_that_is_none(host_and_port: str) -> None:
    text = f'[service]\nhost_and_port = "{host_and_port}"'
    if not host_and_port:
        assert addresses(text)["service_url"] == "http://127.0.0.1:7600"
        return
    with pytest.raises(SettingsError, match=r"service\.host_and_port: expected an address such as 0\.0\.0\.0:7600"):
        addresses(text)


def test_the_parts_of_a_database_are_put_together() -> None:
    text = '[database]\nhost = "db"\nuser = "me"\npassword = "p@ss/word"\ndatabase = "d"\nport = 5433'
    assert addresses(text)["database_url"] == "postgres://me:p%40ss%2Fword@db:5433/d"
    text = '[database]\nhost = "db"\nuser = "me"\ndatabase = "d"'
    assert addresses(text)["database_url"] == "postgres://me@db/d"
    assert "database_url" not in addresses('[database]\nhost = "db"')


def test_variables_win_over_the_file_and_shared_ones_over_the_programs_own() -> None:
    own = {"INDEXER_SERVICE_METRICS__PORT": "1", "TAP_AGENT_METRICS__PORT": "2"}
    assert addresses(TOML, **own)["service_metrics_url"] == "http://127.0.0.1:1/metrics"
    assert addresses(TOML, "agent", **own)["agent_metrics_url"] == "http://127.0.0.1:2/metrics"
    both = {**own, "INDEXER_METRICS__PORT": "3", "INDEXER_SERVICE__HOST_AND_PORT": "0.0.0.0:4"}
    assert addresses(TOML, **both)["service_metrics_url"] == "http://127.0.0.1:3/metrics"
    assert addresses(TOML, **both)["service_url"] == "http://127.0.0.1:4"
    assert addresses(TOML, INDEXER_METRICS__PORT="")["service_metrics_url"] == "http://127.0.0.1:7302/metrics"


def test_variables_are_put_into_lines_that_are_no_comments() -> None:
    text = '[service]\n# ${NOT_SET}\nhost_and_port = "${HOST}:${PORT}"'
    assert addresses(text, HOST="127.0.0.9", PORT="5")["service_url"] == "http://127.0.0.9:5"
    with pytest.raises(SettingsError, match=r"x\.toml, line 3: the variable PORT is not set"):
        addresses(text, HOST="127.0.0.9")


def test_toml_of_another_program_says_nothing() -> None:
    assert addresses('target = "http://127.0.0.1:7601"\nnum_receipts = 5') == {}
    with pytest.raises(SettingsError, match=r"x\.toml: not valid TOML"):
        addresses("[service")


def test_secrets_are_found_wherever_they_are() -> None:
    values = parse_configuration(TOML + 'free_query_auth_token = "freestuff"', "service", {}, "x")
    environment = {
        "SIGNER_KEY": "0xabcdef",
        "HOME": "/home/me",
        "DATABASE_URL": "postgres://u:secret-word@h/d",
        "A_KEY": "x",
    }
    assert set(secrets_of(values, environment)) == {
        "test test test zero",
        "hunter2",
        "freestuff",
        "0xabcdef",
        "secret-word",
    }


@pytest.mark.parametrize(
    ("command", "path"),
    [("a --config b.toml -x", "b.toml"), ("a --config=b.toml", "b.toml"), ("a --config", None), ("a b.toml", None)],
)
def test_the_file_is_after_config(command: str, path: str | None) -> None:
    assert config_path(command.split()) == path


@given(
    port=st.integers(1, 65535),
    names=st.dictionaries(st.from_regex(r"INDEXER_[A-Z_]{1,20}", fullmatch=True), st.text(max_size=20)),
)
def test_no_variable_makes_reading_fail(port: int, names: dict[str, str]) -> None:
    values = parse_configuration(f"[metrics]\nport = {port}", "agent", names, "x")
    if not any(name.startswith(("INDEXER_METRICS", "INDEXER_DATABASE", "INDEXER_SUBGRAPHS")) for name in names):
        assert known_addresses(values, "agent") == {"agent_metrics_url": f"http://127.0.0.1:{port}/metrics"}
