"""The gate: whether a run is worse than its baseline, by repeatable figures.

It checks exact, repeatable counts: instructions per receipt, a function's own instructions per call, and whole numbers
of allocations, locks and system calls that a place makes per receipt. A loaded or shared machine does not change them,
so a limit of 3 % works. Other figures (samples, times, shares of refusals, memory) fail only if their interval,
corrected for the number of tests, lies beyond the limit: noise does not fail a change. Figures that allow neither are
left out, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.compare.metrics import LEAST_NOISE_PCT
from workbench.compare.words import amount, change, count, metric_name, name_of, pair
from workbench.errors import EXIT_INVALID, EXIT_PASS, EXIT_SLO_FAILED

if TYPE_CHECKING:
    from workbench.compare.comparison import Comparison

DEFAULT_PCT = 3.0
PASS, FAIL, LEFT_OUT = "pass", "fail", "left out"
COLUMNS = (
    "name", "service", "mode", "metric", "unit", "before", "after", "change_pct", "low_pct", "high_pct", "limit_pct",
    "verdict", "why",
)  # fmt: skip
# a function's own change is checked if it is at least this share of a receipt's cost
LEAST_OF_RECEIPT_PCT = LEAST_NOISE_PCT
_COUNTS = ("allocations", "locks taken", "system calls")
_NAMES = {"bytes_allocated": "bytes allocated per receipt"}
_GATED_EXACT = ("Ir", "bytes_allocated")


@dataclass(frozen=True, eq=False)
class Gate:
    """The checks, in ``table``: COLUMNS, a row a check; ``verdict`` is pass, fail or left out, and ``why`` the reason.
    ``state``: PASS, FAIL, or INVALID if nothing could be checked or the run is not valid."""

    baseline: str
    run: str
    limit_pct: float
    table: pd.DataFrame
    state: str
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pass, 1 a check failed, 4 invalid."""
        return {"PASS": EXIT_PASS, "FAIL": EXIT_SLO_FAILED}.get(self.state, EXIT_INVALID)

    @property
    def failed(self) -> pd.DataFrame:
        """The checks that failed."""
        return self.table[self.table["verdict"] == FAIL].reset_index(drop=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known is None."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        return {
            "state": self.state, "exit_code": self.exit_code, "baseline": self.baseline, "run": self.run,
            "max_regression_pct": self.limit_pct, "checks": rows, "notes": list(self.notes),
        }  # fmt: skip


