"""Models of the cost of a window as a function of its receipts, fitted to all functions at once.

A window of ``n`` receipts costs ``fixed + marginal * n + growth * n * g(x)``; no part can be negative. ``x`` is what a
receipt's cost may grow with: the receipts of the step, or those sent before (see :mod:`workbench.analysis.growth`).

- ``constant``: fixed cost alone. ``linear``: fixed and marginal.
- ``n log n``: g(x) = ln x. ``quadratic``: g(x) = x.

Each function's costs are weighted by their errors. ``relative`` errors are proportional to the cost, as in a
deterministic counter. ``counting`` errors are those of samples: their variance is proportional to the cost. ``calls``
are system calls: they come in clusters of CLUSTER, and TIMING of the cost is added, because how often a service waits
or commits depends on timing. Other calls are exact, so their scatter does not show this.

Because parts cannot be negative, a fixed cost can only make the cost per receipt fall, so it cannot explain a rise.
That is why three steps are enough to see growth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]
    Flags = NDArray[np.bool_]

Form = Literal["constant", "linear", "n log n", "quadratic"]
Noise = Literal["relative", "counting", "calls"]
FORMS: tuple[Form, ...] = ("constant", "linear", "n log n", "quadratic")
GROWING: tuple[Form, ...] = ("n log n", "quadratic")
FIXED_PART, MARGINAL_PART, GROWTH_PART = 0, 1, 2
_ALL = (FIXED_PART, MARGINAL_PART, GROWTH_PART)
TERMS: dict[Form, tuple[int, ...]] = {
    "constant": (FIXED_PART,),
    "linear": (FIXED_PART, MARGINAL_PART),
    "n log n": (0, 1, 2),
    "quadratic": (0, 1, 2),
}

# The least scatter: if two runs of the same code agree better, that is chance.
LEAST_SCATTER = 0.005
# The share by which the number of waiting calls (epoll_wait, futex) changes when a step is repeated.
TIMING = 0.1
# Calls come in clusters of about this size: one commit of a database is about ten writes and locks, and the number of
# commits in a small window depends on chance.
CLUSTER = 10
# The number of functions of similar size, on each side of a function, whose scatter is combined.
NEIGHBOURS = 25
# functions this many times smaller are left out
MUCH_SMALLER = 10
# The most degrees of freedom that the scatter of the neighbours counts as.
PRIOR_DF = 10
# The error of a small cost is at least that of a cost of this part of the function's mean.
_LEAST_PART = 0.25
# Misfits below a thousandth do not decide between models.
_EXACT = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The steps: ``receipts`` n and ``position`` x of each."""

    receipts: Floats
    position: Floats

    @property
    def separable(self) -> bool:
        """Whether the steps differ in their receipts, so that fixed and marginal cost can be separated."""
        return len(np.unique(self.receipts)) > 1

    def columns(self, form: Form) -> Floats:
        """One row per step, one column each for fixed, marginal and growth."""
        n, x = self.receipts, self.position
        grown = np.log(np.maximum(x, 1.0)) if form == "n log n" else x
        return np.column_stack([np.ones_like(n), n, n * grown])

    def terms(self, form: Form) -> tuple[int, ...]:
        """The parts of a model that these steps can separate: without the fixed part if all steps have one size."""
        terms = TERMS[form]
        return terms if self.separable or form == "constant" else tuple(term for term in terms if term != FIXED_PART)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """One form fitted to each of m functions: ``coefficients`` (m x 3: fixed, marginal, growth; 0 if left out),
    ``covariance`` (m x 3 x 3, at a scatter of 1), ``misfit`` (weighted sum of squares), ``used`` (number of parts that
    are not 0)."""

    form: Form
    coefficients: Floats
    covariance: Floats
    misfit: Floats
    used: Whole

    def take(self, rows: Flags, other: Fit) -> Fit:
        """This fit, with the other one's values in ``rows``; ``form`` stays this one's."""
        return Fit(
            self.form,
            np.where(rows[:, None], other.coefficients, self.coefficients),
            np.where(rows[:, None, None], other.covariance, self.covariance),
            np.where(rows, other.misfit, self.misfit),
            np.where(rows, other.used, self.used),
        )


