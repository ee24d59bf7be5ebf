"""The engine contract: the same plan in, the same rows out, whoever sends; one that ends early ends all, and nothing is
sent twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import trustme
from aiohttp import web
from distributed import Security

from tests.load.clusters import AHEAD, DaskCluster, dask_cluster
from tests.load.servers import GOOD, http_server, step
from workbench.errors import SettingsError, ToolError
from workbench.load.engines import dask as dask_engine
from workbench.load.engines.child import ChildGenerator, child_process
from workbench.load.engines.chosen import Engine, engine_of
from workbench.load.engines.conduct import conduct
from workbench.load.engines.dask import Cluster, dask, require_private
from workbench.load.engines.in_process import in_process
from workbench.load.engines.processes import processes
from workbench.load.plan import ClosedPlan, OpenPlan, Plan
from workbench.load.samples import COLUMNS, SampleBuffer, nonces, to_frame
from workbench.load.spec import Share, StepReport, StepSpec
from workbench.receipts import v2
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate
from workbench.settings import Settings

INTENDED, SENT, FIRST, DONE = range(4)
KEY = SigningKey(b"\x07" * 32)
RECEIPT = ReceiptTemplate(2, 1337, "11" * 20, "22" * 20, KEY.address.hex(), "33" * 20, "44" * 20, 10**15)


class Service:
    """Answers by the nonce alone, and counts how often it has seen each."""

    def __init__(self) -> None:
        self.nonces: Counter[int] = Counter()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        await request.read()
        nonce = v2.decode_header(request.headers["Tap-Receipt"]).receipt.nonce
        self.nonces[nonce] += 1
        if nonce % 5 == 0:
            return web.Response(status=500, body=b"{}")
        return web.Response(body=GOOD)

    def none_twice(self) -> bool:
        """Whether each receipt came once at most."""
        return bool(self.nonces) and max(self.nonces.values()) == 1


@asynccontextmanager
async def service() -> AsyncIterator[Service]:
    counting = Service()
    async with http_server(counting.handle) as url:
        counting.url = url
        yield counting


def signed(url: str, plan: Plan, folder: Path, **changes: Any) -> StepSpec:
    folder.mkdir(exist_ok=True)
    spec = step(url, plan, folder, **changes)
    return StepSpec(**{**vars(spec), "receipt": RECEIPT})


def frame(spec: StepSpec, workers: int = 1) -> pd.DataFrame:
    rows = SampleBuffer.open(spec.buffer).rows
    nonce = nonces(spec.seed, spec.step, spec.plan.count)
    return to_frame(rows, step=spec.step, nonce=nonce, payer="0xabc", value_grt=0.001, workers=workers)


def all_have_rows(sent: Iterable[int], rows: pd.DataFrame) -> bool:
    """Whether every receipt that has arrived has a row, and every other row is of one that was given up at the stop."""
    given_up = rows[~rows["nonce"].isin(list(sent))]
    return set(sent) <= set(rows["nonce"]) and set(given_up["outcome"]) <= {"cancelled"}


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until(condition: Callable[[], bool], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Two workers for all tests that kill none of them. They say all that they are asked, see the test of keys."""
    debug = {"DASK_LOGGING__DISTRIBUTED": "debug"}
    with dask_cluster(tmp_path_factory.mktemp("dask") / "cluster", workers=2, **debug) as running:
        yield running


async def _in_process(spec: StepSpec, key: SigningKey | None, on_progress: Any = None) -> StepReport:
    return await in_process(spec, key)


ENGINES: dict[str, Engine] = {
    "in-process": _in_process,
    "one child": child_process,
    "two processes": lambda spec, key, on_progress: processes(spec, key, 2, on_progress),
}
GENERATORS = {"in-process": 1, "one child": 1, "two processes": 2, "dask": 2}


@pytest.fixture(params=list(GENERATORS))
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "dask":
        return partial(dask, Cluster(request.getfixturevalue("cluster").address))
    return ENGINES[request.param]


