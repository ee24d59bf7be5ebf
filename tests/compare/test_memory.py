"""Memory kept per receipt, before and after."""

from __future__ import annotations

import pandas as pd

from workbench.analysis.leaks import LEAK, STEADY, Leaks
from workbench.compare.comparison import compare_sides
from workbench.compare.gate import gate
from workbench.compare.side import Side


def side(name: str, **sites: float) -> Side:
    """A run whose allocation sites keep so many bytes a receipt, each known to a byte."""
    table = pd.DataFrame(
        [
            (function, "app.c", "app", "", rate, rate - 1, rate + 1, LEAK if rate > 1 else STEADY)
            for function, rate in sites.items()
        ],
        columns=["function", "file", "object", "crate", "rate", "rate_low", "rate_high", "flag"],
    )
    whole = sum(sites.values())
    return Side(name, leaks={"app": Leaks("", True, (whole, whole - 1, whole + 1), pd.DataFrame(), table)})


def test_a_leak_that_came_is_named_and_fails_the_gate() -> None:
    found = compare_sides([side("before", store=92.0), side("after", store=92.5, cache=48.0)])
    table = found.memory.set_index("function")
    assert table["verdict"].to_dict() == {"(whole)": "dearer", "store": "no difference found", "cache": "dearer"}
    assert set(gate(found).failed["name"]) == {"bytes kept per receipt", "bytes kept by cache"}
    assert gate(compare_sides([side("before", store=92.0, cache=48.0), side("after", store=92.0)])).exit_code == 0


def test_a_little_more_of_random_receipts_passes() -> None:
    found = compare_sides([side("before", store=92.0), side("after", store=94.5)])
    assert found.memory["verdict"].iloc[0] == "dearer"
    assert gate(found).exit_code == 0
