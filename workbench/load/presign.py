"""Receipts signed before they are needed, so that signing is not part of what is measured.

The service refuses receipts whose timestamp is too far from its clock. In an open loop the time of sending is known
and is the timestamp. In a closed loop, and in an open one that is late, it is not: receipts are stamped when they are
signed. How far ahead that is follows the pace (see :mod:`workbench.load.pace`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from workbench.errors import ToolError
from workbench.load.pace import MOST, Freshness, Mark, pace, paced_ahead, planned_ahead, remember
from workbench.load.signing import SigningProcess
from workbench.receipts.template import ReceiptSigner

PREPARE_S = 1.0
"""The longest time that receipts are signed before a step begins."""
_TICK_S = 0.02
_CHUNK = 100


class Presigned:
    """The ``tap-receipt`` headers of one step.

    ``prepare`` signs the first of them, ``header(i)`` hands them out in order, a background thread has the rest signed:
    by the process that ``elsewhere`` starts, where any are left after ``prepare``, else by itself.

    ``signed_late`` counts those that had to be signed at their turn: time that the plan did not foresee.
    ``signed_anew`` counts signatures that were not used, since their receipt would have been too old at its turn: the
    service was slower than before. It was replaced ahead of time.
    """

    def __init__(
        self,
        signer: ReceiptSigner,
        nonces: npt.NDArray[np.uint64],
        value_wei: int,
        *,
        offsets_ns: npt.NDArray[np.int64] | None,
        window_s: float,
        elsewhere: Callable[[], SigningProcess] | None = None,
    ) -> None:
        self._signer = signer
        self._nonces = nonces
        self._value = value_wei
        self._offsets = offsets_ns
        self._fresh = Freshness.within(window_s)
        # index to timestamp and header. Single operations on a dict are atomic, so the timed path takes no lock
        self._ready: dict[int, tuple[int, str]] = {}
        self._sent = 0
        self._cursor = 0  # those before it were signed in order, so the first of them is the oldest
        self._start_wall_ns = 0
        self._marks: list[Mark] = []
        self._elsewhere = elsewhere
        self._process: SigningProcess | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.signed_late = 0
        self.signed_anew = 0

    @property
    def ready(self) -> int:
        """How many signed receipts are held."""
        return len(self._ready)

    def prepare(self) -> None:
        """Sign the first receipts, for PREPARE_S at most. Call just before the step; its start is taken to be now."""
        self._start_wall_ns = time.time_ns()
        until_ns = self._start_wall_ns + min(int(PREPARE_S * 1e9), self._fresh.ahead_ns)
        first = min(len(self._nonces), MOST)
        while self._cursor < first and time.time_ns() < until_ns:
            self._sign(self._cursor, self._cursor + 1)
            self._cursor += 1
        if self._cursor < len(self._nonces) and self._elsewhere is not None:
            self._process = self._elsewhere()
        self._thread = threading.Thread(target=self._sign_ahead, daemon=True)
        self._thread.start()

    def header(self, index: int) -> bytes:
        """The value of receipt ``index``'s header, signed now if it was not yet or has become too old. Each is asked
        for once, in order."""
        self._sent = index + 1
        ready = self._ready.pop(index, None)
        now_ns = time.time_ns()
        if ready is not None and abs(now_ns - ready[0]) <= self._fresh.max_age_ns:
            return ready[1].encode()
        self.signed_late += 1
        return self._signer.header(now_ns, int(self._nonces[index]), self._value).encode()

    def close(self) -> None:
        """End the background thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._process is not None:
            self._process.close()

    def _sign(self, begin: int, end: int) -> None:
        now_ns = time.time_ns()
        stamps = [now_ns] * (end - begin)
        if self._offsets is not None:
            stamps = [max(now_ns, self._start_wall_ns + offset) for offset in self._offsets[begin:end].tolist()]
        numbers = list(zip(stamps, self._nonces[begin:end].tolist(), strict=True))
        for index, stamp, header in zip(range(begin, end), stamps, self._headers(numbers), strict=True):
            if index in self._ready:
                self.signed_anew += 1
            if index >= self._sent:
                self._ready[index] = (stamp, header)
            if index < self._sent:  # else it was just sent, signed at its turn
                self._ready.pop(index, None)

    def _headers(self, numbers: list[tuple[int, int]]) -> list[str]:
        if self._process is not None:
            try:
                return self._process.headers(numbers)
            except ToolError:  # killed by someone: the step goes on, slower
                self._process.close()
                self._process = None
        return [self._signer.header(stamp, nonce, self._value) for stamp, nonce in numbers]

    def _sign_ahead(self) -> None:
        while not self._stop.is_set():
            sent = self._sent
            self._cursor = sent if self._is_old(sent) else max(sent, self._cursor)
            end = min(sent + self._wanted(sent), self._cursor + _CHUNK)
            if end <= self._cursor:
                self._stop.wait(_TICK_S)
            else:
                self._sign(self._cursor, end)
                self._cursor = end

    def _is_old(self, index: int) -> bool:
        """Whether the oldest receipt that is ready has to be signed anew, and then all after it in turn."""
        ready = self._ready.get(index) if index < self._cursor else None
        return ready is not None and time.time_ns() - ready[0] > self._fresh.renew_ns

    def _wanted(self, sent: int) -> int:
        if self._offsets is not None:
            return planned_ahead(self._offsets, sent, self._fresh.ahead_ns)
        now = (time.monotonic_ns(), sent)
        self._marks = remember(self._marks, now, self._fresh.ahead_ns)
        return paced_ahead(len(self._nonces), sent, pace(self._marks, now), self._fresh.ahead_ns)
