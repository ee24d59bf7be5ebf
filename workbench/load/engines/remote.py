"""The part of a step at a Dask worker: a generator process and the rows that it has measured.

It is a Dask actor, which sends nothing when it is made. Only the engine that made it and knows its ``identity`` can
open it, and only once; a task that the scheduler repeats makes another actor, which stays idle. An actor that is not
asked for LEASE_S stops sending: its engine is gone or cannot be reached.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench import __version__, private
from workbench.errors import MeasurementError, ToolError, WorkbenchError
from workbench.load.engines.child import ChildGenerator
from workbench.load.samples import COLUMNS, DONE, SampleBuffer
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey

LEASE_S = 5.0
CHUNK_ROWS = 20_000
"""The most rows in one answer: 1.3 MB."""
SETTLED_NS = 100_000_000
"""Rows younger than this are not sent yet: they may still be being written."""


class CarriedKey:
    """A signing key (or None) that can be pickled and is never displayed.

    Dask encrypts data only with ``tls://`` addresses.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    @classmethod
    def of(cls, key: SigningKey | None) -> CarriedKey:
        """Wrap a key for sending."""
        return cls(None if key is None else key.reveal())

    def key(self) -> SigningKey | None:
        """The key, at the receiver."""
        return None if self._secret is None else SigningKey(self._secret)

    def __repr__(self) -> str:
        return "CarriedKey(not shown)"

    def __reduce__(self) -> tuple[Any, ...]:
        return (CarriedKey, (self._secret,))


@dataclass(frozen=True)
class Place:
    """Where an actor is. ``shares_files``: it sees our files and runs on the same kernel (``boot_id``), so that it can
    write into our mapped file and has our monotonic clock."""

    identity: str
    version: str
    host: str
    boot_id: str
    shares_files: bool


@dataclass(frozen=True)
class News:
    """An actor's answer. ``rows``: chunk number ``chunk`` of the measured rows, with their positions in the share; it
    is repeated until a question acknowledges it. Times are of the actor's clock.

    ``state``: opening, ready, running or ended; when ended, ``report`` or ``error`` is set, neither if the worker
    closes.
    """

    state: str
    counters: dict[str, int]
    chunk: int = 0
    positions: bytes = b""
    rows: bytes = b""
    report: dict[str, Any] | None = None
    error: str = ""
    invalid: bool = False
    """Whether the error is a MeasurementError."""


def proof(folder: Path) -> tuple[Path, str]:
    """A file and its content, by which a worker proves that it sees our files."""
    path, token = folder / f".{secrets.token_hex(8)}.token", secrets.token_hex(16)
    path.write_text(token + boot_id())
    return path, token


