"""Charts over a made-up run, over parts of it, and over nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.report import frames
from workbench import charts
from workbench.charts import theme

SAMPLES = frames.samples()
STEPS = frames.steps(SAMPLES)
SERIES = frames.series(SAMPLES)
WATCH = frames.watch()
MANIFEST = frames.manifest()


def outcomes(samples: pd.DataFrame) -> pd.DataFrame:
    return frames.outcomes(samples) if len(samples) else samples


def histograms(samples: pd.DataFrame) -> pd.DataFrame:
    return frames.histograms(samples) if len(samples) else samples


Draw = Callable[[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame], go.Figure]
ALL: dict[str, Draw] = {
    "lag_by_step": lambda samples, steps, series, watch: charts.lag_by_step(steps),
    "lag_over_time": lambda samples, steps, series, watch: charts.lag_over_time(series, steps),
    "latency_by_step": lambda samples, steps, series, watch: charts.latency_by_step(steps),
    "latency_distribution": lambda samples, steps, series, watch: charts.latency_distribution(histograms(samples)),
    "limit": lambda samples, steps, series, watch: charts.limit(steps, MANIFEST["prediction"], MANIFEST["limit"]),
    "outcomes": lambda samples, steps, series, watch: charts.outcomes(outcomes(samples), steps),
    "rates_over_time": lambda samples, steps, series, watch: charts.rates_over_time(series, steps),
    "resources": lambda samples, steps, series, watch: charts.resources(watch),
    "response_over_time": lambda samples, steps, series, watch: charts.response_over_time(series, steps),
    "throughput_by_step": lambda samples, steps, series, watch: charts.throughput_by_step(steps),
}


# tested with the profiles they show, in tests/charts and tests/profiles
OF_PROFILES = {
    "flame_graph", "flame_steps", "growth_lines", "leak_lines", "memory_growth", "memory_timeline", "receipt_costs",
    "syscall_latency", "syscall_top", "thread_time", "top_bars",
}  # fmt: skip
OF_RUNS = {"history", "knee"}  # tested in tests/catalogue and tests/analysis


def test_every_public_chart_is_tested() -> None:
    assert set(ALL) | OF_PROFILES | OF_RUNS == set(charts.__all__)


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_chart_says_what_it_shows_with_units_and_never_by_colour_alone(draw: Draw) -> None:
    chart = draw(SAMPLES, STEPS, SERIES, WATCH)
    assert len(chart.data) > 0
    assert chart.layout.meta["caption"].endswith(".")
    assert all(axis.title.text for axis in chart.select_yaxes())
    looks = [
        (trace.line.dash, trace.mode, str(trace.marker.symbol))
        if trace.type == "scatter"
        else trace.marker.pattern.shape
        for trace in chart.data
        if trace.showlegend is not False
    ]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_chart_of_nothing_says_so(draw: Draw) -> None:
    nothing = pd.DataFrame()
    chart = draw(nothing, nothing, nothing, nothing)
    assert len(chart.data) == 0
    assert chart.layout.annotations[0].text
    header_only = draw(SAMPLES[:0], STEPS[:0], SERIES[:0], WATCH[:0])
    assert len(header_only.data) == 0


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_chart_of_one_step_with_no_values_can_be_drawn(draw: Draw) -> None:
    steps = STEPS[:1].copy()
    numbers = [column for column in steps if column.endswith(("_ms", "_per_s"))]
    steps[numbers] = np.nan
    series = SERIES[SERIES["step"] == 0].assign(response_p50_ms=np.nan, response_p99_ms=np.nan, lag_p99_ms=np.nan)
    draw(SAMPLES[SAMPLES["step"] == 0], steps, series, WATCH[:1]).to_json()


def test_refusals_are_in_no_latency() -> None:
    slow = SAMPLES.copy()
    slow.loc[slow["outcome"] != "ok", "done_ns"] = slow["sent_ns"] + 10**12
    for chart in (charts.latency_distribution(histograms(SAMPLES)), charts.latency_distribution(histograms(slow))):
        assert max(trace.x.max() for trace in chart.data) < 1000
    assert charts.latency_distribution(histograms(slow)) == charts.latency_distribution(histograms(SAMPLES))


@pytest.mark.parametrize("count", [0, 5, 19, 20, 100, 5000])
def test_a_distribution_stops_where_its_samples_do(count: int) -> None:
    chart = charts.latency_distribution(histograms(SAMPLES[SAMPLES["outcome"] == "ok"].head(count).assign(step=0)))
    if count < 20:
        assert len(chart.data) == 0
    else:
        n = min(count, int((SAMPLES["outcome"] == "ok").sum()))
        assert chart.data[0].y.max() == pytest.approx(100 * (1 - 10 / n))


def test_an_invalid_step_is_hollow_and_joined_by_no_line() -> None:
    chart = charts.throughput_by_step(STEPS)
    invalid = [trace for trace in chart.data if 750 in list(trace.x)]
    assert invalid
    assert all(trace.mode == "markers" for trace in invalid)
    assert [list(trace.marker.symbol) for trace in invalid] == [["circle-open"], ["square-open"]]
    joined = [list(trace.x) for trace in chart.data if "lines" in trace.mode]
    assert joined == [[250, 500, 1250]] * 2


def test_a_failed_step_says_so() -> None:
    chart = charts.throughput_by_step(STEPS)
    assert list(chart.data[0].text) == ["", "", theme.FAILED]


def test_invalid_and_pinpointing_steps_are_no_curves_of_the_distribution() -> None:
    names = [trace.name.partition(" (")[0] for trace in charts.latency_distribution(histograms(SAMPLES), STEPS).data]
    assert names == ["step 0", "step 1", "step 3"]


def test_outcomes_add_up_to_what_was_planned() -> None:
    steps = STEPS.assign(offered=STEPS["offered"] + 7)
    chart = charts.outcomes(outcomes(SAMPLES), steps)
    assert sum(np.asarray(trace.y, dtype=int) for trace in chart.data).tolist() == steps["offered"].tolist()
    assert {"accepted", "denied", "timeout", "not sent"} == {trace.name for trace in chart.data}


def test_an_unknown_outcome_is_drawn_under_its_own_name() -> None:
    chart = charts.outcomes(outcomes(SAMPLES.assign(outcome="brand_new")))
    assert [trace.name for trace in chart.data] == ["brand_new"]


def test_the_limit_shows_prediction_observation_and_lag() -> None:
    chart = charts.limit(STEPS, MANIFEST["prediction"], MANIFEST["limit"])
    text = " ".join(annotation.text for annotation in chart.layout.annotations)
    assert "predicted 1,000" in text
    assert "observed 1,000" in text
    assert "first refusal: receipt 1,001" in text
    assert "denial lag 1 receipt, 0.05 s" in text
    assert [shape.x0 for shape in chart.layout.shapes] == [1000, 1000]
    assert MANIFEST["limit"]["sentence"] in chart.layout.meta["caption"]


def test_the_limit_as_a_bracket_and_without_a_prediction() -> None:
    bracket = MANIFEST["limit"] | {"exact": False, "observed_receipts": None, "observed_low": 750}
    chart = charts.limit(STEPS, {"receipts": None}, bracket | {"first_refusal": None})
    texts = [annotation.text for annotation in chart.layout.annotations]
    assert texts == ["observed 750 to 1,000"]
    assert any((shape.x0, shape.x1) == (750, 1000) for shape in chart.layout.shapes)


def test_steps_of_one_payer_are_added_up() -> None:
    steps = STEPS[:3].assign(payer="0x1", kind="step")
    chart = charts.limit(steps, {}, {})
    points = next(trace for trace in chart.data if trace.name == "steps")
    assert list(points.x) == [250, 750, 1500]


def test_small_differences_are_not_blown_up() -> None:
    chart = charts.lag_by_step(STEPS.assign(lag_p50_ms=0.2, lag_p99_ms=0.2001, lag_max_ms=0.2002))
    low, high = chart.layout.yaxis.range
    assert high - low >= 1.0


def test_charts_leave_the_global_template_alone() -> None:
    import plotly.io as pio

    before = pio.templates.default
    theme.figure("a", "b", "c", "d")
    assert pio.templates.default == before
    assert theme.figure("a", "b", "c", "d").layout.template.layout.font.family.startswith("system-ui")


def day(seconds: int) -> pd.DataFrame:
    """Two steps of so many seconds in all, one with a single very slow second."""
    numbers = np.arange(seconds)
    slow = numbers == seconds // 2
    return pd.DataFrame(
        {
            "t_s": numbers + 0.25,
            "step": (numbers >= seconds // 3).astype(int),
            "offered": 100,
            "sent": 100,
            "done_ok": 90,
            "done_denied": 6,
            "done_failed": 4,
            "in_flight": np.where(slow, 999, 3),
            "response_p50_ms": np.where(slow, 500.0, 2.0),
            "response_p99_ms": np.where(slow, 900.0, 4.0),
            "lag_p99_ms": np.where(slow, 70.0, 0.1),
        }
    )


@pytest.mark.parametrize(
    ("draw", "peak"),
    [(charts.rates_over_time, 999), (charts.response_over_time, 900.0), (charts.lag_over_time, 70.0)],
)
def test_a_days_run_is_drawn_with_few_points_and_every_peak_and_says_so(draw, peak) -> None:
    chart = draw(day(86_400), STEPS)
    assert all(len(trace.x) <= 2_010 for trace in chart.data)
    assert max(np.nanmax(trace.y) for trace in chart.data) == peak
    assert "Each point covers 44 seconds" in chart.layout.meta["caption"]
    assert len(chart.to_json()) < 1_000_000
    short = draw(day(2_000), STEPS)
    assert "Each point covers" not in short.layout.meta["caption"]
    assert max(len(trace.x) for trace in short.data) >= 2_000


def test_rates_of_a_long_run_stay_rates() -> None:
    chart = charts.rates_over_time(day(86_400))
    assert {float(y) for trace in chart.data[:3] for y in trace.y} == {90.0, 6.0, 4.0}
    bars = chart.data[0]
    assert sum(bars.width) == 86_400
    assert bars.x[0] == 0.25 + 22


def test_a_long_watch_keeps_its_peak() -> None:
    watch = frames.watch()
    long = pd.concat([watch.assign(t_s=watch["t_s"] + 50 * part) for part in range(200)], ignore_index=True)
    long.loc[(long["source"] == "agent") & (long["metric"] == "cpu_percent") & (long["t_s"] == 4321), "value"] = 400.0
    chart = charts.resources(long)
    assert all(len(trace.x) <= 2_000 for trace in chart.data)
    assert max(max(trace.y) for trace in chart.data if trace.name == "agent") == 400.0
    assert "2,000 points" in chart.layout.meta["caption"]
    assert "points" not in charts.resources(watch).layout.meta["caption"]


def test_a_distribution_of_many_is_drawn_from_buckets_near_the_exact_curve() -> None:
    rng = np.random.default_rng(1)
    many = SAMPLES[SAMPLES["outcome"] == "ok"].sample(30_000, replace=True, random_state=1).assign(step=0)
    many["done_ns"] = many["intended_ns"] + (rng.lognormal(1.0, 0.4, len(many)) * 1e6).astype("int64")
    chart = charts.latency_distribution(histograms(many))
    assert "buckets" in chart.layout.meta["caption"]
    assert "buckets" not in charts.latency_distribution(histograms(SAMPLES)).layout.meta["caption"]
    response = chart.data[0]
    exact = np.quantile((many["done_ns"] - many["intended_ns"]) / 1e6, np.asarray(response.y) / 100)
    np.testing.assert_allclose(response.x, exact, rtol=0.008)
