"""How the cost of each function grows with the load: its fixed cost, its cost per receipt, and what grows faster.

Every function gets a model of a window's cost over its receipts (see :mod:`workbench.analysis.fit`). Its flag says:

- FIXED: the cost does not depend on the number of receipts (start-up, timers).
- LINEAR: each receipt costs the same.
- STEADY: all steps have one size, so FIXED and LINEAR look alike; the cost does not grow with the receipts before.
- GROWS: the more receipts, the more each of them costs.
- TOO_FEW: there are too few steps (of a sampler: samples), or they are too similar, so there is no model.

Thousands of functions are tested at once, so GROWS has three conditions: a growing form fits the steps best; its growth
term is above 0 by a t-test at a false discovery rate of FALSE_SHARE (Benjamini and Hochberg 1995); and the rise
matters, for the function and for the whole. The test uses the function's own scatter or that of functions of its size,
whichever is larger. A model of three parts always fits three steps, so with three there is only the scatter of the
others. Then the rise must be larger, and the measured cost per receipt must be highest in the last step.

Steps with denied receipts are left out, see :mod:`workbench.analysis.refusals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from workbench.analysis.costs import BYTES_KEPT, PLACE, By, Which, chosen, windows_of
from workbench.analysis.fit import (
    FIXED_PART,
    FORMS,
    GROWING,
    GROWTH_PART,
    LEAST_SCATTER,
    MARGINAL_PART,
    PRIOR_DF,
    TIMING,
    Fit,
    Form,
    Noise,
    Scatter,
    Term,
    Windows,
    choose_form,
    fit,
    growth_term,
    least_scatter,
    smallest,
    weights_of,
)
from workbench.analysis.refusals import ALL_DENIED, counted, left_out
from workbench.analysis.rise import (
    FEWEST_STEPS,
    LEAST_PART_OF_WHOLE,
    LEAST_RISE_OF_THREE,
    matters,
    rise_of,
    seen_to_rise,
    shape,
)
from workbench.errors import WorkbenchError
from workbench.stats.false_discovery import false_discovery_rates
from workbench.stats.student import quantile, upper_tail

if TYPE_CHECKING:
    from workbench.analysis.fit import Flags, Floats, Whole

Against = Literal["receipts", "accumulated"]

GROWS, LINEAR, FIXED, STEADY, TOO_FEW = "grows faster than the load", "linear", "fixed", "steady", "too little to tell"
FLAGS = (GROWS, LINEAR, FIXED, STEADY, TOO_FEW)

# the largest step (or receipts before) must be this many times the smallest
LEAST_SPAN = 1.5
FALSE_SHARE = 0.01
CONFIDENCE = 0.95
# FIXED: more than this share of the cost is fixed, and the interval of the marginal cost includes 0.
_MOSTLY = 0.5
SAMPLED_MODES = frozenset({"flamegraph", "pprof"})
SYSTEM_CALLS = frozenset({"sysCount", "sysTime", "sysCpuTime"})
# with fewer samples, the error of a function that has a tenth of them is above a third
FEWEST_SAMPLES = 400
# with fewer samples of its own, a function's error is above a fifth
FEWEST_OF_A_FUNCTION = 25

COLUMNS = (
    *PLACE, "unit", "cost", "average_per_receipt", "average_share_pct", "fixed", "marginal_per_receipt",
    "marginal_low", "marginal_high", "marginal_share_pct", "growth_term", "growth", "growth_low", "growth_high",
    "rise_pct", "model", "q", "flag",
)  # fmt: skip
POINT_COLUMNS = ("step", "receipts", "position", *PLACE, "cost_per_receipt", "fitted_per_receipt")


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """The growth of one metric, function by function.

    ``sentence`` says what the steps show; ``enough`` is False if they are too few. ``chosen_by``: the method that chose
    the models. ``scatter_pct``: the typical scatter of a window's cost around its model, in percent.

    ``table``, the costliest first: name, file, object, crate, unit; ``cost`` of all steps; ``average_per_receipt``
    (cost / receipts, fixed cost included) and its share of the whole. The other columns are NaN or "" for TOO_FEW:
    ``fixed``: cost of a window without receipts (NaN if all steps have one size); ``marginal_per_receipt``: cost of one
    more receipt at the end of the largest step, with its interval of CONFIDENCE and its share of the sum;
    ``growth_term`` ("", ``n log n``, ``quadratic``) and ``growth``, its coefficient, with interval; ``rise_pct``: how
    much more a receipt costs at the end of the sweep than at its start, without fixed cost; ``model``; ``q``: the
    lowest false discovery rate at which this function is flagged (1: too small to be tested); ``flag``. Costs are in
    ``unit``.

    ``points``: every place in every step, for a chart: step, receipts, position (what cost may grow with), name, file,
    object, crate, cost_per_receipt, fitted_per_receipt.
    """

    metric: str
    by: By
    which: Which
    against: Against
    sentence: str
    enough: bool
    chosen_by: str
    scatter_pct: float
    table: pd.DataFrame
    points: pd.DataFrame

    def flagged(self) -> pd.DataFrame:
        """What grows faster than the load, the largest part of a receipt's marginal cost first."""
        rows = self.table[self.table["flag"] == GROWS]
        return rows.sort_values("marginal_per_receipt", ascending=False, kind="stable", ignore_index=True)


