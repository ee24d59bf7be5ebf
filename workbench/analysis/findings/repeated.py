"""Work repeated within a receipt, from a call graph with counts: a function that each receipt calls k times.

A program that does the same for each receipt has whole counts everywhere. Only work that could be left out is named:

- it is called k = 2, 3 .. MOST_TIMES times a receipt, a whole number within TOLERANCE in every step;
- it is LEAST_SHARE of the cost, or LEAST_SHARE_APART and called from several places;
- each call does the same work (a future that is polled three times until it is ready does its work once, see
  :class:`workbench.analysis.findings.calls.Calls`), and a call costs about the same from each caller;
- the service calls it: not a library internally, deeper than DEEPEST library calls or always within one library call.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.costs import UNNAMED, chosen, windows_of
from workbench.analysis.findings.calls import ROOT, Calls
from workbench.analysis.findings.code import LIBRARY, OWN, PLUMBING, short
from workbench.analysis.findings.model import Finding, Size, folded
from workbench.analysis.findings.words import amount, times
from workbench.analysis.refusals import counted
from workbench.numbers import percent
from workbench.profiles.names import base_name, tidy_file
from workbench.profiles.transforms.group import legible

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

TOLERANCE = 0.02
MOST_TIMES = 20
LEAST_SHARE = 0.05
LEAST_SHARE_APART = 0.005
DEEPEST = 3
# least share of a function's cost that every call of it has
LEAST_SAME = 0.8
# a call by one caller costs at least this part of the mean, and at most its inverse
_EVEN = 0.5
# callers with a smaller share of all calls are ignored
_LEAST_CALLS = 0.02
# a function with this share of the whole cost handles the whole receipt: work within it is not internal to one call
_ALL = 0.9
_CALLERS_SAID = 5
# code without a symbol has an address for a name; a callee with nearly the same cost is named instead
_NAMELESS = re.compile(r"\+0x[0-9a-f]+$")


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Calls per receipt of each place in each counted step, and its cost per receipt with everything it called."""

    times: dict[tuple[str, str, str], list[float]]
    per_receipt: dict[tuple[str, str, str], float]
    whole: float
    steps: int

    @classmethod
    def of(cls, costs: pd.DataFrame, metric: str) -> Counted:
        """From a table of costs of one service and mode, background subtracted."""
        windows = windows_of(costs, metric)
        windows = windows[counted(windows)]
        receipts = windows.set_index("step")["receipts"]
        rows = chosen(costs, metric, "function")
        rows = rows[rows["step"].isin(receipts.index) & rows["calls"].notna()]
        keys = ["name", "file", "object"]
        each = rows["calls"].astype("float64") / rows["step"].map(receipts)
        times_, cost = each.groupby([rows[key] for key in keys]), rows.groupby(keys)["total"].sum() / receipts.sum()
        return cls(
            {key: group.tolist() for key, group in times_},
            cost.to_dict(),
            float(windows["whole"].sum()) / max(float(receipts.sum()), 1.0),
            len(windows),
        )

    def whole_times(self, key: tuple[str, str, str]) -> int:
        """Calls of a place per receipt, if that is the same whole number from 2 on in every step; else 0."""
        found = self.times.get(key, [])
        if len(found) < self.steps or not found:
            return 0
        k = round(float(np.mean(found)))
        within = all(abs(one - k) <= TOLERANCE * k for one in found)
        return k if 2 <= k <= MOST_TIMES and within else 0


