"""Where throughput stops following the rate: three models beside each other, which may disagree. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis import kneedle, operational, usl

if TYPE_CHECKING:
    import pandas as pd

LEAST_RATES = 3
"""With fewer different rates, no model is fitted."""
AGREE = 1.25
"""Models agree if their knees are within this factor of each other."""


@dataclass(frozen=True)
class Estimate:
    """The result of one model: the knee in receipts per second, with its interval from ``low_per_s`` to ``high_per_s``
    (NaN: none). ``says``: what the knee means, or why there is none."""

    model: str
    rate_per_s: float
    low_per_s: float
    high_per_s: float
    says: str


@dataclass(frozen=True)
class Knees:
    """The results of all models for the same measurements. ``rates``: see :func:`by_rate`."""

    rates: pd.DataFrame
    estimates: tuple[Estimate, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row per model: ``model``, ``rate_per_s``, ``low_per_s``, ``high_per_s``, ``says``; NaN: not known."""
        import pandas as pd

        return pd.DataFrame([vars(one) for one in self.estimates], columns=list(Estimate.__dataclass_fields__))

    @property
    def sentence(self) -> str:
        """Whether the models agree, in words; "" if the run has too few rates for a fit."""
        if len(self.rates) < LEAST_RATES:
            return ""
        known = [one for one in self.estimates if math.isfinite(one.rate_per_s)]
        if not known:
            return "No model finds a knee: throughput follows the rate up to the highest one tried."
        least, most = min(one.rate_per_s for one in known), max(one.rate_per_s for one in known)
        if len(known) == 1:
            return f"One model finds a knee, at {least:,.4g}/s ({known[0].model})."
        if most <= AGREE * least:
            return f"{len(known)} models find a knee from {least:,.4g} to {most:,.4g}/s: they agree."
        said = ", ".join(f"{one.model} {one.rate_per_s:,.4g}/s" for one in known)
        return f"The models disagree, from {least:,.4g} to {most:,.4g}/s ({said}): each uses another criterion."