@pytest.mark.parametrize("plan", [OpenPlan(203, 500, "poisson", 3), ClosedPlan(203, 7)], ids=["open", "closed"])
async def test_all_engines_give_the_same_rows_up_to_times(
    tmp_path: Path, engine: Engine, plan: Plan, request: pytest.FixtureRequest
) -> None:
    workers = GENERATORS[request.node.callspec.params["engine"]]
    async with service() as serving:
        own = signed(serving.url, plan, tmp_path / "own")
        await in_process(own, KEY)
        serving.nonces.clear()
        spec = signed(serving.url, plan, tmp_path / "engine")
        report = await engine(spec, KEY, None)
    expected, found = frame(own), frame(spec, workers)
    same = ["index", "nonce", "payer", "outcome", "status", "value_grt", "bytes_in"]
    pd.testing.assert_frame_equal(found[same], expected[same])
    assert set(found["outcome"]) == {"ok", "http_error"}
    assert found["worker"].tolist() == [index % workers for index in range(203)]
    assert serving.none_twice()
    assert len(serving.nonces) == report.sent == 203
    assert len(report.parts or (report,)) == workers
    clocks = found[list(COLUMNS[:4])].to_numpy()
    assert (np.diff(clocks, axis=1) >= 0).all()
    if isinstance(plan, OpenPlan):  # one start for all: the intended times are those of the plan, to the nanosecond
        assert (found["intended_ns"] - report.started_ns == plan.offsets_ns()).all()
    assert report.started_ns <= clocks[:, INTENDED].min()
    assert clocks[:, DONE].max() <= report.ended_ns


async def test_progress_adds_up_and_names_the_processes(tmp_path: Path, engine: Engine) -> None:
    if engine is _in_process:
        return
    seen: list[dict[str, Any]] = []
    async with service() as serving:
        spec = signed(serving.url, OpenPlan(400, 400), tmp_path / "engine")
        report = await engine(spec, KEY, seen.append)
    pids = [part.pid for part in report.parts or (report,)]
    assert {key: seen[-1][key] for key in ("sent", "done", "generators")} == {
        "sent": 400,
        "done": 400,
        "generators": len(pids),
    }
    assert seen[-1]["pids"] == pids
    assert [one["done"] for one in seen] == sorted(one["done"] for one in seen)
    assert any(0 < one["done"] < 400 for one in seen)


async def test_being_cancelled_stops_all_generators_and_keeps_their_rows(tmp_path: Path, engine: Engine) -> None:
    if engine is _in_process:
        return
    enough, last = asyncio.Event(), {}

    def on_progress(message: dict[str, Any]) -> None:
        last.update(message)
        if message["done"] >= 40:
            enough.set()

    async with service() as serving:
        spec = signed(serving.url, OpenPlan(50_000, 300), tmp_path / "engine")
        sending = asyncio.create_task(engine(spec, KEY, on_progress))
        await asyncio.wait_for(enough.wait(), 60)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert all(has_ended(pid) for pid in last["pids"])
    assert serving.none_twice()
    rows = frame(spec)
    assert 40 <= len(rows) < 50_000
    assert all_have_rows(serving.nonces, rows)


async def test_a_generator_that_dies_ends_the_step_and_is_named(tmp_path: Path) -> None:
    pids: list[int] = []

    def kill(message: dict[str, Any]) -> None:
        if message["done"] >= 60 and not pids:
            pids.extend(message["pids"])
            os.kill(pids[1], signal.SIGKILL)

    async with service() as serving:
        spec = signed(serving.url, OpenPlan(50_000, 300), tmp_path / "engine")
        with pytest.raises(
            ToolError, match=r"generator 2 of 3 ended with code -9 during the step.* of its 16,667"
        ) as error:
            await processes(spec, KEY, 3, kill)
        assert all(has_ended(pid) for pid in pids)
    rows = frame(spec, 3)
    finished = int((rows["worker"] == 1).sum())
    assert f"had finished {finished:,} of" in str(error.value)
    assert finished >= 15
    assert serving.none_twice()
    # of the others every receipt has its row; of the one that was killed those without an answer have none
    missing = set(serving.nonces) - set(rows["nonce"])
    assert missing <= set(nonces(spec.seed, spec.step, spec.plan.count, Share(1, 3)).tolist())
    assert all_have_rows(set(serving.nonces) - missing, rows)


async def test_a_generator_that_cannot_begin_stops_those_that_wait_for_it(tmp_path: Path) -> None:
    async with service() as serving:
        spec = signed(serving.url, OpenPlan(1000, 300), tmp_path / "engine")
        broken = StepSpec(**{**vars(spec), "buffer": tmp_path / "none.live"})
        first, second = spec.shared(2)[0], broken.shared(2)[1]
        SampleBuffer.create(tmp_path / "none.live", 1).path.write_bytes(b"odd")
        with pytest.raises(Exception, match="not a sample buffer"):
            await conduct([ChildGenerator(first, KEY), ChildGenerator(second, KEY)])
    assert not serving.nonces


ALONE = """
import asyncio, json, sys
from pathlib import Path
from tests.load.test_engines import KEY, signed
from workbench.load.engines.dask import Cluster, dask
from workbench.load.engines.processes import processes
from workbench.load.plan import OpenPlan

url, folder, address = sys.argv[1:]
spec = signed(url, OpenPlan(50_000, 300), Path(folder))
say = lambda message: print(json.dumps(message), flush=True)
asyncio.run(dask(Cluster(address), spec, KEY, say) if address else processes(spec, KEY, 2, say))
"""


