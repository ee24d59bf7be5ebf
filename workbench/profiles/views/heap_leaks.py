"""Possible leaks: allocators whose memory rises steadily with time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.profiles.model import Profile
from workbench.profiles.views.heap_sites import (
    PLUMBING,
    By,
    Plumbing,
    bytes_by_allocator,
    described,
    require_massif,
    time_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# With fewer snapshots a rise may be chance: five in a row rise by chance once in 120 times.
FEWEST_SNAPSHOTS = 5
# A place is a candidate if its bytes rise almost steadily with time, and by a relevant share of the whole heap.
LEAST_RANK_CORRELATION = 0.8
LEAST_RISE_PCT = 1.0
# At the end of a program that frees everything, the heap falls at once below this share of its maximum.
TEARDOWN_PART = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Leaks:
    """What looks like a leak. ``sentence``: in words; ``enough``: False if there are too few snapshots; ``snapshots``:
    those used; ``teardown``: those left out because the program was freeing everything.

    ``candidates``: allocator, function, file, line, snapshots, first_bytes, last_bytes, slope (bytes per unit of
    ``meta["time_unit"]``), rank_correlation (Spearman's; 1: always rising), r2 of a straight line, and share_pct of the
    rise of the whole heap over the same snapshots; the largest rise first.
    """

    sentence: str
    enough: bool
    snapshots: tuple[int, ...]
    teardown: tuple[int, ...]
    candidates: pd.DataFrame


def leak_candidates(profile: Profile, *, by: By = "site", plumbing: Plumbing = PLUMBING) -> Leaks:
    """Allocators whose bytes rise with time over the later detailed snapshots.

    The first third of the run is left out, in which programs build up what they keep; so are snapshots at the end in
    which the heap falls at once to less than half, when programs free everything. A rise does not prove a leak: a
    filling cache looks the same.
    """
    require_massif(profile)
    times = time_of(profile)
    wide = bytes_by_allocator(profile, by, plumbing)
    heap = wide.sum(axis=1)
    kept, teardown = _steady(profile.meta["detailed"], times, heap)
    empty = pd.DataFrame(
        columns=[
            "allocator", "function", "file", "line", "snapshots", "first_bytes", "last_bytes", "slope",
            "rank_correlation", "r2", "share_pct",
        ]
    )  # fmt: skip
    if len(kept) < FEWEST_SNAPSHOTS:
        sentence = (
            f"Too few snapshots to judge: {len(kept)} with heap trees are left after the first third of the run"
            f"{_without(teardown)}, and at least {FEWEST_SNAPSHOTS} are needed. Run longer, or with a smaller "
            "--detailed-freq."
        )
        return Leaks(sentence, False, tuple(kept), tuple(teardown), empty)
    rise = int(heap[kept[-1]]) - int(heap[kept[0]])
    worth = LEAST_RISE_PCT / 100 * float(heap[kept].max())
    rows = []
    for key in wide.columns[wide.columns >= 0]:
        values = wide.loc[kept, key]
        # not listed means below the threshold, not zero
        values = values[values > 0].astype("float64")
        gain = 0.0 if len(values) < 2 else float(values.iloc[-1] - values.iloc[0])
        if len(values) < FEWEST_SNAPSHOTS or gain < worth:
            continue
        x = values.index.map(times).to_numpy(dtype=np.float64)
        y = values.to_numpy()
        rank = _correlation(_ranks(x), _ranks(y))
        if rank < LEAST_RANK_CORRELATION:
            continue
        spread = float(((x - x.mean()) ** 2).sum())
        slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else float("nan")
        share = 100 * gain / rise if rise > 0 else float("nan")
        rows.append((int(key), len(y), int(y[0]), int(y[-1]), slope, rank, _correlation(x, y) ** 2, share))
    columns = ["key", "snapshots", "first_bytes", "last_bytes", "slope", "rank_correlation", "r2", "share_pct"]
    table = pd.DataFrame(rows, columns=columns) if rows else pd.DataFrame(columns=columns)
    if rows:
        gains = (table["first_bytes"] - table["last_bytes"]).sort_values(kind="stable")
        table = table.loc[gains.index].reset_index(drop=True)
        table = described(profile, table, by)[list(empty.columns)]
    else:
        table = empty
    return Leaks(_leak_sentence(table, kept, teardown, rise), True, tuple(kept), tuple(teardown), table)


def _leak_sentence(table: pd.DataFrame, kept: Sequence[int], teardown: Sequence[int], rise: int) -> str:
    looked = f"the {len(kept)} detailed snapshots from {kept[0]} to {kept[-1]}{_without(teardown)}"
    heap = f"the heap {'rose' if rise > 0 else 'fell'} by {abs(rise):,} bytes" if rise else "the heap stayed as it was"
    if table.empty:
        return f"Nothing looks like a leak: over {looked}, {heap}, and no place rose steadily with time."
    first = table.iloc[0]
    gain = int(first["last_bytes"]) - int(first["first_bytes"])
    places = "one place rises" if len(table) == 1 else f"{len(table)} places rise"
    return (
        f"There may be a leak: over {looked}, {heap}, and {places} steadily with time. The largest rise is that of "
        f"{first['allocator']}, {gain:,} bytes. A cache that is still filling looks the same."
    )


def _without(teardown: Sequence[int]) -> str:
    if not teardown:
        return ""
    return f", without the last {len(teardown)}, where the program frees its memory"


def _steady(numbers: Sequence[int], times: dict[int, int], heap: pd.Series) -> tuple[list[int], list[int]]:
    """The snapshots after the first third of the run, and those at its end in which everything is freed."""
    if not numbers:
        return [], []
    begin, end = min(times.values()), max(times.values())
    later = [number for number in numbers if times[number] >= begin + (end - begin) / 3]
    teardown: list[int] = []
    while len(later) > 1 and heap[later[-1]] < TEARDOWN_PART * max(heap[number] for number in later[:-1]):
        teardown.insert(0, later.pop())
    return later, teardown


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, ties sharing their mean."""
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's correlation; 0 if one of them is constant."""
    dx, dy = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((dx**2).sum() * (dy**2).sum()))
    return float((dx * dy).sum()) / scale if scale else 0.0
