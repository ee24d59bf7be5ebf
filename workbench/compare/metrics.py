"""What a receipt costs in each metric, before and after, as a whole and by place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.costs import REST, By, cost_by_step, windows_of
from workbench.analysis.refusals import counted
from workbench.compare.causes import EDGES, MOST_SLACK, WHOLE
from workbench.compare.side import Kind, Side, kind_of
from workbench.compare.significance import Ratio, corrected, joint_dispersion, rates
from workbench.profiles.transforms.matching import matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WHOLE_COLUMNS = (
    "service", "mode", "metric", "unit", "kind", "before", "after", "change_pct", "low_pct", "high_pct", "p",
    "noise_pct", "verdict",
)  # fmt: skip
PLACE_COLUMNS = (
    "service", "mode", "metric", "unit", "kind", "by", "name", "file", "object", "crate", "before", "after", "change",
    "change_pct", "low_pct", "high_pct", "p", "q", "verdict",
)  # fmt: skip
DEARER, CHEAPER, NONE = "dearer", "cheaper", "no difference found"
# Two windows of one build of the real service, of 100 and 400 receipts, differ by 0.03 % in instructions. Exact counts
# that differ by less than this are not called different.
LEAST_NOISE_PCT = 0.1
# accepted probability of a false verdict for a whole, and accepted false discovery rate over all places
ALPHA = 0.01
# a place is tested if both sides together have at least this many samples or calls
_FEWEST = 10
_UNKNOWN = Ratio(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """The counted steps of one side: the cost, the receipts and the number of each."""

    cost: Floats
    receipts: Floats
    numbers: tuple[int, ...] = ()

    @property
    def per_receipt(self) -> float:
        """Cost per receipt, pooled over the steps."""
        return float(self.cost.sum() / self.receipts.sum())


def whole_table(before: Side, after: Side) -> pd.DataFrame:
    """One row a metric that both runs have: WHOLE_COLUMNS. ``before``, ``after``: per receipt, pooled over the steps;
    ``change_pct`` with its interval if there is one; ``noise_pct``: the difference between repeats of a step, on the
    noisier side (NaN: no step was repeated); ``verdict``: dearer, cheaper, no difference found, or "" for times, which
    a profiler distorts."""
    rows = []
    for service, mode, metric, unit in _common(before, after):
        kind = kind_of(mode, unit, metric)
        sides = [_wholes(side, service, mode, metric) for side in (before, after)]
        if any(not steps.receipts.sum() for steps in sides):
            continue
        noise = max([-1.0, *(each for each in map(_noise, sides) if not math.isnan(each))])
        ratio = _ratio(kind, sides, _period((before, after), service, mode, metric))
        rows.append(
            (service, mode, metric, unit, kind, *(steps.per_receipt for steps in sides), ratio.change_pct,
             ratio.low_pct, ratio.high_pct, ratio.p, noise if noise >= 0 else math.nan,
             _verdict(kind, ratio, max(LEAST_NOISE_PCT, noise), ratio.p))
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(WHOLE_COLUMNS))


def place_table(before: Side, after: Side, metric: str, service: str, mode: str, by: By = "function") -> pd.DataFrame:
    """What a receipt costs by place (functions, crates; in a log of system calls the calls): PLACE_COLUMNS, the largest
    change in own cost first. ``q`` is ``p`` corrected for the number of places (Benjamini and Hochberg); exact counts
    have neither. A place that one side does not have costs 0 there."""
    sides = [_places(side, service, mode, metric, by) for side in (before, after)]
    if any(side.empty for side in sides):
        return pd.DataFrame(columns=list(PLACE_COLUMNS))
    unit = str(sides[0]["unit"].iloc[0])
    kind = kind_of(mode, unit, metric)
    named, costs, receipts = _laid_over(sides, [_wholes(side, service, mode, metric) for side in (before, after)])
    period = _period((before, after), service, mode, metric)
    ratios, each = [], []
    for place in range(len(named)):
        steps = [_Steps(cost[place], sent) for cost, sent in zip(costs, receipts, strict=True)]
        few = kind != "exact" and sum(float(one.cost.sum()) for one in steps) / period[0] < _FEWEST
        ratios.append(_UNKNOWN if few else _ratio(kind, steps, period))
        each.append([one.per_receipt for one in steps])
    q = corrected([ratio.p for ratio in ratios])
    table = named.assign(
        service=service, mode=mode, metric=metric, unit=unit, kind=kind, by=by,
        before=[one for one, _ in each], after=[other for _, other in each],
        change=[other - one for one, other in each],
        **{name: [getattr(ratio, name) for ratio in ratios] for name in ("change_pct", "low_pct", "high_pct", "p")},
        q=q,
        verdict=[_verdict(kind, ratio, LEAST_NOISE_PCT, float(one)) for ratio, one in zip(ratios, q, strict=True)],
    )  # fmt: skip
    order = np.argsort(-table["change"].abs().to_numpy(dtype=np.float64), kind="stable")
    return table.iloc[order][list(PLACE_COLUMNS)].reset_index(drop=True)


def _laid_over(
    sides: Sequence[pd.DataFrame], steps: Sequence[_Steps]
) -> tuple[pd.DataFrame, list[Floats], list[Floats]]:
    """The places of both sides as one list (name, file, object, crate); for each side their costs, one row per place
    and one column per counted step, and the receipts of these steps."""
    keys = ["name", "file", "object", "crate"]
    firsts = [side[keys].drop_duplicates(keys[:3]).reset_index(drop=True) for side in sides]
    code = matching(*(first.rename(columns={"name": "raw_function"}) for first in firsts)).code
    codes = (code[: len(firsts[0])], code[len(firsts[0]) :])
    count = int(code.max(initial=-1)) + 1
    named = pd.concat([first.assign(code=at) for first, at in zip(firsts, codes, strict=True)])
    named = named.drop_duplicates("code", keep="last").sort_values("code")[keys].reset_index(drop=True)
    costs = []
    for side, first, at, one in zip(sides, firsts, codes, steps, strict=True):
        rows = side.merge(first[keys[:3]].assign(code=at), on=keys[:3])
        column = {step: position for position, step in enumerate(one.numbers)}
        rows = rows[rows["step"].isin(column)]
        cost = np.zeros((count, len(column)))
        np.add.at(cost, (rows["code"].to_numpy(), rows["step"].map(column).to_numpy(dtype=np.int64)), rows["cost"])
        costs.append(cost)
    return named, costs, [one.receipts for one in steps]


def _common(before: Side, after: Side) -> list[tuple[str, str, str, str]]:
    """Service, mode, metric and unit of all that both sides measured, in the order of the first."""
    if before.costs.empty or after.costs.empty:
        return []
    keys = ["service", "mode", "metric", "unit"]
    wholes = [side.costs[side.costs["by"] == "whole"][keys].drop_duplicates() for side in (before, after)]
    both = wholes[0].merge(wholes[1], on=keys)
    return [(str(a), str(b), str(c), str(d)) for a, b, c, d in both.itertuples(index=False)]


def _of(side: Side, service: str, mode: str) -> pd.DataFrame:
    if side.costs.empty:
        return side.costs
    return side.costs[(side.costs["service"] == service) & (side.costs["mode"] == mode)]


def _wholes(side: Side, service: str, mode: str, metric: str) -> _Steps:
    """The counted steps as a whole."""
    windows = windows_of(_of(side, service, mode), metric)
    windows = windows[counted(windows)]
    return _Steps(
        windows["whole"].to_numpy(dtype=np.float64),
        windows["receipts"].to_numpy(dtype=np.float64),
        tuple(windows["step"].tolist()),
    )


def _places(side: Side, service: str, mode: str, metric: str, by: By) -> pd.DataFrame:
    costs = _of(side, service, mode)
    if costs.empty or not ((costs["metric"] == metric) & (costs["by"] == by)).any():
        return pd.DataFrame()
    rows = cost_by_step(costs, metric, by)
    return rows[rows["name"] != REST]


def _noise(steps: _Steps) -> float:
    """The largest difference between steps of equal size, in percent of their mean; NaN if none was repeated."""
    each = steps.cost / steps.receipts
    equal = [each[steps.receipts == size] for size in np.unique(steps.receipts)]
    return max(
        (float(100 * np.ptp(one) / abs(one.mean())) for one in equal if len(one) > 1 and one.mean()), default=math.nan
    )


def _period(sides: tuple[Side, Side], service: str, mode: str, metric: str) -> tuple[float, float]:
    """The cost of one sample on each side, in the metric's unit; 1 if the metric is counted."""
    found = []
    for side in sides:
        wholes = _of(side, service, mode)
        wholes = wholes[wholes["by"] == "whole"].groupby("metric")["self"].sum()
        samples = float(wholes.get("samples", 0.0))
        found.append(float(wholes[metric]) / samples if samples > 0 and metric != "samples" else 1.0)
    return found[0], found[1]