@pytest.mark.parametrize("where", ["processes", "dask"])
async def test_a_killed_parent_leaves_no_generator(tmp_path: Path, where: str, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue("cluster").address if where == "dask" else ""
    async with service() as serving:
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ALONE, serving.url, str(tmp_path / "engine"), address),
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        try:
            assert parent.stdout is not None
            async for line in parent.stdout:
                message = json.loads(line)
                if message["done"] >= 40:
                    break
        finally:
            parent.kill()
            await parent.wait()
        await until(lambda: all(has_ended(pid) for pid in message["pids"]))
        assert serving.none_twice()
        assert sum(serving.nonces.values()) < 50_000


# Dask


async def test_losing_a_worker_or_the_scheduler_loses_no_finished_row_and_sends_nothing_twice(tmp_path: Path) -> None:
    """A worker is killed, and so is its generator, at once. Dask must not have its share sent by another one. Then the
    scheduler is killed, which ends the sending of all."""
    with dask_cluster(tmp_path / "cluster", workers=3) as running:
        spec, seen, said = await _losing(running, 1, tmp_path / "engine", r"generator \d of 3, Dask worker .* was lost")
        # the cluster goes on, and so could a share that had been given to another worker
        async with service() as serving:
            again = signed(serving.url, OpenPlan(30, 100), tmp_path / "again", seed=2)
            report = await dask(Cluster(running.address), again, KEY)
        assert len(report.parts) == 2
        assert set(serving.nonces) == set(frame(again)["nonce"])
        last, seen_last, _ = await _losing(running, 0, tmp_path / "last", "the Dask scheduler was lost")
    rows = frame(spec, 3)
    lost = int(said.split("generator ")[1].split()[0]) - 1
    assert f"had finished {int((rows['worker'] == lost).sum()):,} of its 16,66" in said
    # its generator sees that the worker is gone, waits for the answers in flight, and writes them down
    assert all_have_rows(seen, rows)
    assert set(rows["worker"]) == {0, 1, 2}
    assert all_have_rows(seen_last, frame(last, 2))


async def _losing(running: DaskCluster, number: int, folder: Path, said: str) -> tuple[StepSpec, Counter[int], str]:
    """Kill a process of the cluster in a step: the step, the receipts that arrived, and the error."""
    pids: list[int] = []

    def kill(message: dict[str, Any]) -> None:
        if message["done"] >= 100 and not pids:
            pids.extend(message["pids"])
            running.kill(number)

    async with service() as serving:
        spec = signed(serving.url, OpenPlan(50_000, 400), folder)
        with pytest.raises(ToolError, match=said) as error:
            await dask(Cluster(running.address), spec, KEY, kill)
        assert all(has_ended(pid) for pid in pids)
    assert serving.none_twice()
    return spec, serving.nonces, str(error.value)


