"""Load, outcomes and the sender limit of two runs: how response times shifted, and which shares differ by more than
chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.compare.side import Side
from workbench.compare.significance import corrected, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOAD_COLUMNS = (
    "load", "receipts_before", "receipts_after", "steps_before", "steps_after", "decile", "before_ms", "after_ms",
    "shift_ms", "low_ms", "high_ms", "shift_pct", "low_pct", "high_pct", "noise_pct", "noise_from",
    "verdict",
)  # fmt: skip
DECILES = tuple(round(0.1 * number, 1) for number in range(1, 10))
SLOWER, FASTER, NONE = "slower", "faster", "no difference found"
UNTOLD = "differs, but no step was repeated to measure the noise"
LEVEL = 0.95
LEAST_REPEATS = 3
# the deciles that the gate checks: the median and that of the slow receipts
GATED = (0.5, 0.9)
OUTCOME_COLUMNS = (
    "outcome", "before", "after", "receipts_before", "receipts_after", "share_before_pct", "share_after_pct", "q",
    "verdict",
)  # fmt: skip
LIMIT_COLUMNS = ("what", "before", "after")
ALPHA = 0.01
_LIMIT = {
    "observed_receipts": "receipts until the sender was denied",
    "observed_low": "receipts certainly accepted",
    "denial_lag_receipts": "receipts accepted past the limit",
    "denial_lag_s": "seconds from the limit to denial",
}


def load_table(before: Side, after: Side) -> pd.DataFrame:
    """How response times shifted, decile by decile (a shift function, Doksum 1974): LOAD_COLUMNS, nine rows for each
    load that both runs have in valid steps without a profiler.

    ``shift_ms`` is after minus before, with an interval that holds for all nine deciles of a load together
    (Bonferroni). With LEAST_REPEATS steps of the load or more on each side, it is Welch's t interval over the deciles
    of the steps; otherwise a block bootstrap over the receipts of all steps, which does not include differences between
    steps. ``noise_pct``: by how much two repeats of one side usually differ at that decile (the standard deviation
    times the root of two, of the noisier side), NaN without repeats; if equal loads were measured (A/A), the noise
    floor of the target instead. ``noise_from`` says which. ``verdict``: slower or faster if the interval excludes 0 and
    the shift is above the noise; UNTOLD instead if the noise is not known; else "no difference found".
    """
    rows: list[tuple[Any, ...]] = []
    if not before.responses.empty and not after.responses.empty:
        sides = [_by_load(side.responses) for side in (before, after)]
        for load in sides[0]:
            if load in sides[1]:
                rows += _shift(load, sides[0][load], sides[1][load], {**before.floors, **after.floors})
    return pd.DataFrame(rows, columns=list(LOAD_COLUMNS))


def _by_load(responses: pd.DataFrame) -> dict[str, list[Floats]]:
    """The response times of each step, in the order of sending, by load."""
    found: dict[str, list[Floats]] = {}
    for (load, _), times in responses.groupby(["load", "step"], sort=False)["response_ms"]:
        found.setdefault(str(load), []).append(times.to_numpy(dtype=np.float64))
    return found


def _shift(load: str, one: list[Floats], other: list[Floats], floors: Mapping[float, float]) -> list[tuple[Any, ...]]:
    from workbench.stats.quantiles import too_few

    counts = [sum(map(len, side)) for side in (one, other)]
    shares = [share for share in DECILES if not any(too_few(count, share) for count in counts)]
    if not shares:
        return []
    deciles = [np.array([np.quantile(times, shares) for times in side]) for side in (one, other)]
    repeated = min(len(one), len(other)) >= LEAST_REPEATS
    centre = [np.quantile(np.concatenate(side), shares) for side in (one, other)]
    if repeated:
        centre = [steps.mean(axis=0) for steps in deciles]
    low, high = _between_steps(*deciles) if repeated else _between_rows(one, other, shares)
    rows = []
    for at, share in enumerate(shares):
        first, second = float(centre[0][at]), float(centre[1][at])
        shift = second - first
        noise = max((_spread(steps[:, at]) for steps in deciles if len(steps) > 1), default=math.nan)
        measured = _floor(floors, share)
        source = "repeats" if noise == noise else ""
        if measured == measured:
            noise, source = measured, "A/A"
        pct = [100 * value / first if first else math.nan for value in (shift, low[at], high[at])]
        rows.append(
            (load, *counts, len(one), len(other), share, first, second, shift, float(low[at]), float(high[at]), *pct,
             noise, source, _verdict(pct, noise))
        )  # fmt: skip
    return rows


def _verdict(pct: list[float], noise: float) -> str:
    shift, low, high = pct
    if low <= 0 <= high or any(map(math.isnan, pct)) or abs(shift) <= (0 if math.isnan(noise) else noise):
        return NONE
    if math.isnan(noise):
        return UNTOLD
    return SLOWER if shift > 0 else FASTER


def _floor(floors: Mapping[float, float], share: float) -> float:
    """The noise floor of the nearest quantile from this one up, which varies at least as much, else of the highest one;
    NaN if none was measured."""
    known = sorted(quantile for quantile, floor in floors.items() if not math.isnan(floor))
    if not known:
        return math.nan
    return floors[next((quantile for quantile in known if quantile >= share), known[-1])]


def _spread(values: Floats) -> float:
    """By how much two repeats usually differ, in percent of their mean."""
    return float(100 * math.sqrt(2) * values.std(ddof=1) / values.mean()) if values.mean() else math.nan


def _between_steps(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Welch's interval of the difference of means over steps, by decile."""
    from scipy.stats import ttest_ind

    with np.errstate(all="ignore"):
        interval = ttest_ind(other, one, equal_var=False).confidence_interval(1 - (1 - LEVEL) / len(DECILES))
    shift = other.mean(axis=0) - one.mean(axis=0)
    low, high = (np.where(np.isnan(end), shift, end) for end in (interval.low, interval.high))
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def _between_rows(one: list[Floats], other: list[Floats], shares: list[float]) -> tuple[Floats, Floats]:
    from workbench.stats.bootstrap import quantile_replicates

    level = 1 - (1 - LEVEL) / len(DECILES)
    drawn = [
        quantile_replicates(np.concatenate(side), shares, seed=seed) for seed, side in enumerate((one, other), start=1)
    ]
    ends = np.quantile(drawn[1] - drawn[0], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]


