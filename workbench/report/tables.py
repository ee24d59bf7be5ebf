"""Tables as people read them, in notebooks and reports: names to the left, figures to the right with separators, each
with a CSV file of all its rows."""

from __future__ import annotations

import base64
import csv as comma_separated
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench import numbers
from workbench.markup import markup
from workbench.report.view import View, below

if TYPE_CHECKING:
    import pandas as pd

CSV_ROWS = 5_000
"""At most this many rows are put into a page as CSV."""
VERDICT_MARKS = {"PASS": "✓ PASS", "FAIL": "✗ FAIL", "INVALID": "◇ INVALID"}
# column of the steps frame -> heading with its unit, format; a table each, so that it fits beside the contents
_SENT = {
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
    "reason": ("Reason", "{}"),
}
_TIMES = {
    "throughput_per_s": ("Accepted, 1/s", "{:,.1f}"),
    "response_p50_ms": ("Response p50, ms", "{:,.2f}"),
    "response_p95_ms": ("Response p95, ms", "{:,.2f}"),
    "response_p95_low_ms": ("95 % sure: from", "{:,.2f}"),
    "response_p95_high_ms": ("to", "{:,.2f}"),
    "response_p99_ms": ("Response p99, ms", "{:,.2f}"),
    "effective_n": ("Independent samples", "{:,.0f}"),
    "warm_up": ("Warm-up, receipts", "{:,.0f}"),
    "lag_p99_ms": ("Lag p99, ms", "{:,.3f}"),
    "steadiness": ("Not steady", "{}"),
    "disturbances": ("What disturbed the generator", "{}"),
}
_LIMITS = {
    "budget_receipts": ("Predicted limit", "{:,.0f}"),
    "first_refusal_index": ("First refused receipt", "{:,.0f}"),
    "denial_lag_receipts": ("Denial lag, receipts", "{:,.0f}"),
    "denial_lag_s": ("Denial lag, s", "{:,.3f}"),
    "denylist_lag_s": ("In the denylist after, s", "{:,.3f}"),
    "stored": ("Stored", "{:,.0f}"),
    "invalid": ("Invalid", "{:,.0f}"),
    "aggregated_grt": ("Aggregated, GRT", "{:,.4g}"),
}
_STEP_TABLES = {"Receipts of each step": _SENT, "Times of each step": _TIMES, "Limit and database": _LIMITS}
_UNITS = {"_per_s": "1/s", "_pct": "%", "_ms": "ms", "_ns": "ns", "_s": "s", "_bytes": "bytes", "_grt": "GRT"}
_FROM_ZERO = ("first_refusal_index",)  # people count from 1
_SILENT = {"profiler": "none", "disturbances": "", "steadiness": "", "warm_up": 0.0, "reason": ""}


def table(
    frame: pd.DataFrame,
    rows: int | None = None,
    links: Mapping[str, Sequence[str]] | None = None,
    *,
    name: str = "table",
    csv: pd.DataFrame | None = None,
) -> View:
    """A table of a profile as people read it: figures with separators, percentages with two decimals, a dash where
    there is no value. ``rows`` limits it; a line below says how many are left out, and the CSV file has them.
    ``links``: by column, the address of each cell that is not empty. ``name`` is the table's; ``csv`` the content of
    its CSV file (None: the same).
    """
    import pandas as pd

    shown = _with_values(frame if rows is None else frame.head(rows))
    text = pd.DataFrame(
        {str(column): [_in_table(value, str(column)) for value in shown[column]] for column in shown}, dtype="str"
    )
    left_out = _more_rows(len(frame), len(shown))
    return View(
        _table_html(text, frame, name, links or {}, left_out, csv=csv),
        text.to_string(index=False) + (f"\n{left_out}" if left_out else ""),
    )


def steps_table(steps: pd.DataFrame) -> View:
    """The steps as tables with units in their headings: what was sent, the times, the limit. A missing value
    is a dash; a table without any value is left out."""
    import pandas as pd

    views: list[View] = []
    for title, columns in _STEP_TABLES.items():
        known = {name: look for name, look in columns.items() if name in steps and _says_something(steps[name])}
        if not known and views:
            continue
        if columns is not _SENT:
            known = {"step": _SENT["step"], **known}
        shown = {
            heading: [_cell(value + 1 if column in _FROM_ZERO else value, form, column) for value in steps[column]]
            for column, (heading, form) in known.items()
            if column in steps
        }
        text = pd.DataFrame(shown, dtype="str")
        kinds = [name for name, (_, form) in known.items() if form == "{}"]
        names = {known[name][0] for name in kinds}
        own = steps[[column for column in known if column in steps]]
        views.append(View(_table_html(text, own, title, {}, "", names), text.to_string(index=False)))
    return below(*views)


