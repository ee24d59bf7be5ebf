"""Receipts signed before they are needed, so that signing is not part of what is measured.

The service refuses receipts whose timestamp is too far from its clock. In an open loop the time of sending is known
and is the timestamp. In a closed loop it is not, so receipts are stamped when they are signed, in order, at most
``AHEAD`` in front of the one being sent, and one that has become too old by its turn is signed anew.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import numpy.typing as npt

from workbench.receipts.template import ReceiptSigner

AHEAD = 20_000
_CHUNK = 200


class Presigned:
    """The ``tap-receipt`` headers of one step.

    ``prepare`` signs the first AHEAD of them, ``header(i)`` hands them out, a background thread signs the rest.
    ``signed_late`` counts those that had to be signed at their turn: time that the plan did not foresee.
    """

    def __init__(
        self,
        signer: ReceiptSigner,
        nonces: npt.NDArray[np.uint64],
        value_wei: int,
        *,
        offsets_ns: npt.NDArray[np.int64] | None,
        window_s: float,
        ahead: int = AHEAD,
    ) -> None:
        self._signer = signer
        self._nonces: list[int] = nonces.tolist()
        self._value = value_wei
        self._offsets: list[int] | None = None if offsets_ns is None else offsets_ns.tolist()
        # 0.8: the way to the service and the clocks' difference need a part of the window
        self._max_age_ns = int(window_s * 0.8e9)
        self._ahead = ahead
        self._headers: list[str | None] = [None] * len(self._nonces)
        self._stamps: list[int] = [0] * len(self._nonces)
        self._next = 0
        self._start_wall_ns = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.signed_late = 0

    def prepare(self) -> None:
        """Sign the first receipts. Call just before the step; its start is taken to be now."""
        first = min(self._ahead, len(self._headers))
        self._start_wall_ns = time.time_ns()
        for index in range(first):
            self._sign(index)
        if first < len(self._headers):
            self._thread = threading.Thread(target=self._sign_ahead, args=(first,), daemon=True)
            self._thread.start()

    def header(self, index: int) -> str:
        """The header of receipt ``index``, signed now if it was not yet or has become too old."""
        self._next = index
        header = self._headers[index]
        if header is None or abs(time.time_ns() - self._stamps[index]) > self._max_age_ns:
            self.signed_late += 1
            self._sign(index, time.time_ns())
            header = self._headers[index]
        self._headers[index] = None  # a sent header is not needed again; a long run keeps AHEAD of them at most
        return header or ""

    def close(self) -> None:
        """End the background thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _sign(self, index: int, stamp: int | None = None) -> None:
        if stamp is None:
            stamp = time.time_ns() if self._offsets is None else self._start_wall_ns + self._offsets[index]
        self._stamps[index] = stamp
        self._headers[index] = self._signer.header(stamp, self._nonces[index], self._value)

    def _sign_ahead(self, first: int) -> None:
        for index in range(first, len(self._headers)):
            while index - self._next > self._ahead:
                if self._stop.wait(0.01):
                    return
            if index % _CHUNK == 0 and self._stop.is_set():
                return
            if index > self._next:
                self._sign(index)
