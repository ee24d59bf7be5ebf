"""Tables of frames: places in code, and which of them belong to one function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.hints import TYPE_CHECKING
from workbench.profiles.memory import require
from workbench.profiles.names import crates_of
from workbench.profiles.table import Listed, Table, text

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from workbench.profiles.table import TableLike

# Bytes of a frame with its own names. Measured.
_FRAME_BYTES = 400


def frame_table(
    function: Sequence[str] | NDArray[Any],
    file: Sequence[str] | NDArray[Any] | None = None,
    line: Sequence[int] | NDArray[np.int64] | None = None,
    object: Sequence[str] | NDArray[Any] | None = None,
    inlined: Sequence[bool] | NDArray[np.bool_] | None = None,
    raw_function: Sequence[str] | NDArray[Any] | None = None,
) -> Table:
    """A table of frames; missing values are unknown: "" or 0. ``function_id`` numbers the distinct (raw_function, file,
    object) in order of appearance, ``crate`` is derived from name and file."""
    size = len(function)
    require(size * _FRAME_BYTES)
    raw = text(function if raw_function is None else raw_function)
    files = text([""] * size if file is None else file)
    objects = text([""] * size if object is None else object)
    columns = {
        "function": text(function),
        "raw_function": raw,
        "file": files,
        "line": np.zeros(size, dtype=np.int64) if line is None else np.asarray(line, dtype=np.int64),
        "object": objects,
        "crate": text(crates_of(raw.tolist(), files.tolist())),
        "inlined": np.zeros(size, dtype=bool) if inlined is None else np.asarray(inlined, dtype=bool),
        "function_id": _numbered((raw, files, objects)),
    }
    return Table(columns)


def listed_frames(
    function: list[str],
    file: list[str],
    line: list[int],
    object: list[str],
    inlined: list[bool],
    raw_function: list[str],
) -> Table:
    """The same for plain lists, without numpy."""
    require(len(function) * _FRAME_BYTES)
    seen: dict[tuple[str, str, str], int] = {}
    rows = zip(raw_function, file, object, strict=True)
    columns = {
        "function": Listed(function, "object"),
        "raw_function": Listed(raw_function, "object"),
        "file": Listed(file, "object"),
        "line": Listed(line, "int64"),
        "object": Listed(object, "object"),
        "crate": Listed(crates_of(raw_function, file), "object"),
        "inlined": Listed(inlined, "bool"),
        "function_id": Listed([seen.setdefault(row, len(seen)) for row in rows], "int64"),
    }
    return Table(columns)


def identify(frames: TableLike) -> NDArray[np.int64]:
    """The function_id of each frame: distinct (raw_function, file, object), numbered in order of appearance."""
    table = Table.of(frames)
    return _numbered([table[column] for column in ("raw_function", "file", "object")])


def _numbered(columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    from workbench.profiles.distinct import numbered_rows

    return numbered_rows(columns)[0]
