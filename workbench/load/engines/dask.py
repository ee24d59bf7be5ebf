"""A step driven by the workers of a Dask cluster, a generator at each.

What Dask carries: an actor for each share (:mod:`workbench.load.engines.remote`), questions to it and answers. An actor
stays at its worker, and Dask does not make a lost one again. Everything is asked from here, so who is not asked any
more knows that it is alone, and stops.
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
"""A worker that answers nothing for so long is lost."""
TRIPS = 25
_LOOK_EVERY_S = 0.25
_PRIVATE = ("tls://", "wss://", "gateway://", "inproc://")
_CLOCKS = slice(0, COLUMNS.index("done_ns") + 1)


@dataclass(frozen=True)
class Cluster:
    """Where the scheduler is, and how it is spoken to; ``security`` None: as Dask's own configuration says."""

    address: str
    allow_unencrypted: bool = False
    security: Any = None


def require_dask() -> None:
    """Raise ToolError where the extra is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise ToolError(
            "the engine dask needs distributed, not installed here",
            where="extra distributed",
            hint="Install it: pip install -e '.[distributed]' in the workbench's folder",
        )


async def dask(
    cluster: Cluster, spec: StepSpec, key: SigningKey | None, on_progress: OnProgress | None = None
) -> StepReport:
    """Run one step at all workers of a cluster, or at fewer where it has not as many receipts or requests in flight.

    See :func:`workbench.load.engines.conduct.conduct`. The plan begins at one instant by the clocks of all workers,
    which are compared with ours before (``StepReport.clock`` of each part); times of rows are converted to ours. A
    worker on this machine writes its rows into the step's buffer itself, from others they are fetched each half second.

    Raises ToolError where no scheduler answers, it has no workers, a worker or the scheduler is lost: what was measured
    is in the buffer, all others have stopped. SettingsError where keys would go over a network unencrypted.
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
            # time for each to be asked twice, and so to be told the instant
            start_in_s = 0.3 + 3 * ask_every_s(len(parts), begun=False)
            return await conduct(generators, on_progress, round(start_in_s * 1e9))
        finally:
            path.unlink(missing_ok=True)


async def _reachable(client: Client, worker: str) -> bool:
    """Whether workers can be asked from here: that costs a quarter of asking through the scheduler. Some clusters keep
    them behind it."""
    try:
        await asyncio.wait_for(client.rpc(worker).identity(), REACH_S)
    except (OSError, TimeoutError):
        return False
    return True


def ask_every_s(workers: int, *, begun: bool) -> float:
    """How often each generator is asked. A question costs us a millisecond of CPU: the more there are, the less often,
    and half of a core is enough for all."""
    return max(0.5 if begun else 0.05, workers / 500)


def require_private(addresses: Sequence[str]) -> None:
    """Raise SettingsError naming an address of a cluster to which keys would go readable over a network."""
    for address in addresses:
        if not address.startswith(_PRIVATE) and not is_loopback(address):
            raise SettingsError(
                f"signing keys would cross the network unencrypted to {address}",
                where="--scheduler",
                hint="Give scheduler and workers TLS and a tls:// address, or allow it with --allow-unencrypted",
            )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What is wrong with the cluster is said in one line, by us: Dask's client would write tracebacks."""
    log = logging.getLogger("distributed.client")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@asynccontextmanager
async def _connected(cluster: Cluster) -> AsyncIterator[Client]:
    """A client of our own on our loop: one from a notebook may run on another."""
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
    ``one_by_one``: held while clocks are compared, which other questions would slow."""

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
        # on one kernel there is one clock, and a difference is that of the two readings
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
            raise await self._lost("its generator was stopped from elsewhere")
        with contextlib.suppress(ToolError):  # lost now, it has nothing left to lose
            later = await self._compare_clocks()
            clock = replace(clock, drift_ns=later.offset_ns - clock.offset_ns)
        return self._converted(StepReport.from_json(news.report), 0 if same else clock.offset_ns, place, clock)

    def stop(self) -> None:
        """The actor is told when it is asked next."""
        self._stopped = True

    @property
    def _name(self) -> str:
        return f"{name_of(self._spec.share)}, Dask worker {self._address},"

    async def _place_actor(self) -> None:
        """Make the actor at its worker, and nowhere else. That sends nothing."""
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
                hint="Let nothing else run on the cluster during a measurement",
            )
        if (error := placing.exception()) is None:
            self._actor = placing.result()
        elif why := await self._what_is_lost():
            raise self._ended(why)
        else:  # whatever the worker lacks
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
        """Ask until it has ended; what it says then. Rows that come along go into the step's buffer."""
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
        """What the actor answers. Raises ToolError where its worker, or the scheduler, is lost."""
        try:
            asked = asyncio.ensure_future(getattr(self._actor, method)(*arguments))
        except RuntimeError as error:  # Dask knows already
            raise await self._lost(str(error)) from None
        until = time.monotonic() + SILENT_S
        try:
            # the answer of a worker that is lost may never come: Dask is asked beside it
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
        raise await self._lost("it answers nothing")

    async def _lost(self, why: str) -> ToolError:
        """The error for a worker, or a scheduler, that is gone. Its generator sends nothing more by now, where it is on
        this machine, or will not in a few seconds: its input has ended, or nobody asks its actor."""
        what = await self._what_is_lost() or f"was lost ({why})"
        if self.counters.pid:
            await _until_gone(self.counters.pid)
        return self._ended(what)

    async def _what_is_lost(self) -> str:
        """Whether the scheduler is, or else the worker by what the scheduler says; "" where neither is."""
        try:
            known = await asyncio.wait_for(self._client.nthreads(), LOST_S)  # type: ignore[no-untyped-call]
        except Exception:  # whatever is wrong with it
            return "is out of reach: the Dask scheduler was lost"
        return "" if self._address in known else "was lost"

    def _ended(self, what: str) -> ToolError:
        left = f"Its latest samples are in {self._elsewhere}. " if self._elsewhere else ""
        hint = f"{left}What was measured is kept; run the step again with --resume"
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
    """Until a generator of this machine has written its last row."""
    every_s = 0.05
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for _ in range(round(STOP_WITHIN_S / every_s)):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
            await asyncio.sleep(every_s)
