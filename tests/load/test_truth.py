"""Whether a step says what happened: overload, a stall, a slow generator. By bounds that no busy machine can break."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import numpy as np
import pytest
from aiohttp import web

from tests.load.servers import GOOD, good, http_server, step
from tests.load.test_drive import DONE, INTENDED, SENT, outcomes
from tests.load.test_presign import TEMPLATE
from workbench.load.chunks import LiveRows
from workbench.load.engines.in_process import in_process
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.presign import Presigned
from workbench.load.samples import SampleBuffer
from workbench.load.summary import summarise
from workbench.receipts.keys import SigningKey

TENTH = 10_000_000
"""10 ms in nanoseconds."""


async def one_at_a_time(request: web.Request, lock: asyncio.Lock) -> web.Response:
    """A service that takes 10 ms for each request and does one at a time: 100 a second."""
    async with lock:
        began_ns = time.monotonic_ns()
        while time.monotonic_ns() - began_ns < TENTH:
            await asyncio.sleep(0.01)
    return web.Response(body=GOOD)


@pytest.mark.parametrize("in_flight", [1, 1000])
async def test_a_service_above_its_capacity_makes_later_requests_wait_longer(tmp_path, in_flight):
    """Twice as many as it can take. What is due at i / 200 s cannot be done before (i + 1) / 100 s."""
    lock = asyncio.Lock()
    plan = OpenPlan(80, 200)
    async with http_server(lambda request: one_at_a_time(request, lock)) as url:
        spec = step(url, plan, tmp_path, max_in_flight=in_flight)
        report = await in_process(spec, None)
    rows = SampleBuffer.open(spec.buffer).rows
    assert outcomes(rows) == {"ok": 80}
    response, service = rows[:, DONE] - rows[:, INTENDED], rows[:, DONE] - rows[:, SENT]
    earliest = TENTH * np.arange(1, 81) - (rows[:, INTENDED] - rows[0, INTENDED])
    assert (np.sort(rows[:, DONE]) - rows[0, INTENDED] >= TENTH * np.arange(1, 81)).all()
    if in_flight == 1:  # the requests wait here, so it is lag, and service time stays that of one request
        assert (response >= earliest).all()
        assert (service >= TENTH).all()
        assert np.median(service[60:]) < 2 * np.median(service[:20])
        assert np.median(response[60:]) > 2 * np.median(response[:20])
        assert report.cap_hits > 0
    else:  # the requests wait there, so it is the service's
        assert report.in_flight_max > 20
        assert np.median(service[60:]) > 2 * np.median(service[:20])


async def test_requests_that_are_due_in_a_stall_have_the_response_time_of_those_who_waited(tmp_path):
    """A service that answers at once, and for 1 s not at all. A closed loop would ask nothing in that time."""
    stall: list[int] = []
    over = asyncio.Event()

    def end() -> None:
        stall.append(time.monotonic_ns())
        over.set()

    async def handler(request: web.Request) -> web.Response:
        handler.calls += 1  # type: ignore[attr-defined]
        if handler.calls == 40:  # type: ignore[attr-defined]
            stall.append(time.monotonic_ns())
            asyncio.get_running_loop().call_later(1.0, end)
        if stall and not over.is_set():
            await over.wait()
        return web.Response(body=GOOD)

    handler.calls = 0  # type: ignore[attr-defined]
    async with http_server(handler) as url:
        spec = step(url, OpenPlan(400, 200), tmp_path)
        await in_process(spec, None)
    rows = SampleBuffer.open(spec.buffer).rows
    assert outcomes(rows) == {"ok": 400}
    began, ended = stall
    due = (rows[:, INTENDED] > began) & (rows[:, INTENDED] < ended)
    planned = 200 * (ended - began) / 1e9  # a busy machine ends the stall late
    assert 0.75 * planned < due.sum() <= planned + 1  # all that the plan has for that time
    response = rows[due, DONE] - rows[due, INTENDED]
    owed = ended - rows[due, INTENDED]
    reached = rows[due, SENT] < ended
    assert reached.mean() > 0.9  # asking went on
    assert (response[reached] >= owed[reached] * 0.999).all()
    assert (response - owed).mean() < 0.3 * (ended - began)


async def test_a_generator_that_is_slow_itself_is_found_out(tmp_path, monkeypatch):
    """Half of its receipts take 20 ms to make: the plan of 100 a second cannot be kept. The service is well."""
    real = Presigned.header

    def slow(self: Presigned, position: int) -> bytes:
        if position % 2:
            time.sleep(0.03)
        return real(self, position)

    monkeypatch.setattr(Presigned, "header", slow)
    plan = OpenPlan(60, 100)
    async with http_server(good) as url:
        spec = replace(step(url, plan, tmp_path), receipt=TEMPLATE)
        report = await in_process(spec, SigningKey(b"\x01" * 32))
    rows = SampleBuffer.open(spec.buffer).rows
    summary = summarise(LiveRows(spec.buffer), plan, report)
    assert summary.accepted == 60
    assert " late" in summary.invalid
    lag = rows[:, SENT] - rows[:, INTENDED]
    assert lag[-1] >= 60 // 2 * 30_000_000 - 590_000_000  # what it was held up, less what the plan has time for


@pytest.mark.parametrize("plan", [OpenPlan(101, 2000), ClosedPlan(101, 5)])
async def test_each_generator_writes_the_rows_of_its_share(tmp_path, plan):
    async with http_server(good) as url:
        spec = step(url, plan, tmp_path)
        for worker in range(3):
            shared = replace(spec, share=replace(spec.share, worker=worker, workers=3))
            report = await in_process(shared, None)
            rows = SampleBuffer.open(spec.buffer).rows
            assert report.sent == len(range(worker, 101, 3))
            assert {index % 3 for index in np.flatnonzero(rows[:, DONE])} == set(range(worker + 1))
    assert outcomes(rows) == {"ok": 101}
    if isinstance(plan, OpenPlan):
        for worker in range(3):
            assert (np.diff(rows[worker::3, INTENDED]) == 1_500_000).all()
