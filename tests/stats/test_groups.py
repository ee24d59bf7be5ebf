"""Groups against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.stats.groups import Groups

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.floats(-1e6, 1e6) | st.just(np.nan)), max_size=30)


@given(ROWS)
def test_groups_are_those_of_pandas(rows: list[tuple[int, float]]) -> None:
    table = pd.DataFrame(rows, columns=["key", "value"]).astype({"key": np.int64, "value": np.float64})
    grouped = table.groupby("key", sort=False)["value"]
    groups = Groups.of(table["key"].to_numpy())
    values = table["value"].to_numpy()
    assert table["key"].iloc[groups.first].tolist() == table["key"].drop_duplicates().tolist()
    assert groups.reduce(np.add, np.ones(len(values), dtype=np.int64)).tolist() == grouped.size().tolist()
    for operation, expected in ((np.fmin, grouped.min()), (np.fmax, grouped.max())):
        assert groups.reduce(operation, values) == pytest.approx(expected.to_numpy(), nan_ok=True)
    assert table["key"].iloc[groups.first].to_numpy()[groups.of_row].tolist() == table["key"].tolist()
