"""The object that ``workbench load --json`` prints is what docs/exchange.md says, and a key that goes is seen."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.tools import WORKBENCH
from workbench.analysis.step_row import StepRow
from workbench.exchange.load_json import SCHEMA

DOCS = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()

# of schema 1, and no key may go or change its kind without a new number. Each is a number that can be null, unless said
NUMBERS = {
    "rate_per_s", "concurrency", "value_grt", "fees_before_grt", "budget_receipts", "duration_s", "throughput_per_s",
    "response_p50_ms", "response_p90_ms", "response_p95_ms", "response_p99_ms", "response_max_ms",
    "service_p50_ms", "service_p90_ms", "service_p95_ms", "service_p99_ms", "service_max_ms",
    "lag_p50_ms", "lag_p99_ms", "lag_max_ms", "generator_cpu_percent",
    "first_refusal_index", "first_refusal_s", "fees_at_first_refusal_grt", "crossing_index",
    "denial_lag_receipts", "denial_lag_s", "fees_after_grt", "settle_s", "counted", "stored", "invalid",
    "aggregated_grt", "denylisted_s", "denylist_lag_s", "paid_after_denylisted", "service_cpu_s",
    "loop_delay_max_ms", "loop_held_percent", "gc_pauses", "gc_pause_max_ms", "clock_step_ms", "preempted",
    "throttled_ms", "steal_percent", "other_cpu_percent", "survived",
}  # fmt: skip
COUNTS = {
    "schema", "step", "receipts", "offered", "sent", "accepted", "denied", "failed", "paid", "signed_late",
    "signed_anew", "closed_idle", "surplus",
}  # fmt: skip
TEXTS = {
    "kind", "loop", "payer", "denied_after_settle", "invalid_reasons", "verdict", "reason", "failure", "profiler",
    "run", "disturbances",
}  # fmt: skip
SCHEMA_1 = NUMBERS | COUNTS | TEXTS | {"outcomes", "tiles"}


# 150 receipts by four take 1.5 s: the agent counts those before the last while they are sent
PACED = ("--backend-latency", "constant:40")


def documented() -> list[tuple[str, str]]:
    """Key and unit of each line of the table."""
    table = DOCS.split("## `workbench load --json`")[1].split("\n## ")[0]
    return [(key, unit.strip()) for key, unit in re.findall(r"^\| `(\w+)` \|([^|]*)\|", table, re.MULTILINE)]


@pytest.fixture(scope="module", params=[("--rate", "100"), ("--concurrency", "4", *PACED)])
def printed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a load to past its limit prints: figures of denial are in it too."""
    done = subprocess.run(
        [*WORKBENCH, "load", "-n", "150", *request.param, "--json", "--limit-grt", "0.05"],
        cwd=tmp_path_factory.mktemp("load"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (1, 4), done.stderr  # 4: on a busy machine
    return done.stdout


def test_every_key_is_documented_once_and_every_documented_one_is_there(printed: str) -> None:
    keys = [key for key, _ in documented()]
    assert sorted(keys) == sorted(json.loads(printed))
    assert len(set(keys)) == len(keys)


def test_no_key_of_this_schema_is_gone_or_of_another_kind(printed: str) -> None:
    result: dict[str, Any] = json.loads(printed)
    assert result["schema"] == SCHEMA == 1
    assert set(result) >= SCHEMA_1
    assert {key: result[key] for key in NUMBERS if not isinstance(result[key], (int, float, type(None)))} == {}
    assert {key: result[key] for key in COUNTS if type(result[key]) is not int} == {}
    assert {key: result[key] for key in TEXTS if not isinstance(result[key], str)} == {}
    assert all(type(count) is int for count in result["outcomes"].values())
    assert sum(result["outcomes"].values()) == result["sent"]
    assert [tile["what"] for tile in result["tiles"]] == ["verdict", "limit", "cost", "next"]


def test_it_is_json_as_the_standard_has_it(printed: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(printed, parse_constant=refuse)


def test_units_are_those_of_the_names() -> None:
    units = {"_ms": "ms", "_s": "s", "_grt": "GRT", "_per_s": "receipts/s"}
    for key, unit in documented():
        for ending, wanted in sorted(units.items(), key=lambda item: len(item[0])):
            if key.endswith(ending) and not (ending == "_s" and key.endswith("_per_s")):
                assert unit == wanted, key


def test_the_row_of_a_step_has_nothing_that_the_list_forgets() -> None:
    assert set(StepRow.__dataclass_fields__) <= {key for key, _ in documented()}