def repeated_work(costs: pd.DataFrame, profile: Profile, metric: str, *, service: str, mode: str) -> list[Finding]:
    """The findings of one service. ``costs``: its table, background subtracted; ``profile``: the call graph of its
    largest step. Symptoms of another are folded into it."""
    profile = legible(profile)
    if profile.basis != "graph" or profile.functions["calls"].isna().all() or costs.empty:
        return []
    known = Counted.of(costs, metric)
    calls = Calls.of(profile, metric)
    found: dict[int, Finding] = {}
    inside: dict[int, int] = {}
    symptoms: list[Finding] = []
    for function in np.argsort(-calls.total, kind="stable").tolist():
        if calls.total[function] < LEAST_SHARE_APART * max(float(calls.own.sum()), 1.0):
            break
        k = known.whole_times(_key(calls, function))
        named = _NAMELESS.search(str(calls.functions["function"].iloc[function])) is None
        if not k or not named or calls.cyclic[function] or calls.role[function] == PLUMBING:
            continue
        if calls.same[function] < LEAST_SAME:
            continue
        cause = next((one for one in calls.dominators(function) if one in found), None)
        if cause is not None:
            # all its calls are within repeated work, so it is a symptom; other internal work of a library is ignored
            inside[function] = cause
        elif _asked_by_the_service(calls, function) and _matters(calls, known, function):
            found[function] = _finding(calls, known, profile, function, k, metric, service, mode)
    least = LEAST_SHARE * float(calls.own.sum())
    for function, cause in inside.items():
        if calls.total[function] >= least:
            k = known.whole_times(_key(calls, function))
            symptom = _finding(calls, known, profile, function, k, metric, service, mode)
            symptoms.append(folded(symptom, found[cause]))
    return [*found.values(), *symptoms]


def _key(calls: Calls, function: int) -> tuple[str, str, str]:
    row = calls.functions.iloc[function]
    return (row["function"] or UNNAMED, row["file"], row["object"])


def _asked_by_the_service(calls: Calls, function: int) -> bool:
    """Whether the service makes the calls, and not a single library call internally."""
    if calls.role[function] == LIBRARY and calls.depth[function] > DEEPEST:
        return False
    # a function that is called as often does not repeat it; a loop that was entered before the window has no calls
    most = (1 - TOLERANCE) * calls.calls[function]
    fewer = (one for one in calls.dominators(function) if 0 < calls.calls[one] < most)
    within = next((one for one in fewer if calls.role[one] != PLUMBING), ROOT)
    all_of_it = _ALL * float(calls.own.sum())
    return within == ROOT or calls.role[within] == OWN or bool(calls.total[within] >= all_of_it)


def _matters(calls: Calls, known: Counted, function: int) -> bool:
    """Whether its share of the cost is large enough, and a call costs about the same from each caller."""
    each = known.per_receipt.get(_key(calls, function), 0.0)
    share = each / known.whole if known.whole else 0.0
    edges = _callers(calls, function)
    per_call = calls.edge_cost[edges] / calls.edge_calls[edges]
    if len(edges) == 0:
        return False
    mean = float(calls.edge_cost[edges].sum() / calls.edge_calls[edges].sum())
    even = bool((per_call >= _EVEN * mean).all() and (per_call <= mean / _EVEN).all())
    apart = len(edges) > 1 and float(calls.edge_calls[edges].max() / calls.edge_calls[edges].sum()) <= 0.6
    return even and (share >= LEAST_SHARE or (apart and share >= LEAST_SHARE_APART))


def _callers(calls: Calls, function: int) -> np.ndarray:
    """The edges by which it is called, except rare ones."""
    edges = calls.into(function)
    least = _LEAST_CALLS * max(float(calls.edge_calls[edges].sum()), 1.0)
    return np.asarray(edges[calls.edge_calls[edges] >= least])


