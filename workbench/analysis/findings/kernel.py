"""System calls as findings: how many a receipt makes, and which of them it waits in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.analysis.costs import REST, cost_by_step, cost_per_receipt, windows_of
from workbench.analysis.denied import counted
from workbench.analysis.findings.model import Finding, Size
from workbench.analysis.findings.words import amount, figure, percent

if TYPE_CHECKING:
    from workbench.analysis.findings.measured import Measured

# In these a thread waits for work: what a receipt waits for is elsewhere.
_FOR_WORK = frozenset(
    {
        "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select",
        "pselect6", "futex", "futex_wait", "nanosleep", "clock_nanosleep", "accept",
        "accept4", "wait4", "waitid", "rt_sigtimedwait", "rt_sigsuspend", "pause",
        "restart_syscall", "io_uring_enter", "io_getevents",
    }
)  # fmt: skip
# of the time from one receipt to the next, that a call waits
LEAST_WAITING_PCT = 10.0
MANY_CALLS = 10.0
_WHOLE = 0.02
_FEWEST_STEPS = 3
_TOP = 3
# how many calls a receipt makes is worth knowing, and by itself no fault
_WEIGHT = 0.3


def waiting(one: Measured) -> list[Finding]:
    """Calls that a receipt waits in, other than for work to come. Of strace, whose own stops are part of it."""
    if one.mode != "strace" or not (one.costs["metric"] == "waiting").any():
        return []
    windows = windows_of(one.costs, "waiting")
    windows = windows[counted(windows)]
    between = 1e9 * float(windows["seconds"].sum()) / max(float(windows["receipts"].sum()), 1.0)
    if not between > 0 or windows["seconds"].isna().any():
        return []
    table = cost_per_receipt(one.costs, "waiting")
    table = table[~table["name"].isin(_FOR_WORK) & (table["name"] != REST)]
    found = []
    for row in table[100 * table["per_receipt"] / between >= LEAST_WAITING_PCT].to_dict("records"):
        each, share = float(row["per_receipt"]), 100 * float(row["per_receipt"]) / between
        found.append(
            Finding(
                kind="waiting",
                service=one.service,
                mode=one.mode,
                subject=str(row["name"]),
                sentence=(
                    f"A receipt waits {amount(each, 'ns')} in {row['name']}, {percent(share)} of the time from one "
                    "receipt to the next, strace's own stops included."
                ),
                metric="waiting",
                size=Size(each, "ns", float(row["lowest"]), float(row["highest"])),
                share_pct=share,
                saving_pct=math.nan,
                certainty="lowest and highest are of the steps; threads wait at the same time",
                confidence=0.8,
                todo="See which file or connection it is, and whether the receipt has to wait for it",
                shown="table of what a receipt costs, by system call",
                weight=min(share, 50.0),
                evidence=table[table["name"] == row["name"]].reset_index(drop=True),
                names=(str(row["name"]),),
            )
        )
    return found


def many_calls(one: Measured) -> list[Finding]:
    """How many system calls a receipt makes, where they are many, and which are made a whole number of times."""
    if one.mode != "strace" or not (one.costs["metric"] == "calls").any():
        return []
    table = cost_per_receipt(one.costs, "calls")
    whole = cost_per_receipt(one.costs, "calls", "whole")
    if table.empty or whole.empty or float(whole["per_receipt"].iloc[0]) < MANY_CALLS:
        return []
    row = whole.to_dict("records")[0]
    each = float(row["per_receipt"])
    exact = _exact(one)
    top = ", ".join(
        f"{name} {exact.get(name, figure(count))}"
        for name, count in zip(table["name"][:_TOP], table["per_receipt"][:_TOP], strict=True)
    )
    first = float(table["share_pct"].iloc[0])
    return [
        Finding(
            kind="system calls",
            service=one.service,
            mode=one.mode,
            subject=str(table["name"].iloc[0]),
            sentence=f"A receipt makes {figure(each)} system calls: {top}.",
            metric="calls",
            size=Size(each, "count", float(row["lowest"]), float(row["highest"])),
            share_pct=first,
            saving_pct=math.nan,
            certainty="counted; lowest and highest are of the steps",
            confidence=0.95,
            todo="Read and write more at once, if these are what takes the time",
            shown="table of what a receipt costs, by system call",
            weight=_WEIGHT,
            evidence=table.head(10),
            names=tuple(table["name"][:_TOP]),
        )
    ]


def _exact(one: Measured) -> dict[str, str]:
    """The calls that each receipt makes a whole number of times, in every step."""
    steps = cost_by_step(one.costs, "calls")
    steps = steps[counted(steps)]
    found = {}
    for name, rows in steps.groupby("name", sort=False):
        each = rows["cost_per_receipt"]
        k = round(float(each.mean()))
        if len(rows) >= _FEWEST_STEPS and k >= 2 and bool(((each - k).abs() <= _WHOLE * k).all()):
            found[str(name)] = f"exactly {k}"
    return found