def boot_id() -> str:
    """The id of this boot of the kernel; "" if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # macOS
        return ""


def _sees(path: Path, token: str) -> bool:
    try:
        return bool(boot_id()) and path.read_text() == token + boot_id()
    except OSError:
        return False


class RemoteGenerator:
    """The actor. Its methods are coroutines on the worker's loop; the generator runs in a separate process."""

    def __init__(self) -> None:
        self._identity = secrets.token_hex(8)
        self._asked_s = time.monotonic()
        self._generator: ChildGenerator | None = None
        self._run: asyncio.Task[StepReport] | None = None
        self._ready = asyncio.Event()
        self._begun = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._start_ns = 0
        self._rows: Rows | None = None

    async def place(self, path: str, token: str) -> Place:
        """Where this actor is; ``path`` and ``token`` from :func:`proof`."""
        shares = await asyncio.to_thread(_sees, Path(path), token)
        return Place(self._identity, __version__, socket.gethostname(), boot_id(), shares)

    async def clock(self) -> int:
        """The actor's monotonic clock, in nanoseconds."""
        return time.monotonic_ns()

    async def open(self, identity: str, spec: dict[str, Any], carried: CarriedKey, own_rows: bool) -> str:
        """Start the generator process; returns the file of its rows. Raises ToolError when called a second time."""
        self._require(identity)
        if self._generator is not None:
            raise ToolError("this share of the step is already open and is not sent twice")
        step = StepSpec.from_json(spec)
        if own_rows:
            path = private.folder() / f"{self._identity}-step-{step.step:03}.live"
            self._rows = Rows(SampleBuffer.create(path, step.count))
            step = replace(step, buffer=path, own_rows=True)
        self._generator = ChildGenerator(step, carried.key())
        self._asked_s = time.monotonic()
        self._run = asyncio.create_task(self._generator.run(self._start))
        self._watching = asyncio.create_task(self._watch_lease(self._run, self._generator))
        return str(step.buffer)

    async def ask(self, identity: str, acknowledged: int, start_ns: int, stop: bool, wait_s: float) -> News:
        """News, after at most ``wait_s``. ``start_ns``: when to start, by the actor's clock; 0: not yet.

        ``acknowledged``: the last chunk of rows that has arrived. ``stop``: send nothing more.
        """
        self._require(identity)
        if self._generator is None or self._run is None:
            raise ToolError("this share of the step was not opened")
        self._asked_s = time.monotonic()
        if stop:
            self._generator.stop()
        if start_ns and not self._begun.is_set():
            self._start_ns = start_ns
            self._begun.set()
        await self._something_new(self._run, wait_s)
        self._asked_s = time.monotonic()
        return self._news(self._generator, self._run, acknowledged)

    async def _something_new(self, run: asyncio.Task[StepReport], wait_s: float) -> None:
        awaited: set[asyncio.Task[Any]] = {run}
        ready = None
        if not self._ready.is_set():
            awaited.add(ready := asyncio.create_task(self._ready.wait()))
        await asyncio.wait(awaited, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if ready is not None:
            ready.cancel()

    def _news(self, generator: ChildGenerator, run: asyncio.Task[StepReport], acknowledged: int) -> News:
        counters = asdict(generator.counters)
        state = "running" if self._begun.is_set() else "ready" if self._ready.is_set() else "opening"
        chunk, positions, rows = 0, b"", b""
        if self._rows is not None:
            chunk, positions, rows = self._rows.chunk(acknowledged, counters["sent"], everything=run.done())
        if not run.done() or rows:
            return News(state, counters, chunk, positions, rows)
        if self._rows is not None:
            self._rows.remove()
        if run.cancelled():
            return News("ended", counters)
        if (error := run.exception()) is not None:
            text = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
            return News("ended", counters, error=text, invalid=isinstance(error, MeasurementError))
        return News("ended", counters, report=asdict(run.result()))

    async def _start(self) -> int:
        self._ready.set()
        await self._begun.wait()
        return self._start_ns

    async def _watch_lease(self, run: asyncio.Task[StepReport], generator: ChildGenerator) -> None:
        while not run.done():
            await asyncio.wait((run,), timeout=LEASE_S / 5)
            if time.monotonic() - self._asked_s > LEASE_S:
                generator.stop()

    def _require(self, identity: str) -> None:
        if identity != self._identity:
            raise ToolError("this actor was recreated and does not belong to the step; it sends nothing")


class Rows:
    """The rows of a share, each passed on once."""

    def __init__(self, buffer: SampleBuffer) -> None:
        self._buffer = buffer
        self._taken = np.zeros(len(buffer.rows), dtype=bool)
        self._first = 0  # all rows before it are taken
        self._number = 0
        self._offered: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def chunk(self, acknowledged: int, sent: int, *, everything: bool) -> tuple[int, bytes, bytes]:
        """Number, positions (int64) and rows of a chunk that is measured and not acknowledged, in the order of the
        plan.

        Searches the first ``sent`` rows, enough while the generator runs; with ``everything`` all rows.
        """
        if acknowledged == self._number or not len(self._offered):  # an empty chunk needs no acknowledgement
            end = len(self._taken) if everything else max(self._first, sent)
            self._taken[self._offered] = True
            left = np.flatnonzero(~self._taken[self._first : end])
            self._first = self._first + int(left[0]) if len(left) else end
            done = self._buffer.rows[self._first : end, DONE]
            old = done <= time.monotonic_ns() - (0 if everything else SETTLED_NS)
            wanted = (done != 0) & old & ~self._taken[self._first : end]
            self._offered = np.flatnonzero(wanted)[:CHUNK_ROWS] + self._first
            self._number += 1
        return self._number, self._offered.tobytes(), self._buffer.rows[self._offered].tobytes()

    def remove(self) -> None:
        """Remove the file: all rows have arrived."""
        self._buffer.path.unlink(missing_ok=True)


def rows_of(news: News) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions and rows in an answer."""
    positions = np.frombuffer(news.positions, dtype=np.int64)
    return positions, np.frombuffer(news.rows, dtype=np.int64).reshape(len(positions), len(COLUMNS)).copy()
