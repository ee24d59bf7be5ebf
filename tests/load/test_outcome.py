"""Every text of the service leads to its outcome, and nothing a service can say breaks the classifier."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.load.outcome import CODE_OF, OUTCOMES, Outcome, classify, is_paid

CHECK = "Issues with provided receipt: Receipt error: Issue encountered while performing check: "
A = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def good(inner: object) -> bytes:
    return json.dumps({"graphQLResponse": json.dumps(inner), "attestation": None}).encode()


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (402, "No Tap receipt was found in the request", Outcome.NO_RECEIPT),
        (401, "No valid receipt or free query auth token provided", Outcome.NO_RECEIPT),
        (
            402,
            f"There was an error while accessing escrow account: No sender found for signer {A}",
            Outcome.UNKNOWN_SIGNER,
        ),
        (400, "Issues with provided receipt: signature error", Outcome.BAD_RECEIPT),
        (
            400,
            CHECK + "Invalid collection_id: first 12 bytes must be zero, got non-zero prefix",
            Outcome.BAD_ALLOCATION,
        ),
        (400, CHECK + f"Receipt allocation ID `{A}` is not eligible for this indexer", Outcome.BAD_ALLOCATION),
        (400, CHECK + f"Closing RAV already redeemed for collection {A} of payer {A}", Outcome.BAD_ALLOCATION),
        (400, CHECK + f"Receipt sender `{A}` does not have a sufficient balance", Outcome.LOW_BALANCE),
        (
            400,
            CHECK + "Receipt timestamp `1` is outside of current system time +/- timestamp_error_tolerance",
            Outcome.BAD_TIMESTAMP,
        ),
        (400, CHECK + f"Received a receipt from a denylisted sender: {A}", Outcome.DENIED),
        (400, CHECK + "Receipt value `5` is higher than the limit set by the user", Outcome.BAD_VALUE),
        (
            400,
            CHECK + "Query receipt does not have the minimum value. Expected value: 2. Received value: 1.",
            Outcome.BAD_VALUE,
        ),
        (400, CHECK + "Invalid service_provider: receipt is not addressed to this indexer", Outcome.BAD_RECEIPT),
        (400, CHECK + f"Invalid payer: receipt claims payer {A} but signer is authorized for {A}", Outcome.BAD_RECEIPT),
        (400, CHECK + f"Invalid data_service: {'ab' * 20} is not allowed for this indexer", Outcome.BAD_RECEIPT),
        (
            500,
            "Issues with provided receipt: Error from adapter.\n Caused by: "
            "Failed to queue receipt for storage: channel closed",
            Outcome.BACKEND_ERROR,
        ),
        (
            500,
            "Issues with provided receipt: Error from adapter.\n Caused by: Failed to receive storage result",
            Outcome.BACKEND_ERROR,
        ),
        (503, "Failed to process query: connection refused", Outcome.BACKEND_ERROR),
        (500, "Could not find deployment id", Outcome.HTTP_ERROR),
        (502, "length limit exceeded", Outcome.HTTP_ERROR),
        (429, "Too Many Requests! Wait for 1s", Outcome.HTTP_ERROR),
        (404, "", Outcome.HTTP_ERROR),
    ],
)
def test_refusals(status, text, outcome):
    assert classify(status, json.dumps({"message": text}).encode()) is outcome


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (good({"data": {"_meta": {"block": {"number": 1}}}}), Outcome.OK),
        (good({"data": None, "errors": [{"message": "x"}]}), Outcome.GRAPHQL_ERROR),
        (good({"errors": [{"message": "x"}]}), Outcome.GRAPHQL_ERROR),
        (good({"message": "Failed to process query: error sending request"}), Outcome.BACKEND_ERROR),
        (good(["data"]), Outcome.HTTP_ERROR),
        (b'{"data":{}}', Outcome.HTTP_ERROR),
        (b"<html>welcome</html>", Outcome.HTTP_ERROR),
        (b"", Outcome.HTTP_ERROR),
        (b'{"graphQLResponse":null}', Outcome.HTTP_ERROR),
    ],
)
def test_http_200_is_no_proof(body, outcome):
    assert classify(200, body) is outcome


def test_a_failed_query_was_still_paid_for_and_a_failed_store_was_not():
    assert is_paid(200, CODE_OF[Outcome.BACKEND_ERROR])
    assert is_paid(200, CODE_OF[Outcome.GRAPHQL_ERROR])
    assert not is_paid(500, CODE_OF[Outcome.BACKEND_ERROR])
    assert not is_paid(400, CODE_OF[Outcome.DENIED])
    assert not is_paid(200, CODE_OF[Outcome.HTTP_ERROR])


@given(st.integers(100, 599), st.binary(max_size=400))
def test_any_answer_has_an_outcome(status, body):
    assert classify(status, body) in OUTCOMES


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_graphql_answer_has_an_outcome(inner):
    assert classify(200, good(inner)) in OUTCOMES


def test_codes_are_positions():
    assert [CODE_OF[outcome] for outcome in OUTCOMES] == list(range(17))