def growth(
    costs: pd.DataFrame,
    metric: str,
    by: By = "function",
    *,
    which: Which = "self",
    against: Against = "receipts",
    noise: Noise | None = None,
    service: str | None = None,
    mode: str | None = None,
) -> Growth:
    """Fit and flag every function (file, crate, the whole) of one service and mode.

    ``against``: what cost may grow with. ``receipts``: the receipts of the step; this finds work that is quadratic in a
    batch. ``accumulated``: the receipts sent before, plus half of the step; this finds work over everything stored
    (each receipt scans it), even with steps of one size. ``noise``: None takes ``counting`` for sampling profilers,
    ``calls`` for system calls and ``relative`` for others.

    Raises WorkbenchError if the table has several services or modes and none is chosen, if it lacks the metric, and for
    kept bytes, which can be negative.
    """
    _refuse_kept(metric)
    costs = _of_one(costs, service, mode)
    rows = chosen(costs, metric, by)
    every = windows_of(costs, metric)
    table = every[counted(every)].reset_index(drop=True)
    if table.empty:
        sentence = f"The growth of {metric} is not known: {ALL_DENIED}."
        nothing = pd.DataFrame(columns=list(COLUMNS)), pd.DataFrame(columns=list(POINT_COLUMNS))
        return Growth(metric, by, which, against, sentence, False, "", float("nan"), *nothing)
    windows = _windows(table, against)
    enough, why = _enough(windows, against)
    kind = noise or _noise_of(str(table["mode"].iloc[0]), metric)
    whole = table["whole"].to_numpy(dtype=np.float64)
    # functions come first: files, crates and the whole are judged by their scatter and sum of marginal costs
    places, measured = _measured(chosen(costs, metric, "function"), table, "self")
    least = 0.0
    if kind == "counting":
        sample = _sample(costs, table, whole, measured)
        least, samples = sample * FEWEST_OF_A_FUNCTION, whole.sum() / sample
        if enough and samples < FEWEST_SAMPLES:
            enough = False
            why = (
                f"there are {samples:,.0f} samples in all steps together, at least {FEWEST_SAMPLES} are needed: "
                "send more receipts"
            )
    known = (measured.sum(axis=1) >= least) & enough
    result = base = _models(measured, windows, kind, whole, known, None)
    if (by, which) != ("function", "self"):
        places, measured = _measured(rows, table, which)
        known = (measured.sum(axis=1) >= least) & enough
        result = _models(measured, windows, kind, whole, known, base)
    out = _table(places, measured, result, windows, whole, float(np.nansum(base.marginal[:, 0])))
    points = _points(places, measured, result, windows, table)
    typical = 100 * float(np.median(result.relative_scatter[known])) if known.any() else float("nan")
    said = [_sentence(out, windows, metric, by, against, why), left_out(every["denied"].tolist())]
    sentence = " ".join(part for part in said if part)
    return Growth(metric, by, which, against, sentence, enough, result.how if enough else "", typical, out, points)


def _refuse_kept(metric: str) -> None:
    if metric == BYTES_KEPT:
        raise WorkbenchError(
            "kept bytes are a level, not a cost per step",
            where="growth",
            hint="Use workbench.analysis.leaks.leak_rates() for the bytes each site keeps per receipt",
        )


def _noise_of(mode: str, metric: str) -> Noise:
    if mode in SAMPLED_MODES:
        return "counting"
    return "calls" if mode == "strace" or metric in SYSTEM_CALLS else "relative"


