"""Service and agent as two processes over one database file, so that each can be profiled alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from workbench.errors import SettingsError
from workbench.receipts.address import checksum
from workbench.standin.accounts import payer
from workbench.standin.child import child
from workbench.standin.server import Standin

from .conftest import MILLI_GRT, Caller, eventually, quick

PAYER = checksum(payer(0).address)


@pytest.fixture
async def split(session: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[Caller]:
    both = {"database": tmp_path / "db.sqlite", "limit_grt": "0.05"}
    settings = quick(role="service", **both)
    async with (
        child(settings, tmp_path / "service.log") as service,
        child(quick(role="agent", **both), tmp_path / "agent.log") as agent,
    ):
        assert (service.agent_metrics_url, agent.service_url, agent.graph_url) == ("", "", "")
        assert service.pids["service"] != agent.pids["agent"]
        yield Caller(session, settings, replace(service, agent_metrics_url=agent.agent_metrics_url))


async def test_two_processes_deny_as_one_does(split: Caller) -> None:
    assert {answer.status for answer in await asyncio.gather(*(split.pay() for _ in range(49)))} == {200}

    async def counted(receipts: int) -> bool:
        fees = await split.agent_metric("tap_sender_fee_tracker_grt_total", sender=PAYER)
        return fees == receipts * MILLI_GRT

    await eventually(lambda: counted(49))
    assert split.rows("SELECT * FROM tap_horizon_denylist") == []
    assert (await split.pay()).status == 200
    await eventually(lambda: counted(50))

    async def refused() -> bool:
        return "denylisted" in (await split.pay()).text

    await eventually(refused)
    assert split.stored() >= 50
    assert (await split.pay(1)).status == 200

    # A row deleted by hand lets receipts through until the agent sees one of them; that may be one from before, hence
    # more than once.
    connection = sqlite3.connect(split.endpoints.database, isolation_level=None, timeout=30)

    async def accepted() -> bool:
        connection.execute("DELETE FROM tap_horizon_denylist")
        return (await split.pay()).status == 200

    before = split.stored()
    await eventually(accepted)
    connection.close()
    await eventually(refused)
    assert split.stored() > before


def test_an_agent_alone_needs_a_database() -> None:
    with pytest.raises(SettingsError, match="--database"):
        Standin(quick(role="agent"))


async def test_a_role_has_no_part_of_the_other(tmp_path: Path) -> None:
    async with Standin(quick(role="service")) as standin:
        with pytest.raises(SettingsError, match="no agent"):
            await standin.settled()
    async with Standin(quick(role="agent", database=tmp_path / "db.sqlite")) as standin:
        with pytest.raises(SettingsError, match="no receipt store"):
            _ = standin.store


async def test_a_database_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(SettingsError, match=r"db\.sqlite: the stand-in's database cannot be used"):
        async with Standin(quick(database=tmp_path / "db.sqlite")):
            pass
