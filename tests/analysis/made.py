"""Tables of costs and heaps made from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench import read_profile
from workbench.analysis.costs import COLUMNS, WHOLE
from workbench.profiles.model import Profile


def costs_of(
    receipts: Sequence[int],
    functions: Mapping[str, Sequence[float]] | NDArray[np.float64],
    *,
    mode: str = "callgrind",
    metric: str = "Ir",
    unit: str = "count",
    denied: Sequence[int] | None = None,
    seconds: Sequence[float] | None = None,
    idle: Mapping[str, float] | None = None,
    idle_s: float = 10.0,
) -> pd.DataFrame:
    """The table of costs of steps 1, 2 ..: what each function cost in each, and how many receipts were denied; with
    ``idle`` also of a window of ``idle_s`` without receipts."""
    if not isinstance(functions, Mapping):
        functions = {f"f{row}": values for row, values in enumerate(functions.tolist())}
    base = {
        "service": "indexer-service", "mode": mode, "receipts_before": pd.NA, "file": "", "object": "", "crate": "",
        "metric": metric, "unit": unit, "calls": pd.NA,
    }  # fmt: skip
    rows = []

    def add(window: dict[str, object], costs: Mapping[str, float]) -> None:
        for name, cost in {**costs, WHOLE: sum(costs.values())}.items():
            if cost or name == WHOLE:
                by = "whole" if name == WHOLE else "function"
                rows.append({**base, **window, "by": by, "name": name, "self": cost, "total": cost})

    for position, count in enumerate(receipts):
        refused = denied[position] if denied else 0
        window = {
            "window": "step", "step": position + 1, "seconds": seconds[position] if seconds else np.nan,
            "receipts": count, "accepted": count - refused, "denied": refused,
        }  # fmt: skip
        add(window, {name: values[position] for name, values in functions.items()})
    if idle is not None:
        window = {
            "window": "idle", "step": -1, "seconds": idle_s, "receipts": 0, "accepted": 0, "denied": 0
        }  # fmt: skip
        add(window, idle)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {"receipts_before": "Int64", "calls": "Int64", "accepted": "Int64"}
    )


def heap(folder: Path, *sites: tuple[str, str, int], below: int = 0) -> Profile:
    """A heap of massif with one snapshot: address, place and bytes of each site, and what is below the threshold. A
    place ``a < b`` is a inlined into b."""
    whole = sum(held for *_, held in sites) + below
    rows = []
    for address, place, held in sites:
        inner, *outer = place.split(" < ")
        rows.append(f" n{len(outer)}: {held} {address}: {inner}")
        rows += [f"  n0: {held} {address}: {caller}" for caller in outer]
    if below:
        rows.append(f" n0: {below} in 3 places, all below massif's threshold (0.50%)")
    text = (
        "desc: --time-unit=B\ncmd: x\ntime_unit: B\n#-----------\nsnapshot=0\n#-----------\ntime=100\n"
        f"mem_heap_B={whole}\nmem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=detailed\n"
        f"n{len(sites) + (below > 0)}: {whole} (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n"
    )
    path = folder / "massif.out"
    path.write_text(text + "\n".join(rows) + "\n")
    return read_profile(path)
