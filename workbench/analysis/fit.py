"""Models of what a window cost over its receipts, fitted to all functions at once.

A window of ``n`` receipts costs ``fixed + marginal * n + growth * n * g(x)``; no part can be negative. ``x`` is what a
receipt's cost may grow with: the receipts of the step, or those sent before (see :mod:`workbench.analysis.growth`).

- ``constant``: fixed cost alone. ``linear``: fixed and marginal.
- ``n log n``: g(x) = ln x. ``quadratic``: g(x) = x.

Errors are relative to the cost (``relative``: what a deterministic counter shows), as those of counted samples
(``counting``: their variance is proportional to the cost), or as those of system calls (``calls``: as samples that come
in clusters of CLUSTER, and TIMING of the cost besides, because how often a service waits or commits depends on how
events happen to coincide, while its other calls are exact and say nothing of that); each function's are weighted so.

Because parts cannot be negative, a cost per receipt that rises cannot be explained by a fixed cost, which only makes it
fall: that is what makes growth visible in three steps.
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

# Scatter below this is taken for this: two runs of the same code never agree better for a reason worth knowing.
LEAST_SCATTER = 0.005
# What repeating a step changes in the number of calls that wait (epoll_wait, futex), as a part of it.
TIMING = 0.1
# Calls come in clusters of about this size: one commit of a database is some ten writes and locks, and how many commits
# fall into a small window is chance.
CLUSTER = 10
# Functions of about one size whose scatter is taken together, on each side of a function.
NEIGHBOURS = 25
# and those that cost less than this part of what the function does are not among them
MUCH_SMALLER = 10
# What the scatter of the neighbours is worth, in degrees of freedom.
PRIOR_DF = 10
# A cost far below the others of its function has no smaller error than this part of their mean would have.
_LEAST_PART = 0.25
# Misfits below a thousandth are no reason to prefer a model.
_EXACT = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The steps: ``receipts`` n and ``position`` x of each. ``separable``: whether the sizes differ, so that fixed and
    marginal cost can be told apart."""

    receipts: Floats
    position: Floats

    @property
    def separable(self) -> bool:
        """Whether fixed and marginal cost can be told apart: the steps differ in their receipts."""
        return len(np.unique(self.receipts)) > 1

    def columns(self, form: Form) -> Floats:
        """One row a step, one column each for fixed, marginal and growth."""
        n, x = self.receipts, self.position
        grown = np.log(np.maximum(x, 1.0)) if form == "n log n" else x
        return np.column_stack([np.ones_like(n), n, n * grown])

    def terms(self, form: Form) -> tuple[int, ...]:
        """Which parts of a model these steps can tell apart; the fixed part goes where all steps have one size."""
        terms = TERMS[form]
        return terms if self.separable or form == "constant" else tuple(term for term in terms if term != FIXED_PART)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """One form fitted to each of m functions: ``coefficients`` (m x 3: fixed, marginal, growth, 0 where left out),
    ``covariance`` (m x 3 x 3, of unit scatter), ``misfit`` (weighted sum of squares), ``used`` (how many parts are not
    0)."""

    form: Form
    coefficients: Floats
    covariance: Floats
    misfit: Floats
    used: Whole

    def take(self, rows: Flags, other: Fit) -> Fit:
        """This fit, and the other one's in ``rows``; it keeps this one's form."""
        return Fit(
            self.form,
            np.where(rows[:, None], other.coefficients, self.coefficients),
            np.where(rows[:, None, None], other.covariance, self.covariance),
            np.where(rows, other.misfit, self.misfit),
            np.where(rows, other.used, self.used),
        )


