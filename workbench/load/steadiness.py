"""Intervals of a step's percentiles, and whether the step was steady: computed in chunks, in bounded memory.

Intervals come from :mod:`workbench.stats.quantiles`. With more than ENTRIES accepted receipts, groups of neighbours are
joined into one entry before resampling: no row is left out, and the ends of an interval are measured values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from workbench.load.histogram import Histogram, buckets, order_statistics
from workbench.stats.bootstrap import dependence, rank_of
from workbench.stats.littles_law import NOTHING, LittlesLaw, littles_law
from workbench.stats.quantiles import SHARES, Quantile, Ranks, grouped, of_ranks, rank_intervals
from workbench.stats.warmup import WarmUp, warm_up

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.load.chunks import Chunks
    from workbench.stats.bootstrap import Floats

    Values = Callable[[], Iterable[npt.NDArray[np.int64]]]

ENTRIES = 20_000


@dataclass(frozen=True)
class Steadiness:
    """Whether a step was steady: ``start``, the part at the beginning whose response times differ from the rest, and
    Little's ``law``."""

    start: WarmUp
    law: LittlesLaw

    @property
    def sentences(self) -> tuple[str, ...]:
        """Warnings about the step's latencies; empty if it was steady."""
        said = []
        start = self.start
        if start.settles is False:
            said.append(
                f"response times did not settle in the first half of the step (mean {start.before / 1e6:,.3g} ms, then "
                f"{start.after / 1e6:,.3g} ms): there is no steady state, so percentiles mean little"
            )
        elif start.rows:
            said.append(
                f"warm-up: the first {start.rows:,} of {start.n:,} accepted receipts took {start.before / 1e6:,.3g} ms "
                f"on average, the others {start.after / 1e6:,.3g} ms; all of them are in the percentiles"
            )
        if self.law.holds is False:
            said.append(self.law.sentence)
        return tuple(said)


UNKNOWN = Steadiness(WarmUp(0, 0, None), NOTHING)


def intervals(
    values: Values, histogram: Histogram, shares: Sequence[float] = SHARES, *, entries: int = ENTRIES
) -> tuple[Quantile, ...]:
    """The percentiles in ms, with intervals, of all arrays in ns from ``values()``, in the order of time.
    ``histogram``: that of these values."""
    n = histogram.total
    if not n:
        return tuple(of_ranks(share, Ranks(0, 0, "no receipt was accepted"), 0, 0.0, _nothing) for share in shares)
    middles = order_statistics(values, [rank_of(n, share) for share in shares], histogram)
    limits = dict(zip(shares, middles, strict=True))
    size = -(-n // entries)
    together = dependence(_series(values, partial(_ranks, histogram), size))

    def below(share: float) -> Floats:
        return _series(values, lambda part: (part <= limits[share]).astype(np.float64), size)

    found = rank_intervals(n, shares, below, together)
    wanted = sorted({rank for one in found if not one.refused for rank in (one.low, one.high)})
    at = dict(zip(wanted, order_statistics(values, wanted, histogram), strict=True))
    at |= {rank_of(n, share): limits[share] for share in shares}
    return tuple(
        of_ranks(share, one, n, together.effective_n, lambda rank: at[rank] / 1e6)
        for share, one in zip(shares, found, strict=True)
    )


def steadiness(chunks: Chunks, accepted: int, *, entries: int = ENTRIES) -> Steadiness:
    """Whether a step with this number of ``accepted`` receipts was steady."""
    size = max(1, -(-accepted // entries))
    response = _series(lambda: (chunk.response_ns for chunk in chunks), lambda part: part.astype(np.float64), size)
    start = warm_up(response)
    if size > 1:
        start = WarmUp(accepted, start.rows * size, start.settles, start.before, start.after)
    sent = [(int(chunk.sent_ns.min()), int(chunk.sent_ns.max())) for chunk in chunks if len(chunk)]
    if not sent:
        return Steadiness(start, NOTHING)
    first, last = min(low for low, _ in sent), max(high for _, high in sent)
    return Steadiness(start, littles_law(((chunk.sent_ns, chunk.done_ns) for chunk in chunks), first, last))


def _series(values: Values, of: Callable[[npt.NDArray[np.int64]], Floats], size: int) -> Floats:
    """``of`` applied to all values, as means of each ``size`` of them."""
    parts: Iterator[Floats] = (of(part) for part in values() if len(part))
    whole: Floats = np.concatenate([np.empty(0), *grouped(parts, size)])
    return whole


def _ranks(histogram: Histogram, part: npt.NDArray[np.int64]) -> Floats:
    """The ranks of values; values of one bucket share a rank."""
    ends = np.cumsum(histogram.counts)
    middle: Floats = (ends - histogram.counts / 2)[buckets(part)]
    return middle


def _nothing(rank: int) -> float:
    return math.nan
