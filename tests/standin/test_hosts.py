"""By what names the stand-in is asked, and what a page of another site may read of it."""

from __future__ import annotations

import aiohttp

from workbench.standin.server import Standin

from .conftest import Caller, quick


async def test_a_request_by_another_sites_name_reaches_no_route(caller: Caller) -> None:
    at = caller.endpoints
    served = (f"{at.service_url}/info", at.service_metrics_url, at.agent_metrics_url, at.graph_url)
    for url in served:
        answer = await caller.fetch(url, headers={"Host": "page.example:80"})
        assert (answer.status, answer.headers.get("access-control-allow-origin")) == (421, None), url
        assert (await caller.fetch(url, headers={"Host": "localhost:1"})).status != 421
    paid = await caller.query(receipt=caller.signed().header(), headers={"Host": "page.example"})
    assert paid.status == 421
    assert caller.rows("SELECT count(*) FROM tap_horizon_receipts") == [(0,)]


async def test_only_the_services_port_has_cors_as_the_real_ones(caller: Caller) -> None:
    at = caller.endpoints
    for url in (at.service_metrics_url, at.agent_metrics_url, at.graph_url):
        for method in ("GET", "OPTIONS"):
            answer = await caller.fetch(url, method=method, headers={"Origin": "http://page.example"})
            assert not [name for name in answer.headers if name.lower().startswith("access-control")], url


async def test_a_standin_for_other_machines_is_asked_by_any_name(session: aiohttp.ClientSession) -> None:
    async with Standin(quick(allow_remote=True)) as standin:
        caller = Caller(session, standin.settings, standin.endpoints)
        assert (await caller.query(method="GET", path="/", headers={"Host": "bench.example"})).status == 200
