"""Tables of costs made from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.analysis.costs import COLUMNS, WHOLE


def costs_of(
    receipts: Sequence[int],
    functions: Mapping[str, Sequence[float]] | NDArray[np.float64],
    *,
    mode: str = "callgrind",
    metric: str = "Ir",
    unit: str = "count",
) -> pd.DataFrame:
    """The table of costs of steps 1, 2 ..: what each function cost in each."""
    if not isinstance(functions, Mapping):
        functions = {f"f{row}": values for row, values in enumerate(functions.tolist())}
    base = {
        "service": "indexer-service", "mode": mode, "receipts_before": pd.NA, "file": "", "object": "", "crate": "",
        "metric": metric, "unit": unit, "calls": pd.NA,
    }  # fmt: skip
    rows = []
    for position, count in enumerate(receipts):
        window = {**base, "step": position + 1, "receipts": count}
        for name, values in functions.items():
            if values[position]:
                cost = values[position]
                rows.append({**window, "by": "function", "name": name, "self": cost, "total": cost})
        whole = sum(values[position] for values in functions.values())
        rows.append({**window, "by": "whole", "name": WHOLE, "self": whole, "total": whole})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"receipts_before": "Int64", "calls": "Int64"})
