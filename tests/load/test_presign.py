"""Receipts are signed before the step, stamped with their time, and never sent too old."""

from __future__ import annotations

import time

import numpy as np
import pytest

from workbench.load.plan import OpenPlan
from workbench.load.presign import Presigned
from workbench.load.samples import nonces
from workbench.receipts import v2
from workbench.receipts.keys import SigningKey

SIGNER = v2.Signer(
    SigningKey(b"\x01" * 32),
    v2.domain(1337, b"\x11" * 20),
    collection_id=bytes(12) + b"\x22" * 20,
    payer=b"\x33" * 20,
    data_service=b"\x44" * 20,
    service_provider=b"\x55" * 20,
)


def presigned(count: int, **options) -> Presigned:
    settings = {"offsets_ns": None, "window_s": 15.0} | options
    return Presigned(SIGNER, nonces(1, 0, count), 10**15, **settings)


def test_open_loop_receipts_bear_their_intended_time():
    offsets = OpenPlan(50, 10).offsets_ns()
    step = presigned(50, offsets_ns=offsets)
    before = time.time_ns()
    step.prepare()
    after = time.time_ns()
    receipts = [v2.decode_header(step._headers[i] or "").receipt for i in range(50)]
    for receipt, offset, nonce in zip(receipts, offsets, nonces(1, 0, 50), strict=True):
        assert before + offset <= receipt.timestamp_ns <= after + offset
        assert receipt.nonce == nonce
        assert receipt.value == 10**15
    assert step.signed_late == 0
    step.close()


def test_a_receipt_that_became_too_old_is_signed_anew():
    step = presigned(2, window_s=0.05)
    step.prepare()
    first = v2.decode_header(step.header(0)).receipt
    deadline = time.monotonic() + 5
    while time.time_ns() - step._stamps[1] < 50_000_000:
        assert time.monotonic() < deadline
    second = v2.decode_header(step.header(1)).receipt
    assert step.signed_late == 1
    assert second.timestamp_ns - first.timestamp_ns >= 50_000_000
    step.close()


@pytest.mark.parametrize("open_loop", [True, False])
def test_a_long_step_is_signed_ahead_in_the_background(open_loop):
    count = 500
    offsets = np.zeros(count, dtype=np.int64) if open_loop else None
    step = presigned(count, offsets_ns=offsets, ahead=50)
    step.prepare()
    headers = []
    for index in range(count):
        headers.append(step.header(index))
        if index % 4 == 0:
            deadline = time.monotonic() + 5
            ahead = min(index + 8, count - 1)
            while ahead > index and step._headers[ahead] is None:
                assert time.monotonic() < deadline, "the background thread does not keep ahead"
    step.close()
    assert len({v2.decode_header(header).receipt.nonce for header in headers}) == count
    assert step.signed_late == 0
    # what was sent is let go, so that a long run keeps only what lies ahead
    assert step._headers[:count] == [None] * count


def test_closing_ends_the_thread_of_a_step_that_was_stopped():
    step = presigned(100_000, ahead=10)
    step.prepare()
    assert step._thread is not None
    assert step._thread.is_alive()
    step.close()
    assert not step._thread.is_alive()
