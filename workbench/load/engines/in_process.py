"""A step driven from the caller's loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Coroutine, Iterator
from functools import partial

import numpy as np

from workbench.load.client import ReceiptClient
from workbench.load.drive import Progress, drive_closed, drive_open
from workbench.load.plan import OpenPlan
from workbench.load.presign import Presigned
from workbench.load.samples import RowWriter, SampleBuffer, nonces
from workbench.load.signing import SigningProcess
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey

_START_IN_NS = 20_000_000
_YOUNG_OBJECTS = 50_000


async def in_process(spec: StepSpec, key: SigningKey | None, progress: Progress | None = None) -> StepReport:
    """Run one step in the current loop. The buffer ``spec.buffer`` must exist."""
    progress = progress if progress is not None else Progress()
    rows, share = RowWriter(SampleBuffer.open(spec.buffer), spec.share), spec.share
    count = len(share.indexes(spec.plan.count))
    offsets = None
    if isinstance(spec.plan, OpenPlan):
        offsets = spec.plan.offsets_ns()[share.worker :: share.workers]
    presigned = None
    if spec.receipt is not None and key is not None:
        presigned = Presigned(
            spec.receipt.signer(key),
            nonces(spec.seed, spec.step, spec.plan.count)[share.worker :: share.workers],
            spec.receipt.value_wei,
            offsets_ns=offsets,
            window_s=spec.timestamp_window_s,
            elsewhere=partial(SigningProcess, spec.receipt, key),
        )
    client = ReceiptClient(spec.url, spec.body, timeout_s=spec.timeout_s, headers=spec.headers)
    try:
        opened = await _unless_stopped(client.open_connections(share.of(spec.connections)), progress)
        if presigned is not None:
            presigned.prepare()

        receipt = None if presigned is None else presigned.header
        with _rare_collections():
            started_ns, cpu = time.monotonic_ns() + _START_IN_NS, time.process_time()
            try:
                if isinstance(spec.plan, OpenPlan):
                    assert offsets is not None  # noqa: S101 - for the type checker
                    limit = share.of(spec.max_in_flight)
                    times = np.ascontiguousarray(offsets).data  # 8 bytes each, and fast to read one by one
                    await drive_open(times, started_ns, client, receipt, rows, progress, limit, spin=spec.spin)
                else:
                    started_ns = time.monotonic_ns()
                    concurrency = share.of(spec.plan.concurrency)
                    await drive_closed(count, concurrency, client, receipt, rows, progress)
            finally:
                ended_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu
    finally:
        if presigned is not None:
            presigned.close()
        await client.close()
    return StepReport(
        started_ns=started_ns,
        ended_ns=ended_ns,
        cpu_s=cpu_s,
        connections=opened,
        sent=progress.sent,
        in_flight_max=progress.in_flight_max,
        cap_hits=progress.cap_hits,
        signed_late=0 if presigned is None else presigned.signed_late,
        interrupted=progress.stop,
        pid=os.getpid(),
        signed_anew=0 if presigned is None else presigned.signed_anew,
        spun_s=progress.spun_ns / 1e9,
        closed_idle=client.closed_idle,
        surplus=client.surplus,
    )


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Without garbage collection as long as a step makes little garbage.

    A collection pause would be lag, and a request leaves no cycles, whatever becomes of it and its connection. Should
    anything else in the process do, it must not take all memory.
    """
    gc.collect()
    gc.freeze()  # what is there already is never looked at
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _unless_stopped(opening: Coroutine[None, None, int], progress: Progress) -> int:
    """What ``opening`` returns; 0 as soon as ``progress.stop`` is set, since a service may let it hang."""
    task = asyncio.create_task(opening)
    while not task.done() and not progress.stop:
        await asyncio.wait((task,), timeout=0.05)
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
        return 0
    return task.result()