def fit(form: Form, windows: Windows, costs: Floats, weights: Floats) -> Fit:
    """Weighted least squares without negative parts, for each row of ``costs`` (m functions x k steps). ``weights`` are
    1 / standard error, in the same shape.

    The best fit without negative parts is the ordinary fit of the parts that are not 0. There are at most three parts,
    so all choices are tried, fewer parts first; a later one is taken only if it is clearly better.
    """
    columns = windows.columns(form)
    terms = windows.terms(form)
    rows, steps = costs.shape
    squared = weights**2
    best = Fit(
        form,
        np.zeros((rows, 3)),
        np.zeros((rows, 3, 3)),
        (squared * costs**2).sum(axis=1),
        np.zeros(rows, dtype=np.int64),
    )
    for size in range(1, min(len(terms), steps) + 1):
        for subset in combinations(terms, size):
            parts = np.array(subset)
            if np.linalg.matrix_rank(columns[:, parts]) < size:
                continue
            found = _least_squares(columns[:, parts], costs, squared)
            better = (found.values >= 0).all(axis=1) & (found.misfit < best.misfit * (1 - 1e-9) - 1e-12)
            coefficients, covariance = np.zeros((rows, 3)), np.zeros((rows, 3, 3))
            coefficients[:, parts] = found.values
            covariance[:, parts[:, None], parts] = found.covariance
            best = best.take(better, Fit(form, coefficients, covariance, found.misfit, np.full(rows, size)))
    return best


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    """Weighted least squares of m rows: values (m x parts), their covariance at a scatter of 1, and the misfit."""

    values: Floats
    covariance: Floats
    misfit: Floats


def _least_squares(columns: Floats, costs: Floats, squared: Floats) -> _Solution:
    """The fit with parts of any sign. ``columns`` (steps x parts) must be independent; ``squared``: squared weights."""
    scale = np.abs(columns).max(axis=0)
    scaled = columns / scale
    inverse = np.linalg.inv(np.einsum("ki,mk,kj->mij", scaled, squared, scaled))
    values = np.einsum("mij,mj->mi", inverse, np.einsum("ki,mk->mi", scaled, squared * costs))
    misfit = (squared * (costs - values @ scaled.T) ** 2).sum(axis=1)
    return _Solution(values / scale, inverse / np.outer(scale, scale), misfit)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """The growth term of each function, in a model whose marginal cost has any sign: ``value``, ``variance`` at a
    scatter of 1, and that model's ``misfit`` and ``free`` degrees of freedom."""

    value: Floats
    variance: Floats
    misfit: Floats
    free: Whole

    def take(self, rows: Flags, other: Term) -> Term:
        """This term, with the other one's values in ``rows``."""
        return Term(
            np.where(rows, other.value, self.value),
            np.where(rows, other.variance, self.variance),
            np.where(rows, other.misfit, self.misfit),
            np.where(rows, other.free, self.free),
        )


def growth_term(form: Form, windows: Windows, costs: Floats, weights: Floats, *, fixed: bool = True) -> Term:
    """The growth term to be tested.

    Marginal cost stays in the model whatever its sign, or all cost would look like growth. Fixed cost stays where it is
    not below 0; elsewhere, and without ``fixed``, it is 0, which can only make the term smaller.
    """
    columns = windows.columns(form)
    rows, steps = costs.shape
    term = Term(np.zeros(rows), np.zeros(rows), np.zeros(rows), np.zeros(rows, dtype=np.int64))
    for parts in ((MARGINAL_PART, GROWTH_PART), _ALL)[: 2 if fixed else 1]:
        chosen = columns[:, parts]
        if len(parts) > steps or np.linalg.matrix_rank(chosen) < len(parts):
            continue
        found = _least_squares(chosen, costs, weights**2)
        free = np.full(rows, steps - len(parts))
        fits = found.values[:, 0] >= 0 if parts == _ALL else np.ones(rows, dtype=bool)
        term = term.take(fits, Term(found.values[:, -1], found.covariance[:, -1, -1], found.misfit, free))
    return term


