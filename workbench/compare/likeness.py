"""Whether two runs may be compared: finds what differs between them besides the build."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workbench.compare.side import Side
from workbench.errors import MeasurementError

# Addresses and names do not change what is measured. The commands are the difference that is compared.
_ELSEWHERE = frozenset(
    {
        "target", "graph_url", "service_metrics_url", "agent_metrics_url", "database_url", "database", "allocation",
        "indexer", "payers", "signer_keys", "free_query_token", "allow_remote", "allow_unencrypted", "deployment",
        "chain_id", "collector", "data_service", "tap_verifier", "limit_hint_grt", "runs_dir", "name", "profile_dir",
        "service_command", "agent_command", "compose", "network", "network_folder", "migrations", "postgres",
        "postgres_port", "aggregator", "aggregator_port", "host", "url_prefix", "service_port",
        "service_metrics_port", "agent_metrics_port", "graph_port", "scheduler", "seed", "standin_seed",
        "standin_payers", "fail_if", "repeats", "timeout_s", "settle_timeout_s", "preflight", "pinpoint",
        "stop_after_denial", "paired",
    }
)  # fmt: skip
_MACHINE = ("system", "release", "processor", "cores", "usable_cores", "hypervisor", "memory_bytes")
_VERSIONS = ("python", "indexer-workbench")
# a machine may report slightly different memory after each boot
_MEMORY_SLACK = 0.05


def facts_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run's manifest that decide whether it may be compared, by dotted name."""
    settings = manifest.get("settings") or {}
    machine, versions = manifest.get("machine") or {}, manifest.get("versions") or {}
    target = manifest.get("target") or {}
    facts: dict[str, Any] = {
        f"settings.{name}": value for name, value in settings.items() if name not in _ELSEWHERE and value is not None
    }
    facts |= {f"machine.{name}": machine[name] for name in _MACHINE if machine.get(name) not in (None, "")}
    facts |= {f"versions.{name}": versions[name] for name in _VERSIONS if name in versions}
    if "is_standin" in target:
        facts["target"] = "the stand-in" if target["is_standin"] else "a service"
    return facts


def unlike(before: Side, after: Side) -> pd.DataFrame:
    """What differs between two runs: ``what``, ``before``, ``after`` as text. A fact that only one of
    them has counts as different if it is a setting; otherwise it is ignored as unknown."""
    rows = []
    for name in sorted({*before.facts, *after.facts}):
        one, other = before.facts.get(name), after.facts.get(name)
        untold = one is None or other is None
        if one == other or (untold and not _matters_alone(name, before, after)) or _alike(name, one, other):
            continue
        rows.append((name, _text(one), _text(other)))
    return pd.DataFrame(rows, columns=["what", "before", "after"]).astype("str")


def require_alike(before: Side, after: Side, differences: pd.DataFrame) -> None:
    """Raise MeasurementError that names the differences, if there are any."""
    if differences.empty:
        return
    said = ", ".join(f"{row.what} ({row.before} and {row.after})" for row in differences.itertuples())
    raise MeasurementError(
        f"these runs differ in {said}, so a change may have other causes than the build",
        where=f"{before.name} and {after.name}",
        hint="Measure both with the same settings, or pass --anyway",
    )


def _matters_alone(name: str, before: Side, after: Side) -> bool:
    """Whether a fact that only one side has is a difference: a setting is, if both sides have settings at all."""
    told = all(any(key.startswith("settings.") for key in side.facts) for side in (before, after))
    return name.startswith("settings.") and told


def _alike(name: str, one: Any, other: Any) -> bool:
    if name != "machine.memory_bytes" or one is None or other is None:
        return False
    return abs(float(one) - float(other)) <= _MEMORY_SLACK * max(float(one), float(other))


def _text(value: Any) -> str:
    return "not recorded" if value is None else str(value)
