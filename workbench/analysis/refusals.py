"""Steps with denied receipts: a refusal is answered at once, so it does not cost what a served receipt costs.

Where some steps have no denied receipts, only those are fitted and pooled. Otherwise the steps with some accepted
receipts are used, and a note says so. A step in which every receipt was denied never counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

ALL_DENIED = "every receipt was denied, none was served"


def with_denials(costs: pd.DataFrame) -> pd.DataFrame:
    """The table with ``accepted`` and ``denied``; older tables, which lack them, get 0 denied receipts."""
    if "denied" in costs and "accepted" in costs and costs["denied"].notna().all():
        return costs
    accepted = costs.get("accepted")
    denied = costs["denied"].fillna(0) if "denied" in costs else 0
    return costs.assign(accepted=accepted, denied=denied).astype({"accepted": "Int64", "denied": "int64"})


def refusals(windows: pd.DataFrame) -> NDArray[np.bool_]:
    """For each row with ``receipts``, ``accepted`` and ``denied``: whether some were denied and none was accepted."""
    denied = windows["denied"].to_numpy(dtype=np.int64)
    others = windows["receipts"].to_numpy(dtype=np.int64) - denied
    accepted = windows["accepted"].astype("Float64").fillna(np.nan).to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray((denied > 0) & np.where(np.isnan(accepted), others <= 0, accepted <= 0), dtype=bool)


def counted(windows: pd.DataFrame) -> NDArray[np.bool_]:
    """For each row with service, mode, receipts, accepted, denied: whether its step counts in the cost of a receipt."""
    clean = windows["denied"].to_numpy(dtype=np.int64) == 0
    keys = [windows["service"], windows["mode"]]
    any_clean = windows["denied"].eq(0).groupby(keys).transform("any").to_numpy(dtype=bool)
    return np.asarray(np.where(any_clean, clean, ~refusals(windows)), dtype=bool)


def left_out(denied: Sequence[int]) -> str:
    """The note on denied receipts, from their number in each step; "" if there are none."""
    some = sum(one > 0 for one in denied)
    if not some:
        return ""
    if some == len(denied):
        return (
            f"Every step has denied receipts ({sum(denied):,} in all): these figures mix served and refused receipts. "
            f"Send fewer, or raise the limit."
        )
    return f"{some} {'step' if some == 1 else 'steps'} with denied receipts {'is' if some == 1 else 'are'} left out."