def _sample(costs: pd.DataFrame, table: pd.DataFrame, whole: Floats, measured: Floats) -> float:
    """The cost of one sample: from the number of samples if it was counted, else the smallest cost."""
    samples = costs[(costs["metric"] == "samples") & (costs["by"] == "whole") & costs["step"].isin(table["step"])]
    number = float(samples["self"].sum())
    return float(whole.sum()) / number if number > 0 and whole.sum() > 0 else smallest(measured)


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    """The model of each place: whether it is ``known``; form, fit, flag and q; marginal cost and growth term, each with
    its interval (m x 3); the rise of a receipt's cost; the scatter as a share of the cost. ``reference`` and ``least``:
    the scatter that files, crates and the whole are judged by."""

    known: Flags
    form: Whole
    fit: Fit
    flag: list[str]
    q: Floats
    marginal: Floats
    growth: Floats
    rise: Floats
    relative_scatter: Floats
    reference: Scatter
    least: float
    how: str


def _of_one(costs: pd.DataFrame, service: str | None, mode: str | None) -> pd.DataFrame:
    for column, wanted in (("service", service), ("mode", mode)):
        there = sorted(set(costs[column]))
        if wanted is not None:
            costs = costs[costs[column] == wanted]
        elif len(there) > 1:
            raise WorkbenchError(
                f"the costs have more than one {column}: {', '.join(there)}", where="growth", hint=f"Choose {column}="
            )
    return costs


def _windows(table: pd.DataFrame, against: Against) -> Windows:
    receipts = table["receipts"].to_numpy(dtype=np.float64)
    if against == "receipts":
        return Windows(receipts, receipts)
    if against == "accumulated":
        return Windows(receipts, table["receipts_before"].to_numpy(dtype=np.float64) + receipts / 2)
    raise WorkbenchError(f"expected receipts or accumulated, found {against!r}", where="against")


def _measured(rows: pd.DataFrame, table: pd.DataFrame, which: Which) -> tuple[pd.DataFrame, Floats]:
    """The places, and their costs: a row per place, a column per step."""
    keys = [*PLACE, "unit"]
    wide = rows.pivot_table(index=keys, columns="step", values=which, aggfunc="sum", fill_value=0, sort=False)
    wide = wide.reindex(columns=table["step"], fill_value=0)
    # a cost below 0 (a difference of two noisy readings) counts as 0
    costs = np.maximum(wide.to_numpy(dtype=np.float64), 0.0)
    some = costs.sum(axis=1) > 0
    return wide.index.to_frame(index=False)[some].reset_index(drop=True), costs[some]


def _enough(windows: Windows, against: Against) -> tuple[bool, str]:
    distinct = np.unique(windows.position)
    one, what = ("size", "sizes") if against == "receipts" else ("number", "numbers of receipts before")
    if len(distinct) < FEWEST_STEPS:
        there = f"one {one}" if len(distinct) == 1 else f"{len(distinct)} different {what}"
        why = f"the steps have {there}, at least {FEWEST_STEPS} are needed"
    elif distinct[-1] < LEAST_SPAN * distinct[0]:
        why = f"the largest of the {what} is less than {LEAST_SPAN:g} times the smallest"
    else:
        return True, ""
    more = "" if against == "accumulated" else "; for steps of one size, take against='accumulated'"
    return False, why + more


def _models(
    costs: Floats, windows: Windows, noise: Noise, whole: Floats, known: Flags, base: _Models | None
) -> _Models:
    """Fit, test and flag all ``known`` places. ``base``: the models of the functions, for other places."""
    steps = costs.shape[1]
    weights = weights_of(windows, costs, noise)
    fits = {form: fit(form, windows, costs, weights) for form in FORMS}
    size = costs.mean(axis=1)
    if base is None:
        reference, least = Scatter.of(windows, costs, weights), least_scatter(costs, noise)
    else:
        reference, least = base.reference, base.least
    common, worth = reference.near(size, least, own=base is None)
    if noise != "relative":
        # the least scatter of samples and calls is known without other functions
        worth = np.full(len(worth), PRIOR_DF)
    form, how = choose_form(fits, windows, costs, weights, common)

    # the growing form that fits better
    steeper = fits["quadratic"].misfit <= fits["n log n"].misfit
    growing = fits["n log n"].take(steeper, fits["quadratic"])
    growing_form = np.where(steeper, FORMS.index("quadratic"), FORMS.index("n log n"))
    # few steps with large errors show more without a fixed cost, which would only hide growth
    nlogn, quadratic = (growth_term(name, windows, costs, weights, fixed=noise != "calls") for name in GROWING)
    p = _p_of_growth(nlogn.take(steeper, quadratic), common, worth)
    # places that are too small to matter are not tested: each test makes the others less sensitive
    end = int(np.argmax(windows.position))
    q = false_discovery_rates(p, tested=costs[:, end] >= LEAST_PART_OF_WHOLE * whole[end])
    rise = rise_of(growing, growing_form, windows)
    grown = np.isin(form, [FORMS.index(name) for name in GROWING]) & (q <= FALSE_SHARE)
    grown &= matters(growing, growing_form, rise, windows, whole) & seen_to_rise(costs, windows) & known

    linear = fits["constant"].take(form != FORMS.index("constant"), fits["linear"])
    form = np.where(grown, growing_form, np.where(form == FORMS.index("constant"), form, FORMS.index("linear")))
    final = linear.take(grown, growing)
    scatter, margin = _margin(final, steps, common, worth, noise)
    marginal = _marginal(form, final, windows, np.where(grown, 0.0, _linear_variance(windows, weights)), margin)
    growth_variance = final.covariance[:, GROWTH_PART, GROWTH_PART]
    flags = [
        _flag(grew, FORMS[kind], fitted, low, windows) if one else TOO_FEW
        for one, grew, kind, fitted, low in zip(
            known.tolist(), grown.tolist(), form.tolist(), final.coefficients, marginal[:, 1].tolist(), strict=True
        )
    ]
    marginal[~known] = np.nan
    return _Models(
        known=known,
        form=form,
        fit=final,
        flag=flags,
        q=q,
        marginal=marginal,
        growth=_interval(final.coefficients[:, GROWTH_PART], np.where(grown, margin, 0.0) * np.sqrt(growth_variance)),
        rise=np.where(grown, rise, 0.0),
        relative_scatter=scatter * (1 / weights).mean(axis=1) / np.where(size > 0, size, 1.0),
        reference=reference,
        least=least,
        how=how,
    )


