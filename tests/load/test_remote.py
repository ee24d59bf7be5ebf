"""What a Dask worker holds of a step: opened once, by whoever made it; idle when nobody asks; each row handed over
once."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.servers import good, http_server, step
from workbench.errors import ToolError
from workbench.load.engines import remote
from workbench.load.engines.remote import CarriedKey, RemoteGenerator, Rows, proof, rows_of
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.samples import COLUMNS, DONE, SampleBuffer
from workbench.receipts.keys import SigningKey

NO_KEY = CarriedKey.of(None)


async def test_a_share_is_opened_once_and_by_its_own_actor_only(tmp_path: Path) -> None:
    actor, made_again = RemoteGenerator(), RemoteGenerator()
    path, token = proof(tmp_path)
    place = await actor.place(str(path), token)
    assert place.shares_files
    assert not (await actor.place(str(path), "other")).shares_files
    assert not (await actor.place(str(tmp_path / "none"), token)).shares_files
    async with http_server(good) as url:
        spec = step(url, ClosedPlan(20, 2), tmp_path)
        with pytest.raises(ToolError, match="it sends nothing"):
            await made_again.open(place.identity, spec.to_json(), NO_KEY, False)
        with pytest.raises(ToolError, match="was not opened"):
            await actor.ask(place.identity, 0, 0, False, 0.1)
        await actor.open(place.identity, spec.to_json(), NO_KEY, False)
        with pytest.raises(ToolError, match="is not sent twice"):
            await actor.open(place.identity, spec.to_json(), NO_KEY, False)
        with pytest.raises(ToolError, match="recreated"):
            await made_again.ask(place.identity, 0, await actor.clock(), False, 0.1)
        states = []
        while "ended" not in states:
            begin_ns = await actor.clock() if "ready" in states else 0
            states.append((await actor.ask(place.identity, 0, begin_ns, False, 0.5)).state)
    order = ["opening", "ready", "running", "ended"]
    assert list(dict.fromkeys(states)) == [state for state in order if state in states]
    assert SampleBuffer.open(spec.buffer).measured() == 20


async def test_an_actor_that_nobody_asks_sends_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the network between us and a worker is cut: it cannot be told to stop."""
    arrived = 0

    async def handler(request):
        nonlocal arrived
        arrived += 1
        return await good(request)

    actor = RemoteGenerator()
    identity = (await actor.place("", "")).identity
    async with http_server(handler) as url:
        spec = step(url, OpenPlan(50_000, 200), tmp_path)
        await actor.open(identity, spec.to_json(), NO_KEY, False)
        while (await actor.ask(identity, 0, 0, False, 0.5)).state != "ready":
            pass
        await actor.ask(identity, 0, await actor.clock(), False, 0.1)
        monkeypatch.setattr(remote, "LEASE_S", 1.0)
        async with asyncio.timeout(60):
            while not arrived:
                await asyncio.sleep(0.02)
        assert actor._run is not None
        report = await asyncio.wait_for(actor._run, 60)
        assert report.interrupted
        news = await actor.ask(identity, 0, 0, False, 0.1)
    assert news.state == "ended"
    assert news.report is not None
    assert 0 < news.report["sent"] == arrived < 50_000


@given(st.lists(st.lists(st.integers(0, 59)), max_size=12), st.integers(1, 20), st.lists(st.booleans(), max_size=20))
def test_each_row_is_handed_over_once_whatever_the_order_they_end_in(finishing, most, losses):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "CHUNK_ROWS", most)
        rows = np.zeros((60, len(COLUMNS)), dtype=np.int64)
        taking = Rows(SampleBuffer(Path("none"), rows))
        seen: list[int] = []
        sent = 0  # as it was known a moment ago
        acknowledged, lost_on_the_way = 0, list(losses)

        def take(*, everything: bool) -> int:
            nonlocal acknowledged
            number, positions, packed = taking.chunk(acknowledged, sent, everything=everything)
            found = np.frombuffer(positions, dtype=np.int64)
            assert np.frombuffer(packed, dtype=np.int64).reshape(-1, len(COLUMNS)).tolist() == rows[found].tolist()
            assert len(found) <= most
            if lost_on_the_way and lost_on_the_way.pop():
                return 1
            acknowledged = number
            seen.extend(found.tolist())
            return len(found)

        for ended in finishing:
            rows[ended, DONE] = np.array(ended, dtype=np.int64) + 1
            take(everything=False)
            sent = max([sent, *ended])
        while take(everything=True):
            pass
    assert sorted(seen) == np.flatnonzero(rows[:, DONE]).tolist()


def test_a_key_crosses_and_is_not_shown():
    key = SigningKey(b"\x05" * 32)
    carried = CarriedKey.of(key)
    assert "05" * 8 not in f"{carried!r} {carried} {vars(CarriedKey)}"
    arrived = pickle.loads(pickle.dumps(carried)).key()
    assert arrived is not None
    assert arrived.address == key.address
    assert pickle.loads(pickle.dumps(NO_KEY)).key() is None


def test_news_without_rows_has_none():
    positions, rows = rows_of(remote.News("running", {}))
    assert len(positions) == len(rows) == 0
