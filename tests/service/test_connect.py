"""A target that is not there, or is something else, is said in one clear line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from aiohttp import web

import workbench
from tests.load.servers import good, http_server, raw_server
from tests.ports import free_port
from workbench.errors import TargetError
from workbench.receipts.address import checksum
from workbench.service import fetch
from workbench.service.agent import fees_of, readings_of
from workbench.service.connect import connect
from workbench.service.metrics import parse, total
from workbench.settings import Settings
from workbench.sweep.subject import running

ALLOCATION = "0xfa44c72b753a66591f241c7dc04e8178c30e13af"


async def failure(tmp_path, **settings) -> str:
    """What a run says, which ends with 3 and leaves a folder in state ``failed``."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path)) / "run"
    with pytest.raises(TargetError) as caught:
        await workbench.sweep(run_dir=folder, receipts="5", pinpoint=False, **settings)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 3
    run = workbench.open_run(folder)
    assert (run.state, run.exit_code, len(run.samples)) == ("failed", 3, 0)
    return text


async def test_nothing_listens(tmp_path):
    port = free_port()
    text = await failure(tmp_path, target=f"http://127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in text
    assert "not reachable" in text


async def test_it_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.3)
    async with raw_server(None) as url:
        assert "did not answer within" in await failure(tmp_path, target=url)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_it_does_not_speak_http(tmp_path, answer):
    async with raw_server(answer) as url:
        assert "gave no valid HTTP answer" in await failure(tmp_path, target=url)


async def test_it_is_another_service(tmp_path):
    async def other(request: web.Request) -> web.Response:
        return web.Response(text="It works!")

    app = web.Application()
    app.router.add_get("/", other)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        text = await failure(tmp_path, target=f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
    assert "not the answer of an indexer-service" in text


async def test_the_allocation_is_not_known(tmp_path):
    async with http_server(good) as url:
        assert "--allocation" in await failure(tmp_path, target=url)
        assert "network subgraph" in await failure(tmp_path, target=url, graph_url=f"{url}/graph")


async def test_a_given_target_is_used_with_the_local_networks_payer(tmp_path):
    async with http_server(good) as url:
        settings = Settings.resolve(target=url, allocation=ALLOCATION, url_prefix="/indexer")
        target = await connect(settings)
        assert not target.is_standin
        assert target.paid_url == f"{url}/indexer/subgraphs/id/{settings.deployment}"
        assert [checksum(payer.address) for payer in target.payers] == ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"]
        assert await target.fees(target.payers[0].address) is None
        assert target.rows(target.payers[0]) is None


async def test_the_standin_is_found_and_its_payers_are_whole(tmp_path):
    settings = Settings.resolve(limit_grt="0.5", escrow_grt=3, standin_payers=3)
    async with running(settings, tmp_path, "none") as subject:
        target = subject.target
        assert subject.session is None
        assert target.is_standin
        assert "0x" + target.allocation.hex() == ALLOCATION
        assert len(target.payers) == 3
        for payer in target.payers:
            fees = await target.fees(payer.address)
            assert fees is not None
            assert (fees.limit, fees.balance, fees.spent, fees.denied) == (5 * 10**17, 3 * 10**18, 0, False)
            rows = target.rows(payer)
            assert rows is not None
            assert (rows.receipts, rows.invalid, rows.denied) == (0, 0, False)


def test_gauges_are_in_wei_and_senders_are_told_apart():
    payer, other = b"\x01" * 20, b"\x02" * 20
    text = "\n".join(
        [
            f'tap_max_fee_per_sender_grt_total{{sender="{checksum(other)}"}} 1e18',
            f'tap_sender_fee_tracker_grt_total{{sender="{checksum(payer)}"}} 2.5e17',
            f'tap_sender_fee_tracker_grt_total{{sender="{checksum(other)}"}} 9e17',
            f'tap_pending_rav_grt_total{{sender="{checksum(payer)}",allocation="0x1"}} 1e17',
            f'tap_pending_rav_grt_total{{sender="{checksum(payer)}",allocation="0x2"}} 2e17',
            f'tap_receipts_received_total{{sender="{checksum(payer)}",allocation="0x1"}} 7',
            f'tap_sender_denied{{sender="{checksum(payer)}"}} 1',
            "",
        ]
    )
    fees = fees_of(parse(text), payer, limit=None)
    assert fees == fees_of(readings_of(text, payer=payer), payer, limit=None)
    assert fees.limit == 10**18  # the same for all senders
    assert fees.balance is None
    assert (fees.unaggregated, fees.pending, fees.received, fees.denied) == (25 * 10**16, 3 * 10**17, 7, True)
    assert total(parse(text), "tap_sender_denied", sender=checksum(other)) is None
    # of the other's lines none is taken apart but the limit
    assert len(readings_of(text, payer=payer)) == 6
    own = f'tap_max_fee_per_sender_grt_total{{sender="{checksum(payer).lower()}"}} 3e18\n# TYPE a gauge\n'
    assert fees_of(readings_of(text + own, payer=payer), payer, limit=None).limit == 3 * 10**18
    assert len(readings_of(text, payer=b"\x03" * 20)) == 7  # no line names this payer, so all are read