async def test_rows_of_a_worker_that_sees_none_of_our_files_are_fetched(
    tmp_path: Path, cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(folder: Path) -> tuple[Path, str]:
        path = folder / "token"
        path.write_text("of another machine")
        return path, "ours"

    monkeypatch.setattr(dask_engine, "proof", other)
    seen: list[dict[str, Any]] = []
    async with service() as serving:
        spec = signed(serving.url, OpenPlan(403, 300, "poisson"), tmp_path / "engine")
        report = await dask(Cluster(cluster.address), spec, KEY, seen.append)
    rows = frame(spec, 2)
    assert rows["index"].tolist() == list(range(403))
    assert set(rows["nonce"]) == set(serving.nonces)
    assert serving.none_twice()
    assert report.sent == 403
    assert seen[-1]["pids"] == []  # none that could be watched from here


def can_shift_clocks() -> bool:
    try:
        return subprocess.run([*AHEAD, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_shift_clocks(), reason="no time namespaces here, or no right to make one")
async def test_clocks_that_differ_are_measured_and_times_converted(tmp_path: Path) -> None:
    """The workers' monotonic clocks are an hour ahead."""
    with dask_cluster(tmp_path / "cluster", workers=2, before=AHEAD) as running:
        async with service() as serving:
            spec = signed(serving.url, OpenPlan(200, 200), tmp_path / "engine")
            began_ns = time.monotonic_ns()
            report = await dask(Cluster(running.address), spec, KEY)
            ended_ns = time.monotonic_ns()
    rows = frame(spec, 2)
    assert len(rows) == 200
    for part in report.parts:
        assert part.clock is not None
        assert abs(part.clock.offset_ns - 3600 * 10**9) < part.clock.error_ns + 10**6
        assert began_ns < part.started_ns < part.ended_ns < ended_ns
    clocks = rows[list(COLUMNS[:4])].to_numpy()
    assert began_ns < clocks.min() < clocks.max() < ended_ns
    errors = max(part.clock.error_ns for part in report.parts if part.clock)
    # each began at the one instant by its own clock, as well as that is known
    assert np.abs(rows["intended_ns"] - report.started_ns - spec.plan.offsets_ns()).max() <= 4 * errors  # type: ignore[union-attr]


@pytest.mark.parametrize("reachable", [True, False])
async def test_a_clock_on_this_machine_is_off_by_no_more_than_its_error(
    tmp_path: Path, cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    """Workers are asked directly, or through the scheduler where they are behind it."""

    async def reach(*_: object) -> bool:
        return reachable

    monkeypatch.setattr(dask_engine, "_reachable", reach)
    async with service() as serving:
        spec = signed(serving.url, ClosedPlan(20, 4), tmp_path / "engine")
        report = await dask(Cluster(cluster.address), spec, KEY)
    for part in report.parts:
        assert part.clock is not None
        assert abs(part.clock.offset_ns) <= part.clock.error_ns < 10**9
        assert part.where.startswith("Dask worker tcp://127.0.0.1:")


async def test_a_cluster_over_tls_is_asked_over_tls(tmp_path: Path) -> None:
    authority, folder = trustme.CA(), str(tmp_path)
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(f"{folder}/own.pem")
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    environment = {f"{tls}CA_FILE": f"{folder}/ca.pem"}
    environment |= {
        f"{tls}{who}__{what}": f"{folder}/own.pem" for who in ("SCHEDULER", "WORKER") for what in ("CERT", "KEY")
    }
    security = Security(
        tls_ca_file=f"{folder}/ca.pem",
        tls_client_cert=f"{folder}/own.pem",
        tls_client_key=f"{folder}/own.pem",
        require_encryption=True,
    )
    with dask_cluster(tmp_path / "cluster", workers=1, security=security, **environment) as running:
        assert running.address.startswith("tls://")
        async with service() as serving:
            spec = signed(serving.url, ClosedPlan(20, 2), tmp_path / "engine")
            report = await dask(Cluster(running.address, security=security), spec, KEY)
    assert report.sent == len(frame(spec)) == 20
    assert report.where.startswith("Dask worker tls://127.0.0.1:")
    assert report.clock is not None


async def test_keys_are_in_no_log_and_no_file(tmp_path: Path, cluster: DaskCluster) -> None:
    async with service() as serving:
        spec = signed(serving.url, ClosedPlan(50, 4), tmp_path / "engine")
        await dask(Cluster(cluster.address), spec, KEY)
    assert b"actor_execute" in cluster.log.read_bytes()  # logs do say what they were asked
    files = [path for folder in (tmp_path, cluster.folder) for path in folder.rglob("*") if path.is_file()]
    secret = KEY.reveal()
    for content in (path.read_bytes() for path in files):
        for form in (secret.encode(), bytes.fromhex(secret), repr(bytes.fromhex(secret)).encode()[2:-1]):
            assert form not in content


@pytest.mark.parametrize("address", ["tcp://10.1.2.3:8786", "tcp://example.org:8786", "ws://10.1.2.3:8786"])
def test_keys_do_not_cross_a_network_in_the_clear(address: str) -> None:
    with pytest.raises(SettingsError, match=r"unencrypted to .*--allow-unencrypted"):
        require_private(["tcp://127.0.0.1:8786", address])
    require_private(["tcp://127.0.0.1:1", "tcp://[::1]:1", "tls://10.1.2.3:8786"])


async def test_a_scheduler_that_is_not_there_or_has_no_workers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_engine, "CONNECT_S", 1.0)
    spec = signed("http://127.0.0.1:9", ClosedPlan(1, 1), tmp_path / "engine")
    with pytest.raises(ToolError, match=r"tcp://127.0.0.1:9: no Dask scheduler answers.*dask scheduler"):
        await dask(Cluster("tcp://127.0.0.1:9"), spec, KEY)
    with (
        dask_cluster(tmp_path / "cluster", workers=0) as running,
        pytest.raises(ToolError, match=r"has no workers.*dask worker tcp://127"),
    ):
        await dask(Cluster(running.address), spec, KEY)


def test_the_settings_choose_the_engine(cluster: DaskCluster) -> None:
    chosen = engine_of(Settings.resolve(engine="dask", scheduler=cluster.address))
    assert isinstance(chosen, partial)
    assert chosen.func is dask
    assert chosen.args == (Cluster(cluster.address),)
