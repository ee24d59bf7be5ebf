"""What a receipt costs in each metric, before and after, as a whole and place by place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.costs import REST, By, cost_by_step, windows_of
from workbench.analysis.denied import counted
from workbench.compare.causes import EDGES, MOST_SLACK, WHOLE
from workbench.compare.side import Kind, Side, kind_of
from workbench.compare.significance import Ratio, corrected, joint_dispersion, rates
from workbench.profiles.transforms.matching import matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHOLE_COLUMNS = (
    "service", "mode", "metric", "unit", "kind", "before", "after", "change_pct", "low_pct", "high_pct", "p",
    "noise_pct", "verdict",
)  # fmt: skip
PLACE_COLUMNS = (
    "service", "mode", "metric", "unit", "kind", "by", "name", "file", "object", "crate", "before", "after", "change",
    "change_pct", "low_pct", "high_pct", "p", "q", "verdict",
)  # fmt: skip
DEARER, CHEAPER, NONE, UNTOLD = "dearer", "cheaper", "no difference found", "not told apart from noise"
# Two windows of one build of the real service, of 100 and 400 receipts, differ by 0.03 % in instructions. Exact counts
# that differ by less than this are not called different where no repeat says what repeating changes.
LEAST_NOISE_PCT = 0.1
# the chance of being wrong that is taken: of a whole, and over all places
ALPHA = 0.01
# fewest samples or calls on both sides together, by which a place is asked about
_FEWEST = 10


def whole_table(before: Side, after: Side) -> pd.DataFrame:
    """One row a metric that both runs have: WHOLE_COLUMNS. ``before``, ``after``: per receipt, pooled over the steps;
    ``change_pct`` with its interval where there is one; ``noise_pct``: what repeating the step changes, of the noisier
    side (NaN: no step was repeated); ``verdict``: dearer, cheaper, no difference found, or "" for times, which a
    profiler distorts."""
    rows = []
    for service, mode, metric, unit in _common(before, after):
        kind = kind_of(mode, unit, metric)
        sides = [_whole_steps(side, service, mode, metric) for side in (before, after)]
        if any(not steps["receipts"].sum() for steps in sides):
            continue
        each = [float(steps["whole"].sum() / steps["receipts"].sum()) for steps in sides]
        noise = np.nanmax([_noise(steps) for steps in sides] + [-1.0])
        ratio = _ratio(kind, sides, "whole", _period((before, after), service, mode, metric))
        floor = max(LEAST_NOISE_PCT, noise)
        rows.append(
            (service, mode, metric, unit, kind, *each, ratio.change_pct, ratio.low_pct, ratio.high_pct, ratio.p,
             noise if noise >= 0 else math.nan, _verdict(kind, ratio, floor, ratio.p))
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(WHOLE_COLUMNS))


def place_table(before: Side, after: Side, metric: str, service: str, mode: str, by: By = "function") -> pd.DataFrame:
    """What a receipt costs place by place (functions, crates; of a log of system calls the calls): PLACE_COLUMNS, by
    falling size of the change in own cost. ``q`` is ``p`` corrected for the number of places (Benjamini and Hochberg);
    exact counts have neither. A place of which one side has none costs 0 there."""
    sides = [_places(side, service, mode, metric, by) for side in (before, after)]
    if any(side.empty for side in sides):
        return pd.DataFrame(columns=list(PLACE_COLUMNS))
    unit = str(sides[0]["unit"].iloc[0])
    kind = kind_of(mode, unit, metric)
    firsts = [side.drop_duplicates(["name", "file", "object"]).reset_index(drop=True) for side in sides]
    code = matching(*(first.rename(columns={"name": "raw_function"}) for first in firsts)).code
    split = len(firsts[0])
    keyed = [
        side.merge(first[["name", "file", "object"]].assign(code=at), on=["name", "file", "object"])
        for side, first, at in zip(sides, firsts, (code[:split], code[split:]), strict=True)
    ]
    named = pd.concat([first.assign(code=at) for first, at in zip(firsts, (code[:split], code[split:]), strict=True)])
    named = named.drop_duplicates("code", keep="last").set_index("code")
    receipts = [_whole_steps(side, service, mode, metric) for side in (before, after)]
    period = _period((before, after), service, mode, metric)
    groups = [{int(number): rows for number, rows in side.groupby("code")} for side in keyed]
    rows = []
    for number, name in named.iterrows():
        steps = [_filled(receipt, group.get(int(str(number)))) for receipt, group in zip(receipts, groups, strict=True)]
        each = [float(one["cost"].sum() / one["receipts"].sum()) for one in steps]
        few = kind != "exact" and sum(float(one["cost"].sum()) for one in steps) / period[0] < _FEWEST
        ratio = Ratio(math.nan, math.nan, math.nan, math.nan) if few else _ratio(kind, steps, "cost", period)
        rows.append(
            (service, mode, metric, unit, kind, by, *name[["name", "file", "object", "crate"]], *each,
             each[1] - each[0], ratio.change_pct, ratio.low_pct, ratio.high_pct, ratio.p)
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=[name for name in PLACE_COLUMNS if name not in ("q", "verdict")])
    q = corrected(table["p"].to_numpy(dtype=np.float64))
    ratios = [Ratio(*row) for row in table[["change_pct", "low_pct", "high_pct", "p"]].itertuples(index=False)]
    verdicts = [_verdict(kind, ratio, LEAST_NOISE_PCT, float(one)) for ratio, one in zip(ratios, q, strict=True)]
    table = table.assign(q=q, verdict=verdicts)[list(PLACE_COLUMNS)]
    order = np.argsort(-table["change"].abs().to_numpy(dtype=np.float64), kind="stable")
    return table.iloc[order].reset_index(drop=True)


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


def _whole_steps(side: Side, service: str, mode: str, metric: str) -> pd.DataFrame:
    """The counted steps: step, receipts, whole."""
    windows = windows_of(_of(side, service, mode), metric)
    return windows[counted(windows)][["step", "receipts", "whole"]].reset_index(drop=True)


def _places(side: Side, service: str, mode: str, metric: str, by: By) -> pd.DataFrame:
    costs = _of(side, service, mode)
    if costs.empty or not ((costs["metric"] == metric) & (costs["by"] == by)).any():
        return pd.DataFrame()
    rows = cost_by_step(costs, metric, by)
    return rows[rows["name"] != REST]


def _filled(steps: pd.DataFrame, rows: pd.DataFrame | None) -> pd.DataFrame:
    """The counted steps with what a place cost in each; 0 where it has no row."""
    costs = {} if rows is None else rows.groupby("step")["cost"].sum().to_dict()
    return pd.DataFrame({"receipts": steps["receipts"], "cost": steps["step"].map(costs).fillna(0.0)})


def _noise(steps: pd.DataFrame) -> float:
    """The largest difference between steps of equal size, in percent of their mean; NaN where none was repeated."""
    each = (steps["whole"] / steps["receipts"]).groupby(steps["receipts"]).agg(["min", "max", "mean", "size"])
    each = each[(each["size"] > 1) & (each["mean"] != 0)]
    return float((100 * (each["max"] - each["min"]) / each["mean"].abs()).max()) if len(each) else math.nan


def _period(sides: tuple[Side, Side], service: str, mode: str, metric: str) -> tuple[float, float]:
    """What one sample costs on each side, in the metric's unit; 1 of what is counted."""
    found = []
    for side in sides:
        wholes = _of(side, service, mode)
        wholes = wholes[wholes["by"] == "whole"].groupby("metric")["self"].sum()
        samples = float(wholes.get("samples", 0.0))
        found.append(float(wholes[metric]) / samples if samples > 0 and metric != "samples" else 1.0)
    return found[0], found[1]