def weights_of(windows: Windows, costs: Floats, noise: Noise) -> Floats:
    """1 / standard error of each cost, up to one factor per function. Errors come from a smooth curve through the
    costs, so that a cost that is low by chance does not count for more.

    For counted samples the curve is linear, plus one sample (about the smallest cost): a small step without samples
    must not count as certain.
    """
    mean = np.maximum(costs.mean(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    if noise == "counting":
        first = 1 / np.sqrt(windows.receipts / windows.receipts.mean() * mean)
        curve = fit("linear", windows, costs, first).coefficients @ windows.columns("linear").T
        return np.asarray(1 / np.sqrt(curve + smallest(costs)), dtype=np.float64)
    first = 1 / np.maximum(costs, _LEAST_PART * mean)
    curve = fit("quadratic", windows, costs, first).coefficients @ windows.columns("quadratic").T
    curve = np.maximum(curve, _LEAST_PART * mean)
    error = np.sqrt(CLUSTER * (curve + 1) + (TIMING * curve) ** 2) if noise == "calls" else curve
    return np.asarray(1 / error, dtype=np.float64)


def smallest(costs: Floats) -> float:
    """The smallest cost above 0, which is about one sample of a sampler; 1 if there is none."""
    positive = costs[costs > 0]
    return float(positive.min()) if len(positive) else 1.0


def least_scatter(costs: Floats, noise: Noise) -> float:
    """The least scatter of any function, in units of 1 / weight: a share of the cost for a counter, the scatter
    of chance for a sampler, 1 for calls, whose weights include it."""
    if noise == "calls":
        return 1.0
    return float(np.sqrt(smallest(costs))) if noise == "counting" else LEAST_SCATTER


@dataclass(frozen=True, slots=True, eq=False)
class Scatter:
    """The scatter of functions around a fit: their sizes, largest first, the function of each, and its misfit as a
    variance."""

    size: Floats
    row: Whole
    variance: Floats

    @classmethod
    def of(cls, windows: Windows, costs: Floats, weights: Floats) -> Scatter:
        """The scatter around the best model of two parts of any sign, to which three steps leave one degree of freedom.
        So neither a fixed cost nor growth of any form counts as scatter."""
        steps, size = costs.shape[1], costs.mean(axis=1)
        misfit = np.full(len(size), np.inf)
        two_parts: tuple[tuple[Form, tuple[int, int]], ...] = (
            ("linear", (FIXED_PART, MARGINAL_PART)),
            ("n log n", (MARGINAL_PART, GROWTH_PART)),
            ("quadratic", (MARGINAL_PART, GROWTH_PART)),
        )
        for form, parts in two_parts:
            columns = windows.columns(form)[:, parts]
            if np.linalg.matrix_rank(columns) == len(parts):
                misfit = np.minimum(misfit, _least_squares(columns, costs, weights**2).misfit)
        known = np.flatnonzero(np.isfinite(misfit) & (size > 0)) if steps > 2 else np.zeros(0, dtype=np.int64)
        variance = misfit[known] / _quartile_of_squares(np.full(len(known), steps - 2))
        order = np.argsort(-size[known], kind="stable")
        return cls(size[known][order], known[order], variance[order])

    def near(self, size: Floats, least: float, *, own: bool) -> tuple[Floats, Whole]:
        """The scatter (standard deviation, in units of 1 / weight) of the functions nearest in size to each of
        ``size``, at least ``least``, and its degrees of freedom: one for each function, PRIOR_DF at most.

        Much smaller functions are left out: they are less steady, and the scatter of one that is called once is its
        whole cost. ``own``: ``size`` are the same functions, so each is compared with the others only. The upper
        quartile is used: functions of one size are not equally steady, so the median is too low; some do grow, so more
        is too high.
        """
        found = np.full(len(size), least)
        worth = np.zeros(len(size), dtype=np.int64)
        place = np.full(len(size), -1, dtype=np.int64)
        if own:
            place[self.row] = np.arange(len(self.row))
        width = 2 * NEIGHBOURS + 1
        smallest_size = np.minimum(size, self.size.max(initial=0.0)) / MUCH_SMALLER
        ends = np.searchsorted(-self.size, -smallest_size, side="right")
        for row, middle in enumerate(np.searchsorted(-self.size, -size).tolist()):
            at = int(place[row])
            # near either end of the list there are as many neighbours as elsewhere
            low = max(0, min((middle if at < 0 else at) - NEIGHBOURS, len(self.row) - width))
            variances = self.variance[low : min(low + width, int(ends[row]))]
            if at >= 0:
                variances = np.delete(variances, at - low)
            if len(variances):
                found[row] = max(least, float(np.sqrt(np.quantile(variances, 0.75))))
                worth[row] = min(len(variances), PRIOR_DF)
        return found, worth


def choose_form(
    fits: dict[Form, Fit], windows: Windows, costs: Floats, weights: Floats, scatter: Floats
) -> tuple[Whole, str]:
    """The form (position in FORMS) of each function, and the method that chose it.

    Six steps or more: AICc (Hurvich and Tsai 1989), which needs more steps than the model has parts and scatter. Four
    or five: each step is left out and predicted; the simpler form wins unless another is clearly better. Three, which a
    model of three parts always fits: AIC with the scatter of other functions.
    """
    steps = costs.shape[1]
    forms = [form for form in FORMS if form in fits]
    parts = np.array([len(windows.terms(form)) for form in forms])
    level = (weights * costs).mean(axis=1)
    exact = (_EXACT * np.maximum(level, 1.0)) ** 2
    if steps >= 6:
        misfit = np.stack([fits[form].misfit for form in forms], axis=1) / steps
        count = parts + 1
        score = steps * np.log(misfit + exact[:, None]) + 2 * count + 2 * count * (count + 1) / (steps - count - 1)
        how = "AICc"
    elif steps >= 4:
        errors = np.stack([_left_out(form, windows, costs, weights) for form in forms], axis=1)
        # each further part must reduce the squared error by a quarter
        score = np.log(errors + exact[:, None]) + np.log(4 / 3) * (parts - 1)
        how = "leave-one-out"
    else:
        misfit = np.stack([fits[form].misfit for form in forms], axis=1)
        score = misfit / scatter[:, None] ** 2 + 2 * parts
        how = "scatter of other functions"
    return np.array([FORMS.index(form) for form in forms])[np.argmin(score, axis=1)], how


def _left_out(form: Form, windows: Windows, costs: Floats, weights: Floats) -> Floats:
    """Mean weighted squared error of each step predicted from the others."""
    steps = costs.shape[1]
    total = np.zeros(len(costs))
    for step in range(steps):
        others = np.arange(steps) != step
        part = Windows(windows.receipts[others], windows.position[others])
        fitted = fit(form, part, costs[:, others], weights[:, others])
        predicted = fitted.coefficients @ windows.columns(form)[step]
        total += (weights[:, step] * (costs[:, step] - predicted)) ** 2
    return np.asarray(total / steps, dtype=np.float64)


def _quartile_of_squares(df: Whole) -> Floats:
    """The upper quartile of chi squared (Wilson and Hilferty 1931; exact to 3 % at one degree of freedom)."""
    part = 2 / (9 * df)
    return np.asarray(df * (1 - part + 0.6744898 * np.sqrt(part)) ** 3, dtype=np.float64)
