"""Receipts are signed before the step, stamped with their time, and never sent too old."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from tests.load.servers import GOOD, http_server, step
from workbench.load import presign
from workbench.load.ahead import CHUNK
from workbench.load.chunks import LiveRows
from workbench.load.engines.in_process import in_process
from workbench.load.pace import FEWEST, MOST
from workbench.load.plan import NS_PER_S, ClosedPlan, OpenPlan, Plan
from workbench.load.presign import Presigned
from workbench.load.samples import nonces
from workbench.load.summary import summarise
from workbench.receipts import v2
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate

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


def decoded(header: bytes) -> v2.Receipt:
    """The receipt of a header as it goes over the wire."""
    return v2.decode_header(header.decode()).receipt


def wait_until(condition: Callable[[], bool]) -> None:
    """Until ``condition`` holds, which a machine that is busy may take long for."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_open_loop_receipts_bear_their_intended_time():
    offsets = OpenPlan(50, 10).offsets_ns()
    step = presigned(50, offsets_ns=offsets)
    before = time.time_ns()
    step.prepare()
    after = time.time_ns()
    receipts = [decoded(step.header(i)) for i in range(50)]
    step.close()
    for receipt, offset, nonce in zip(receipts, offsets, nonces(1, 0, 50), strict=True):
        assert before + offset <= receipt.timestamp_ns <= after + offset
        assert receipt.nonce == nonce
        assert receipt.value == 10**15
    assert step.signed_late == 0


@pytest.mark.slow
def test_a_receipt_that_waits_is_signed_anew_before_it_is_too_old():
    step = presigned(1000, window_s=2.0)
    step.prepare()
    first = decoded(step.header(0))
    wait_until(lambda: time.time_ns() - first.timestamp_ns > 2 * NS_PER_S)
    second = decoded(step.header(1))
    step.close()
    assert time.time_ns() - second.timestamp_ns < 2 * NS_PER_S
    assert step.signed_late == 0
    assert step.signed_anew >= FEWEST


def test_a_receipt_that_nobody_renewed_is_signed_at_its_turn():
    step = presigned(2, window_s=0.05)
    step.prepare()
    first = decoded(step.header(0))
    step.close()  # and with it the thread
    wait_until(lambda: time.time_ns() - first.timestamp_ns > NS_PER_S // 2)
    second = decoded(step.header(1))
    assert step.signed_late == 1
    assert second.timestamp_ns - first.timestamp_ns >= NS_PER_S // 2


@pytest.mark.parametrize("open_loop", [True, False])
def test_a_long_step_is_signed_ahead_in_the_background(open_loop, monkeypatch):
    monkeypatch.setattr(presign, "PREPARE_S", 0.0)  # the background thread signs all
    count = 2000
    offsets = np.zeros(count, dtype=np.int64) if open_loop else None
    step = presigned(count, offsets_ns=offsets)
    step.prepare()
    headers = []
    for index in range(count):
        wait_until(lambda left=count - index: step.ready >= min(FEWEST // 2, left))
        headers.append(step.header(index))
    wait_until(lambda: not step.ready)  # what was sent is let go, so that a long run keeps only what lies ahead
    step.close()
    assert [decoded(header).nonce for header in headers] == nonces(1, 0, count).tolist()
    assert step.signed_late == 0


def test_what_is_ready_follows_the_plan_and_not_its_length(monkeypatch):
    monkeypatch.setattr(presign, "PREPARE_S", 0.0)
    step = presigned(20_000, offsets_ns=OpenPlan(20_000, 400).offsets_ns())
    step.prepare()
    wait_until(lambda: step.ready >= 1201)  # 3 s
    for index in range(1000):
        step.header(index)
    wait_until(lambda: step.ready >= 1201)
    step.close()
    assert step.ready < 1201 + CHUNK
    assert step.signed_late == 0


@pytest.mark.slow
def test_closing_ends_the_thread_of_a_step_that_was_stopped():
    before = set(threading.enumerate())
    step = presigned(1_000_000)
    step.prepare()
    assert set(threading.enumerate()) - before
    assert step.ready <= MOST
    step.close()
    assert set(threading.enumerate()) <= before


# --- against a service ----------------------------------------------------------------------------------------

TEMPLATE = ReceiptTemplate(
    version=2,
    chain_id=1337,
    contract="11" * 20,
    allocation="22" * 20,
    payer="33" * 20,
    data_service="44" * 20,
    service_provider="55" * 20,
    value_wei=10**15,
)


async def sent_at(pace: Callable[[int], float], plan: Plan, folder: Path, window_s: float, **changes):
    """A step at a service that takes ``pace(n)`` seconds for request n, one at a time, and checks timestamps."""
    ages: list[float] = []
    one = asyncio.Lock()

    async def handler(request: web.Request) -> web.Response:
        receipt = v2.decode_header(request.headers["Tap-Receipt"]).receipt
        ages.append((time.time_ns() - receipt.timestamp_ns) / 1e9)
        async with one:
            if pause_s := pace(len(ages)):
                await asyncio.sleep(pause_s)
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = replace(step(url, plan, folder, timestamp_window_s=window_s, **changes), receipt=TEMPLATE)
        report = await in_process(spec, SigningKey(b"\x01" * 32))
    return report, summarise(LiveRows(spec.buffer), plan, report), ages


async def test_a_closed_loop_at_a_slow_service_is_valid(tmp_path):
    """It takes twice the window, so nothing that was signed before it can be sent at its end."""
    report, summary, ages = await sent_at(lambda n: 0.02, ClosedPlan(200, 2), tmp_path, 2.0)
    assert summary.accepted == 200
    assert "signed" not in summary.invalid
    assert report.signed_late <= 2
    assert report.signed_anew > 0
    assert max(ages) < 2.0


@pytest.mark.parametrize("fast_first", [True, False])
async def test_a_service_that_changes_its_pace_is_followed(tmp_path, fast_first):
    """As fast as it can, or 50 a second for longer than the window."""
    change, count = (1000, 1150) if fast_first else (150, 3000)

    def pace(n: int) -> float:
        return 0.0 if (n < change) == fast_first else 0.02

    report, summary, ages = await sent_at(pace, ClosedPlan(count, 2), tmp_path, 2.0)
    assert summary.accepted == count
    # where others take the cores, signing is held up as well, and the run says so
    assert "signed" not in summary.invalid or report.interference
    assert report.signed_late <= (0.05 if report.interference else 0.01) * count
    assert max(ages) < 2.0


async def test_an_open_loop_that_is_late_sends_no_receipt_that_is_too_old(tmp_path):
    """The plan wants 1,000 a second and the service takes 50: the receipts are late, their timestamps are not."""
    plan = OpenPlan(150, 1000)
    report, summary, ages = await sent_at(lambda n: 0.02, plan, tmp_path, 1.5, max_in_flight=4)
    assert summary.accepted == 150
    assert "in flight" in summary.invalid
    assert report.signed_late <= 2
    assert max(ages) < 1.5