def _ratio(kind: Kind, sides: Sequence[_Steps], period: tuple[float, float]) -> Ratio:
    before, after = (one.per_receipt for one in sides)
    change = 100 * (after / before - 1) if before else (math.nan if not after else math.inf)
    if kind in ("exact", "timed"):
        return Ratio(change, math.nan, math.nan, math.nan)
    if kind == "counted" and _whole_numbers(sides):
        # each step has the same whole number per receipt: nothing here is random
        return Ratio(change, change, change, 0.0 if round(before) != round(after) else 1.0)
    # counts are numbers of samples; dividing the receipts by the cost of a sample too leaves the rate as it is
    first, second = (
        (float(one.cost.sum()) / each, float(one.receipts.sum()) / each)
        for one, each in zip(sides, period, strict=True)
    )
    if kind == "sampled":
        return rates(first, second)
    return rates(first, second, joint_dispersion([(one.cost.tolist(), one.receipts.tolist()) for one in sides]))


def _whole_numbers(sides: Sequence[_Steps]) -> bool:
    """Whether every step has a whole number per receipt, the same one in all steps of a side."""
    for one in sides:
        each = one.cost / one.receipts
        slack = WHOLE + EDGES / one.receipts
        off = np.abs(each - np.round(each)) > slack
        if (slack > MOST_SLACK).any() or off.any() or len(set(np.round(each).tolist())) > 1:
            return False
    return True


def _verdict(kind: Kind, ratio: Ratio, floor: float, chance: float) -> str:
    if kind == "timed" or math.isnan(ratio.change_pct):
        return ""
    if abs(ratio.change_pct) <= floor or (kind != "exact" and not chance < ALPHA):
        return NONE
    return DEARER if ratio.change_pct > 0 else CHEAPER
