"""Answers to the guide's four questions, per receipt: short sentences with figures, from the tables of this room.

A question that was not measured has no sentences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.analysis.costs import PLACE, REST, cost_per_receipt, windows_of
from workbench.analysis.growth import Growth, growth
from workbench.analysis.leaks import LEAK, TIMED, UNEVEN, WARM_UP, Leaks
from workbench.analysis.refusals import ALL_DENIED, counted, left_out
from workbench.numbers import amount, figure

if TYPE_CHECKING:
    import pandas as pd

CPU = "Where does CPU time go, per receipt?"
LEAKS = "Is there a memory leak?"
CACHES = "Are caches or branches the bottleneck?"
SYSCALLS = "Is there a system-call bottleneck?"
BACKGROUND = "What does the idle service cost?"
_TOP = 3
# the CPU answer uses the first of these metrics that a mode has
_CPU_METRICS = ("Ir", "cpu", "time", "hits", "samples")
# a larger share of fixed cost hides what receipts cost
_MOSTLY_FIXED_PCT = 50.0
_LEAST_FIXED_PCT = 0.1
# these restart the service for every window
_STARTED_IN_WINDOW = ("pprofile",)
_CYCLES = {"L1m": 10, "LLm": 100, "Bm": 10}  # weights of the cycle estimate, see profiles.views.derived
# below this share of the estimated cycles, misses are not the first place to look
_SMALL_PCT = 10.0
_WORDS = {"Ir": "instructions", "cpu": "of CPU time", "samples": "samples", "hits": "lines of Python"}


def answers(
    costs: pd.DataFrame, leaks: Leaks | None = None, background: pd.DataFrame | None = None
) -> dict[str, list[str]]:
    """The answers for one service, from the windows of one mode or several, the leak rates of massif, and the
    background that was subtracted from all figures (see :mod:`workbench.analysis.background`)."""
    said: dict[str, list[str]] = {CPU: [], LEAKS: [], CACHES: [], SYSCALLS: [], BACKGROUND: []}
    for mode in dict.fromkeys(costs["mode"]):
        rows = costs[costs["mode"] == mode]
        metrics = set(rows["metric"])
        if mode == "strace":
            said[SYSCALLS] += syscall_answer(rows)
        elif metric := next((name for name in _CPU_METRICS if name in metrics), None):
            said[CPU] += cpu_answer(rows, metric)
            said[CACHES] += cache_answer(rows)
            if "sysCount" in metrics and _measured(rows, "sysCount"):
                calls = cost_per_receipt(rows, "sysCount", "whole").iloc[0]
                said[SYSCALLS].append(f"By {mode}, a receipt makes {figure(calls['per_receipt'])} system calls.")
        if background is not None:
            said[BACKGROUND] += background_answer(background, mode)
    if leaks is not None:
        said[LEAKS] += leak_answer(leaks)
    if "massif" in set(costs["mode"]):
        said[LEAKS] += _allocated(costs[costs["mode"] == "massif"])
    return said


def background_answer(background: pd.DataFrame, mode: str) -> list[str]:
    """The cost of an idle service in one mode, in that mode's main metric."""
    rows = background[background["mode"] == mode]
    first = next((name for name in (*_CPU_METRICS, "calls", "bytes_kept") if name in set(rows["metric"])), None)
    if first is None:
        return []
    row = rows[rows["metric"] == first].iloc[0]
    if not row["told"] or first == "bytes_kept":
        return [f"By {mode}: {row['sentence']}"] if not row["told"] else []
    word = _WORDS.get(first, first)
    each, alone = (
        _amount(row[name], str(row["unit"]), word) for name in ("cost_per_receipt", "background_per_receipt")
    )
    second = _amount(row["per_second"], str(row["unit"]), word)
    return [
        f"By {mode}: {row['sentence']} A second without receipts costs {second}; in the steps, a receipt costs {each} "
        f"without background, and background adds {alone}."
    ]


