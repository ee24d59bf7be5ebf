"""The driver against real servers: open loops keep their plan, closed loops their concurrency, faults their class."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from tests.load.servers import GOOD, good, http_server, raw_server, step
from tests.load.wire import Owner
from tests.ports import free_port
from workbench.errors import RunFolderError, ToolError
from workbench.load.client import ReceiptClient
from workbench.load.connection import Connection
from workbench.load.drive import Progress, drive_closed, drive_open
from workbench.load.engines.child import child_process
from workbench.load.engines.in_process import in_process
from workbench.load.outcome import CODE_OF, OUTCOME_NAMES, Outcome
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.samples import COLUMNS, RowWriter, SampleBuffer
from workbench.load.spec import Share

INTENDED, SENT, FIRST, DONE, STATUS, OUTCOME, BYTES = range(len(COLUMNS))


def outcomes(rows) -> dict[str, int]:
    rows = rows[rows[:, DONE] != 0]
    return {OUTCOME_NAMES[code]: int((rows[:, OUTCOME] == code).sum()) for code in set(rows[:, OUTCOME].tolist())}


async def test_every_planned_request_is_sent_once_and_has_ordered_clocks(tmp_path):
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = step(url, OpenPlan(200, 1000), tmp_path)
        report = await in_process(spec, None)
    rows = SampleBuffer.open(spec.buffer).rows
    assert outcomes(rows) == {"ok": 200}
    assert seen == [{"query": "{ a }"}] * 200
    assert report.sent == 200
    assert (rows[:, SENT] >= rows[:, INTENDED]).all()
    assert (rows[:, FIRST] >= rows[:, SENT]).all()
    assert (rows[:, DONE] >= rows[:, FIRST]).all()
    assert (np.diff(rows[:, INTENDED]) == 1_000_000).all()
    assert (rows[:, BYTES] == len(GOOD)).all()


async def test_an_open_loop_does_not_wait_for_a_slow_service(tmp_path):
    """The service answers only when the last request has arrived: a closed loop would never get there."""
    all_there = asyncio.Event()
    arrived = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived == 150:
            all_there.set()
        await all_there.wait()
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = step(url, OpenPlan(150, 2000), tmp_path)
        report = await in_process(spec, None)
    rows = SampleBuffer.open(spec.buffer).rows
    assert outcomes(rows) == {"ok": 150}
    assert report.in_flight_max == 150  # past aiohttp's default limit of 100 connections
    response = rows[:, DONE] - rows[:, INTENDED]
    assert response[0] > response[-1]


async def test_the_cap_of_requests_in_flight_shows_as_lag_and_is_counted(tmp_path):
    release = asyncio.Event()
    arrived = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived == 10:
            asyncio.get_running_loop().call_later(0.1, release.set)
        await release.wait()
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = step(url, OpenPlan(30, 10_000), tmp_path, max_in_flight=10)
        report = await in_process(spec, None)
    rows = SampleBuffer.open(spec.buffer).rows
    assert report.in_flight_max == 10
    assert report.cap_hits > 0
    assert outcomes(rows) == {"ok": 30}
    assert (rows[10:, SENT] - rows[10:, INTENDED]).min() > (rows[0, SENT] - rows[0, INTENDED])


async def test_a_closed_loop_keeps_its_concurrency(tmp_path):
    now = most = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = step(url, ClosedPlan(120, 12), tmp_path)
        await in_process(spec, None)
    rows = SampleBuffer.open(spec.buffer).rows
    assert most == 12
    assert outcomes(rows) == {"ok": 120}
    assert (rows[:, SENT] == rows[:, INTENDED]).all()


async def test_connections_are_opened_before_the_step_and_reused(tmp_path):
    peers: list[object] = []

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = step(url, ClosedPlan(100, 5), tmp_path)
        report = await in_process(spec, None)
    assert report.connections == 5
    assert len(set(peers)) <= 5


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "timeout"),
        (b"", "reset"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "http_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "reset"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "http_error"),
    ],
)
async def test_bad_services_give_outcomes_and_never_an_exception(tmp_path, answer, outcome):
    async with raw_server(answer) as url:
        spec = step(url, ClosedPlan(6, 3), tmp_path, timeout_s=0.3)
        await in_process(spec, None)
    assert outcomes(SampleBuffer.open(spec.buffer).rows) == {outcome: 6}


async def test_nothing_listening_is_connect_error(tmp_path):
    spec = step(f"http://127.0.0.1:{free_port()}", ClosedPlan(4, 2), tmp_path)
    await in_process(spec, None)
    assert outcomes(SampleBuffer.open(spec.buffer).rows) == {"connect_error": 4}


@pytest.mark.parametrize("service", ["good", "nobody", "garbage"])
async def test_garbage_is_collected_only_where_there_is_much_of_it(tmp_path, service):
    """A step makes none, whatever becomes of its requests; the service in this process may."""
    seen, progress = [], Progress()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and 0 < progress.done < 2000:
            seen.append(info)

    async def wasteful(request: web.Request) -> web.Response:
        for _ in range(100):
            cycle: list[object] = []
            cycle.append(cycle)
        return await good(request)

    async with http_server(wasteful if service == "garbage" else good) as url:
        if service == "nobody":
            url = f"http://127.0.0.1:{free_port()}"
        spec = step(url, ClosedPlan(2000, 8), tmp_path)
        gc.callbacks.append(note)
        thresholds = gc.get_threshold()
        try:
            await in_process(spec, None, progress)
        finally:
            gc.callbacks.remove(note)
    assert bool(seen) == (service == "garbage")
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0


async def test_resets_in_mid_run_are_counted_and_the_rest_goes_on(tmp_path):
    async def handler(request: web.Request) -> web.Response:
        body = await request.read()
        handler.calls += 1  # type: ignore[attr-defined]
        if handler.calls % 5 == 0:  # type: ignore[attr-defined]
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=GOOD if body else b"")

    handler.calls = 0  # type: ignore[attr-defined]
    async with http_server(handler) as url:
        spec = step(url, ClosedPlan(100, 4), tmp_path)
        await in_process(spec, None)
    assert outcomes(SampleBuffer.open(spec.buffer).rows) == {"ok": 80, "reset": 20}


async def test_a_stop_keeps_what_was_measured_and_ends_soon(tmp_path):
    progress = Progress()

    async def handler(request: web.Request) -> web.Response:
        handler.calls += 1  # type: ignore[attr-defined]
        if handler.calls == 20:  # type: ignore[attr-defined]
            progress.stop = True
        if handler.calls == 19:  # type: ignore[attr-defined]
            await asyncio.sleep(60)
        return web.Response(body=GOOD)

    handler.calls = 0  # type: ignore[attr-defined]
    async with http_server(handler) as url:
        spec = step(url, OpenPlan(10_000, 200), tmp_path)
        report = await in_process(spec, None, progress)
    seen = outcomes(SampleBuffer.open(spec.buffer).rows)
    assert report.interrupted
    assert seen["cancelled"] == 1
    assert sum(seen.values()) == report.sent < 1000


@pytest.mark.parametrize("loop", ["open", "open, with all slots taken", "closed"])
async def test_an_error_of_our_own_ends_the_step_and_leaves_nothing_behind(tmp_path, loop):
    """Every send fails from the tenth on. What was measured until then is kept."""
    buffer, progress, calls = SampleBuffer.create(tmp_path / "step.live", 5000), Progress(), 0

    def receipt(position: int) -> bytes:
        nonlocal calls
        calls += 1
        if position >= 10:
            raise RuntimeError(f"receipt {position} cannot be signed")
        return b"x"

    async with http_server(good) as url, opened(url) as client:
        rows = RowWriter(buffer, Share())
        if loop == "closed":
            driving = drive_closed(5000, 4, client, receipt, rows, progress)
        else:
            cap = 1000 if loop == "open" else 4
            offsets = OpenPlan(5000, 1000).offsets_ns().tolist()
            driving = drive_open(offsets, time.monotonic_ns(), client, receipt, rows, progress, cap)
        with pytest.raises(RuntimeError, match="cannot be signed"):
            await asyncio.wait_for(driving, 30)
    assert buffer.measured() == progress.ok == progress.sent == 10
    assert calls == 11


async def test_an_error_of_our_own_does_not_wait_for_a_service_that_hangs(tmp_path):
    buffer, progress = SampleBuffer.create(tmp_path / "step.live", 10), Progress()

    def receipt(position: int) -> bytes:
        if position:
            raise RuntimeError("broken")
        return b"x"

    async with raw_server(None) as url, opened(url) as client:
        driving = drive_closed(10, 2, client, receipt, RowWriter(buffer, Share()), progress)
        with pytest.raises(RuntimeError, match="broken"):
            await asyncio.wait_for(driving, 30)
    assert outcomes(buffer.rows) == {"cancelled": 1}


class Instant:
    """Answers every request before it has been sent, as the worst of services might."""

    opening = 0

    def send(self, position: int, intended_ns: int, receipt: bytes | None, done) -> None:
        seen = Connection(Owner())
        seen.begin(position, intended_ns, b"", done)
        seen.fail(CODE_OF[Outcome.CONNECT_ERROR], seen.sent_ns)

    def cancel(self) -> None:
        raise AssertionError


@pytest.mark.parametrize("loop", ["open", "closed"])
async def test_answers_that_come_at_once_do_not_nest(tmp_path, loop):
    buffer, progress = SampleBuffer.create(tmp_path / "step.live", 5000), Progress()
    rows = RowWriter(buffer, Share())
    if loop == "closed":
        await drive_closed(5000, 4, Instant(), None, rows, progress)
    else:
        await drive_open([0] * 5000, time.monotonic_ns(), Instant(), None, rows, progress, 10)
    assert outcomes(buffer.rows) == {"connect_error": 5000}
    assert progress.sent == progress.done == 5000


@pytest.mark.parametrize("loop", ["open", "closed"])
async def test_a_step_whose_caller_is_cancelled_ends_with_what_was_under_way(tmp_path, loop):
    buffer, progress = SampleBuffer.create(tmp_path / "step.live", 10), Progress()
    rows = RowWriter(buffer, Share())
    async with raw_server(None) as url, opened(url) as client:
        if loop == "closed":
            driving = asyncio.create_task(drive_closed(10, 3, client, None, rows, progress))
        else:
            offsets = [0, 0, 0, *[10**12] * 7]
            start_ns = time.monotonic_ns()
            driving = asyncio.create_task(drive_open(offsets, start_ns, client, None, rows, progress, 10))
        while progress.sent < 3:
            await asyncio.sleep(0)
        driving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await driving
    assert outcomes(buffer.rows) == {"cancelled": 3}
    assert progress.sent == 3


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[ReceiptClient]:
    """A client without connections yet."""
    client = ReceiptClient(url, b"{}", timeout_s=10)
    await client.open_connections(0)
    try:
        yield client
    finally:
        await client.close()


async def test_the_child_process_gives_the_same_rows_as_the_callers_loop(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with http_server(good) as url:
        specs = [step(url, OpenPlan(100, 500, "poisson", 3), tmp_path / name) for name in "ab"]
        messages: list[dict[str, Any]] = []
        reports = [await in_process(specs[0], None), await child_process(specs[1], None, messages.append)]
    rows = [SampleBuffer.open(spec.buffer).rows for spec in specs]
    assert outcomes(rows[0]) == outcomes(rows[1]) == {"ok": 100}
    assert (rows[0][:, INTENDED] - rows[0][0, INTENDED] == rows[1][:, INTENDED] - rows[1][0, INTENDED]).all()
    assert reports[1].pid not in (0, os.getpid())
    assert messages[0]["pids"] == [reports[1].pid]


async def test_a_killed_generator_is_an_error_and_its_rows_stay(tmp_path):
    killed = asyncio.Event()

    def kill_when_some_are_done(message: dict[str, Any]) -> None:
        if message["done"] >= 20 and not killed.is_set():
            killed.set()
            os.kill(message["pids"][0], signal.SIGKILL)

    async with http_server(good) as url:
        spec = step(url, OpenPlan(10_000, 200), tmp_path)
        with pytest.raises(ToolError, match="ended with code -9 during the step"):
            await child_process(spec, None, kill_when_some_are_done)
    assert SampleBuffer.open(spec.buffer).measured() >= 20


async def test_samples_that_cannot_be_opened_are_an_error_of_the_folder_with_what_helps(tmp_path):
    async with http_server(good) as url:
        spec = step(url, OpenPlan(10, 200), tmp_path)
        spec.buffer.rename(tmp_path / "moved")
        with pytest.raises(RunFolderError, match=r"the samples cannot be opened: No such file") as error:
            await child_process(spec, None)
    assert error.value.where == str(spec.buffer)
    assert (error.value.hint or "").endswith("go on with --resume")  # replaced by the whole command at the end


async def test_cancelling_stops_the_generator_and_keeps_its_rows(tmp_path):
    enough = asyncio.Event()
    pids = set()

    def on_progress(message: dict[str, Any]) -> None:
        pids.update(message["pids"])
        if message["done"] >= 20:
            enough.set()

    async with http_server(good) as url:
        spec = step(url, OpenPlan(10_000, 200), tmp_path)
        task = asyncio.create_task(child_process(spec, None, on_progress))
        await asyncio.wait_for(enough.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    rows = SampleBuffer.open(spec.buffer).rows
    sent = int((rows[:, DONE] != 0).sum())
    assert 20 <= sent < 10_000
    # nothing in flight was lost: the measured ones are exactly the first ones of the plan
    assert (rows[:sent, DONE] != 0).all()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