def by_rate(steps: pd.DataFrame, histograms: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per planned rate, rising, from the valid steps in an open loop without a profiler: ``rate_per_s``,
    ``steps``, ``throughput_per_s``, ``kept_per_s``, ``response_ms``, ``response_p95_ms`` (medians of the steps) and
    ``in_flight``: throughput * response time (Little's law). ``kept_per_s``: accepted receipts per second at the rate
    that was kept (:func:`workbench.analysis.operational.kept_share`; in older runs the throughput). ``response_ms``:
    the mean, from ``histograms`` of the run; without them the median."""
    import pandas as pd

    columns = ["rate_per_s", "steps", "throughput_per_s", "kept_per_s", "response_ms", "response_p95_ms", "in_flight"]
    if steps.empty:
        return pd.DataFrame(columns=columns)
    rows = steps[(steps["kind"] == "step") & (steps["verdict"] != "INVALID") & steps["rate_per_s"].notna()]
    if "profiler" in rows:
        rows = rows[rows["profiler"] == "none"]
    means = _means_ms(histograms)
    medians = zip(rows["step"], rows["response_p50_ms"], strict=True)
    rows = rows.assign(response_ms=[means.get(step, median) for step, median in medians], kept_per_s=_kept(rows))
    grouped = rows.groupby("rate_per_s", sort=True)
    table = (
        grouped[["throughput_per_s", "kept_per_s", "response_ms", "response_p95_ms"]]
        .median()
        .assign(steps=grouped.size())
    )
    table["in_flight"] = table["throughput_per_s"] * table["response_ms"] / 1000
    return table.reset_index()[columns]


def _kept(rows: pd.DataFrame) -> list[float]:
    """Accepted receipts per second, without the time that random arrivals and slow answers add to a step."""
    found: list[float] = []
    if "drain_s" not in rows:
        return list(rows["throughput_per_s"])
    for row in rows.to_dict("records"):
        share = operational.kept_share(row["duration_s"], row["drain_s"], row["response_p50_ms"] / 1000)
        kept = share * row["rate_per_s"] * row["accepted"] / row["sent"] if row["sent"] else math.nan
        found.append(row["throughput_per_s"] if math.isnan(kept) else kept)
    return found


def _means_ms(histograms: pd.DataFrame | None) -> dict[int, float]:
    """The mean response time of each step."""
    if histograms is None or histograms.empty:
        return {}
    rows = histograms[histograms["clock"] == "response"]
    middle = (rows["lower_ns"] + rows["upper_ns"]) / 2e6
    sums = rows.assign(total_ms=middle * rows["count"]).groupby("step")[["total_ms", "count"]].sum()
    return {int(step): float(row["total_ms"] / row["count"]) for step, row in sums.iterrows() if row["count"]}


def knees(steps: pd.DataFrame, histograms: pd.DataFrame | None = None) -> Knees:
    """The result of each model for the steps of a run with several rates."""
    rates = by_rate(steps, histograms)
    if len(rates) < LEAST_RATES:
        return Knees(rates, ())
    return Knees(rates, (_operational(rates), *_kneedles(rates), _usl(rates)))


def _operational(rates: pd.DataFrame) -> Estimate:
    model = "operational"
    kept, lost = operational.last_kept_up(rates["rate_per_s"].tolist(), rates["kept_per_s"].tolist())
    share = f"{100 * operational.LEAST_SHARE:g} %"
    if lost is None:
        return Estimate(model, math.nan, kept, math.nan, f"at least {share} of every rate was accepted")
    if not kept:
        return Estimate(model, math.nan, math.nan, lost, f"less than {share} of the lowest rate was accepted")
    return Estimate(model, kept, kept, lost, f"the highest rate of which at least {share} was accepted")


def _kneedles(rates: pd.DataFrame) -> tuple[Estimate, ...]:
    return (
        _kneedle(rates, "throughput", "throughput_per_s", "down", "levels off"),
        _kneedle(rates, "response", "response_p95_ms", "up", "takes off"),
    )


def _kneedle(rates: pd.DataFrame, what: str, column: str, bend: kneedle.Bend, word: str) -> Estimate:
    known = rates[rates[column].notna()]
    at = kneedle.knee(known["rate_per_s"], known[column], bend)
    model = f"Kneedle, {what}"
    if math.isnan(at):
        few = len(known) < kneedle.LEAST_POINTS
        why = f"{kneedle.LEAST_POINTS} rates are needed, there are {len(known)}" if few else "the curve does not bend"
        return Estimate(model, math.nan, math.nan, math.nan, why)
    points = known["rate_per_s"].to_numpy()
    place = int(np.flatnonzero(points == at)[0])
    low, high = points[max(0, place - 1)], points[min(len(points) - 1, place + 1)]
    return Estimate(model, at, float(low), float(high), f"where the curve {word}, between the neighbouring rates")


def _usl(rates: pd.DataFrame) -> Estimate:
    model = "universal scalability law"
    known = rates[(rates["in_flight"] > 0) & (rates["throughput_per_s"] > 0)]
    found = usl.fit(known["in_flight"], known["throughput_per_s"])
    nothing = (math.nan, math.nan, math.nan)
    if found is None:
        return Estimate(model, *nothing, f"{usl.LEAST_POINTS} rates are needed, there are {len(known)}")
    if found.aicc_gain <= 0 or not math.isfinite(found.peak_per_s):
        return Estimate(model, *nothing, "a straight line fits as well: nothing limits the throughput yet")
    where = (
        "approached but not reached"
        if math.isinf(found.peak_in_flight)
        else f"with {found.peak_in_flight:,.3g} requests in flight"
    )
    says = f"the highest throughput, {where} (contention {found.alpha:.3g}, crosstalk {found.beta:.2g})"
    return Estimate(model, found.peak_per_s, found.low_per_s, found.high_per_s, says)