def _scatter(misfit: Floats, free: Whole, common: Floats, worth: Whole) -> tuple[Floats, Whole]:
    """The larger of a place's own scatter and that of places of its size, with its degrees of freedom."""
    own = np.sqrt(misfit / np.maximum(free, 1))
    return np.maximum(common, np.where(free > 0, own, 0.0)), worth + free


def _margin(final: Fit, steps: int, common: Floats, worth: Whole, noise: Noise) -> tuple[Floats, Floats]:
    """The scatter of each place, and the half width of its interval of CONFIDENCE at a variance of 1."""
    free = np.maximum(steps - final.used, 0)
    scatter, df = _scatter(final.misfit, free, common, worth)
    if noise == "calls":
        # most calls are exact: if there are enough steps, the interval uses the call's own scatter
        own = np.maximum(np.sqrt(final.misfit / np.maximum(free, 1)), LEAST_SCATTER / TIMING)
        scatter, df = np.where(free > 0, own, scatter), np.where(free > 0, free, df)
    times = {one: quantile((1 + CONFIDENCE) / 2, one) if one else np.inf for one in np.unique(df).tolist()}
    return scatter, scatter * np.array([times[one] for one in df.tolist()])


def _marginal(form: Whole, final: Fit, windows: Windows, least_variance: Floats, margin: Floats) -> Floats:
    """The cost of one more receipt, with its interval."""
    gradient = _gradient(form, windows)
    value = np.einsum("mi,mi->m", gradient, final.coefficients)
    variance = np.einsum("mi,mij,mj->m", gradient, final.covariance, gradient)
    # a part left out because it would be negative is still no more certain than this
    return _interval(value, margin * np.sqrt(np.maximum(variance, least_variance)))


def _p_of_growth(term: Term, common: Floats, worth: Whole) -> Floats:
    """The probability of a growth term this large if there is no growth; 1 if there is nothing to judge it by."""
    scatter, df = _scatter(term.misfit, term.free, common, worth)
    error = scatter * np.sqrt(term.variance)
    t = np.divide(term.value, error, out=np.zeros(len(error)), where=error > 0)
    p = np.ones(len(t))
    for one in np.unique(df[df > 0]).tolist():
        p[df == one] = upper_tail(t[df == one], one)
    return np.where(term.value > 0, p, 1.0)


def _gradient(form: Whole, windows: Windows) -> Floats:
    """The derivative of the cost at the end of the sweep, d cost / d receipts, by part. Against receipts sent before,
    one more receipt costs marginal + growth * g(x)."""
    end = float(windows.position.max())
    same = bool(np.array_equal(windows.position, windows.receipts))
    at_end = shape(form, end)
    # the derivative of n ln n is ln n + 1, of n squared 2 n
    slope = at_end + np.where(form == FORMS.index("n log n"), 1.0, end) if same else at_end
    gradient = np.zeros((len(form), 3))
    gradient[:, MARGINAL_PART] = form != FORMS.index("constant")
    gradient[:, GROWTH_PART] = np.where(np.isin(form, [FORMS.index(name) for name in GROWING]), slope, 0.0)
    return gradient


