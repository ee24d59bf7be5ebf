"""What notebook cells show besides charts. Nothing is computed here: frames and manifests in, escaped HTML
out.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench import numbers

if TYPE_CHECKING:
    import pandas as pd

    from workbench.profiles.model import Profile
    from workbench.runs.read import Run

VERDICT_MARKS = {"PASS": "✓ PASS", "FAIL": "✗ FAIL", "INVALID": "◇ INVALID"}
_VERDICT_COLOURS = {"PASS": "#007A5A", "FAIL": "#B34700", "INVALID": "#5F5F5F"}

# column of the steps frame -> heading with its unit, format
_STEP_COLUMNS = {
    "step": ("Step", "{:d}"),
    "kind": ("Kind", "{}"),
    "profiler": ("Profiler", "{}"),
    "verdict": ("Verdict", "{}"),
    "receipts": ("Receipts", "{:,d}"),
    "rate_per_s": ("Planned, 1/s", "{:,.4g}"),
    "concurrency": ("In flight", "{:,.0f}"),
    "accepted": ("Accepted", "{:,d}"),
    "denied": ("Denied", "{:,d}"),
    "failed": ("Other refusals", "{:,d}"),
    "throughput_per_s": ("Accepted, 1/s", "{:,.1f}"),
    "response_p50_ms": ("Response p50, ms", "{:,.2f}"),
    "response_p95_ms": ("Response p95, ms", "{:,.2f}"),
    "response_p99_ms": ("Response p99, ms", "{:,.2f}"),
    "lag_p99_ms": ("Lag p99, ms", "{:,.3f}"),
    "budget_receipts": ("Predicted limit", "{:,.0f}"),
    "first_refusal_index": ("First refused receipt", "{:,.0f}"),
    "denial_lag_receipts": ("Denial lag, receipts", "{:,.0f}"),
    "denial_lag_s": ("Denial lag, s", "{:,.3f}"),
    "denylist_lag_s": ("In the denylist after, s", "{:,.3f}"),
    "stored": ("Stored", "{:,.0f}"),
    "invalid": ("Invalid", "{:,.0f}"),
    "aggregated_grt": ("Aggregated, GRT", "{:,.4g}"),
    "reason": ("Reason", "{}"),
    "disturbances": ("What disturbed the generator", "{}"),
}

_FROM_ZERO = ("first_refusal_index",)  # people count from 1


@dataclass(frozen=True)
class View:
    """Something a cell shows: HTML in a notebook, text elsewhere."""

    as_html: str
    as_text: str

    def _repr_html_(self) -> str:
        return self.as_html

    def __repr__(self) -> str:
        return self.as_text


def steps_table(steps: pd.DataFrame) -> View:
    """The steps as a table with units in its headings; what a step does not have is a dash, not a number."""
    shown = {
        heading: [_cell(value + 1 if column in _FROM_ZERO else value, form, column) for value in steps[column]]
        for column, (heading, form) in _STEP_COLUMNS.items()
        if column in steps and _says_something(steps[column])
    }
    import pandas as pd

    table = pd.DataFrame(shown)
    return View(
        f'<div class="scroll" tabindex="0" style="overflow-x:auto">{table.to_html(index=False, border=0)}</div>',
        table.to_string(index=False),
    )


def _says_something(column: pd.Series) -> bool:
    """Whether any step has it; no profiler and no disturbance are nothing to say."""
    nothing = {"profiler": "none", "disturbances": ""}.get(str(column.name))
    return bool(column.notna().any() and not (nothing is not None and (column.fillna(nothing) == nothing).all()))


def table(frame: pd.DataFrame, rows: int | None = None) -> View:
    """A table of a profile as people read it: figures with separators, percentages with two decimals, a dash where
    there is no value. ``rows`` limits it; that more were left out is said below.
    """
    import pandas as pd

    shown = frame if rows is None else frame.head(rows)
    text = pd.DataFrame(
        {str(name): [_in_table(value, str(name)) for value in shown[name]] for name in shown}, dtype="str"
    )
    heading = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in text.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(value)}</td>" for value in row) + "</tr>"
        for row in text.itertuples(index=False, name=None)
    )
    left_out = f"{len(frame) - len(shown):,} more rows" if len(shown) < len(frame) else ""
    return View(
        '<div class="scroll" tabindex="0" style="overflow-x:auto">'
        f'<table class="dataframe"><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>'
        + (f"<p>{left_out}</p>" if left_out else ""),
        text.to_string(index=False) + (f"\n{left_out}" if left_out else ""),
    )


def notes(profile: Profile) -> View:
    """What is odd, assumed or dropped in a profile, and the parts of its header that say how it was made."""
    facts = {key: value for key, value in profile.meta.items() if isinstance(value, (str, int, float)) and value != ""}
    listed = "".join(f"<li>{html.escape(str(note))}</li>" for note in profile.notes) or "<li>Nothing.</li>"
    return View(
        f"<ul>{listed}</ul>{_group_html('Header', facts)}",
        "\n".join([*(f"- {note}" for note in profile.notes), json.dumps(facts, default=str)]),
    )


def verdict_box(run: Run) -> View:
    """The verdict of a run in words: what it is, what was measured, what was predicted, what came of it, and why."""
    manifest = run.manifest
    verdict = manifest.get("verdict") or {}
    sentences = [
        verdict.get("sentence") or f"The run is {manifest['state']}; there is no verdict.",
        (manifest.get("prediction") or {}).get("sentence"),
        (manifest.get("target") or {}).get("sentence"),
        (manifest.get("calibration") or {}).get("warning"),
    ]
    return _box(run.verdict, [sentence for sentence in sentences if sentence], verdict.get("reasons") or [])


def provenance(run: Run) -> View:
    """What was run, on what and with which settings, as one small table a group."""
    groups: dict[str, Mapping[str, Any]] = {
        "Run": {key: value for key, value in run.manifest.items() if not isinstance(value, (dict, list))}
    }
    groups |= {
        key.capitalize(): value
        for key, value in run.manifest.items()
        if isinstance(value, Mapping) and value and key not in ("limit", "verdict")
    }
    return View(
        "".join(_group_html(title, values) for title, values in groups.items()),
        "\n".join(f"{title}: {json.dumps(values, default=str)}" for title, values in groups.items()),
    )


def _box(verdict: str, sentences: list[str], reasons: list[str]) -> View:
    mark = VERDICT_MARKS.get(verdict, verdict)
    colour = _VERDICT_COLOURS.get(verdict, "#1A1A1A")
    listed = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    return View(
        f'<div class="verdict" style="border-left:6px solid {colour};padding:0.1em 1em">'
        f'<p><strong style="color:{colour}">{html.escape(mark)}</strong></p>{said}'
        + (f"<ul>{listed}</ul>" if listed else "")
        + "</div>",
        "\n".join([mark, *sentences, *(f"- {reason}" for reason in reasons)]),
    )


def _group_html(title: str, values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(str(key))}</th><td>{html.escape(_text(value))}</td></tr>'
        for key, value in values.items()
    )
    return (
        f"<details><summary>{html.escape(title)}</summary>"
        f'<div class="scroll" tabindex="0" style="overflow-x:auto"><table class="facts">{rows}</table></div></details>'
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _in_table(value: Any, column: str) -> str:
    import pandas as pd

    return numbers.cell(None if pd.isna(value) else value, column)


def _cell(value: Any, form: str, column: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return numbers.UNKNOWN
    return VERDICT_MARKS.get(value, str(value)) if column == "verdict" else form.format(value)
