"""The gate's result as text for the shell and as Markdown for a pull request."""

from __future__ import annotations

import re

from workbench.compare.comparison import Comparison
from workbench.compare.gate import FAIL, PASS, Gate
from workbench.compare.told import headline

_MARKS = {FAIL: "✗", PASS: "✓"}
_STATES = {
    "PASS": "No check failed",
    "FAIL": "A receipt costs more",
    "INVALID": "Nothing to judge: no figure is exact or certain enough on both sides",
}
_MOST_CAUSES = 10


def text(gate: Gate) -> str:
    """One line per check, the failed ones first, and the state at the end."""
    lines = [f"{gate.run} against {gate.baseline}, at most {gate.limit_pct:g} % more"]
    table = gate.table.sort_values("verdict", key=lambda column: column.map({FAIL: 0, PASS: 1}), kind="stable")
    lines += [f"{_MARKS.get(row.verdict, '-')} {row.name}: {row.why}" for row in table.itertuples(index=False)]
    lines.append(f"{gate.state}: {_STATES[gate.state]}.")
    return "\n".join([*lines, *(f"Note: {note}." for note in gate.notes)])


def markdown(gate: Gate, comparison: Comparison) -> str:
    """The table for a pull request: the state, the checks, and the changes that explain them."""
    lines = [
        f"### {_MARKS.get(gate.state.lower(), '⚠')} What a receipt costs: {gate.state}",
        "",
        f"`{gate.run}` against `{gate.baseline}`, at most {gate.limit_pct:g} % more. {_STATES[gate.state]}.",
        "",
        "| | check | before | after | change | |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in gate.table.itertuples(index=False):
        cells = [
            _MARKS.get(row.verdict, "-"),
            row.name,
            _number(row.before),
            _number(row.after),
            _percent(row.change_pct),
        ]
        lines.append(f"| {' | '.join(_cell(str(cell)) for cell in (*cells, row.why))} |")
    causes = comparison.of(gate.run).causes.head(_MOST_CAUSES)
    if len(causes):
        said = [f"{rank}. {_prose(sentence)}" for rank, sentence in enumerate(causes["sentence"], 1)]
        lines += ["", "**What explains it**", "", *said]
    lines += ["", "<details><summary>All that was measured</summary>", ""]
    lines += [*(f"- {_prose(line)}" for line in headline(comparison.of(gate.run))), "", "</details>"]
    lines += [f"\n> {_prose(note)}." for note in gate.notes]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _percent(value: float) -> str:
    return "" if value != value else ("new" if value == float("inf") else f"{value:+.2f} %")


def _cell(value: str) -> str:
    """Text escaped for a cell of a table."""
    return _prose(value).replace("|", "\\|").replace("\n", " ")


def _prose(value: str) -> str:
    """Text with the characters of Markdown escaped, as in names of functions."""
    return re.sub(r"([*_`<>\[\]])", r"\\\1", value)
