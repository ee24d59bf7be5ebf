"""Which receipts of a step are signed, which are being signed, and which are next. Uses no clock and no process.

Receipts are signed in chunks, so that passing them on costs little. The timestamps of a chunk are decided when it is
requested: the intended times in an open loop; the current time in a closed loop and in an open loop that is late.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from workbench.load.pace import MOST, Freshness, Mark, pace, paced_ahead, planned_ahead, remember

CHUNK = 200
"""Receipts signed and passed on at a time: 6 ms of work for a signer, 0.1 ms for the generator."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A chunk to be signed, by its number; its first receipt is number * CHUNK."""

    number: int
    stamps_ns: list[int]
    nonces: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Signed:
    stamps_ns: list[int]
    headers: list[bytes]


class Ahead:
    """The receipts ahead of the sending. ``take`` may be called from another thread than the rest.

    ``signed_anew`` counts receipts that were signed again because they would have been too old when sent.
    """

    def __init__(
        self, nonces: npt.NDArray[np.uint64], offsets_ns: npt.NDArray[np.int64] | None, fresh: Freshness
    ) -> None:
        self._nonces = nonces
        self._offsets = offsets_ns
        self._fresh = fresh
        # single operations on a dict are atomic, so the timed path takes no lock
        self._signed: dict[int, _Signed] = {}
        self._asked: dict[int, Asked] = {}
        self._lost: list[int] = []
        self._cursor = 0  # the next chunk; earlier ones were requested in order, so the first is the oldest
        self._start_wall_ns: int | None = None
        self._marks: list[Mark] = []
        self.sent = 0
        self.signed_anew = 0

    @property
    def ready(self) -> int:
        """How many receipts are signed and not yet sent."""
        held = 0
        for number, signed in list(self._signed.items()):
            held += max(0, len(signed.headers) - max(0, self.sent - number * CHUNK))
        return held

    @property
    def asked(self) -> int:
        """How many chunks are being signed."""
        return len(self._asked)

    @property
    def done(self) -> bool:
        """Whether every receipt of the step has been requested once."""
        return self._cursor * CHUNK >= len(self._nonces) and not self._lost

    def take(self, position: int, now_ns: int) -> bytes | None:
        """The header of receipt ``position``, the next to send; None if it is not signed or too old."""
        self.sent = position + 1
        signed = self._signed.get(position // CHUNK)
        if signed is not None:
            place = position % CHUNK
            if abs(now_ns - signed.stamps_ns[place]) <= self._fresh.max_age_ns:
                return signed.headers[place]
        return None

    def before(self) -> int:
        """Up to which receipt to sign before the step: in an open loop all that are still valid when due, in a closed
        loop the most that may be held."""
        if self._offsets is None:
            return min(MOST, len(self._nonces))
        return planned_ahead(self._offsets, 0, self._fresh.max_age_ns)

    def wanted(self, wall_ns: int, monotonic_ns: int) -> int:
        """Up to which receipt to sign now. Sent receipts are dropped; those that became too old are queued again."""
        sent = self.sent
        first = sent // CHUNK
        for number in [number for number in self._signed if number < first]:
            del self._signed[number]
        if self._start_wall_ns is None and self._offsets is not None and sent:
            self._start_wall_ns = wall_ns - int(self._offsets[sent - 1])
        self._cursor = max(first, self._cursor)
        if self._is_old(sent, wall_ns):
            self._cursor = first
        if self._offsets is not None:
            return sent + planned_ahead(self._offsets, sent, self._fresh.ahead_ns)
        now = (monotonic_ns, sent)
        self._marks = remember(self._marks, now, self._fresh.ahead_ns)
        return sent + paced_ahead(len(self._nonces), sent, pace(self._marks, now), self._fresh.ahead_ns)

    def next(self, end: int, wall_ns: int) -> Asked | None:
        """The next chunk to be signed that begins before ``end``; None if there is none."""
        number = heappop(self._lost) if self._lost else self._ahead(end)
        if number is None:
            return None
        begin = number * CHUNK
        stop = min(begin + CHUNK, len(self._nonces))
        stamps = [wall_ns] * (stop - begin)
        if self._offsets is not None:
            # until something was sent, the step is taken to start now
            start_ns = wall_ns if self._start_wall_ns is None else self._start_wall_ns
            stamps = np.maximum(self._offsets[begin:stop] + start_ns, wall_ns).tolist()
        asked = self._asked[number] = Asked(number, stamps, self._nonces[begin:stop])
        return asked

    def put(self, number: int, headers: list[bytes] | None) -> None:
        """Chunk ``number`` has been signed; None: its signer has ended, so it is queued again."""
        asked = self._asked.pop(number)
        if headers is None:
            heappush(self._lost, number)
            return
        if number in self._signed:
            self.signed_anew += max(0, len(headers) - max(0, self.sent - number * CHUNK))
        self._signed[number] = _Signed(asked.stamps_ns, headers)

    def _ahead(self, end: int) -> int | None:
        while self._cursor in self._asked:
            self._cursor += 1
        if self._cursor * CHUNK >= end:
            return None
        self._cursor += 1
        return self._cursor - 1

    def _is_old(self, sent: int, wall_ns: int) -> bool:
        """Whether the oldest ready receipt must be signed again, and then all after it in turn."""
        number = sent // CHUNK
        signed = self._signed.get(number) if number not in self._asked else None
        if signed is None or sent >= len(self._nonces):
            return False
        return wall_ns - signed.stamps_ns[sent % CHUNK] > self._fresh.renew_ns
