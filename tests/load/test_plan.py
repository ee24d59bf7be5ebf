"""Plans: absolute, ordered, of the asked rate, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.load import plan
from workbench.load.plan import NS_PER_S, ClosedPlan, OpenPlan

counts = st.integers(1, 5000)
rates = st.floats(0.1, 1e6)


@given(counts, rates)
def test_constant_arrivals_are_i_over_rate(count, rate):
    offsets = OpenPlan(count, rate).offsets_ns()
    assert len(offsets) == count
    assert offsets[0] == 0
    # no drift: the last one is where it should be to the nanosecond of rounding
    assert abs(offsets[-1] - (count - 1) * NS_PER_S / rate) <= 1 + (count - 1) * NS_PER_S / rate * 1e-12
    assert (np.diff(offsets) >= 0).all()


@given(counts, rates, st.integers(0, 2**32))
def test_poisson_arrivals_are_ordered_and_reproducible(count, rate, seed):
    plan = OpenPlan(count, rate, "poisson", seed)
    offsets = plan.offsets_ns()
    assert offsets[0] == 0
    assert (np.diff(offsets) >= 0).all()
    assert (offsets == OpenPlan(count, rate, "poisson", seed).offsets_ns()).all()


@given(counts, st.sampled_from(["constant", "poisson"]), st.integers(1, 9), st.integers(1, 700))
def test_the_times_of_a_share_are_those_of_the_whole_plan(count, arrivals, workers, chunk):
    open_plan = OpenPlan(count, 1234.5, arrivals, 5)
    whole = open_plan.offsets_ns()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "CHUNK", chunk)
        for worker in range(workers):
            assert (open_plan.offsets_ns(worker, workers) == whole[worker::workers]).all()
        assert (open_plan.offsets_ns() == whole).all()


def test_poisson_gaps_have_the_mean_and_spread_of_an_exponential():
    gaps = np.diff(OpenPlan(20_000, 1000, "poisson", 7).offsets_ns())
    assert gaps.mean() == pytest.approx(1e6, rel=0.05)
    assert gaps.std() == pytest.approx(1e6, rel=0.05)
    assert (OpenPlan(100, 10, "poisson", 1).offsets_ns() != OpenPlan(100, 10, "poisson", 2).offsets_ns()).any()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: OpenPlan(0, 1.0), "number of receipts"),
        (lambda: OpenPlan(1, 0.0), "rate"),
        (lambda: OpenPlan(1, float("nan")), "rate"),
        (lambda: OpenPlan(1, float("inf")), "rate"),
        (lambda: OpenPlan(1, 1.0, "bursty"), "arrivals"),  # type: ignore[arg-type]
        (lambda: ClosedPlan(0, 1), "number of receipts"),
        (lambda: ClosedPlan(1, 0), "concurrency"),
    ],
)
def test_impossible_plans_are_refused_by_name(make, word):
    with pytest.raises(SettingsError, match=word):
        make()
