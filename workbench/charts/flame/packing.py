"""Packs the data for the script under ``js/`` into bytes (``payload.js`` reads them).

gzip over: the length of a JSON header (4 bytes, little-endian), the header in ASCII padded with blanks to a multiple of
8 bytes, then arrays of little-endian numbers, each of the narrowest type that holds its values and padded to 8 bytes.
``header["arrays"]`` has the place of each: ``[type, offset, length]``, with the offset from the end of the header.
Columns are smaller than rows: a profile of 100,000 nodes takes some hundred kilobytes, and the browser makes typed
arrays without parsing.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.charts.flame.beside import Beside
from workbench.charts.flame.calltree import CallTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME_LENGTH = 1000
# control characters, line and paragraph separators, and those that change the writing direction: never in a
# name on purpose, and they could make one bar's text look like another's
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_TYPES = (("u8", np.uint8), ("u16", np.uint16), ("u32", np.uint32))


def clean(name: str) -> str:
    """A name for display: invisible characters escaped, the middle of a very long name cut out."""
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    text = _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    half = NAME_LENGTH // 2
    return text if len(text) <= NAME_LENGTH else f"{text[:half]}…{text[-half:]}"


def pack(tree: CallTree, beside: Beside | None = None, **header: Any) -> bytes:
    """Pack the tree, the data ``beside`` it, and more entries of the header. The same input gives the same bytes."""
    names = _Names()
    functions = tree.functions
    if beside is None:  # functions whose nodes were all cut are not used elsewhere
        functions = functions.copy()
        functions.loc[~np.isin(np.arange(len(functions)), tree.function)] = ""
    arrays: dict[str, NDArray[Any]] = {
        "depth": tree.depth,
        "fn": tree.function,
        "line": tree.line,
        "flags": tree.flags,
        **{f"function.{column}": names.column(functions[column]) for column in ("function", "raw_function")},
        **{f"function.{column}": names.column(functions[column]) for column in ("file", "object", "crate")},
    }
    for position in range(len(tree.metrics)):
        arrays[f"cost.{position}"] = tree.costs[:, position]
        if tree.before is not None:
            arrays[f"before.{position}"] = tree.before[:, position]
    if beside is not None:
        arrays |= _beside_arrays(beside, names)
        header |= {"threads": [clean(thread) for thread in beside.threads], "begins_ns": beside.begins_ns}
    places, body = _laid_out(arrays)
    facts = {
        **header,
        "metrics": [
            {"name": clean(m.name), "unit": clean(m.unit), "description": clean(m.description)} for m in tree.metrics
        ],
        "compared": tree.before is not None,
        "remarks": [clean(remark) for remark in tree.remarks],
        "names": names.all,
        "arrays": places,
    }
    text = json.dumps(facts, separators=(",", ":")).encode("ascii")
    text += b" " * (-(len(text) + 4) % 8)
    return gzip.compress(len(text).to_bytes(4, "little") + text + body, compresslevel=6, mtime=0)


def _beside_arrays(beside: Beside, names: _Names) -> dict[str, NDArray[Any]]:
    """The columns of the data beside the tree; those per metric are numbered."""
    arrays: dict[str, NDArray[Any]] = {}
    for key, values in beside.columns.items():
        if key == "lines.file":
            arrays[key] = names.column(values)
        elif values.ndim == 2:
            arrays |= {f"{key}.{position}": values[:, position] for position in range(values.shape[1])}
        else:
            arrays[key] = values
    return arrays


def _laid_out(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, list[Any]], bytearray]:
    """The place of each array, and all arrays in sequence."""
    places: dict[str, list[Any]] = {}
    body = bytearray()
    for key, values in arrays.items():
        kind, narrow = _narrow(values)
        places[key] = [kind, len(body), len(narrow)]
        body += narrow.tobytes()
        body += bytes(-len(body) % 8)
    return places, body


class _Names:
    """Each text once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._known: dict[str, int] = {}

    def column(self, texts: Iterable[str]) -> NDArray[np.int64]:
        return np.array([self._number(clean(text)) for text in texts], dtype=np.int64)

    def _number(self, text: str) -> int:
        number = self._known.setdefault(text, len(self.all))
        if number == len(self.all):
            self.all.append(text)
        return number


def _narrow(values: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """Integers in the fewest bytes; negative, fractional or larger numbers as float64, like in JavaScript."""
    if values.dtype.kind in "iub" and (not len(values) or values.min() >= 0):
        highest = int(values.max()) if len(values) else 0
        for kind, dtype in _TYPES:
            if highest <= np.iinfo(dtype).max:
                return kind, values.astype(np.dtype(dtype).newbyteorder("<"))
    return "f64", values.astype("<f8")
