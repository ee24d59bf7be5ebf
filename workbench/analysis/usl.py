"""The universal scalability law (Gunther 2007): throughput against requests in flight. Pure.

    X(N) = g N / (1 + a (N - 1) + b N (N - 1))

``a`` is the share of the work that waits for something shared (contention), ``b`` the cost of coordination (crosstalk).
Throughput is highest at N* = sqrt((1 - a) / b). By Little's law an open loop has N = X R requests in flight on average,
where R is the mean response time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_POINTS = 6
RESAMPLES = 200
NO_CROSSTALK = 1e-9
"""A smaller ``b`` counts as 0: throughput levels off and does not fall."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scalability:
    """A fit. ``peak_per_s``: the highest throughput, at ``peak_in_flight`` (infinite if it is approached but not
    reached), with a 95 % interval from 200 fits to simulated measurements. ``aicc_gain``: how much better the law fits
    than a straight line (Akaike's criterion, corrected; below 0: worse)."""

    gamma: float
    alpha: float
    beta: float
    peak_in_flight: float
    peak_per_s: float
    low_per_s: float
    high_per_s: float
    aicc_gain: float


def fit(in_flight: ArrayLike, throughput: ArrayLike, seed: int = 1) -> Scalability | None:
    """The law fitted to measurements; None if there are fewer than 6, or if it cannot be fitted."""
    n, x = np.asarray(in_flight, dtype=np.float64), np.asarray(throughput, dtype=np.float64)
    if len(n) < LEAST_POINTS or not (np.isfinite(n).all() and np.isfinite(x).all()) or min(n.min(), x.min()) <= 0:
        return None
    found = _fitted(n, x)
    fitted = _law(found, n)
    line = float((n * x).sum() / (n * n).sum())
    gain = _aicc(x - line * n, 1) - _aicc(x - fitted, 3)
    low, high = _interval(n, fitted, x, np.random.default_rng(seed))
    at, peak = _peak(found)
    gamma, alpha, beta = (float(value) for value in found)
    return Scalability(gamma, alpha, beta, at, peak, low, high, gain)


def _interval(n: Values, fitted: Values, x: Values, generator: np.random.Generator) -> tuple[float, float]:
    """The interval of the peak, from fits to simulated measurements: the fitted curve with a scatter like that of the
    real ones. They show its size only roughly (as in Student's t), so it is drawn anew each time."""
    free = max(1, len(n) - 3)
    scatter = math.sqrt(float(((x / fitted - 1) ** 2).sum()) / free)
    peaks = []
    for _ in range(RESAMPLES):
        drawn = scatter * math.sqrt(free / generator.chisquare(free))
        again = fitted * np.exp(drawn * generator.standard_normal(len(n)))
        peaks.append(_peak(_fitted(n, again))[1])
    ends = np.quantile(peaks, (0.025, 0.975), method="nearest")
    return float(ends[0]), float(ends[1])


def _law(parameters: Values, n: Values) -> Values:
    gamma, alpha, beta = parameters
    return np.asarray(gamma * n / np.maximum(1 + alpha * (n - 1) + beta * n * (n - 1), 1e-12))


def _fitted(n: Values, x: Values) -> Values:
    """gamma, alpha and beta by least squares of relative errors. N / X is linear in 1 / g, a / g and b / g; if any is
    below 0, the best fit without a, without b or without both is taken."""
    target = n / x
    columns = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)]) / target[:, None]
    best, least = np.array([float((x / n).mean()), 0.0, 0.0]), math.inf
    for used in ((0, 1, 2), (0, 1), (0, 2), (0,)):
        part = columns[:, used]
        found = np.linalg.lstsq(part, np.ones_like(n), rcond=None)[0]
        error = float(((part @ found - 1) ** 2).sum())
        if found[0] > 0 and (found >= 0).all() and error < least:
            whole = np.zeros(3)
            whole[list(used)] = found
            best, least = np.array([1 / whole[0], whole[1] / whole[0], whole[2] / whole[0]]), error
    return best


def _peak(parameters: Values) -> tuple[float, float]:
    """Where throughput is highest, and how high; at infinity if nothing makes it fall again."""
    gamma, alpha, beta = (float(value) for value in parameters)
    if beta > NO_CROSSTALK:
        at = max(1.0, math.sqrt(max(0.0, 1 - alpha) / beta))
        return at, float(_law(parameters, np.array([at]))[0])
    return math.inf, gamma / alpha if alpha > 0 else math.inf


def _aicc(residuals: Values, parameters: int) -> float:
    count, free = len(residuals), parameters + 1  # the scatter is a parameter too
    scatter = max(float((residuals**2).mean()), 1e-300)
    return count * math.log(scatter) + 2 * free + 2 * free * (free + 1) / max(1, count - free - 1)
