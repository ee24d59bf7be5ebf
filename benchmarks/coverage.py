"""Do 95 % intervals of percentiles contain the true value in 92 to 98 % of runs? Simulated runs with known true values.

Each run has correlated latencies: a lognormal whose logarithm follows an AR(1) process, from independent rows to a
correlation of 0.98 between neighbours. A line is one number of rows at one correlation. A cell is "covered (shown)" in
percent: of the runs in which an interval was shown, the share of intervals that contain the true percentile. Cells
shown in fewer than half of the runs are in brackets: such samples are too small for the percentile, and the shown runs
are those that happen to look better. For them the last column matters: the share of all runs with an interval that
misses, for the worst percentile.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri

from workbench.stats.bootstrap import mean_interval
from workbench.stats.quantiles import SHARES, quantiles

SIGMA = 0.5
ROWS = (200, 1_000, 5_000, 20_000)
STRENGTHS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
LOWEST, HIGHEST = 92.0, 98.0
MISSING = 8.0
SHOWN = 50.0
FEWEST_OF_A_MEAN = 50
"""Independent rows: the mean of a skewed distribution needs more of them than its median."""


@dataclass(frozen=True)
class Cell:
    """Of ``runs``, how many had an interval (``shown``), and how many intervals ``covered`` the true value."""

    runs: int
    shown: int
    covered: int

    @property
    def covered_percent(self) -> float:
        return 100 * self.covered / self.shown if self.shown else float("nan")

    @property
    def shown_percent(self) -> float:
        return 100 * self.shown / self.runs

    @property
    def missed_percent(self) -> float:
        """Runs of all whose interval misses."""
        return 100 * (self.shown - self.covered) / self.runs

    @property
    def carried(self) -> bool:
        """Whether such samples are large enough for the percentile: most have an interval."""
        return self.shown_percent >= SHOWN

    def good(self, slack: float = 0.0) -> bool:
        """Whether it covers as often as it should; ``slack`` in percent for few runs."""
        if self.carried:
            return LOWEST - slack <= self.covered_percent <= HIGHEST + slack
        return self.missed_percent <= MISSING + slack

    def __str__(self) -> str:
        if not self.shown:
            return "refused"
        text = f"{self.covered_percent:.1f} ({self.shown_percent:.0f})"
        return text if self.carried else f"[{text}]"


def latencies(rows: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Latencies whose logarithm is a stationary AR(1) process of standard deviation SIGMA."""
    noise = rng.standard_normal(rows)
    noise[1:] *= np.sqrt(1 - strength**2)
    return np.exp(SIGMA * lfilter([1.0], [1.0, -strength], noise))


def truth(share: float) -> float:
    """The true quantile."""
    return float(np.exp(SIGMA * ndtri(share)))


def cells(rows: int, strength: float, runs: int, seed: int = 1) -> dict[str, Cell]:
    """The results for percentiles and mean in ``runs`` simulated runs."""
    rng = np.random.default_rng([seed, rows, round(1000 * strength)])
    shown, covered = dict.fromkeys(names(), 0), dict.fromkeys(names(), 0)
    mean = float(np.exp(SIGMA**2 / 2))
    for run in range(runs):
        values = latencies(rows, strength, rng)
        found = quantiles(values, seed=run)
        for one in found:
            shown[one.name] += not one.refused
            covered[one.name] += not one.refused and one.low <= truth(one.share) <= one.high
        if found[0].effective_n >= FEWEST_OF_A_MEAN:
            shown["mean"] += 1
            covered["mean"] += mean in mean_interval(values, seed=run)
    return {name: Cell(runs, shown[name], covered[name]) for name in names()}


def names() -> list[str]:
    """The columns."""
    return [f"p{100 * share:.10g}" for share in SHARES] + ["mean"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and print; 1 if a cell is out of its bounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="simulated runs a line (default: 500)")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    options = parser.parse_args(arguments)
    print(f"{options.runs} runs a line; covered % (shown in %)\n")
    print(f"{'rows':>7} {'AR(1)':>6} " + " ".join(f"{name:>13}" for name in names()) + "  misses %")
    bad = 0
    for rows in options.rows:
        for strength in STRENGTHS:
            line = cells(rows, strength, options.runs)
            worst = max(cell.missed_percent for cell in line.values())
            wrong = [name for name, cell in line.items() if not cell.good()]
            bad += len(wrong)
            text = " ".join(f"{cell!s:>13}" for cell in line.values())
            print(f"{rows:>7,} {strength:>6} {text} {worst:>9.1f}" + f"  {', '.join(wrong)}" * bool(wrong), flush=True)
    print(f"\n{'all cells are' if not bad else f'{bad} cells are not'} within {LOWEST:g} to {HIGHEST:g} %")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
