"""Costs by the labels of samples: threads, requests, or other labels of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.profiles.columns import self_
from workbench.profiles.share import percent, whole_of
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

THREAD = "thread"


def tag_costs(profile: Profile, key: str = THREAD, metric: str | None = None) -> pd.DataFrame:
    """The cost of samples by value of a label: value, cost, cost_pct, largest first. Samples without the label are one
    row, ``(none)``; a sample with several values counts for the first. Empty without labels."""
    name = profile.metric(metric).name
    if profile.samples.empty:
        return pd.DataFrame({"value": pd.Series(dtype="str"), "cost": [], "cost_pct": []})
    tags = profile.tags[profile.tags["key"] == key].drop_duplicates("tags_id")
    codes, values = pd.factorize(tags["value"])
    group = np.full(
        int(max(profile.samples["tags_id"].max(), tags["tags_id"].max() if len(tags) else 0)) + 1, len(values)
    )
    group[tags["tags_id"].to_numpy(dtype=np.int64)] = codes
    cost = profile.samples[[self_(name)]].to_numpy()
    sums = add_at(len(values) + 1, group[profile.samples["tags_id"].to_numpy(dtype=np.int64)], cost)[:, 0]
    out = pd.DataFrame({"value": pd.Series([*values, "(none)"], dtype="str"), "cost": sums})
    out["cost_pct"] = percent(out["cost"], whole_of(profile, name))
    out = out[(out["cost"] != 0) | (out["value"] != "(none)")]
    return out.sort_values("cost", key=np.abs, ascending=False, kind="stable", ignore_index=True)
