"""Which receipts of a step are signed, which are being signed, and which are next. Knows no clock and no process.

Receipts are signed in chunks, so that handing them over costs little. A chunk is signed with its timestamps decided
when it is asked for: the intended times in an open loop, that moment in a closed one, and in an open one that is late.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from workbench.load.pace import MOST, Freshness, Mark, pace, paced_ahead, planned_ahead, remember

CHUNK = 200
"""Receipts signed and handed over at a time: 6 ms of a signer, a tenth of a millisecond of the generator."""


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
    """What lies ahead of the sending. ``take`` may be called from another thread than the rest.

    ``signed_anew`` counts signatures that were replaced, since they would have been too old at their turn.
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
        self._cursor = 0  # the next chunk; those before it were asked for in order, so the first is the oldest
        self._start_wall_ns: int | None = None
        self._marks: list[Mark] = []
        self.sent = 0
        self.signed_anew = 0

    @property
    def ready(self) -> int:
        """How many signed receipts are held that were not sent."""
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
        """Whether every receipt of the step has been asked for once."""
        return self._cursor * CHUNK >= len(self._nonces) and not self._lost

    def take(self, position: int, now_ns: int) -> bytes | None:
        """The header of ``position``, the next one that is sent; None where it is not signed, or too old."""
        self.sent = position + 1
        signed = self._signed.get(position // CHUNK)
        if signed is not None:
            place = position % CHUNK
            if abs(now_ns - signed.stamps_ns[place]) <= self._fresh.max_age_ns:
                return signed.headers[place]
        return None

    def before(self) -> int:
        """Up to where is signed before the step: as much as is still good at its turn where the plan says when that is,
        else as much as is held at most."""
        if self._offsets is None:
            return min(MOST, len(self._nonces))
        return planned_ahead(self._offsets, 0, self._fresh.max_age_ns)

    def wanted(self, wall_ns: int, monotonic_ns: int) -> int:
        """Up to where is to be signed now. What was sent is let go, and what has become old is put in line again."""
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
        """The next chunk to be signed, where there is one that begins before ``end``."""
        number = heappop(self._lost) if self._lost else self._ahead(end)
        if number is None:
            return None
        begin = number * CHUNK
        stop = min(begin + CHUNK, len(self._nonces))
        stamps = [wall_ns] * (stop - begin)
        if self._offsets is not None:
            # as long as nothing was sent, the start is taken to be now
            start_ns = wall_ns if self._start_wall_ns is None else self._start_wall_ns
            stamps = np.maximum(self._offsets[begin:stop] + start_ns, wall_ns).tolist()
        asked = self._asked[number] = Asked(number, stamps, self._nonces[begin:stop])
        return asked

    def put(self, number: int, headers: list[bytes] | None) -> None:
        """Chunk ``number`` has been signed; None: whoever was to sign it is gone, so it is put in line again."""
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
        """Whether the oldest receipt that is ready has to be signed anew, and then all after it in turn."""
        number = sent // CHUNK
        signed = self._signed.get(number) if number not in self._asked else None
        if signed is None or sent >= len(self._nonces):
            return False
        return wall_ns - signed.stamps_ns[sent % CHUNK] > self._fresh.renew_ns