def fit(form: Form, windows: Windows, costs: Floats, weights: Floats) -> Fit:
    """Weighted least squares without negative parts, for each row of ``costs`` (m functions x k steps). ``weights`` are
    1 / standard error, of the same shape.

    The best fit without negative parts is an ordinary one of the parts that are not 0. There are at most three parts,
    so all choices are tried; the first that is clearly better wins, fewer parts first.
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
    """Weighted least squares of m rows: values (m x parts), their covariance at unit scatter, and the misfit."""

    values: Floats
    covariance: Floats
    misfit: Floats


def _least_squares(columns: Floats, costs: Floats, squared: Floats) -> _Solution:
    """Of parts of any sign. ``columns`` (steps x parts) must be independent; ``squared`` are the weights' squares."""
    scale = np.abs(columns).max(axis=0)
    scaled = columns / scale
    inverse = np.linalg.inv(np.einsum("ki,mk,kj->mij", scaled, squared, scaled))
    values = np.einsum("mij,mj->mi", inverse, np.einsum("ki,mk->mi", scaled, squared * costs))
    misfit = (squared * (costs - values @ scaled.T) ** 2).sum(axis=1)
    return _Solution(values / scale, inverse / np.outer(scale, scale), misfit)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """The growth term of each function beside a marginal cost of any sign: ``value``, ``variance`` at unit scatter,
    ``misfit`` and ``free`` degrees of freedom of the model it is taken from."""

    value: Floats
    variance: Floats
    misfit: Floats
    free: Whole

    def take(self, rows: Flags, other: Term) -> Term:
        """This term, with those ``rows`` of ``other``."""
        return Term(
            np.where(rows, other.value, self.value),
            np.where(rows, other.variance, self.variance),
            np.where(rows, other.misfit, self.misfit),
            np.where(rows, other.free, self.free),
        )


def growth_term(form: Form, windows: Windows, costs: Floats, weights: Floats, *, fixed: bool = True) -> Term:
    """The growth term to be tested.

    Marginal cost stays in the model whatever its sign, or all cost would pass for growth. Fixed cost does where it is
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
    """1 / standard error of each cost, up to one factor a function: from a smooth curve through its costs, so that a
    cost which happens to be low does not count for more.

    Of counted samples the curve is linear, with one sample (about the smallest cost there is) added: where only a few
    were counted, none in a small step must not pass for certainty.
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
    """The smallest cost above 0: of a sampler about one sample. 1 where there is none."""
    positive = costs[costs > 0]
    return float(positive.min()) if len(positive) else 1.0


def least_scatter(costs: Floats, noise: Noise) -> float:
    """What no function scatters less than, in units of 1 / weight: a part of a counter's cost; of a sampler what chance
    alone does; of calls what their weights hold already."""
    if noise == "calls":
        return 1.0
    return float(np.sqrt(smallest(costs))) if noise == "counting" else LEAST_SCATTER


@dataclass(frozen=True, slots=True, eq=False)
class Scatter:
    """How functions scatter around a fit, by their size: the sizes, largest first, the function of each, and its misfit
    as a variance."""

    size: Floats
    row: Whole
    variance: Floats

    @classmethod
    def of(cls, windows: Windows, costs: Floats, weights: Floats) -> Scatter:
        """From the misfit of the best model of two parts of any sign, which three steps leave a degree of freedom: so
        neither a fixed cost nor growth of whatever form passes for scatter."""
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
        ``size``, ``least`` at least, and how many degrees of freedom that is worth: one for each, PRIOR_DF at most.

        Functions much smaller are left out: they are less steady, and those called once scatter by all they cost.
        ``own``: ``size`` are the same functions, and each is left out of what it is compared with. It is the upper
        quartile, not the median, because functions of one size are not equally steady; not more, because some do grow.
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
            # at either end of the list the neighbourhood keeps its width
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
    """The form (position in FORMS) of each function, and by what it was chosen.

    From six steps on by AICc (Hurvich and Tsai 1989), which needs more steps than a model has parts, and its scatter.
    With four or five by leaving one step out and predicting it, the simpler form unless the other is clearly better.
    With three, which a model of three parts always fits, by AIC with the scatter of other functions.
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
        # a form of more parts must predict better by a quarter to be worth it
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
