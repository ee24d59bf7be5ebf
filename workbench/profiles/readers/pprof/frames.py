"""Locations as frames: each with the calls the compiler inlined into it, outermost first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.distinct import numbered, numbered_objects
from workbench.profiles.model import frame_table
from workbench.profiles.names import tidy_rust
from workbench.profiles.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.pprof.tables import Functions, Locations

NO_STACK = "[no stack]"
# A function without name and system name in the file; such functions differ by their object.
NO_NAME = "(no name)"


@dataclass(frozen=True, slots=True)
class Frames:
    """The table of frames, and those of location ``i``, root first: ``frame[offset[i]:offset[i + 1]]``. ``no_stack`` is
    the frame that stands for a sample without locations."""

    table: Table
    offset: NDArray[np.int64]
    frame: NDArray[np.int64]
    no_stack: int


def frames_of(
    locations: Locations, functions: Functions, *, with_lines: bool, no_stack: bool, notes: NoteBook
) -> Frames:
    """The distinct frames of all locations. A location without lines is called ``object+0xaddress``."""
    counts = locations.line_counts
    bare = np.flatnonzero(counts == 0)
    if len(bare):
        notes.add("an address without symbol is shown as object+0xaddress", count=len(bare))
    sizes = np.maximum(counts, 1)
    offset = np.concatenate(([0], np.cumsum(sizes)))
    location = np.repeat(np.arange(len(sizes)), sizes)
    # place within the location, root first; the physical function is the last line of the file, the first here
    inside = np.arange(len(location)) - offset[location]
    plain = counts[location] > 0
    line_row = np.where(plain, locations.offset[location + 1] - 1 - inside, 0)

    names = [*functions.name, *(_address_name(locations, row) for row in bare.tolist()), NO_STACK]
    files = [*functions.file, *([""] * (len(bare) + 1))]
    name_code = np.concatenate((_codes(names), [0]))
    file_code = np.concatenate((_codes(files), [0]))
    bare_row = np.zeros(len(sizes), dtype=np.int64)
    bare_row[bare] = len(functions.name) + np.arange(len(bare))
    source_row = bare_row[location]
    line = np.zeros(len(location), dtype=np.int64)
    if len(locations.function):
        source_row = np.where(plain, locations.function[line_row], source_row)
        if with_lines:
            line = np.where(plain, np.maximum(locations.line[line_row], 0), 0)
    objects = _codes(locations.object)[location] if len(location) else location
    frame, first = _numbered(name_code[source_row], file_code[source_row], line, objects, (inside > 0).astype(np.int64))

    extra = 1 if no_stack else 0
    rows = [*source_row[first].tolist(), *[len(names) - 1] * extra]
    raw = [names[row] for row in rows]
    tidy: dict[str, str] = {name: tidy_rust(name) or NO_NAME for name in dict.fromkeys(raw)}
    table = frame_table(
        [tidy[name] for name in raw],
        [files[row] for row in rows],
        [*line[first].tolist(), *[0] * extra],
        [*(locations.object[row] for row in location[first].tolist()), *[""] * extra],
        [*(inside[first] > 0).tolist(), *[False] * extra],
        raw,
    )
    return Frames(table, offset, frame, len(rows) - 1)


def _address_name(locations: Locations, row: int) -> str:
    name = locations.object[row]
    address = f"0x{int(locations.address[row]):x}"
    return f"{name}+{address}" if name else address


def _codes(texts: list[str]) -> NDArray[np.int64]:
    return numbered_objects(texts)[0]


def _numbered(*columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct rows in order of appearance; also where each appears first."""
    ids = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes, values = numbered(column)
        ids, _ = numbered(ids * (len(values) + 1) + codes)
    _, first = np.unique(ids, return_index=True)
    return np.asarray(ids, dtype=np.int64), first