def _finding(
    calls: Calls, known: Counted, profile: Profile, function: int, k: int, metric: str, service: str, mode: str
) -> Finding:
    name = str(calls.functions["function"].iloc[function])
    each = known.per_receipt.get(_key(calls, function), 0.0)
    share = 100 * each / known.whole if known.whole else math.nan
    edges = _callers(calls, function)
    per_call = calls.edge_cost[edges] / calls.edge_calls[edges] if len(edges) else np.array([0.0])
    mean = max(float(np.average(per_call)), 1e-9)
    once = each / k
    low, high = (each - once * float(bound) / mean for bound in (per_call.max(), per_call.min()))
    saving = share * (k - 1) / k
    evidence = _evidence(calls, profile, edges, function, k, metric)
    callers = list(dict.fromkeys(evidence["asked by"]))
    more = f" and {len(callers) - _CALLERS_SAID} more" if len(callers) > _CALLERS_SAID else ""
    unit = profile.metric(metric).unit
    sentence = (
        f"{short(name)} is called {times(k)} a receipt: {amount(each, unit, metric)}, {percent(share)} of what a "
        f"receipt costs. Calling it once saves {percent(saving)}. Called by {', '.join(callers[:_CALLERS_SAID])}{more}."
    )
    steps = "one step" if known.steps == 1 else f"each of {known.steps} steps"
    return Finding(
        kind="repeated work",
        service=service,
        mode=mode,
        subject=name,
        sentence=sentence,
        metric=metric,
        size=Size(each, unit, each, each),
        share_pct=share,
        saving_pct=saving,
        certainty=f"counted exactly, {k} in {steps}; whether its arguments are the same each time is not known",
        confidence=0.95 if known.steps > 1 else 0.9,
        todo="Do it once and pass the result on; where each caller needs its own, make each cheaper",
        shown="table of what a receipt costs by function, and the flame graph of a step",
        weight=saving,
        evidence=evidence.assign(saves_low=low, saves_high=high),
        names=(name,),
    )


def _evidence(calls: Calls, profile: Profile, edges: np.ndarray, function: int, k: int, metric: str) -> pd.DataFrame:
    """The callers: caller, asked by (the service's own code above it), calls a receipt, part of the cost."""
    total = max(float(calls.total[function]), 1.0)
    made = max(float(calls.calls[function]), 1.0)
    return pd.DataFrame(
        {
            "function": str(calls.functions["function"].iloc[function]),
            "caller": [short(str(calls.functions["function"].iloc[int(calls.caller[edge])])) for edge in edges],
            "asked by": [_asker(calls, profile, int(edge), metric) for edge in edges],
            "calls per receipt": [k * float(calls.edge_calls[edge]) / made for edge in edges],
            "share_pct of it": [100 * float(calls.edge_cost[edge]) / total for edge in edges],
        }
    )


def _asker(calls: Calls, profile: Profile, edge: int, metric: str) -> str:
    """The service's own code that a call came from: the nearest function of its own, or the line of its own files that
    was inlined into a caller."""
    seen: set[int] = set()
    while True:
        caller = int(calls.caller[edge])
        name = short(str(calls.functions["function"].iloc[caller]))
        if calls.role[caller] == OWN:
            # its caller may be known only by a line, such as a middleware inlined into the framework
            lines = [_line(calls, profile, int(one), metric) for one in calls.into(caller)[:1]]
            return f"{name} ({lines[0]})" if lines and lines[0] else name
        if line := _line(calls, profile, edge, metric):
            return line
        above = calls.into(caller)
        if calls.cyclic[caller] or caller in seen or not len(above):
            return name
        seen.add(caller)
        if calls.role[caller] == PLUMBING and len(above) > 1:
            return name
        edge = int(above[0])


def _line(calls: Calls, profile: Profile, edge: int, metric: str) -> str:
    """The line outside of packages where a call was made, found by its cost; "" if there is none."""
    column = f"called_{metric}"
    if column not in profile.lines:
        return ""
    lines = profile.lines
    rows = lines[(lines["function_id"] == int(calls.caller[edge])) & (lines[column] > 0)]
    same = rows[np.isclose(rows[column].to_numpy(dtype=np.float64), float(calls.edge_cost[edge]), rtol=0.005)]
    caller_file = tidy_file(str(calls.functions["file"].iloc[int(calls.caller[edge])]))
    for row in same.itertuples():
        file = tidy_file(str(row.file))
        if file.startswith("/") and file != caller_file:
            return f"{base_name(file)}:{row.line}"
    return ""