def _table_html(
    text: pd.DataFrame,
    whole: pd.DataFrame,
    name: str,
    links: Mapping[str, Sequence[str]],
    left_out: str,
    names: set[str] | None = None,
    csv: pd.DataFrame | None = None,
) -> str:
    """``text`` is what is shown of ``whole``; ``names``: the columns that are not figures (None: found from ``whole``).
    ``csv``: the content of the CSV file (None: ``whole``)."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if names is None:
        figures = [str(one) for one in whole if is_numeric_dtype(whole[one]) and not is_bool_dtype(whole[one])]
        names = {str(column) for column in text.columns} - set(figures)
    columns = [{"heading": heading(str(column)), "text": str(column) in names} for column in text.columns]
    rows = [
        [
            {"text": value, "link": links[column][at] if value and column in links else ""}
            for column, value in zip(text.columns, row, strict=True)
        ]
        for at, row in enumerate(text.itertuples(index=False, name=None))
    ]
    kept = whole if csv is None else csv
    return _html(columns, rows, name, left_out, csv_link(kept) if len(kept) else "", len(kept))


def rows_html(headings: Sequence[str], rows: Sequence[Sequence[Any]], most: int, *, name: str) -> str:
    """The HTML of a table given as lists, as :func:`table` makes it from a DataFrame: ``most`` of its rows, columns
    with any value; its CSV file has all rows."""
    said = [at for at in range(len(headings)) if any(row[at] != "" and not missing(row[at]) for row in rows)]
    names = [any(isinstance(row[at], (str, bool)) for row in rows) for at in said]
    text = io.StringIO()
    writer = comma_separated.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(["" if missing(value) else value for value in row] for row in rows[:CSV_ROWS])
    columns = [{"heading": heading(headings[at]), "text": is_name} for at, is_name in zip(said, names, strict=True)]
    cells = [[{"text": numbers.cell(row[at], headings[at]), "link": ""} for at in said] for row in rows[:most]]
    return _html(columns, cells, name, _more_rows(len(rows), most), csv_address(text.getvalue()), len(rows))


def _html(
    columns: Sequence[Mapping[str, Any]],
    rows: Sequence[Sequence[Mapping[str, str]]],
    name: str,
    left_out: str,
    csv: str,
    csv_rows: int,
) -> str:
    """The HTML of cells that are text; ``csv``: the address of the CSV file, of ``csv_rows`` rows before it was cut."""
    cut = f"{CSV_ROWS:,} rows" if csv_rows > CSV_ROWS else ""
    about = {"name": name, "file": _file(name), "left_out": left_out, "csv": csv, "csv_rows": cut}
    return markup("report/table", columns=columns, rows=rows, **about)


def _more_rows(whole: int, shown: int) -> str:
    """The number of rows that are not shown, in words."""
    return numbers.counted(whole - shown, "more row") if shown < whole else ""


def missing(value: Any) -> bool:
    """Whether a cell has no value."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def csv_link(frame: pd.DataFrame) -> str:
    """A table as a data URL of a CSV file."""
    return csv_address(frame.head(CSV_ROWS).to_csv(index=False))


def csv_address(text: str) -> str:
    """The text of a CSV file as a data URL."""
    return f"data:text/csv;base64,{base64.b64encode(text.encode()).decode()}"


def heading(column: str) -> str:
    """A column as a heading: words, and the unit after a comma."""
    for ending, unit in _UNITS.items():
        if column.endswith(ending):
            return f"{column.removesuffix(ending).replace('_', ' ')}, {unit}"
    return column.replace("_", " ")


def _with_values(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns with any value; all columns if the table has no rows."""
    silent = [column for column in frame if (frame[column].isna() | frame[column].astype(object).eq("")).all()]
    return frame.drop(columns=silent) if 0 < len(silent) < len(frame.columns) and len(frame) else frame


def _file(name: str) -> str:
    """A name in a form for files."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split()) or "table"


def _says_something(column: pd.Series) -> bool:
    """Whether any step has a value; "no profiler" and "no disturbance" do not count."""
    silent = _SILENT.get(str(column.name))
    return bool(column.notna().any() and not (silent is not None and (column.fillna(silent) == silent).all()))


def _in_table(value: Any, column: str) -> str:
    import pandas as pd

    return numbers.cell(None if pd.isna(value) else value, column)


def _cell(value: Any, form: str, column: str) -> str:
    if missing(value):
        return numbers.UNKNOWN
    return VERDICT_MARKS.get(value, str(value)) if column == "verdict" else form.format(value)
