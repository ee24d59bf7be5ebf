"""The contract of the service's paid route, row by row over HTTP. docs/standin.md names these tests."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from workbench.receipts import v1, v2
from workbench.receipts.address import checksum, collection_of, parse_address, parse_deployment
from workbench.receipts.keys import SigningKey
from workbench.standin.accounts import ALLOCATION, payer
from workbench.standin.misc import MISC_BURST
from workbench.standin.server import Standin

from .conftest import MILLI_GRT, Caller, quick

CHECK = "Issues with provided receipt: Receipt error: Issue encountered while performing check: "
ADAPTER = "Issues with provided receipt: Error from adapter.\n Caused by: "
NO_RECEIPT = "No Tap receipt was found in the request"
NOBODY = "There was an error while accessing escrow account: No sender found for signer "
STRANGER = SigningKey(b"\x42" * 32)
SUCCESS = {"graphQLResponse": '{"data":{"_meta":{"block":{"number":1000}}}}', "attestation": None}


def v1_header(caller: Caller) -> str:
    domain = v1.domain(caller.settings.chain_id, parse_address(caller.settings.tap_verifier))
    return v1.Signer(payer(0).key, domain, allocation_id=ALLOCATION).header(time.time_ns(), 7, MILLI_GRT)


# Before the checks: the route itself, then the stages from the receipt to the body.


async def test_get_is_405(caller: Caller) -> None:
    answer = await caller.query(method="GET")
    assert (answer.status, answer.headers["allow"], answer.text) == (405, "POST", "")


@pytest.mark.parametrize("slashes", ["/", "//"])
async def test_trailing_slash_is_trimmed(caller: Caller, slashes: str) -> None:
    path = f"/subgraphs/id/{caller.settings.deployment}{slashes}"
    assert (await caller.query(path=path, receipt=caller.signed().header())).status == 200


@pytest.mark.parametrize("path", [None, "/", "/status", "/nowhere"], ids=["paid", "misc", "status", "unknown"])
async def test_preflight_is_200_before_any_stage(caller: Caller, path: str | None) -> None:
    asked = {"Origin": "http://a", "Access-Control-Request-Method": "POST"}
    answer = await caller.query(method="OPTIONS", path=path, headers=asked)
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "OPTIONS,POST,GET"
    assert answer.headers["access-control-allow-headers"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", None, 402), ("GET", None, 405), ("GET", "/", 200), ("GET", "/nowhere", 404)],
    ids=["refusal", "405", "misc", "404"],
)
async def test_cors_on_every_answer(caller: Caller, method: str, path: str | None, status: int) -> None:
    answer = await caller.query(method=method, path=path)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, "*")


async def test_url_prefix_nests_the_paid_route_only(session: aiohttp.ClientSession) -> None:
    async with Standin(quick(url_prefix="/indexer")) as standin:
        caller = Caller(session, standin.settings, standin.endpoints)
        path = f"/subgraphs/id/{caller.settings.deployment}"
        receipt = caller.signed().header()
        assert (await caller.query(path=f"/indexer{path}", receipt=receipt)).status == 200
        assert (await caller.query(path=path, receipt=receipt)).status == 404
        assert (await caller.query(path="/", method="GET")).status == 200


UNDECODABLE: dict[str, Callable[[Caller], str | None]] = {
    "missing": lambda caller: None,
    "not base64": lambda caller: "%%%",
    "not protobuf": lambda caller: base64.b64encode(b"\xff\xff\xff").decode(),
    "V1 JSON": v1_header,
    "short signature": lambda caller: base64.b64encode(
        base64.b64decode(caller.signed().header())[:-67] + b"\x12\x40" + bytes(64)
    ).decode(),
}


@pytest.mark.parametrize("kind", UNDECODABLE)
async def test_no_receipt_is_402(caller: Caller, kind: str) -> None:
    answer = await caller.query(receipt=UNDECODABLE[kind](caller))
    assert (answer.status, answer.message) == (402, NO_RECEIPT)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("last", [0, 1, 2, 26, 27, 28, 29, 34, 35, 36, 254, 255])
async def test_last_byte_of_the_signature(caller: Caller, last: int) -> None:
    signed = caller.signed()
    parity = signed.signature[64] - 27
    answer = await caller.query(receipt=replace(signed, signature=signed.signature[:64] + bytes([last])).header())
    if last in (2, 26, 29, 34):
        assert (answer.status, answer.message) == (402, NO_RECEIPT)
    elif (last if last < 2 else last - 27 if last < 29 else (last - 35) % 2) == parity:
        assert answer.status == 200
    else:
        assert (answer.status, answer.message.startswith(NOBODY)) == (402, True)


async def test_a_known_field_of_another_wire_type_is_402(caller: Caller) -> None:
    raw = base64.b64decode(caller.signed().header())
    for more, status in ((b"\x48\x05", 200), (b"\x10\x05", 402), (b"\x00", 402)):
        assert (await caller.query(receipt=base64.b64encode(raw + more).decode())).status == status


async def test_wrong_bearer_is_402(caller: Caller) -> None:
    answer = await caller.query(headers={"Authorization": "Bearer wrong"})
    assert (answer.status, answer.message) == (402, NO_RECEIPT)


async def test_unknown_signer_is_402(caller: Caller) -> None:
    answer = await caller.pay(key=STRANGER)
    assert (answer.status, answer.message) == (402, NOBODY + checksum(STRANGER.address))


@pytest.mark.parametrize("change", ["domain name", "chain id", "contract", "tampered value"])
async def test_wrong_domain_or_message_is_an_unknown_signer(caller: Caller, change: str) -> None:
    contract = parse_address(caller.settings.collector)
    domain = {
        "domain name": v1.domain(1337, contract),
        "chain id": v2.domain(1, contract),
        "contract": v2.domain(1337, b"\x11" * 20),
        "tampered value": v2.domain(1337, contract),
    }[change]
    receipt = caller.signed().receipt
    signature = payer(0).key.sign(domain.digest(receipt.struct_hash()))
    if change == "tampered value":
        receipt = caller.signed(nonce=receipt.nonce, timestamp_ns=receipt.timestamp_ns, value=1).receipt
    answer = await caller.query(receipt=v2.SignedReceipt(receipt, signature).header())
    assert answer.status == 402
    assert re.fullmatch(re.escape(NOBODY) + "0x[0-9a-fA-F]{40}", answer.message)


async def test_unrecoverable_signature_is_400(caller: Caller) -> None:
    receipt = v2.SignedReceipt(caller.signed().receipt, b"\xff" * 64 + b"\x1b")
    answer = await caller.query(receipt=receipt.header())
    assert (answer.status, answer.message) == (400, "Issues with provided receipt: signature error")


BAD_DEPLOYMENTS = ["BFr2mx7FgkJ36Y6pE5BiXs1KmNUmVDCnL82KUSdcLW1g", "Qmshort", "0x12"]


async def test_any_46_base58_characters_from_qm_on_are_a_deployment(caller: Caller) -> None:
    answer = await caller.query(path=f"/subgraphs/id/Qm{'a' * 44}", receipt=caller.signed().header())
    assert answer.status == 200


@pytest.mark.parametrize("deployment", BAD_DEPLOYMENTS)
async def test_no_deployment_id_is_500(caller: Caller, deployment: str) -> None:
    answer = await caller.query(path=f"/subgraphs/id/{deployment}", receipt=caller.signed().header())
    assert (answer.status, answer.message) == (500, "Could not find deployment id")


async def test_deployment_is_judged_after_the_sender(caller: Caller) -> None:
    receipt = caller.signed(key=STRANGER).header()
    assert (await caller.query(path="/subgraphs/id/Qmshort", receipt=receipt)).status == 402


async def test_deployment_as_hex_is_taken(caller: Caller) -> None:
    digits = parse_deployment(caller.settings.deployment).hex()
    for deployment in (digits, f"0x{digits}"):
        path = f"/subgraphs/id/{deployment}"
        assert (await caller.query(path=path, receipt=caller.signed().header())).status == 200


@pytest.mark.parametrize("over", [0, 1])
async def test_body_limit(caller: Caller, over: int) -> None:
    start, end = b'{"query":"{ _meta { block { number } } } #', b'"}'
    body = start + b"x" * (2 * 1024 * 1024 - len(start) - len(end) + over) + end
    answer = await caller.query(receipt=caller.signed().header(), body=body)
    if over:
        assert (answer.status, answer.message) == (502, "length limit exceeded")
    else:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"query", "expected value at line 1 column 1"),
        (b"{}", "missing field `query` at line 1 column 2"),
        (b'{"query":5}', "invalid type: integer `5`, expected a string at line 1 column 10"),
        (b'["query"]', "invalid length 1, expected struct QueryBody with 2 elements at line 1 column 9"),
    ],
    ids=["empty", "not JSON", "no query", "query not a string", "not an object"],
)
async def test_bad_body_is_502(caller: Caller, body: bytes, text: str) -> None:
    answer = await caller.query(receipt=caller.signed().header(), body=body)
    assert (answer.status, answer.message) == (502, text)
    assert caller.stored() == 0


async def test_body_is_judged_before_auth(caller: Caller) -> None:
    assert (await caller.query(body=b"{}")).status == 502


async def test_free_token_needs_no_receipt(caller: Caller) -> None:
    answer = await caller.query(headers={"Authorization": "Bearer freestuff"})
    assert (answer.status, answer.json) == (200, SUCCESS)
    assert caller.stored() == 0


async def test_free_token_with_a_receipt_stores_nothing_but_still_needs_a_sender(caller: Caller) -> None:
    token = {"Authorization": "Bearer freestuff"}
    assert (await caller.query(headers=token, receipt=caller.signed().header())).status == 200
    assert caller.stored() == 0
    assert (await caller.query(headers=token, receipt=caller.signed(key=STRANGER).header())).status == 402


# The ten checks.

OTHER = b"\x11" * 20
CHECKSUM_OTHER = checksum(OTHER)
PAYER0 = checksum(payer(0).address)

FIELD_CHECKS: dict[str, tuple[dict[str, Any], str]] = {
    "1 collection prefix": (
        {"collection_id": b"\x01" * 12 + ALLOCATION},
        "Invalid collection_id: first 12 bytes must be zero, got non-zero prefix",
    ),
    "1 allocation not eligible": (
        {"collection_id": collection_of(OTHER)},
        f"Receipt allocation ID `{CHECKSUM_OTHER}` is not eligible for this indexer",
    ),
    "6 maximum value": (
        {"value": 2 * MILLI_GRT},
        "Receipt value `2000000000000000` is higher than the limit set by the user",
    ),
    "7 minimum value": (
        {"value": 0},
        "Query receipt does not have the minimum value. Expected value: 1. Received value: 0.",
    ),
    "8 service provider": (
        {"service_provider": OTHER},
        "Invalid service_provider: receipt is not addressed to this indexer",
    ),
    "9 payer": (
        {"payer": OTHER},
        f"Invalid payer: receipt claims payer {CHECKSUM_OTHER} but signer is authorized for {PAYER0}",
    ),
    "10 data service": (
        {"data_service": OTHER},
        f"Invalid data_service: {OTHER.hex()} is not allowed for this indexer",
    ),
}


@pytest.mark.parametrize("row", FIELD_CHECKS)
async def test_check_of_a_field(caller: Caller, row: str) -> None:
    fields, text = FIELD_CHECKS[row]
    answer = await caller.pay(**fields)
    assert (answer.status, answer.message) == (400, CHECK + text)
    assert caller.stored() == 0


async def test_check_1_after_the_allocation_is_closed(caller: Caller, standin: Standin) -> None:
    standin.close_allocation()
    answer = await caller.pay()
    text = f"Receipt allocation ID `{checksum(ALLOCATION)}` is not eligible for this indexer"
    assert (answer.status, answer.message) == (400, CHECK + text)


async def test_check_2_redeemed(caller: Caller, standin: Standin) -> None:
    await standin.redeem_closing_rav(payer(0).address)
    answer = await caller.pay()
    text = f"Closing RAV already redeemed for collection {checksum(ALLOCATION)} of payer {PAYER0}"
    assert (answer.status, answer.message) == (400, CHECK + text)
    assert (await caller.pay(1)).status == 200


async def test_check_3_balance(caller: Caller, standin: Standin) -> None:
    await standin.thaw(payer(0).address, Decimal(10))
    answer = await caller.pay()
    text = f"Receipt sender `{PAYER0}` does not have a sufficient balance"
    assert (answer.status, answer.message) == (400, CHECK + text)


@pytest.mark.parametrize("seconds", [-61, 61], ids=["4 past", "4 future"])
async def test_check_4_timestamp(caller: Caller, seconds: int) -> None:
    timestamp_ns = time.time_ns() + seconds * 10**9
    answer = await caller.pay(timestamp_ns=timestamp_ns)
    text = f"`{timestamp_ns // 10**9}` is outside of current system time +/- timestamp_error_tolerance"
    assert (answer.status, answer.message) == (400, f"{CHECK}Receipt timestamp {text}")


@pytest.mark.parametrize("seconds", [-50, 50])
async def test_timestamp_within_the_tolerance_passes(caller: Caller, seconds: int) -> None:
    assert (await caller.pay(timestamp_ns=time.time_ns() + seconds * 10**9)).status == 200


async def test_check_5_denylist(caller: Caller, standin: Standin) -> None:
    await standin.deny(payer(0).address)
    answer = await caller.pay()
    assert (answer.status, answer.message) == (400, f"{CHECK}Received a receipt from a denylisted sender: {PAYER0}")
    assert (await caller.pay(1)).status == 200


async def test_values_at_the_edges_pass(caller: Caller) -> None:
    assert (await caller.pay(value=2 * MILLI_GRT - 1)).status == 200
    assert (await caller.pay(value=1)).status == 200


async def test_first_failing_check_wins(caller: Caller, standin: Standin) -> None:
    """All ten fail at once; mending them from the first on shows the next each time."""
    who = payer(0).address
    await standin.redeem_closing_rav(who)
    await standin.thaw(who, Decimal(10))  # the agent denies an empty escrow, so check 5 fails as well
    wrong: dict[str, Any] = {
        "collection_id": b"\x01" * 12 + ALLOCATION,
        "timestamp_ns": 1,
        "value": 2 * MILLI_GRT,
        "service_provider": OTHER,
        "payer": OTHER,
        "data_service": caller.signed().receipt.data_service,
    }
    seen = [(await caller.pay(**wrong)).message.removeprefix(CHECK).split()[0:2]]
    del wrong["collection_id"]
    seen.append((await caller.pay(**wrong)).message.removeprefix(CHECK).split()[0:2])
    wrong["data_service"] = OTHER  # the redeemed RAV is another data service's
    seen.append((await caller.pay(**wrong)).message.removeprefix(CHECK).split()[0:2])
    await standin.thaw(who, Decimal(0))
    await standin.deny(who)
    for field in ("timestamp_ns", None, "value", "service_provider", "payer", "data_service"):
        seen.append((await caller.pay(**wrong)).message.removeprefix(CHECK).split()[0:2])
        if field is None:
            await standin.set_escrow(who, Decimal(11))  # the agent looks again and allows the payer
        else:
            del wrong[field]
    assert seen == [
        ["Invalid", "collection_id:"],
        ["Closing", "RAV"],
        ["Receipt", "sender"],
        ["Receipt", "timestamp"],
        ["Received", "a"],
        ["Receipt", "value"],
        ["Invalid", "service_provider:"],
        ["Invalid", "payer:"],
        ["Invalid", "data_service:"],
    ]


@pytest.mark.parametrize(("grt", "status"), [("0.1", 402), ("0.100000000000000001", 200)])
async def test_escrow_of_a_tenth_of_a_grt_is_not_seen(caller: Caller, standin: Standin, grt: str, status: int) -> None:
    await standin.set_escrow(payer(0).address, Decimal(grt))
    answer = await caller.pay()
    assert answer.status == status
    if status == 402:
        assert answer.message == NOBODY + checksum(payer(0).key.address)


# Storage.


async def test_storage_task_gone_is_500(caller: Caller, standin: Standin) -> None:
    standin.switches.store = "gone"
    answer = await caller.pay()
    assert (answer.status, answer.message) == (500, ADAPTER + "Failed to queue receipt for storage: channel closed")


async def test_storage_result_lost_is_500(caller: Caller, standin: Standin) -> None:
    standin.switches.store = "failing"
    answer = await caller.pay()
    assert (answer.status, answer.message) == (500, ADAPTER + "Failed to receive storage result")


async def test_insert_error_is_200_and_nothing_stored(caller: Caller, standin: Standin) -> None:
    standin.switches.store = "lost"
    answer = await caller.pay()
    assert (answer.status, answer.json, caller.stored()) == (200, SUCCESS, 0)


async def test_duplicate_receipt_is_200_and_stored_again(caller: Caller) -> None:
    receipt = caller.signed().header()
    assert [(await caller.query(receipt=receipt)).status for _ in range(3)] == [200, 200, 200]
    assert caller.stored() == 3


# Success, and what looks like it.


async def test_success(caller: Caller) -> None:
    answer = await caller.pay()
    assert (answer.status, answer.json) == (200, SUCCESS)
    assert "content-type" not in answer.headers
    assert "graph-indexed" not in answer.headers


async def test_graph_indexed_is_passed_on(caller: Caller, standin: Standin) -> None:
    standin.switches.graph_indexed = "1000"
    assert (await caller.pay()).headers["graph-indexed"] == "1000"


async def test_backend_down_is_200_with_an_error_body_and_costs_the_receipt(caller: Caller, standin: Standin) -> None:
    standin.switches.backend_down = True
    answer = await caller.pay()
    assert answer.status == 200
    assert answer.json["attestation"] is None
    assert json.loads(answer.json["graphQLResponse"])["message"].startswith("Failed to process query: ")
    assert answer.headers["content-type"] == "application/json"
    assert caller.stored() == 1


async def test_bytes_that_are_no_text_in_an_unread_member_cost_the_receipt(caller: Caller) -> None:
    answer = await caller.query(receipt=caller.signed().header(), body=b'{"query":"{a}","x":"\xe4\xb8"}')
    text = "Request body didn't contain valid UTF-8: invalid utf-8 sequence of 2 bytes from index 20"
    assert (answer.status, answer.json) == (200, {"graphQLResponse": text, "attestation": None})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert caller.stored() == 1


async def test_graphql_error_is_200(caller: Caller) -> None:
    body = json.dumps({"query": "{ nonsense }"}).encode()
    answer = await caller.query(receipt=caller.signed().header(), body=body)
    inner = json.loads(answer.json["graphQLResponse"])
    assert (answer.status, inner["errors"][0]["message"]) == (200, "Type `Query` has no field `nonsense`")


async def test_reset_connection_has_no_answer(caller: Caller, standin: Standin) -> None:
    standin.switches.reset_share = 1.0
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await caller.pay()
    assert caller.stored() == 0


async def test_paid_route_is_not_rate_limited(caller: Caller) -> None:
    assert {answer.status for answer in await asyncio.gather(*(caller.pay() for _ in range(MISC_BURST * 4)))} == {200}


# V1, as services before 2.0.0 took it.


async def test_v1_is_taken_when_switched_on(session: aiohttp.ClientSession) -> None:
    async with Standin(quick(accept_v1=True)) as standin:
        caller = Caller(session, standin.settings, standin.endpoints)
        assert (await caller.query(receipt=v1_header(caller))).status == 200
        assert (await caller.pay()).status == 200
        assert caller.rows("SELECT allocation_id, value FROM scalar_tap_receipts") == [
            (ALLOCATION.hex(), str(MILLI_GRT))
        ]
        assert caller.stored() == 1
