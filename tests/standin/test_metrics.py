"""Metrics of both services: names, types, labels, buckets, values."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

from workbench.receipts.address import checksum, collection_of
from workbench.receipts.keys import SigningKey
from workbench.standin.accounts import ALLOCATION, payer
from workbench.standin.server import Standin

from .conftest import MILLI_GRT, Caller, sample

PAYER = checksum(payer(0).address)
ALLOCATION_LABEL = checksum(ALLOCATION)
COLLECTION = collection_of(ALLOCATION).hex()


async def service_text(caller: Caller) -> str:
    return (await caller.fetch(caller.endpoints.service_metrics_url)).text


async def agent_text(caller: Caller) -> str:
    return (await caller.fetch(caller.endpoints.agent_metrics_url)).text


def types(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


async def test_service_has_no_family_before_its_first_use(caller: Caller) -> None:
    assert await service_text(caller) == ""


async def test_histogram_of_a_paid_query(caller: Caller) -> None:
    for _ in range(3):
        assert (await caller.pay()).status == 200
    text = await service_text(caller)
    assert types(text) == {"indexer_query_handler_seconds": "histogram"}
    labels = {
        "deployment": caller.settings.deployment,
        "allocation": ALLOCATION_LABEL,
        "sender": PAYER,
        "status_code": "200",
    }
    assert sample(text, "indexer_query_handler_seconds_count", **labels) == 3
    buckets = re.findall(r'indexer_query_handler_seconds_bucket\{.*?le="([^"]+)"', text)
    assert [float(bound) for bound in buckets[:-1]] == [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    assert buckets[-1] == "+Inf"
    assert "_created" not in text


async def test_histogram_covers_the_stages_after_the_sender_only(caller: Caller) -> None:
    assert (await caller.pay(key=SigningKey(b"\x42" * 32))).status == 402
    assert "indexer_query_handler_seconds" not in await service_text(caller)
    assert (await caller.query(receipt=caller.signed().header(), body=b"{}")).status == 502
    text = await service_text(caller)
    assert sample(text, "indexer_query_handler_seconds_count", status_code="502", sender=PAYER) == 1


async def test_labels_of_free_and_strange_requests(caller: Caller) -> None:
    assert (await caller.query()).status == 402
    assert (await caller.query(path="/subgraphs/id/Qmshort")).status == 500
    other = "0x" + "11" * 32
    assert (
        await caller.query(path=f"/subgraphs/id/{other}", headers={"Authorization": "Bearer freestuff"})
    ).status == 200
    text = await service_text(caller)
    count = "indexer_query_handler_seconds_count"
    nobody = {"sender": "no-sender"}
    assert sample(text, count, allocation=ALLOCATION_LABEL, status_code="402", **nobody) == 1
    assert sample(text, count, deployment="no-deployment", allocation="no-allocation", status_code="500", **nobody) == 1
    assert sample(text, count, allocation="no-allocation", status_code="200", **nobody) == 1


async def test_failure_counters(caller: Caller, standin: Standin) -> None:
    assert (await caller.query()).status == 402  # missing
    assert (await caller.query(receipt="%%%")).status == 402  # undecodable
    assert (await caller.pay(value=0)).status == 400  # a check
    standin.switches.store = "gone"
    assert (await caller.pay()).status == 500  # the store
    text = await service_text(caller)
    assert types(text)["indexer_receipt_failed_total"] == "counter"
    assert sample(text, "indexer_tap_invalid_total") == 2
    labels = {"deployment": caller.settings.deployment, "allocation": ALLOCATION_LABEL, "sender": PAYER}
    assert sample(text, "indexer_receipt_failed_total", **labels) == 2


async def test_backend_down_counts_as_200(caller: Caller, standin: Standin) -> None:
    standin.switches.backend_down = True
    assert (await caller.pay()).status == 200
    assert sample(await service_text(caller), "indexer_query_handler_seconds_count", status_code="200") == 1


async def test_agent_shows_every_payer_from_the_start(caller: Caller) -> None:
    text = await agent_text(caller)
    for index in range(caller.settings.standin_payers):
        sender = checksum(payer(index).address)
        expected = {
            "tap_sender_denied": 0,
            "tap_sender_escrow_balance_grt_total": 10 * 10**18,
            "tap_max_fee_per_sender_grt_total": 10**18,
            "tap_rav_request_trigger_value": 10**17,
            "tap_sender_fee_tracker_grt_total": 0,
        }
        assert {name: sample(text, name, sender=sender) for name in expected} == expected
    assert set(types(text).values()) == {"gauge"}
    assert "_created" not in text


async def test_agent_counts_in_wei(caller: Caller, standin: Standin) -> None:
    for _ in range(2):
        assert (await caller.pay()).status == 200
    await standin.settled()
    text = await agent_text(caller)
    assert types(text)["tap_receipts_received_total"] == "counter"
    assert sample(text, "tap_receipts_received_total", sender=PAYER, allocation=COLLECTION) == 2
    assert sample(text, "tap_sender_fee_tracker_grt_total", sender=PAYER) == 2 * MILLI_GRT
    labels = {"sender": PAYER, "allocation": f"0x{COLLECTION}", "version": "v2"}
    assert sample(text, "tap_unaggregated_fees_grt_total_by_version", **labels) == 2 * MILLI_GRT


async def test_denied_gauge_follows(caller: Caller, standin: Standin) -> None:
    await standin.thaw(payer(0).address, Decimal(10))
    text = await agent_text(caller)
    assert sample(text, "tap_sender_denied", sender=PAYER) == 1
    assert sample(text, "tap_sender_escrow_balance_grt_total", sender=PAYER) == 0
    await standin.thaw(payer(0).address, Decimal(0))
    assert sample(await agent_text(caller), "tap_sender_denied", sender=PAYER) == 0


@pytest.mark.parametrize("path", ["/", "/metrics/more", "/health"])
async def test_other_paths_of_the_agent_are_404(caller: Caller, path: str) -> None:
    answer = await caller.fetch(caller.endpoints.agent_metrics_url.removesuffix("/metrics") + path)
    assert (answer.status, answer.text) == (404, "404 Not Found")


async def test_content_type(caller: Caller) -> None:
    answer = await caller.fetch(caller.endpoints.agent_metrics_url)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_cost_families_appear_with_their_use(caller: Caller) -> None:
    single = f'{{ costModel(deployment: "{caller.settings.deployment}") {{ model }} }}'
    for query in (single, "{ costModels(deployments: []) { model } }"):
        body = json.dumps({"query": query}).encode()
        assert (await caller.query(path="/cost", body=body)).status == 200
    text = await service_text(caller)
    assert sample(text, "indexer_cost_model_seconds_count", deployment=caller.settings.deployment) == 1
    assert sample(text, "indexer_cost_model_batch_size_count") == 1
    assert sample(text, "indexer_cost_model_batch_seconds_count") == 1
