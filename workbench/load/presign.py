"""Receipts signed before they are needed, so that signing is not part of what is measured.

The service refuses receipts whose timestamp is too far from its clock. In an open loop the planned time of sending is
the timestamp. In a closed loop, and in an open one that is late, it is the time of signing. How far ahead receipts are
signed follows the pace (see :mod:`workbench.load.pace`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from workbench.load.ahead import Ahead, Asked
from workbench.load.cores import usable_cores
from workbench.load.pace import Freshness
from workbench.load.signing import SigningPool
from workbench.receipts.template import ReceiptSigner

PREPARE_S = 4.0
"""The longest time for signing before a step begins."""
ALONE_S = 0.1
"""Less signing work than this is not worth starting processes."""
_LAST_S = 1.0  # how long to wait for requests made before the step
_TICK_S = 0.02


class Presigned:
    """The ``tap-receipt`` headers of one step.

    ``prepare`` signs the first of them, ``header(i)`` returns them in order, and a background thread gets the rest
    signed: by ``pool(n)``, which starts n signers, if there is more work than ``prepare`` can do alone, otherwise by
    itself. ``signers``: how many signers, by default one for each core.

    ``signed_late`` counts receipts that had to be signed when due, which delays the sending. ``signed_anew`` counts
    receipts that were signed again in time, since they would have been too old when sent: the service had become
    slower.
    """

    def __init__(
        self,
        signer: ReceiptSigner,
        nonces: npt.NDArray[np.uint64],
        value_wei: int,
        *,
        offsets_ns: npt.NDArray[np.int64] | None,
        window_s: float,
        pool: Callable[[int], SigningPool] | None = None,
        signers: int | None = None,
    ) -> None:
        self._signer = signer
        self._nonces = nonces
        self._value = value_wei
        self._fresh = Freshness.within(window_s)
        self._ahead = Ahead(nonces, offsets_ns, self._fresh)
        self._start_pool = pool
        self._signers = usable_cores() if signers is None else signers
        self._pool: SigningPool | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.signed_late = 0

    @property
    def ready(self) -> int:
        """How many signed receipts are ready."""
        return self._ahead.ready

    @property
    def signed_anew(self) -> int:
        """See above."""
        return self._ahead.signed_anew

    def prepare(self) -> None:
        """Sign the first receipts. Call just before the step, which is taken to start now.

        An open loop signs all that are still valid when due, a closed loop the most that may be held. It takes at most
        PREPARE_S, less if the service's window for timestamps is narrow; then the step begins with what is ready.
        """
        begun = time.monotonic()
        until = begun + min(PREPARE_S, self._fresh.max_age_ns / 3e9)  # by then the first of them have that age
        end = self._ahead.before()
        while (now := time.monotonic()) < until and self._sign(end):
            if self._pool is None and now > begun + ALONE_S and self._start_pool is not None:
                self._pool = self._start_pool(self._signers)
        while self._ahead.asked and time.monotonic() < until + _LAST_S:  # no gap at the beginning
            self._take(_TICK_S)
        if self._pool is None and self._start_pool is not None and not self._ahead.done:
            self._pool = self._start_pool(1)  # the plan is slow enough for one
        if self._pool is not None:
            self._pool.step_back()
        self._thread = threading.Thread(target=self._sign_ahead, daemon=True)
        self._thread.start()

    def header(self, position: int) -> bytes:
        """The header of receipt ``position``, signed now if it is missing or too old. Call once for each, in order."""
        now_ns = time.time_ns()
        header = self._ahead.take(position, now_ns)
        if header is None:
            self.signed_late += 1
            header = self._signer.header(now_ns, int(self._nonces[position]), self._value).encode()
        return header

    def close(self) -> None:
        """End the background thread and the processes."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._pool is not None:
            self._pool.close()

    def _sign_ahead(self) -> None:
        while not self._stop.is_set():
            if not self._sign(self._ahead.wanted(time.time_ns(), time.monotonic_ns())):
                self._stop.wait(_TICK_S)

    def _sign(self, end: int) -> bool:
        """Get the next chunk before ``end`` signed; False if there is nothing to do or wait for."""
        if self._pool is None or not self._pool.ready:
            asked = self._ahead.next(end, time.time_ns())
            if asked is not None:
                self._ahead.put(asked.number, self._headers(asked))
            if self._pool is not None:
                self._take(0)
            return asked is not None
        while self._pool.free and (asked := self._ahead.next(end, time.time_ns())) is not None:
            self._pool.ask(asked.number, asked.stamps_ns, asked.nonces.tobytes())
        waiting = self._ahead.asked > 0
        if waiting:
            self._take(_TICK_S)
        return waiting

    def _take(self, wait_s: float) -> None:
        if self._pool is not None:
            for number, headers in self._pool.answers(wait_s):
                self._ahead.put(number, headers)

    def _headers(self, asked: Asked) -> list[bytes]:
        pairs = zip(asked.stamps_ns, asked.nonces.tolist(), strict=True)
        return [self._signer.header(stamp, nonce, self._value).encode() for stamp, nonce in pairs]
