"""The stand-in under the sampler: a window of load between two requests names the functions that do the work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.profilers.sampled import by_thread, drawn, share
from tests.standin.conftest import Caller, quick
from workbench.profilers.sampler.ask import request_snapshot
from workbench.profilers.sampler.files import key_of
from workbench.profiles.read import read_pprof
from workbench.profiles.transforms.windows import subtract
from workbench.standin.child import child

RECEIPTS = 1500


async def test_a_window_of_load_names_what_works(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    settings = quick(profile_dir=folder, profile_delay_s=0, limit_grt=1000, escrow_grt=1000)
    async with child(settings, tmp_path / "log") as endpoints, aiohttp.ClientSession() as session:
        caller = Caller(session, settings, endpoints)
        pid = endpoints.pids["service"]
        headers = [caller.signed().header() for _ in range(RECEIPTS)]
        before = await asyncio.to_thread(request_snapshot, pid, folder)
        for first in range(0, RECEIPTS, 50):
            answers = await asyncio.gather(*(caller.query(receipt=header) for header in headers[first : first + 50]))
            assert {answer.status for answer in answers} == {200}
        after = await asyncio.to_thread(request_snapshot, pid, folder)
    assert (tmp_path / "log").read_text() == ""
    window = subtract(read_pprof(after.pb), read_pprof(before.pb))
    # a receipt is some 0.5 ms of CPU time, so this is about 100 samples
    assert window.total("samples") > 30
    top = window.functions.set_index("function")["total_samples"] / window.total("samples")
    assert top["workbench.standin.paid.PaidRoute.handle"] > 0.2
    assert any("signer" in name or "recover" in name for name in window.functions["function"])
    assert drawn(after.svg) == by_thread(after.pb)
    assert share(by_thread(after.pb), "handle") > 0.1
    # and a last report at the end
    assert sorted(key_of(path.name).rsplit("-", 1)[1] for path in folder.glob("*.pb")) == ["0", "1", "2"]  # type: ignore[union-attr]


@pytest.mark.parametrize("role", ["service", "agent"])
async def test_each_role_has_its_name(role: str, tmp_path: Path) -> None:
    settings = quick(role=role, database=tmp_path / "db", profile_dir=tmp_path / "profiles", profile_delay_s=0)
    async with child(settings, tmp_path / "log") as endpoints:
        await asyncio.to_thread(request_snapshot, endpoints.pids[role], tmp_path / "profiles")
    name = {"service": "Indexer Service", "agent": "Tap-agent service"}[role]
    pictures = [path.read_text() for path in (tmp_path / "profiles").glob("*.svg")]
    assert len(pictures) == 2
    assert all(name in picture for picture in pictures if picture)
