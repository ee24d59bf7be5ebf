"""A step sent by the workers of a Dask cluster, with a generator at each.

There is an actor for each share (:mod:`workbench.load.engines.remote`). An actor stays at its worker, and Dask does not
recreate a lost one. We ask and actors answer; an actor that is no longer asked stops sending.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from workbench import __version__
from workbench.errors import MeasurementError, SettingsError, ToolError, WorkbenchError
from workbench.load.clock import ClockOffset, RoundTrip, offset_of
from workbench.load.engines.conduct import STOP_WITHIN_S, Counters, OnProgress, conduct, lost, name_of
from workbench.load.engines.in_process import Start
from workbench.load.engines.remote import CarriedKey, News, Place, RemoteGenerator, boot_id, proof, rows_of
from workbench.load.samples import COLUMNS, SampleBuffer
from workbench.load.spec import StepReport, StepSpec
from workbench.loopback import is_loopback
from workbench.receipts.keys import SigningKey

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0
REACH_S = 3.0
LOST_S = 5.0
SILENT_S = 20.0
"""A worker that does not answer for so long counts as lost."""
TRIPS = 25
_LOOK_EVERY_S = 0.25
_PRIVATE = ("tls://", "wss://", "gateway://", "inproc://")
_CLOCKS = slice(0, COLUMNS.index("done_ns") + 1)


@dataclass(frozen=True)
class Cluster:
    """The scheduler's address and TLS settings; ``security`` None: from Dask's own configuration."""

    address: str
    allow_unencrypted: bool = False
    security: Any = None


def require_dask() -> None:
    """Raise ToolError if the extra is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise ToolError(
            "the engine dask needs the package distributed, which is not installed",
            where="extra distributed",
            hint="Install it: pip install -e '.[distributed]' in the workbench's folder",
        )


async def dask(
    cluster: Cluster, spec: StepSpec, key: SigningKey | None, on_progress: OnProgress | None = None
) -> StepReport:
    """Run one step at all workers of a cluster, or at fewer if there are not enough receipts or requests in flight.

    See :func:`workbench.load.engines.conduct.conduct`. The plan starts at the same instant on all workers: their clocks
    are compared with ours first (``StepReport.clock`` of each part), and times of rows are converted to our clock. A
    worker on this machine writes its rows into the step's buffer itself; from others they are fetched every half
    second.

    Raises ToolError if no scheduler answers, it has no workers, or a worker or the scheduler is lost: measured rows are
    in the buffer, and all others have stopped. Raises SettingsError if keys would cross a network unencrypted.
    """
    async with _connected(cluster) as client:
        workers = sorted(await client.nthreads())  # type: ignore[no-untyped-call]
        if not workers:
            raise ToolError(
                "the Dask scheduler has no workers",
                where=cluster.address,
                hint=f"Start one on each machine that is to send: dask worker {cluster.address} --nthreads 1",
            )
        if key is not None and not cluster.allow_unencrypted:
            require_private([cluster.address, *workers])
        path, token = proof(spec.buffer.resolve().parent)
        try:
            client.direct_to_workers = await _reachable(client, workers[0])
            parts, one_by_one = spec.shared(len(workers)), asyncio.Lock()
            generators = [
                DaskGenerator(client, address, part, key, (path, token), one_by_one)
                for address, part in zip(workers, parts, strict=False)
            ]
            # time to ask each twice, and so to tell each the instant
            start_in_s = 0.3 + 3 * ask_every_s(len(parts), begun=False)
            return await conduct(generators, on_progress, round(start_in_s * 1e9))
        finally:
            path.unlink(missing_ok=True)


async def _reachable(client: Client, worker: str) -> bool:
    """Whether workers can be asked directly, which costs a quarter of asking through the scheduler. In some clusters
    only the scheduler reaches them."""
    try:
        await asyncio.wait_for(client.rpc(worker).identity(), REACH_S)
    except (OSError, TimeoutError):
        return False
    return True


def ask_every_s(workers: int, *, begun: bool) -> float:
    """How often each generator is asked. A question costs 1 ms of CPU here; more generators are asked less often, so
    that all together take at most half a core."""
    return max(0.5 if begun else 0.05, workers / 500)