def outcome_table(before: Side, after: Side) -> pd.DataFrame:
    """The outcomes of receipts: OUTCOME_COLUMNS. ``before`` and ``after`` are counts, the shares are of all receipts of
    a run; ``q``: the probability that shares differ this much by chance (Fisher's exact test, corrected for the number
    of outcomes)."""
    if before.outcomes.empty or after.outcomes.empty:
        return pd.DataFrame(columns=list(OUTCOME_COLUMNS))
    counts = [side.outcomes.groupby("outcome")["receipts"].sum().to_dict() for side in (before, after)]
    whole = [sum(one.values()) for one in counts]
    rows = []
    for name in dict.fromkeys([*counts[0], *counts[1]]):
        one, other = (int(side.get(name, 0)) for side in counts)
        share = [100 * found / of if of else math.nan for found, of in zip((one, other), whole, strict=True)]
        rows.append((str(name), one, other, *whole, *share, shares((one, whole[0]), (other, whole[1]))))
    table = pd.DataFrame(rows, columns=[*OUTCOME_COLUMNS[:-2], "p"])
    q = corrected(table["p"].to_numpy())
    rises = table["share_after_pct"] > table["share_before_pct"]
    verdict = rises.map({True: "more", False: "fewer"}).where(q < ALPHA, "no difference found")
    return table.drop(columns="p").assign(q=q, verdict=verdict)[list(OUTCOME_COLUMNS)]


def limit_table(before: Side, after: Side) -> pd.DataFrame:
    """The sender limit in both runs: LIMIT_COLUMNS; NaN if a run does not know it."""
    if not before.limit or not after.limit:
        return pd.DataFrame(columns=list(LIMIT_COLUMNS))
    rows = []
    for name, what in _LIMIT.items():
        one, other = (_number(side.limit.get(name)) for side in (before, after))
        if not (math.isnan(one) and math.isnan(other)):
            rows.append((what, one, other))
    return pd.DataFrame(rows, columns=list(LIMIT_COLUMNS))


