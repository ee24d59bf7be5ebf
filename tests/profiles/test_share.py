"""Percentages where there is a whole, and none where there is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.profiles.make import profile_of
from tests.profiles.pprof_encoding import Call, Fields, Sample, encode, message
from tests.profiles.test_pprof import CPU, read
from workbench.errors import WorkbenchError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile
from workbench.profiles.share import percent, whole_of
from workbench.profiles.transforms.combine import difference
from workbench.profiles.views.neighbours import callees, callers, hot_path
from workbench.profiles.views.tags import tag_costs
from workbench.report.answers.pprof import answer
from workbench.report.profile_text import difference_json, difference_text, profile_json, profile_text


def pprof_of(costs: Sequence[tuple[str, int]], *, period: int = 0) -> Profile:
    """A profile of functions that main calls, in nanoseconds; pprof writes differences this way."""
    samples = [
        Sample(((Call(name, "a.go", 1),), (Call("main", "a.go", 9),)), (cost // 10, cost), (("thread", name, ""),))
        for name, cost in costs
    ]
    # 3 and 4 are the strings cpu and nanoseconds
    header: Fields = [(11, message([(1, 3), (2, 4)])), (12, period)] if period else []
    return read(encode(CPU, samples, header=header))


def test_a_whole_is_above_zero_and_has_no_negative_parts() -> None:
    assert whole_of(profile_of([(("a",), 60), (("b",), 40)])) == 100
    assert np.isnan(whole_of(profile_of([])))
    assert np.isnan(whole_of(profile_of([(("a",), 60), (("b",), -40)])))
    assert np.isnan(whole_of(profile_of([(("a",), -60)])))
    # a clock that was read twice
    assert whole_of(profile_of([(("a",), 1000), (("b",), -1)])) == 999
    assert percent([1, 3], 4).tolist() == [25, 75]
    assert np.isnan(percent([1, -3], -2)).all()


def test_a_ratio_has_no_sum() -> None:
    made = profile_of([(("a",), 60), (("b",), 40)])
    ratio = made.but(metrics=(Metric("cost", "usphit", additive=False),))
    assert np.isnan(whole_of(ratio))
    table = ratio.top()
    assert table["self"].tolist() == [60, 40]
    assert table["self_pct"].isna().all()
    said = profile_text(ratio, table)
    assert "no sum  cost" in said
    assert "No percentages" in said
    assert "100" not in said
    assert profile_json(ratio, table)["metrics"][0]["total"] is None
    changes = difference(ratio, ratio)
    assert difference_text(changes, changes.functions).startswith("cost: a ratio, so it has no sum; figures absolute")
    assert difference_json(changes, changes.functions)["before"] is None
    with pytest.raises(WorkbenchError, match="cost is a ratio and has no total to scale by"):
        difference(ratio, ratio, scale="total")


@pytest.mark.parametrize("costs", [[("more", 900), ("less", -400)], [("more", 400), ("less", -900)]])
def test_a_difference_has_no_shares(costs: list[tuple[str, int]]) -> None:
    profile = pprof_of(costs, period=10)
    table = profile.top()
    assert table["self"].tolist() == [*sorted((cost for _, cost in costs), key=abs, reverse=True), 0]
    assert table[["self_pct", "total_pct", "cumulative_pct"]].isna().all(axis=None)
    assert tag_costs(profile)["cost_pct"].isna().all()
    assert callees(profile, "main")["cost_pct"].isna().all()
    assert hot_path(profile)["total_pct"].isna().all()
    said = repr(answer(profile))
    assert "difference of two profiles" in said
    assert f"rose most in: more by {costs[0][1]} " in said
    assert f"fell most in: less by {costs[1][1]} " in said
    assert " %" not in said
    assert "No percentages" in profile_text(profile, table)


def test_a_negative_cost_beside_a_large_one_breaks_no_formula() -> None:
    # the first function has more than all together
    profile = pprof_of([("more", 100_000), ("less", -500)], period=10)
    said = repr(answer(profile))
    assert "more 100.5 %" in said
    # what is below zero was not counted by a sampler
    assert "From these, the share of" not in said


def test_callers_of_what_shrank_have_no_shares() -> None:
    profile = pprof_of([("less", -400)])
    assert callers(profile, "less")["cost"].tolist() == [-400]
    assert callers(profile, "less")["cost_pct"].isna().all()


def test_no_ratio_to_nothing_or_less() -> None:
    before, after = profile_of([(("a",), 5), (("b",), -9)]), profile_of([(("a",), 8), (("b",), 1)])
    changes = difference(before, after)
    assert changes.functions.set_index("name")["ratio_total"].isna().to_dict() == {"a": False, "b": True}
    assert "times" not in difference_text(changes, changes.functions).splitlines()[0]
    with pytest.raises(WorkbenchError, match="negative costs"):
        difference(before, after, scale="total")


@pytest.mark.parametrize("per", [(0, 1), (1, -2), (float("nan"), 1), (1, float("nan")), (float("inf"), 1)])
def test_units_of_work_are_finite_and_above_zero(per: tuple[float, float]) -> None:
    profile = profile_of([(("a",), 100)])
    with pytest.raises(WorkbenchError, match="per unit of work"):
        difference(profile, profile, per=per)