def cpu_answer(costs: pd.DataFrame, metric: str) -> list[str]:
    """What a receipt costs in one service and mode: where, what is fixed, and what grows."""
    if not _measured(costs, metric):
        return [f"The cost of a receipt is not known: {ALL_DENIED}."]
    found = growth(costs, metric)
    whole = growth(costs, metric, "whole").table
    if whole.empty:
        return [f"{metric} was not measured."]
    mode, all_ = str(costs["mode"].iloc[0]), whole.iloc[0]
    unit, word = str(all_["unit"]), _WORDS.get(metric, metric)
    average = _amount(all_["average_per_receipt"], unit, word)
    told = bool(np.isfinite(all_["fixed"]))
    fixed_pct = 100 * all_["fixed"] * found.points["step"].nunique() / all_["cost"] if told else 0.0
    said = []
    if told:
        said.append(
            f"By {mode}, a receipt costs {average} on average; one more costs "
            f"{_amount(all_['marginal_per_receipt'], unit, word)} ({_amount(all_['marginal_low'], unit)} to "
            f"{_amount(all_['marginal_high'], unit)}), and each step has {_amount(all_['fixed'], unit, word)} of fixed "
            "cost."
        )
    elif mode in _STARTED_IN_WINDOW:
        said += [
            f"By {mode}, a receipt costs {average}, start-up included.",
            f"{mode} restarts the service for each window, so this includes its start-up. Steps of three sizes "
            "separate the two.",
        ]
    else:
        said += [
            f"By {mode}, a receipt costs {average}.",
            "This includes each step's fixed cost, which these steps cannot separate.",
        ]
    places = found.table[found.table["name"] != REST]
    if fixed_pct > _MOSTLY_FIXED_PCT:
        said.append(f"One more receipt costs most in {_dearest(places, 'marginal', unit)}.")
    else:
        said.append(f"Most of it is in {_dearest(places, 'average', unit)}.")
    said += growth_answer(found)
    fixed = places[places["fixed"] > 0].sort_values("fixed", ascending=False, kind="stable")
    if fixed_pct >= _LEAST_FIXED_PCT and len(fixed):
        said.append(
            f"{fixed_pct:.1f} % of the cost does not depend on the number of receipts; most of it is in "
            f"{fixed['name'].iloc[0]}."
        )
    already = found.flagged()[list(PLACE)]
    before = growth(costs, metric, against="accumulated").flagged().merge(already, how="left", indicator="seen")
    return said + [
        f"{row.name_} costs more per receipt the more were sent before: {row.rise_pct:,.0f} % more at the end of the "
        "sweep."
        for row in before[before["seen"] == "left_only"].head(_TOP).rename(columns={"name": "name_"}).itertuples()
    ]


def growth_answer(found: Growth) -> list[str]:
    """The places that grow faster than the load."""
    said = [found.sentence]
    # three steps do not show whether it is n log n or quadratic
    lawful = found.chosen_by in ("AICc", "leave-one-out")
    for row in found.flagged().head(_TOP).rename(columns={"name": "name_"}).itertuples():
        said.append(
            f"{row.name_} grows faster than the load{f' ({row.growth_term})' if lawful else ''}: its cost per receipt "
            f"rises by {row.rise_pct:,.0f} % over the sweep. It is {row.marginal_share_pct:.0f} % of the cost of one "
            f"more receipt and {row.average_share_pct:.0f} % of the average cost."
        )
    return said


def leak_answer(leaks: Leaks) -> list[str]:
    """The places that leak, at what rate, and those that only look like a leak."""
    said = [leaks.sentence]
    for row in leaks.table[leaks.table["flag"] == LEAK].iloc[1:_TOP].itertuples():
        said.append(f"{row.allocator} keeps {row.rate:,.1f} bytes per receipt.")
    uneven = leaks.table[leaks.table["flag"] == UNEVEN]
    if len(uneven):
        most = uneven.sort_values("kept_bytes", ascending=False, kind="stable").iloc[0]
        said.append(
            f"{most['allocator']} holds {most['kept_bytes']:,.0f} bytes more at the end than after the first step, "
            "but does not grow with the receipts."
        )
    timed = leaks.table[leaks.table["flag"] == TIMED]
    if len(timed):
        most = timed.sort_values("background", ascending=False, kind="stable").iloc[0]
        said.append(
            f"{most['allocator']} grows without receipts too: {most['background']:,.1f} bytes per receipt are due to "
            "time, not to receipts."
        )
    warm_up = leaks.table[leaks.table["flag"] == WARM_UP]
    if len(warm_up):
        most = warm_up.sort_values("first_step_bytes", ascending=False, kind="stable").iloc[0]
        said.append(
            f"{most['allocator']} rose by {most['first_step_bytes']:,.0f} bytes in the first step only: that is "
            "warm-up."
        )
    return said