def gate(comparison: Comparison, *, max_regression_pct: float = DEFAULT_PCT, valid: bool = True) -> Gate:
    """The checks of a comparison of two runs. ``valid``: False if the run's own verdict is INVALID: then passing
    checks do not count, and the state is INVALID unless a check fails."""
    run = comparison.after[0]
    one = comparison.of(run)
    rows = [
        *_wholes(one, max_regression_pct),
        *_functions(one, max_regression_pct),
        *_calls(one, max_regression_pct),
        *_places(one, max_regression_pct),
        *_memory(one, max_regression_pct),
        *_load(one, max_regression_pct),
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    checked = table[table["verdict"] != LEFT_OUT]
    state = "FAIL" if (checked["verdict"] == FAIL).any() else ("PASS" if len(checked) and valid else "INVALID")
    return Gate(comparison.before, run, max_regression_pct, table, state, comparison.notes)


def _check(row: Any, name: str, verdict: str, why: str, limit: float, **more: Any) -> dict[str, Any]:
    known = {
        column: getattr(row, column, math.nan)
        for column in ("service", "mode", "metric", "unit", "before", "after", "change_pct", "low_pct", "high_pct")
    }
    return {**known, "name": name, "verdict": verdict, "why": why, "limit_pct": limit, **more}


def _wholes(one: Comparison, limit: float) -> list[dict[str, Any]]:
    """Each metric as a whole: exact ones against the limit or their noise, others by their interval."""
    rows = []
    for row in one.metrics.itertuples():
        name = _NAMES.get(str(row.metric), f"{metric_name(str(row.metric))} per receipt")
        said = f"{pair(row.before, row.after, row.unit, row.metric)} a receipt, {change(row.change_pct)}"
        if row.metric in _COUNTS:
            continue
        if row.kind == "exact" and row.metric in _GATED_EXACT:
            held = max(limit, row.noise_pct if row.noise_pct == row.noise_pct else 0.0)
            noisy = f"; repeats differ by {row.noise_pct:.2g} %" if held > limit else ""
            dearer = row.change_pct > held
            by = f". {_dearest(one, row)}" if dearer and _dearest(one, row) else ""
            rows.append(_check(row, name, FAIL if dearer else PASS, f"{said}{noisy}{by}", held))
        elif row.kind in ("sampled", "counted") and row.metric in ("cpu", "time", "samples", "calls"):
            rows.append(_check(row, name, FAIL if row.low_pct > limit else PASS, f"{said}{_interval(row)}", limit))
    return rows


def _dearest(one: Comparison, row: Any) -> str:
    """The largest cause of the rise of a metric, in a sentence; "" if none is known."""
    rows = one.causes[(one.causes["service"] == row.service) & (one.causes["mode"] == row.mode)]
    rows = rows[(rows["metric"] == row.metric) & (rows["effect"] > 0)]
    return str(rows["sentence"].iloc[0]) if len(rows) else ""


def _interval(row: Any) -> str:
    told = math.isfinite(row.low_pct) and row.low_pct != row.high_pct
    return f" ({row.low_pct:+.1f} to {row.high_pct:+.1f} %)" if told else ""


def _functions(one: Comparison, limit: float) -> list[dict[str, Any]]:
    """Functions that do more themselves in each call."""
    rows = []
    causes = one.causes[~one.causes["metric"].isin(_COUNTS)] if len(one.causes) else one.causes
    whole = {(row.service, row.mode, row.metric): row.before for row in one.metrics.itertuples()}
    parts = one.parts[one.parts["kind"] == "own"] if len(one.parts) else one.parts
    for row in causes.merge(parts, on="id", suffixes=("_cause", "")).itertuples():
        of_receipt = 100 * row.effect / whole[row.service, row.mode, row.metric]
        more = row.change_pct > limit or math.isnan(row.change_pct)
        if not more or of_receipt < LEAST_OF_RECEIPT_PCT or row.effect_cause <= 0:
            continue
        said = f"{pair(row.before, row.after, row.unit, row.metric)} of its own in each call"
        why = f"{said}, {change(row.change_pct)}; {change(of_receipt)} of a receipt"
        rows.append(_check(row, f"{name_of(str(row.function))}, each call", FAIL, why, limit))
    return rows


def _calls(one: Comparison, limit: float) -> list[dict[str, Any]]:
    """Places that allocate, lock or call the system more often by whole numbers per receipt. Each of these three counts
    without such a place has one row that passed."""
    rows = []
    for row in one.metrics[one.metrics["metric"].isin(_COUNTS)].itertuples():
        causes = one.causes[
            (one.causes["metric"] == row.metric)
            & (one.causes["service"] == row.service)
            & (one.causes["mode"] == row.mode)
            & (one.causes["effect"] > 0)
        ]
        found = []
        for cause in causes.itertuples():
            parts = one.parts[(one.parts["id"] == cause.id) & one.parts["whole"] & (one.parts["effect"] > 0)]
            parts = parts[~(parts["change_pct"] <= limit)]
            if parts.empty:
                continue
            calls = ", ".join(
                f"{name_of(str(part.callee))} {count(part.before)} to {count(part.after)} times"
                for part in parts.itertuples()
            )
            why = f"calls {calls} a receipt: {amount(float(parts['effect'].sum()), 'count')} {row.metric} more"
            name = f"{row.metric} in {name_of(str(cause.function))}"
            was, now = float(parts["before"].sum()), float(parts["after"].sum())
            values = {"before": was, "after": now, "change_pct": 100 * (now / was - 1) if was else math.inf}
            found.append(_check(row, name, FAIL, why, limit, **values))
        why = f"{pair(row.before, row.after, 'count', row.metric)} a receipt; no single place makes one call more"
        rows += found or [_check(row, f"{row.metric} by place", PASS, why, limit)]
    return rows


def _places(one: Comparison, limit: float) -> list[dict[str, Any]]:
    """System calls by name and functions by samples: those whose rise is certainly above the limit."""
    rows = []
    table = one.places
    for row in table[(table["by"] == "function") & table["kind"].isin(("counted", "sampled"))].itertuples():
        if row.verdict != "dearer" or not (row.low_pct > limit or math.isinf(row.change_pct)):
            continue
        what = str(row.name) if row.mode == "strace" else name_of(str(row.name))
        why = f"{pair(row.before, row.after, row.unit, row.metric)} a receipt, {change(row.change_pct)}{_interval(row)}"
        rows.append(_check(row, f"{metric_name(str(row.metric))}, {what}", FAIL, why, limit))
    return rows


def _memory(one: Comparison, limit: float) -> list[dict[str, Any]]:
    """A new or larger leak. The intervals must not overlap and the rise must exceed the limit, since the bytes kept for
    random receipts vary a little."""
    rows = []
    for row in one.memory.itertuples():
        if not row.verdict or (row.function != "(whole)" and row.verdict != "dearer"):
            continue
        name = "bytes kept per receipt" if row.function == "(whole)" else f"bytes kept by {name_of(str(row.function))}"
        why = f"{amount(row.before, 'bytes')} to {amount(row.after, 'bytes')} a receipt ({row.verdict})"
        values = {"mode": "massif", "metric": "bytes_kept", "unit": "bytes", "change_pct": math.nan}
        worse = row.verdict == "dearer" and row.after - row.before > limit / 100 * abs(row.before)
        rows.append(_check(row, name, FAIL if worse else PASS, why, limit, **values))
    return rows


def _load(one: Comparison, limit: float) -> list[dict[str, Any]]:
    from workbench.compare.loaded import checks

    return [_check(_Row(values), **given) for values, given in checks(one.load, one.outcomes, limit)]


class _Row:
    """Values by name, like a row of a table."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)
