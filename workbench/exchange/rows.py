"""The samples of a run as CSV, for programs that read tables: a chunk at a time, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "index": "position in the step's plan, from 0",
    "step": "number of the step",
    "worker": "which of the generators sent it, from 0",
    "intended_ns": "when it was due, ns of the machine's monotonic clock",
    "sent_ns": "when it was sent, same clock",
    "first_byte_ns": "when the answer began, same clock; 0: no answer",
    "done_ns": "when the answer was complete, or the request failed, same clock",
    "status": "HTTP status; 0: no answer",
    "outcome": "ok, or what went wrong",
    "bytes_in": "bytes of the answer's body",
    "value_grt": "value of the receipt in GRT",
    "nonce": "nonce of the receipt, up to 2^64 - 1 (a spreadsheet rounds it)",
    "payer": "address of who paid",
    "sent_unix_ns": "when it was sent, ns since 1970 UTC",
    "lag_ns": "sent_ns - intended_ns: how late the generator was",
    "service_ns": "done_ns - sent_ns",
    "response_ns": "done_ns - intended_ns",
}
"""The columns in their order, and what they mean."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(path: Path, parts: Iterable[tuple[pd.DataFrame, int]]) -> int:
    """Write samples frames, each with what to add to its clock for nanoseconds since 1970, into ``path``.

    Columns: COLUMNS, the first line has their names. Texts that a spreadsheet would run as a formula get an apostrophe
    before them. Returns the number of rows.
    """
    import pyarrow as pa
    from pyarrow import csv

    writer: Any = None
    rows = 0
    with path.open("wb") as file:
        for samples, to_unix_ns in parts:
            table = pa.Table.from_pandas(_complete(samples, to_unix_ns), preserve_index=False)
            if writer is None:
                writer = csv.CSVWriter(file, table.schema, write_options=csv.WriteOptions(quoting_style="needed"))
            writer.write_table(table)
            rows += len(samples)
        if writer is None:
            file.write((",".join(COLUMNS) + "\n").encode())
        else:
            writer.close()
    return rows


def _complete(samples: pd.DataFrame, to_unix_ns: int) -> pd.DataFrame:
    """A frame with the columns that are computed, and texts that are safe to open."""
    intended, sent, done = (samples[name].to_numpy() for name in ("intended_ns", "sent_ns", "done_ns"))
    frame = samples.assign(
        outcome=_safe(samples["outcome"]),
        payer=_safe(samples["payer"]),
        sent_unix_ns=sent + np.int64(to_unix_ns),
        lag_ns=sent - intended,
        service_ns=done - sent,
        response_ns=done - intended,
    )
    return frame[list(COLUMNS)]


def _safe(texts: pd.Series[Any]) -> pd.Series[Any]:
    plain = texts.astype("category")
    names = {name: f"'{name}" for name in plain.cat.categories if str(name).startswith(_FORMULA)}
    return plain.cat.rename_categories(names).astype(str)
