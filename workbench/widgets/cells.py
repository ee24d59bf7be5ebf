"""DataFrames as tables of a panel: each cell as text and as a value to sort by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench import numbers
from workbench.markup import markup

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 500
Columns = list[list[Any]]
Rows = list[list[Any]]


def table_of(
    frame: pd.DataFrame, headings: Mapping[str, str] | None = None, *, ids: str | None = None, most: int = MOST_ROWS
) -> tuple[Columns, Rows, str]:
    """Columns, rows and the line below, for :class:`workbench.widgets.views.TableView`.

    ``headings``: the columns to show and their headings (None: all, with their names). ``ids``: the column that
    identifies a row (None: its number, from 1). At most ``most`` rows are shown; a line tells how many more there are.
    """
    import pandas as pd

    shown = headings or {str(name): str(name) for name in frame.columns}
    names = [name for name in shown if name in frame]
    columns = [[name, shown[name], _is_number(frame[name])] for name in names]
    rows = []
    for position, row in enumerate(frame.head(most)[names].itertuples(index=False, name=None), 1):
        cells = [None if _missing(value, pd) else value for value in row]
        own = str(position) if ids is None else str(frame[ids].iloc[position - 1])
        texts = [_text(value, name) for value, name in zip(cells, names, strict=True)]
        rows.append([own, texts, [_to_sort_by(value) for value in cells]])
    more = len(frame) - len(rows)
    said = f"{numbers.counted(more, 'more row')} {'is' if more == 1 else 'are'} not shown."
    return columns, rows, said if more > 0 else ""


def table_html(columns: Columns, rows: Rows, said: str = "") -> str:
    """The same as HTML without script and kernel."""
    headings, texts = [heading for _, heading, _ in columns], [row for _, row, _ in rows]
    return markup("widgets/table", headings=headings, rows=texts, said=said)


def _is_number(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _missing(value: Any, pd: Any) -> bool:
    return not isinstance(value, (list, tuple, dict)) and bool(pd.isna(value))


def _text(value: Any, column: str) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat(" ", "seconds"))
    return numbers.cell(value, column)


def _to_sort_by(value: Any) -> float | str | None:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool) or plain is None:
        return None if plain is None else str(plain)
    if isinstance(plain, (int, float)):
        return float(plain) if math.isfinite(plain) else str(plain)
    return str(plain)
