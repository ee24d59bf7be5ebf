"""The addresses in the two programs' own configuration: the TOML file of indexer-rs with its overrides. Pure.

The format is that of indexer-rs 2.2 (crates/config). Each of these overrides those before it: defaults, the file with
``${NAME}`` replaced from the environment, variables ``INDEXER_SERVICE_*`` or ``TAP_AGENT_*``, variables ``INDEXER_*``.
``__`` separates the parts of a name (``INDEXER_METRICS__PORT``). Empty variables count as missing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from workbench.errors import SettingsError

Role = Literal["service", "agent"]
"""Which of the two programs: indexer-service or tap-agent."""

SHARED_PREFIX = "INDEXER_"
PREFIXES: Mapping[Role, str] = {"service": "INDEXER_SERVICE_", "agent": "TAP_AGENT_"}
DEFAULT_HOST_AND_PORT = "0.0.0.0:7600"
DEFAULT_METRICS_PORT = 7300

_TABLES = ("indexer", "database", "graph_node", "metrics", "subgraphs", "blockchain", "service", "tap")
_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
_SECRET = re.compile(r"mnemonic|token|password|secret|private", re.IGNORECASE)
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read, not bound
_LEAST_SECRET = 6


def config_path(argv: Sequence[str]) -> str | None:
    """The file after ``--config`` in a command line; None if there is none."""
    for number, word in enumerate(argv):
        if word == "--config" and number + 1 < len(argv):
            return argv[number + 1]
        if word.startswith("--config="):
            return word.removeprefix("--config=")
    return None


def parse_configuration(text: str, role: Role, environment: Mapping[str, str], where: str) -> dict[str, Any]:
    """The merged configuration of a program, without defaults; {} for TOML that is not from indexer-rs.

    Raises SettingsError, with the line, if the text is not TOML or names a variable that is not set.
    """
    try:
        values = tomllib.loads(_substituted(text, environment, where))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not valid TOML: {error}", where=where) from None
    if not any(isinstance(values.get(table), dict) for table in _TABLES):
        return {}
    for prefix in (PREFIXES[role], SHARED_PREFIX):
        for variable, value in environment.items():
            if variable.startswith(prefix) and value:
                _put(values, variable.removeprefix(prefix).lower().split("__"), value)
    return values


def variables_of(text: str) -> frozenset[str]:
    """The names of the variables that a configuration uses, as ``${NAME}``."""
    return frozenset(_VARIABLE.findall(text))


def value_at(values: Mapping[str, Any], *path: str) -> Any:
    """A value in nested tables, by its names; None if it is missing."""
    found: Any = values
    for part in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def known_addresses(configuration: Mapping[str, Any], role: Role) -> dict[str, str]:
    """The addresses that a configuration gives, of its program and of what that uses: fields of
    :class:`workbench.service.addresses.Addresses`. 0.0.0.0 becomes 127.0.0.1. Raises SettingsError."""
    if not configuration:
        return {}
    metrics = value_at(configuration, "metrics", "port") or DEFAULT_METRICS_PORT
    found = {
        "graph_url": value_at(configuration, "subgraphs", "network", "query_url"),
        "database_url": _database_url(configuration),
        f"{role}_metrics_url": f"http://127.0.0.1:{metrics}/metrics",
    }
    if role == "service":
        found["service_url"] = _url(str(value_at(configuration, "service", "host_and_port") or DEFAULT_HOST_AND_PORT))
    return {name: str(value) for name, value in found.items() if value}


def secrets_of(configuration: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Values that no message may show: mnemonics, tokens and passwords of a configuration and of the environment."""
    found = [text for name, text in _texts(configuration) if _SECRET.search(name)]
    found += [value for name, value in environment.items() if re.search(r"KEY|" + _SECRET.pattern, name, re.IGNORECASE)]
    for url in (*(text for _, text in _texts(configuration)), *environment.values()):
        if "://" in url and (password := _password(url)):
            found.append(password)
    # a short value would also be found inside other words
    return tuple(sorted({text for text in found if len(text) >= _LEAST_SECRET}, key=len, reverse=True))


def _substituted(text: str, environment: Mapping[str, str], where: str) -> str:
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#"):
            absent = [name for name in _VARIABLE.findall(line) if name not in environment]
            if absent:
                raise SettingsError(
                    f"the variable {absent[0]} is not set", where=f"{where}, line {number}", hint=f"Set {absent[0]}"
                )
            line = _VARIABLE.sub(lambda match: environment[match[1]], line)
        lines.append(line)
    return "\n".join(lines)


def _put(values: dict[str, Any], parts: Sequence[str], value: str) -> None:
    """Set a nested value. A part that is not a table stays unchanged; the programs would refuse it anyway."""
    *path, last = parts
    for part in path:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            return
    values[last] = value


def _url(host_and_port: str) -> str:
    host, _, port = host_and_port.rpartition(":")
    bare = host.strip("[]")
    if not bare or not port.isdigit():
        raise SettingsError(
            f"expected an address such as 0.0.0.0:7600, found {host_and_port[:80]!r}", where="service.host_and_port"
        )
    bare = _ANY_ADDRESS.get(bare, bare)
    return f"http://[{bare}]:{port}" if ":" in bare else f"http://{bare}:{port}"


def _database_url(configuration: Mapping[str, Any]) -> str | None:
    database = value_at(configuration, "database")
    if not isinstance(database, Mapping):
        return None
    if database.get("postgres_url"):
        return str(database["postgres_url"])
    if not (database.get("host") and database.get("user") and database.get("database")):
        return None
    password = f":{quote(str(database['password']), safe='')}" if database.get("password") else ""
    port = f":{database['port']}" if database.get("port") else ""
    user = quote(str(database["user"]), safe="")
    return f"postgres://{user}{password}@{database['host']}{port}/{database['database']}"


def _texts(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in nested values, with its name."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _texts(value, str(key))
    elif isinstance(values, list):
        for value in values:
            yield from _texts(value, name)
    elif isinstance(values, str):
        yield name, values


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None