def _linear_variance(windows: Windows, weights: Floats) -> Floats:
    """The variance of the marginal cost in a linear model with both its parts, at a scatter of 1."""
    columns = windows.columns("linear")[:, list(windows.terms("linear"))]
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        return np.zeros(len(weights))
    normal = np.einsum("ki,mk,kj->mij", columns, weights**2, columns)
    return np.asarray(np.linalg.inv(normal)[:, -1, -1], dtype=np.float64)


def _interval(value: Floats, margin: Floats) -> Floats:
    """Value, low and high; a cost cannot be negative."""
    return np.column_stack([value, np.maximum(value - margin, 0.0), value + margin])


def _flag(grew: bool, form: Form, coefficients: Floats, low: float, windows: Windows) -> str:
    if grew:
        return GROWS
    if not windows.separable:
        return STEADY
    last = coefficients[MARGINAL_PART] * windows.receipts.max()
    fixed = coefficients[FIXED_PART]
    return FIXED if form == "constant" or (low <= 0 and fixed > _MOSTLY * (fixed + last)) else LINEAR


def _table(
    places: pd.DataFrame, costs: Floats, models: _Models, windows: Windows, whole: Floats, marginal_sum: float
) -> pd.DataFrame:
    cost, receipts = costs.sum(axis=1), windows.receipts.sum()
    names = np.array(FORMS, dtype=object)
    grows = np.array([flag == GROWS for flag in models.flag], dtype=bool)
    known = models.known
    fixed = np.where(known & windows.separable, models.fit.coefficients[:, FIXED_PART], np.nan)
    unknown = np.where(known, 0.0, np.nan)
    term = {
        column: np.where(grows, models.growth[:, position], unknown)
        for position, column in enumerate(("growth", "growth_low", "growth_high"))
    }
    table = places.assign(
        cost=cost,
        average_per_receipt=cost / receipts,
        average_share_pct=100 * cost / whole.sum() if whole.sum() else np.nan,
        fixed=fixed,
        marginal_per_receipt=models.marginal[:, 0],
        marginal_low=models.marginal[:, 1],
        marginal_high=models.marginal[:, 2],
        marginal_share_pct=100 * models.marginal[:, 0] / marginal_sum if marginal_sum else np.nan,
        growth_term=pd.array(np.where(grows, names[models.form], ""), dtype="str"),
        **term,
        rise_pct=100 * models.rise + unknown,
        model=pd.array(np.where(known, names[models.form], ""), dtype="str"),
        q=models.q,
        flag=pd.array(models.flag, dtype="str"),
    )
    return table.sort_values("cost", ascending=False, kind="stable", ignore_index=True)[list(COLUMNS)]


def _points(
    places: pd.DataFrame, costs: Floats, models: _Models, windows: Windows, table: pd.DataFrame
) -> pd.DataFrame:
    parts = []
    for position, step in enumerate(table["step"].tolist()):
        fitted = np.full(len(costs), np.nan)
        for number, form in enumerate(FORMS):
            values = models.fit.coefficients @ windows.columns(form)[position]
            fitted = np.where(models.known & (models.form == number), values, fitted)
        receipts = windows.receipts[position]
        rows = places[list(PLACE)].assign(
            step=step,
            receipts=int(receipts),
            position=windows.position[position],
            cost_per_receipt=costs[:, position] / receipts,
            fitted_per_receipt=fitted / receipts,
        )
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)[list(POINT_COLUMNS)]


def _sentence(table: pd.DataFrame, windows: Windows, metric: str, by: By, against: Against, why: str) -> str:
    """What these steps show, in one sentence."""
    sizes = "receipts" if against == "receipts" else "receipts sent before"
    if why:
        return f"The growth of {metric} is not known: {why}."
    distinct = np.unique(windows.position)
    found = int((table["flag"] == GROWS).sum())
    noun = {"function": ("function", "functions"), "file": ("file", "files"), "crate": ("crate", "crates")}
    one, many = noun.get(by, ("cost", "costs"))
    said = (
        "nothing grows" if not found else f"{found} {one if found == 1 else many} {'grows' if found == 1 else 'grow'}"
    )
    sentence = (
        f"Of {len(table):,} {one if len(table) == 1 else many} {said} faster than the load in {metric}, over "
        f"{len(windows.receipts)} steps of {distinct[0]:,.0f} to {distinct[-1]:,.0f} {sizes}."
    )
    if len(distinct) > FEWEST_STEPS:
        return sentence
    return (
        f"{sentence} With three sizes only a rise of the cost per receipt above {100 * LEAST_RISE_OF_THREE:.0f} % is "
        "found; more steps show whether it is n log n or quadratic. Fixed cost alone makes the cost per receipt fall."
    )
