"""What notebook cells show besides charts. Nothing is computed here: frames and manifests in, escaped HTML
out.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench import numbers
from workbench.analysis.badges import Badge, badges_of, worst

if TYPE_CHECKING:
    import pandas as pd

    from workbench.profiles.model import Profile
    from workbench.runs.read import Run

VERDICT_MARKS = {"PASS": "✓ PASS", "FAIL": "✗ FAIL", "INVALID": "◇ INVALID"}
_VERDICT_COLOURS = {"PASS": "#007A5A", "FAIL": "#B34700", "INVALID": "#5F5F5F"}

_BADGE_COLOURS = {"good": "#007A5A", "bad": "#B34700", "doubt": "#7A5F00", "none": "#5F5F5F"}

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
    "response_p95_low_ms": ("95 % sure: from", "{:,.2f}"),
    "response_p95_high_ms": ("to", "{:,.2f}"),
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
    "effective_n": ("As good as independent", "{:,.0f}"),
    "warm_up": ("Warm-up, receipts", "{:,.0f}"),
    "steadiness": ("Not steady", "{}"),
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
    nothing = {"profiler": "none", "disturbances": "", "steadiness": "", "warm_up": 0.0}.get(str(column.name))
    return bool(column.notna().any() and not (nothing is not None and (column.fillna(nothing) == nothing).all()))


def table(frame: pd.DataFrame, rows: int | None = None, links: Mapping[str, Sequence[str]] | None = None) -> View:
    """A table of a profile as people read it: figures with separators, percentages with two decimals, a dash where
    there is no value. ``rows`` limits it; that more were left out is said below. ``links``: of a column where each of
    its cells that is not empty leads.
    """
    import pandas as pd

    shown = frame if rows is None else frame.head(rows)
    text = pd.DataFrame(
        {str(name): [_in_table(value, str(name)) for value in shown[name]] for name in shown}, dtype="str"
    )
    heading = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in text.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_linked(value, name, at, links or {})}</td>" for name, value in row.items()) + "</tr>"
        for at, row in enumerate(text.to_dict("records"))
    )
    left_out = f"{len(frame) - len(shown):,} more rows" if len(shown) < len(frame) else ""
    return View(
        '<div class="scroll" tabindex="0" style="overflow-x:auto">'
        f'<table class="dataframe"><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>'
        + (f"<p>{left_out}</p>" if left_out else ""),
        text.to_string(index=False) + (f"\n{left_out}" if left_out else ""),
    )


def _linked(value: str, column: Any, row: int, links: Mapping[str, Sequence[str]]) -> str:
    shown = html.escape(value)
    return f'<a href="{html.escape(links[column][row])}">{shown}</a>' if value and column in links else shown


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
        verdict.get("sentence") or f"The run is {run.state}; there is no verdict.",
        (manifest.get("prediction") or {}).get("sentence"),
        (manifest.get("target") or {}).get("sentence"),
        (manifest.get("calibration") or {}).get("warning"),
        _sentence(manifest.get("beside")),
    ]
    thresholds = [one["sentence"] for one in manifest.get("thresholds") or ()]
    reasons = [reason for reason in verdict.get("reasons") or [] if reason not in thresholds]
    shown = [sentence for sentence in sentences if sentence]
    return _box(_heading(run), badges_of(verdict), shown, [*_missing(run), *thresholds, *reasons])


def _sentence(words: str | None) -> str | None:
    return words and f"{words[0].upper()}{words[1:]}."


def repeats(run: Run) -> View:
    """What steps say together that were measured several times, a row a size and figure; in words where none was."""
    from workbench.analysis.repeats import repeats_table

    found = repeats_table(run.steps)
    if found.empty:
        said = "Each step was measured once. With `--repeats 5` they are measured in turn, and claims can be made."
        return View(f"<p>{html.escape(said)}</p>", said)
    headings = {
        "receipts": "Receipts", "figure": "Figure", "repeats": "Valid repeats", "mean": "Mean",
        "low": "95 % sure: from", "high": "to", "lowest": "Lowest", "highest": "Highest", "spread_pct": "Spread, %",
    }  # fmt: skip
    return table(found[found["repeats"] > 0].rename(columns=headings))


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


def headline_of(run: Run) -> str:
    """The verdict, and what stands beside it where it is not green all through."""
    headline: str = (run.manifest.get("verdict") or {}).get("headline", run.verdict)
    return headline


def _heading(run: Run) -> tuple[str, str]:
    """The verdict with its mark, and its colour. Green is only what is green all through."""
    headline = headline_of(run)
    if headline != run.verdict:
        return headline, _BADGE_COLOURS[worst(badges_of(run.manifest["verdict"]))]
    return VERDICT_MARKS.get(run.verdict, run.verdict), _VERDICT_COLOURS.get(run.verdict, "#1A1A1A")


def _missing(run: Run) -> list[str]:
    """What a finished run should have and has not, in a line."""
    if not run.missing:
        return []
    return [f"Missing from the run's folder, and not looked at: {', '.join(run.missing)}."]


def _box(heading: tuple[str, str], badges: Sequence[Badge], sentences: list[str], reasons: list[str]) -> View:
    mark, colour = heading
    row = " ".join(
        f'<span class="badge" style="border:1px solid {_BADGE_COLOURS[badge.state]};border-radius:0.4em;'
        f'padding:0 0.5em;margin-right:0.5em;color:{_BADGE_COLOURS[badge.state]}">{html.escape(badge.line)}</span>'
        for badge in badges
    )
    listed = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    return View(
        f'<div class="verdict" style="border-left:6px solid {colour};padding:0.1em 1em">'
        f'<p><strong style="color:{colour}">{html.escape(mark)}</strong></p>'
        + (f"<p>{row}</p>" if row else "")
        + said
        + (f"<ul>{listed}</ul>" if listed else "")
        + "</div>",
        "\n".join([mark, *(badge.line for badge in badges), *sentences, *(f"- {reason}" for reason in reasons)]),
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