def cache_answer(costs: pd.DataFrame) -> list[str]:
    """Cache and branch misses per receipt, where they occur, and their share of the estimated cycles; of one service
    and mode."""
    metrics = set(costs["metric"])
    if "CEst" not in metrics or "L1m" not in metrics or not _measured(costs, "CEst"):
        return []
    cycles = float(cost_per_receipt(costs, "CEst", "whole")["per_receipt"].iloc[0])
    said, heaviest = [], 0.0
    for metric, what in (
        ("L1m", "L1 cache misses"),
        ("LLm", "last-level cache misses"),
        ("Bm", "mispredicted branches"),
    ):
        if metric not in metrics:
            continue
        misses = float(cost_per_receipt(costs, metric, "whole")["per_receipt"].iloc[0])
        part = 100 * _CYCLES[metric] * misses / cycles if cycles else 0.0
        heaviest = max(heaviest, part)
        worst = _largest(cost_per_receipt(costs, metric))
        said.append(f"A receipt has {figure(misses)} {what}, {part:.0f} % of its estimated cycles{worst}.")
    verdict = "Not the first place to look" if heaviest < _SMALL_PCT else "Worth looking at"
    return [f"{verdict}: a receipt takes about {figure(cycles)} estimated cycles.", *said]


def syscall_answer(costs: pd.DataFrame) -> list[str]:
    """System calls per receipt, the most frequent and the slowest, and which grow; for one service under strace."""
    if costs.empty or not _measured(costs, str(costs["metric"].iloc[0])):
        return [f"The system calls of a receipt are not known: {ALL_DENIED}."] if len(costs) else []
    whole = {
        metric: float(cost_per_receipt(costs, metric, "whole")["per_receipt"].iloc[0])
        for metric in ("calls", "working", "waiting", "undecided")
        if (costs["metric"] == metric).any()
    }
    said = []
    if "calls" in whole:
        table = cost_per_receipt(costs, "calls")
        rows = "; ".join(
            f"{name} {figure(each)}"
            for name, each in zip(table["name"][:_TOP], table["per_receipt"][:_TOP], strict=True)
        )
        said.append(f"A receipt makes {figure(whole['calls'])} system calls: {rows}.")
    if "working" in whole and "waiting" in whole:
        either = whole.get("undecided", 0.0)
        undecided = f"; for {_amount(either, 'ns')} the log does not show which" if either > 0 else ""
        said.append(
            f"It spends {_amount(whole['working'], 'ns')} working in them"
            f"{_largest(cost_per_receipt(costs, 'working'))} and {_amount(whole['waiting'], 'ns')} waiting{undecided}, "
            "strace's own overhead included."
        )
    if "calls" in whole:
        found = growth(costs, "calls")
        if len(found.flagged()):
            return said + growth_answer(found)
    return said + _left_out(costs, str(costs["metric"].iloc[0]))


def _allocated(costs: pd.DataFrame) -> list[str]:
    if not (costs["metric"] == "bytes_allocated").any() or not _measured(costs, "bytes_allocated"):
        return []
    row = cost_per_receipt(costs, "bytes_allocated", "whole").iloc[0]
    return [f"A receipt allocates {figure(row['per_receipt'])} bytes, allocator overhead included."]


def _measured(costs: pd.DataFrame, metric: str) -> bool:
    """Whether any step has served receipts, so that their cost is known."""
    windows = windows_of(costs, metric)
    return windows.empty or bool(counted(windows).any())


def _left_out(costs: pd.DataFrame, metric: str) -> list[str]:
    note = left_out(windows_of(costs, metric)["denied"].tolist())
    return [note] if note else []


def _dearest(places: pd.DataFrame, which: Literal["average", "marginal"], unit: str) -> str:
    """The places where a receipt costs most."""
    each, share = f"{which}_per_receipt", f"{which}_share_pct"
    first = places.sort_values(each, ascending=False, kind="stable").head(_TOP)
    return "; ".join(
        f"{name} with {_amount(cost, unit)} ({pct:.1f} %)"
        for name, cost, pct in zip(first["name"], first[each], first[share], strict=True)
    )


def _largest(table: pd.DataFrame) -> str:
    rows = table[table["name"] != REST]
    if rows.empty or not rows["per_receipt"].iloc[0]:
        return ""
    return f", most in {rows['name'].iloc[0]} ({100 * rows['cost'].iloc[0] / table['cost'].sum():.0f} %)"


def _amount(value: float, unit: str, word: str = "") -> str:
    return f"{amount(value, unit)} {word}".rstrip()
