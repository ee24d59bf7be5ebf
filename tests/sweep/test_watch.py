"""What is watched beside the load, and its bounds: a service's metrics are what others send."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiohttp import web

from workbench.errors import TargetError
from workbench.service import fetch, metrics
from workbench.sweep import watch as module
from workbench.sweep.watch import Clock, Watch, watching


@pytest.fixture
async def page():
    """A metrics page whose text can be set, and its address. It answers while ``answers`` is set."""
    said = SimpleNamespace(text="", url="", asked=0, answers=asyncio.Event())
    said.answers.set()

    async def answer(request: web.Request) -> web.StreamResponse:
        said.asked += 1
        await said.answers.wait()
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(said.text.encode())
        return response

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    said.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/metrics"
    yield said
    await runner.cleanup()


async def test_rows_of_a_step_have_a_bound_and_what_is_left_out_is_counted(page, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 1000)
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)
    page.text = "".join(f'a{{of="{number}"}} 1\n' for number in range(700))
    target = SimpleNamespace(pids={}, service_metrics_url=page.url, agent_metrics_url=None)
    async with asyncio.timeout(30), watching(Watch(target, Clock(0, 0, 0))) as watch:
        while watch.left_out < 1000:
            await asyncio.sleep(0.01)
    assert len(watch.rows) == 1000
    assert watch.left_out % 700 == 400
    assert len(watch.frame()) == 1000


async def test_a_window_begins_only_when_what_was_asked_before_is_answered(page, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)
    page.text = "a 1\n"
    page.answers.clear()
    target = SimpleNamespace(pids={}, service_metrics_url=page.url, agent_metrics_url=None)
    async with asyncio.timeout(30), watching(Watch(target, Clock(0, 0, 0))) as watch:
        while not page.asked:
            await asyncio.sleep(0.01)
        alone = asyncio.create_task(watch.leave_alone())
        assert not (await asyncio.wait((alone,), timeout=0.1))[0]
        page.answers.set()
        await alone
        assert (page.asked, len(watch.rows)) == (1, 1)
        await asyncio.sleep(0.1)  # ten times as long as it pauses between two looks
        assert page.asked == 1
        watch.ask_again()
        while page.asked < 2:
            await asyncio.sleep(0.01)


async def test_a_metrics_page_of_too_many_lines_is_refused_before_it_is_taken_apart(page):
    page.text = "a 1\n" * (metrics.MAX_LINES + 1)
    with pytest.raises(TargetError, match=r"no Prometheus text \(250,001 lines, at most 250,000 are read"):
        await metrics.scrape(page.url, "the metrics")


async def test_an_answer_that_does_not_end_is_left_at_its_bound(page, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_BYTES", 1 << 20)
    page.text = "a" * (3 << 20)
    with pytest.raises(TargetError, match="the metrics answers with more than 1 MiB; reading stopped there"):
        await metrics.scrape(page.url, "the metrics")
