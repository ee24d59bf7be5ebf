"""A comparison as the shell shows it: what changed first, then the tables, then what could not be determined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.analysis.findings.code import short
from workbench.compare.followed import CAME, WENT
from workbench.compare.words import amount, change, pair

if TYPE_CHECKING:
    from workbench.compare.comparison import Comparison

_MOST = 12
_QUIET = ("L1m", "LLm", "Bm", "CEst", "samples", "errors", "sysTime", "sysCpuTime")


def text(comparison: Comparison) -> str:
    """Paragraphs, one comparison after the other."""
    parts = []
    for run in comparison.after:
        one = comparison.of(run)
        lines = [f"{comparison.before} (before) and {run} (after)", *_unlike(one.unlike), ""]
        lines += [*headline(one), ""]
        for title, said in (
            ("What explains it", _causes(one)),
            ("Findings", _findings(one.findings)),
            ("System calls and samples that changed", _places(one.places)),
            ("Memory kept", _memory(one.memory)),
            ("Load", _load(one)),
        ):
            if said:
                lines += [f"{title}:", *said, ""]
        parts.append("\n".join(lines).rstrip())
    notes = [f"Note: {note}." for note in comparison.notes]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def opening(comparison: Comparison) -> str:
    """The same without the parts shown as tables: which runs are compared, what a receipt costs, and the notes."""
    parts = [
        [f"{comparison.before} (before) and {run} (after)", *_unlike(one.unlike), *headline(one)]
        for run in comparison.after
        for one in [comparison.of(run)]
    ]
    notes = [f"Note: {note}." for note in comparison.notes]
    return "\n\n".join("\n".join(lines) for lines in [*parts, notes] if lines)


def headline(one: Comparison) -> list[str]:
    """One sentence per metric: what a receipt costs on both sides."""
    said = []
    for row in main_metrics(one.metrics).itertuples():
        noise = f"; repeats differ by {row.noise_pct:.2g} %" if row.noise_pct == row.noise_pct else ""
        interval = (
            f" ({row.low_pct:+.1f} to {row.high_pct:+.1f} %)"
            if row.low_pct == row.low_pct and row.low_pct != row.high_pct
            else ""
        )
        verdict = row.verdict or "times under a profiler are not compared"
        said.append(
            f"{row.service}, {row.mode}: {pair(row.before, row.after, row.unit, row.metric)} a receipt, "
            f"{change(row.change_pct)}{interval}: {verdict}{noise}."
        )
    return said or ["No cost per receipt was measured in both runs."]


def main_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the main metrics; the others are parts of these."""
    return metrics[~metrics["metric"].isin(_QUIET)]


def _unlike(table: pd.DataFrame) -> list[str]:
    return [f"  different {row.what}: {row.before} before, {row.after} after" for row in table.itertuples()]


def _causes(one: Comparison) -> list[str]:
    said = []
    for rank, row in enumerate(one.causes.head(_MOST).itertuples(), 1):
        said.append(f"{rank:3}. {row.sentence}")
        if row.symptom_sentence and row.metric not in ("allocations", "locks taken", "system calls"):
            said.append(f"     {row.symptom_sentence}")
    if len(one.causes) > _MOST:
        said.append(f"     {len(one.causes) - _MOST} smaller ones are in the table.")
    if not said and (one.metrics["metric"] == "Ir").any():
        said.append("     no change in the program was found that changed the cost of a receipt")
    return said


def _findings(table: pd.DataFrame) -> list[str]:
    said = []
    for row in table[~table["folded"].astype(bool)].itertuples():
        if row.state == WENT:
            foretold = f" Predicted to save {row.foretold_pct:.1f} %" if row.foretold_pct == row.foretold_pct else ""
            saved = f"; the change saved {row.saved_pct:.1f} %" if foretold and row.saved_pct == row.saved_pct else ""
            said.append(f"  gone: {row.before}{foretold}{saved}{'.' if foretold else ''}")
        elif row.state == CAME:
            said.append(f"  new: {row.after}")
        else:
            shares = f"{row.share_before_pct:.1f} % of a receipt before, {row.share_after_pct:.1f} % after"
            said.append(f"  still there: {row.kind}, {short(row.subject)}: {shares}")
    return said


def _places(table: pd.DataFrame) -> list[str]:
    rows = table[
        (table["by"] == "function") & table["verdict"].isin(("dearer", "cheaper")) & (table["kind"] != "exact")
    ]
    said = []
    for row in rows.head(_MOST).itertuples(index=False):
        name = row.name if row.mode == "strace" else short(row.name)
        figures = pair(row.before, row.after, row.unit, row.metric)
        said.append(f"  {name}: {figures} a receipt, {change(row.change_pct)} (corrected p = {row.q:.2g})")
    counted = table[(table["by"] == "function") & (table["kind"] != "exact")]
    if len(counted) and not said:
        said.append(f"  none of {len(counted):,} differs by more than chance (false discovery rate 1 %)")
    return said


def _memory(table: pd.DataFrame) -> list[str]:
    rows = table[(table["function"] == "(whole)") | table["verdict"].isin(("dearer", "cheaper"))]
    return [
        f"  {row.service}, {'the heap' if row.function == '(whole)' else short(row.function)}: "
        f"{amount(row.before, 'bytes')} to {amount(row.after, 'bytes')} a receipt: {row.verdict or 'not known'}"
        for row in rows.itertuples()
    ]


def _load(one: Comparison) -> list[str]:
    from workbench.compare.loaded import said

    return said(one.load, one.outcomes, one.limit)