def said(load: pd.DataFrame, outcomes: pd.DataFrame, limit: pd.DataFrame) -> list[str]:
    """Sentences for the shell."""
    lines = []
    for name, rows in load.groupby("load", sort=False):
        lines.append(f"  {name}: {_shifts(rows)}")
    told = len(lines)
    for row in outcomes.itertuples():
        if row.verdict != "no difference found":
            lines.append(
                f"  outcome {row.outcome}: {row.before:,} of {row.receipts_before:,} to {row.after:,} of "
                f"{row.receipts_after:,}, {row.share_before_pct:.2f} to {row.share_after_pct:.2f} %: {row.verdict} "
                f"(corrected p = {row.q:.2g})"
            )
    if len(outcomes) and len(lines) == told:
        lines.append(f"  outcomes: no difference found in {len(outcomes)}")
    lines += [f"  {row.what}: {_text(row.before)} before, {_text(row.after)} after" for row in limit.itertuples()]
    return lines


def _shifts(rows: pd.DataFrame) -> str:
    """How the response times of one load changed, in words."""
    largest = rows.loc[rows["shift_pct"].abs().idxmax()]
    shift = f"{largest['shift_pct']:+.1f} % ({largest['low_pct']:+.1f} to {largest['high_pct']:+.1f} %)"
    at = f"at the {largest['decile']:.0%} quantile {largest['before_ms']:.4g} to {largest['after_ms']:.4g} ms, {shift}"
    known = rows["noise_pct"].max()
    noise = {
        "": "no step was repeated",
        "repeats": f"two repeats usually differ by {known:.1f} %",
        "A/A": f"equal loads of this target differ by up to {known:.1f} % (A/A)",
    }[rows["noise_from"].iloc[0]]
    verdicts = dict.fromkeys(rows["verdict"])
    if list(verdicts) == [NONE]:
        return f"no difference found in response times; largest shift {at}; {noise}"
    said = ", ".join(
        f"{verdict} at {', '.join(f'{share:.0%}' for share in rows.loc[rows['verdict'] == verdict, 'decile'])}"
        for verdict in verdicts
        if verdict != NONE
    )
    return f"{said}; largest shift {at}; {noise}"


def checks(
    load: pd.DataFrame, outcomes: pd.DataFrame, limit_pct: float
) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """The gate's checks of the load: for each, the values of a row, and its name, verdict, why and limit."""
    found: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
    for row in load[load["decile"].isin(GATED)].itertuples():
        values = {
            "service": "", "mode": "load", "metric": f"response at {row.decile:.0%}", "unit": "ms",
            "before": row.before_ms, "after": row.after_ms, "change_pct": row.shift_pct, "low_pct": row.low_pct,
            "high_pct": row.high_pct,
        }  # fmt: skip
        held = max(limit_pct, row.noise_pct)
        why = (
            f"{row.before_ms:.4g} to {row.after_ms:.4g} ms, {row.shift_pct:+.1f} % ({row.low_pct:+.1f} to "
            f"{row.high_pct:+.1f} %)"
        )
        if math.isnan(row.noise_pct):
            verdict, why = (
                "left out",
                f"{why}; no step was repeated and no noise floor measured, so the noise is not known",
            )
        else:
            verdict = "fail" if row.verdict == SLOWER and row.low_pct > held else "pass"
        name = f"response at {row.decile:.0%}, {row.load}"
        found.append((values, {"name": name, "verdict": verdict, "why": why, "limit": held}))
    for row in outcomes.itertuples():
        good = row.outcome == "ok"
        worse = row.verdict == ("fewer" if good else "more")
        why = f"{row.share_before_pct:.2f} to {row.share_after_pct:.2f} % of receipts ({row.verdict})"
        values = {
            "service": "", "mode": "load", "metric": "outcomes", "unit": "%", "before": row.share_before_pct,
            "after": row.share_after_pct,
        }  # fmt: skip
        found.append(
            (
                values,
                {"name": f"outcome {row.outcome}", "verdict": "fail" if worse else "pass", "why": why, "limit": 0.0},
            )
        )
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _text(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:,.4g}"
