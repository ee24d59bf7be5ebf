"""A step sent from the caller's loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.load.client import ReceiptClient
from workbench.load.cores import usable_cores
from workbench.load.drive import Progress, drive_closed, drive_open
from workbench.load.interference_watch import watching_interference
from workbench.load.plan import OpenPlan
from workbench.load.presign import Presigned
from workbench.load.samples import RowWriter, SampleBuffer, nonces
from workbench.load.signing import SigningPool
from workbench.load.spec import Share, StepReport, StepSpec
from workbench.receipts.keys import SigningKey

Start = Callable[[], Coroutine[Any, Any, int]]
"""Called when connections are open and the first receipts are signed; returns when the plan starts, in nanoseconds of
the machine's monotonic clock."""

START_IN_NS = 50_000_000
"""The time from being ready to the first receipt: on a busy machine the rest of the set-up takes some 20 ms."""
_YOUNG_OBJECTS = 50_000


async def in_process(
    spec: StepSpec, key: SigningKey | None, progress: Progress | None = None, start: Start | None = None
) -> StepReport:
    """Send the share of one step in the current loop. The buffer ``spec.buffer`` must exist.

    Without ``start`` an open plan starts in 50 ms, a closed one at once.
    """
    progress = progress if progress is not None else Progress()
    share = spec.share
    rows = RowWriter(SampleBuffer.open(spec.buffer), Share() if spec.own_rows else share)
    offsets = spec.plan.offsets_ns(share.worker, share.workers) if isinstance(spec.plan, OpenPlan) else None
    presigned = _presigned(spec, key, offsets)
    client = ReceiptClient(spec.url, spec.body, timeout_s=spec.timeout_s, headers=spec.headers)
    try:
        if presigned is not None:
            # before connections are made, since a service may close idle ones
            await asyncio.to_thread(presigned.prepare)
        opened = await _unless_stopped(client.open_connections(spec.connections), progress)
        receipt = None if presigned is None else presigned.header
        with _rare_collections():
            started_ns = await _begin(spec, progress, start)
            with watching_interference(spec.services) as seen:
                cpu = time.process_time()
                try:
                    if offsets is None:
                        await drive_closed(spec.count, spec.in_flight, client, receipt, rows, progress)
                    else:
                        times, limit = offsets.data, spec.in_flight  # plain integers without a copy
                        await drive_open(times, started_ns, client, receipt, rows, progress, limit, spin=spec.spin)
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
        interference=seen.found,
    )


def _presigned(spec: StepSpec, key: SigningKey | None, offsets: npt.NDArray[np.int64] | None) -> Presigned | None:
    """The signed receipts of the share; None for a step without receipts."""
    if spec.receipt is None or key is None:
        return None
    return Presigned(
        spec.receipt.signer(key),
        nonces(spec.seed, spec.step, spec.plan.count, spec.share),
        spec.receipt.value_wei,
        offsets_ns=offsets,
        window_s=spec.timestamp_window_s,
        pool=partial(SigningPool, spec.receipt, key),
        signers=max(1, usable_cores() // spec.share.workers),
    )


async def _begin(spec: StepSpec, progress: Progress, start: Start | None) -> int:
    """When the plan starts. An open plan waits for its first receipt itself; for a closed one the wait is here."""
    if isinstance(spec.plan, OpenPlan):
        return time.monotonic_ns() + START_IN_NS if start is None else await start()
    begins_ns = time.monotonic_ns() if start is None else await start()
    # in a loop: a timer may be a millisecond early, and a stop must be seen
    while (wait_ns := begins_ns - time.monotonic_ns()) > 0 and not progress.stop:  # noqa: ASYNC110
        await asyncio.sleep(min(wait_ns, 50_000_000) / 1e9)
    return begins_ns


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """No garbage collection while a step makes little garbage.

    A collection pause would be lag, and requests leave no reference cycles. If anything else does, a rare collection
    keeps it from filling the memory.
    """
    gc.collect()
    gc.freeze()  # existing objects are never scanned
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _unless_stopped(opening: Coroutine[None, None, int], progress: Progress) -> int:
    """The result of ``opening``; 0 as soon as ``progress.stop`` is set, since a service may let it hang."""
    task = asyncio.create_task(opening)
    while not task.done() and not progress.stop:
        await asyncio.wait((task,), timeout=0.05)
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
        return 0
    return task.result()