def require_private(addresses: Sequence[str]) -> None:
    """Raise SettingsError naming a cluster address to which keys would go unencrypted over a network."""
    for address in addresses:
        if not address.startswith(_PRIVATE) and not is_loopback(address):
            raise SettingsError(
                f"signing keys would cross the network unencrypted to {address}",
                where="--scheduler",
                hint="Give scheduler and workers TLS and a tls:// address, or allow it with --allow-unencrypted",
            )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence Dask's client, which would write tracebacks: we report cluster errors in one line."""
    log = logging.getLogger("distributed.client")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@asynccontextmanager
async def _connected(cluster: Cluster) -> AsyncIterator[Client]:
    """A separate client on our loop: a client from a notebook may run on another loop."""
    from distributed import Client

    with _quietly():
        try:
            client = await Client(  # type: ignore[no-untyped-call]
                cluster.address,
                asynchronous=True,
                security=cluster.security,
                timeout=CONNECT_S,
                set_as_default=False,
                name="workbench",
            )
        except (OSError, ValueError) as error:
            raise ToolError(
                f"no Dask scheduler answers: {error}", where=cluster.address, hint="Start one with `dask scheduler`"
            ) from None
        try:
            with client.as_current():
                yield client
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(client.close(timeout=2), 5)


class DaskGenerator:
    """The generator at one worker. ``shown``: file and token as of :func:`workbench.load.engines.remote.proof`.
    ``one_by_one``: a lock, held while clocks are compared, since other questions would slow that."""

    def __init__(
        self,
        client: Client,
        address: str,
        spec: StepSpec,
        key: SigningKey | None,
        shown: tuple[Path, str],
        one_by_one: asyncio.Lock,
    ) -> None:
        self.counters = Counters()
        self._client = client
        self._address = address
        self._spec = spec
        self._key = key
        self._shown = shown
        self._one_by_one = one_by_one
        self._stopped = False
        self._future: Any = None
        self._actor: Any = None
        self._elsewhere = ""

    async def run(self, start: Start) -> StepReport:
        """See :class:`workbench.load.engines.conduct.Generator`."""
        await self._place_actor()
        path, token = self._shown
        place: Place = await self._call("place", str(path), token)
        if place.version != __version__:
            raise ToolError(
                f"has workbench {place.version}, here is {__version__}",
                where=f"Dask worker {self._address}",
                hint="Install the same version on all machines",
            )
        if is_loopback(self._spec.url) and place.boot_id != boot_id():
            raise ToolError(
                f"is on {place.host}, where {self._spec.url} is not this machine",
                where=f"Dask worker {self._address}",
                hint="Give the service's address in the network with --target and --allow-remote",
            )
        clock = await self._compare_clocks()
        # on one kernel there is one clock; any difference is only the time between two readings
        same = place.shares_files and abs(clock.offset_ns) <= clock.error_ns
        spec = replace(self._spec, buffer=self._spec.buffer.resolve()).to_json()
        file = await self._call("open", place.identity, spec, CarriedKey.of(self._key), not same)
        self._elsewhere = "" if same else f"{file} on {place.host}"
        news = await self._follow(place.identity, start, clock_ns=0 if same else clock.offset_ns, here=same)
        if news.invalid:
            raise MeasurementError(news.error)
        if news.error:
            raise ToolError(news.error, where=f"Dask worker {self._address}")
        if news.report is None or (news.report["interrupted"] and not self._stopped):
            raise await self._lost("its generator was stopped by someone else")
        with contextlib.suppress(ToolError):  # if it is lost now, all rows are already here
            later = await self._compare_clocks()
            clock = replace(clock, drift_ns=later.offset_ns - clock.offset_ns)
        return self._converted(StepReport.from_json(news.report), 0 if same else clock.offset_ns, place, clock)

    def stop(self) -> None:
        """Tell the actor with the next question."""
        self._stopped = True

    @property
    def _name(self) -> str:
        return f"{name_of(self._spec.share)}, Dask worker {self._address},"

    async def _place_actor(self) -> None:
        """Make the actor at its worker and at no other. This sends no receipts."""
        self._future = self._client.submit(
            RemoteGenerator,
            actor=True,
            workers=[self._address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        for _ in range(round(SILENT_S / LOST_S)):
            placing = asyncio.ensure_future(self._future.result())
            await asyncio.wait((placing,), timeout=LOST_S)
            if placing.done():
                break
            placing.cancel()
            if why := await self._what_is_lost():
                raise self._ended(why)
        if not placing.done():
            raise ToolError(
                f"began no task within {SILENT_S:.0f} s",
                where=f"Dask worker {self._address}",
                hint="Run nothing else on the cluster during a measurement",
            )
        if (error := placing.exception()) is None:
            self._actor = placing.result()
        elif why := await self._what_is_lost():
            raise self._ended(why)
        else:  # whatever the worker is missing
            raise ToolError(
                f"cannot load the workbench: {type(error).__name__}: {error}",
                where=f"Dask worker {self._address}",
                hint="Install it there, the same version: pip install 'indexer-workbench[distributed]'",
            )

    async def _compare_clocks(self) -> ClockOffset:
        trips: list[RoundTrip] = []
        async with self._one_by_one:
            for _ in range(TRIPS):
                asked_ns = time.monotonic_ns()
                theirs_ns = await self._call("clock")
                trips.append((asked_ns, theirs_ns, time.monotonic_ns()))
        return offset_of(trips)

    async def _follow(self, identity: str, start: Start, *, clock_ns: int, here: bool) -> News:
        """Ask until it has ended; returns its last answer. Rows in the answers go into the step's buffer."""
        share = self._spec.share
        rows = SampleBuffer.open(self._spec.buffer).of(share).rows
        beginning: asyncio.Task[int] | None = None
        chunk = 0
        try:
            while True:
                begun = beginning is not None and beginning.done()
                begin_ns = beginning.result() + clock_ns if beginning is not None and begun else 0
                wait_s = ask_every_s(share.workers, begun=begun)
                news: News = await self._call("ask", identity, chunk, begin_ns, self._stopped, wait_s)
                chunk = news.chunk
                self.counters = Counters(**{**news.counters, "pid": news.counters["pid"] if here else 0})
                if news.rows:
                    positions, values = rows_of(news)
                    clocks = values[:, _CLOCKS]
                    clocks[clocks != 0] -= clock_ns  # 0: nothing was read
                    rows[positions] = values
                if news.state == "ready" and beginning is None:
                    beginning = asyncio.create_task(start())
                if news.state == "ended":
                    return news
        finally:
            if beginning is not None:
                beginning.cancel()

    async def _call(self, method: str, *arguments: Any) -> Any:
        """The actor's answer. Raises ToolError if its worker or the scheduler is lost."""
        try:
            asked = asyncio.ensure_future(getattr(self._actor, method)(*arguments))
        except RuntimeError as error:  # Dask already knows that it is lost
            raise await self._lost(str(error)) from None
        until = time.monotonic() + SILENT_S
        try:
            # a lost worker's answer may never come, so Dask is asked too
            while not asked.done() and self._future.status == "finished" and time.monotonic() < until:
                await asyncio.wait((asked,), timeout=_LOOK_EVERY_S)
            if asked.done():
                return asked.result()
        except WorkbenchError:
            raise
        except Exception as error:
            raise await self._lost(f"{type(error).__name__}: {error}") from None
        finally:
            asked.cancel()
        raise await self._lost("it does not answer")

    async def _lost(self, why: str) -> ToolError:
        """The error for a lost worker or scheduler. Its generator has stopped if it is on this machine (its input is
        closed), or stops within seconds (its actor is no longer asked)."""
        what = await self._what_is_lost() or f"was lost ({why})"
        if self.counters.pid:
            await _until_gone(self.counters.pid)
        return self._ended(what)

    async def _what_is_lost(self) -> str:
        """What is lost: the scheduler, or the worker according to the scheduler; "" if neither is."""
        try:
            known = await asyncio.wait_for(self._client.nthreads(), LOST_S)  # type: ignore[no-untyped-call]
        except Exception:  # any error of the scheduler
            return "cannot be reached: the Dask scheduler was lost"
        return "" if self._address in known else "was lost"

    def _ended(self, what: str) -> ToolError:
        left = f"Its latest samples are in {self._elsewhere}. " if self._elsewhere else ""
        hint = f"{left}Everything measured is kept; run the step again with --resume"
        return lost(self._spec, self._name, what, hint)

    def _converted(self, report: StepReport, clock_ns: int, place: Place, clock: ClockOffset) -> StepReport:
        return replace(
            report,
            started_ns=report.started_ns - clock_ns,
            ended_ns=report.ended_ns - clock_ns,
            where=f"Dask worker {self._address} on {place.host}",
            clock=clock,
        )


async def _until_gone(pid: int) -> None:
    """Wait until a generator on this machine has written its last row."""
    every_s = 0.05
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for _ in range(round(STOP_WITHIN_S / every_s)):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
            await asyncio.sleep(every_s)
