"""Plans: absolute, ordered, of the asked rate, the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.load import plan
from workbench.load.plan import NS_PER_S, ClosedPlan, OpenPlan
from workbench.load.spec import StepSpec
from workbench.ramp import Ramp
from workbench.settings import Settings
from workbench.sweep.setup import plan_of, rate_of
from workbench.sweep.single import DEFAULT_CONCURRENCY, load_settings

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


@given(counts, st.sampled_from(["constant", "poisson", "ramp:10:900:3s"]), st.integers(1, 9), st.integers(1, 700))
def test_the_times_of_a_share_are_those_of_the_whole_plan(count, arrivals, workers, chunk):
    open_plan = OpenPlan(count, None if arrivals.startswith("ramp") else 1234.5, arrivals, 5)
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
        (lambda: OpenPlan(1, 1.0, "bursty"), "arrivals"),
        (lambda: OpenPlan(1, None), "rate"),
        (lambda: OpenPlan(1, 1.0, "ramp:1:2:3s"), "rate: ramp:1:2:3s sets its own rates"),
        (lambda: OpenPlan(1, None, "ramp:1:2:3"), "arrivals: expected ramp:FROM:TO:DURATION such as ramp:100:2000:60s"),
        (lambda: OpenPlan(1, None, "ramp:1:0:3s"), "must end above 0"),
        (lambda: OpenPlan(1, None, "ramp:1:2:0s"), "must last more than 0 s"),
        (lambda: OpenPlan(10_000_000, None, "ramp:1:2:3s"), "days"),
        (lambda: ClosedPlan(0, 1), "number of receipts"),
        (lambda: ClosedPlan(1, 0), "concurrency"),
    ],
)
def test_impossible_plans_are_refused_by_name(make, word):
    with pytest.raises(SettingsError, match=word):
        make()


@given(
    st.floats(0, 5000).map(lambda rate: round(rate, 3)),
    st.floats(0.1, 5000).map(lambda rate: round(rate, 3)),
    st.floats(0.05, 20).map(lambda seconds: round(seconds, 3)),
    st.floats(0.1, 2),
)
def test_a_ramp_sends_what_the_integral_of_its_rate_says(start, end, duration_s, share):
    """Against an integral by small steps. Beyond the ramp the last rate goes on."""
    ramp = Ramp.parse(f"ramp:{start}:{end}:{duration_s}s")
    count = max(1, int(ramp.count * share))
    plan = OpenPlan(count, None, f"ramp:{start}:{end}:{duration_s}s")
    offsets = plan.offsets_ns() / 1e9
    assert len(offsets) == count
    assert offsets[0] == 0
    assert (np.diff(offsets) >= 0).all()
    # steps of their own within the ramp: beyond it a low rate may go on for a thousand times as long
    beyond = np.linspace(duration_s, max(offsets[-1], duration_s), 1001)[1:]
    times = np.concatenate([np.linspace(0, duration_s, 200_001), beyond])
    rates = np.where(times < duration_s, start + (end - start) * times / duration_s, end)
    sent = np.concatenate([[0], np.cumsum((rates[1:] + rates[:-1]) / 2 * np.diff(times))])
    error = np.interp(offsets, times, sent) - np.arange(count)
    assert np.abs(error).max() < 1e-3 * max(1.0, ramp.peak * times[1])
    assert plan.mean_rate == pytest.approx(count / plan.duration_s)
    assert min(start, end) * 0.999 <= plan.mean_rate <= plan.peak_rate * 1.001 == ramp.peak * 1.001


@pytest.mark.parametrize(
    ("text", "count", "last_s"),
    [
        ("ramp:100:2000:60s", 63_000, 60),
        ("ramp:2000:100:1m", 63_000, 60),
        ("ramp:100:100:500ms", 50, 0.5),
        ("ramp:0:10:2s", 10, 2),
    ],
)
def test_a_ramp_has_a_number_of_receipts_of_its_own(text, count, last_s):
    assert Ramp.parse(text).count == count
    plan = OpenPlan(count, None, text)
    assert plan.duration_s == pytest.approx(last_s)
    assert plan.offsets_ns()[-1] < last_s * NS_PER_S


def test_a_ramp_crosses_a_pipe():
    spec = StepSpec("http://127.0.0.1:1", "{a}", OpenPlan(10, None, "ramp:1:100:1s"), Path("rows"), None, spin=True)
    assert spec.plan.duration_s > 0  # what is remembered must not go along
    again = StepSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.connections == 5  # by the highest rate


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 63_000),
        ({"num_receipts": 10}, 10),
        ({"num_receipts": 100_000}, 100_000),
    ],
)
def test_a_load_by_a_ramp_sends_what_the_ramp_has_unless_told(given, count):
    settings = load_settings(Settings.resolve(arrivals="ramp:100:2000:60s", **given))
    assert (settings.num_receipts, settings.receipts, settings.concurrency) == (count, str(count), None)
    plan = plan_of(settings, count, 0)
    assert plan == OpenPlan(count, None, "ramp:100:2000:60s", settings.seed)
    assert rate_of(settings, count) == plan.mean_rate
    again = load_settings(Settings.restore(settings.public()))
    assert again.num_receipts == count


def test_without_a_ramp_rates_are_as_they_were():
    assert load_settings(Settings.resolve()).concurrency == DEFAULT_CONCURRENCY
    assert load_settings(Settings.resolve(rate=5.0)).concurrency is None
    assert plan_of(Settings.resolve(rate=5.0), 10, 0).mean_rate == 5
    assert plan_of(Settings.resolve(), 10, 0) == OpenPlan(10, 400.0, "constant", 1)
    assert plan_of(Settings.resolve(profiler="strace"), 10, 0) == ClosedPlan(10, 4)
    assert plan_of(Settings.resolve(profiler="strace", arrivals="ramp:1:2:3s"), 10, 0).ramp == Ramp(1, 2, 3)