def _ratio(kind: Kind, sides: list[pd.DataFrame], cost: str, period: tuple[float, float]) -> Ratio:
    before, after = (float(one[cost].sum() / one["receipts"].sum()) for one in sides)
    change = 100 * (after / before - 1) if before else (math.nan if not after else math.inf)
    if kind in ("exact", "timed"):
        return Ratio(change, math.nan, math.nan, math.nan)
    first, second = (
        (float(one[cost].sum()) / each, float(one["receipts"].sum()) / each)
        for one, each in zip(sides, period, strict=True)
    )
    if kind == "sampled":
        # one tick a sample: the exposure is in receipts for each nanosecond that a tick stands for
        return rates(first, second)
    if _whole_numbers(sides, cost):
        # each step has the same whole number a receipt: there is no chance in it
        return Ratio(change, change, change, 0.0 if round(before) != round(after) else 1.0)
    scatter = joint_dispersion([(one[cost].tolist(), one["receipts"].tolist()) for one in sides])
    return rates(first, second, scatter)


def _whole_numbers(sides: list[pd.DataFrame], cost: str) -> bool:
    """Whether in each step of both sides there is a whole number a receipt, one on each side."""
    for one in sides:
        each = (one[cost] / one["receipts"]).to_numpy(dtype=np.float64)
        slack: NDArray[np.float64] = WHOLE + EDGES / one["receipts"].to_numpy(dtype=np.float64)
        if (
            (slack > MOST_SLACK).any()
            or (np.abs(each - np.round(each)) > slack).any()
            or len(set(np.round(each).tolist())) > 1
        ):
            return False
    return True


def _verdict(kind: Kind, ratio: Ratio, floor: float, chance: float) -> str:
    if kind == "timed" or math.isnan(ratio.change_pct):
        return ""
    if abs(ratio.change_pct) <= floor or (kind != "exact" and not chance < ALPHA):
        return NONE
    return DEARER if ratio.change_pct > 0 else CHEAPER
