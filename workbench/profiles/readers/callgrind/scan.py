"""The bytes of a callgrind file as arrays, a piece at a time; lines other than cost lines are **marks**.

The cost lines after a mark are summed in the same pass, by one of two modules with the same two functions: ``_kernel``
(C, if there was a compiler at installation) or :mod:`plain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.profiles.readers.callgrind import plain

try:
    import workbench.profiles.readers.callgrind._kernel as _kernel
except ImportError:  # installed without a compiler
    _kernel = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE_BYTES = 4 * 1024 * 1024

# ``begin``: the first word; ``end``: the next line; ``costs``: how many cost lines follow. ``value`` of a named mark is
# the first mark of the piece with the same text, of a call how often it was (-1: no number).
MARK = np.dtype([("begin", "<i8"), ("end", "<i8"), ("value", "<i8"), ("costs", "<i4"), ("kind", "<i4")])
# Cost lines summed together: the mark they follow, the source line and the address they are about.
RUN = np.dtype([("mark", "<i8"), ("line", "<i8"), ("address", "<i8"), ("kind", "<i8")])

# what follows these lines belongs to them, so no piece ends between
_OPEN_LINES = (b"calls=", b"rcalls=", b"jump=", b"jcnd=", b"cob=", b"cfi=", b"cfl=", b"cfn=")


class Kernel(Protocol):
    """The interface of ``_kernel`` and :mod:`plain`."""

    def marks(self, data: bytes, start: int, stop: int, seed: int, /) -> tuple[bytes, list[bytes]]: ...

    def costs(self, data: bytes, stop: int, marks: Any, /, *rest: Any) -> tuple[int, int, int, plain.Oddities]: ...


def kernel() -> Kernel:
    """The functions that read bytes: the compiled ones if available."""
    return plain if _kernel is None else _kernel


@dataclass(frozen=True, slots=True)
class Piece:
    """Some complete lines of a file: its ``marks``, an array of MARK, the distinct ``texts`` of named ones in the order
    of their first appearance, and where it stops. The first mark is not a line: it stands for the text before the
    piece."""

    marks: NDArray[Any]
    texts: list[bytes]
    stop: int


def pieces(data: bytes, stop: int, size: int = PIECE_BYTES) -> Iterator[Piece]:
    """All lines of ``data`` up to ``stop`` in pieces of about ``size`` bytes (more if one line is longer)."""
    offset = 0
    # random, so that a malicious file cannot cause collisions
    seed = hash(b"callgrind") & 0xFFFFFFFFFFFFFFFF
    while offset < stop:
        end = _piece_end(data, offset, min(offset + size, stop), stop)
        found, texts = kernel().marks(data, offset, end, seed)
        yield Piece(np.frombuffer(found, dtype=MARK), texts, end)
        offset = end


def _piece_end(data: bytes, offset: int, end: int, stop: int) -> int:
    if end == stop:
        return stop
    after = data.rfind(b"\n", offset, end) + 1
    while True:
        if after <= offset:
            after = data.find(b"\n", end, stop) + 1
            if not after:
                return stop
        last = data.rfind(b"\n", offset, after - 1) + 1
        if not data.startswith(_OPEN_LINES, max(last, offset)):
            return after
        end = after
        after = data.find(b"\n", end, stop) + 1
        if not after:
            return stop
