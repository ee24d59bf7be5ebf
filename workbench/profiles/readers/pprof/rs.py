"""The form of pprof-rs, the sampler inside the Rust services, and its limits.

It writes functions de-duplicated by demangled name, each with the line that was seen first, in the order of a hash map:
a line number there is arbitrary and changes from file to file.

Source: src/report.rs, src/frames.rs and src/profiler.rs of tikv/pprof-rs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.pprof.samples import Samples
    from workbench.profiles.readers.pprof.tables import Functions, Locations

DIALECT = "pprof-rs"
THREAD = "thread"
UNKNOWN = "Unknown"
# 128 frames are recorded from the leaf on; the two of the signal handler are removed
_MOST_FRAMES = 126
_TYPES = ([("samples", "count"), ("cpu", "nanoseconds")], [("cpu", "count")])


def is_pprof_rs(
    types: list[tuple[str, str]],
    period: int,
    mappings: int,
    locations: Locations,
    functions: Functions,
    samples: Samples,
) -> bool:
    """Whether pprof-rs wrote this: a period, no mappings, one line per location, which has the id of its function, and
    a thread on every sample. There are no comments either, which the caller has checked. Files of its first year have
    addresses and several lines, but no period, no mappings and one type, cpu/count."""
    if types not in _TYPES or mappings or not len(samples) or (samples.tags_id == 0).any():
        return False
    if set(samples.tags["key"]) != {THREAD}:
        return False
    if len(types) == 1:
        return True
    return bool(
        period > 0
        and not locations.address.any()
        and (locations.line_counts == 1).all()
        and np.array_equal(locations.ids, functions.ids[locations.function])
    )


def note_limits(
    locations: Locations, functions: Functions, samples: Samples, metric: str, period: int, notes: NoteBook
) -> None:
    """Notes on the limits of a file of pprof-rs, with the affected weights."""
    weights = samples.values[:, -1]
    notes.add(
        "CPU time is an undercount: ticks within the libraries the service excludes (libc, pthread, ...) are not kept"
    )
    if (locations.line > 0).any():
        notes.add(
            "line numbers are left out: the file has one per function name, that of the call seen first",
            count=int((locations.line > 0).sum()),
        )
    notes.add(
        "functions of one name are one function here: generic instances and closures are merged, and one file is kept"
    )
    lengths = np.diff(samples.offset)
    deep = lengths >= _MOST_FRAMES
    if deep.any():
        notes.add(
            "stacks of 128 frames or more are cut at the root side, so that they have no common root",
            count=int(deep.sum()),
            metric=metric,
            weight=float(weights[deep].sum()),
        )
    unknown = np.array([name == UNKNOWN for name in functions.name], dtype=bool)
    if unknown.any():
        hit = unknown[locations.function]
        named = np.zeros(len(locations.ids), dtype=bool)
        named[np.repeat(np.arange(len(locations.ids)), locations.line_counts)[hit]] = True
        leaf = samples.location[samples.offset[1:][lengths > 0] - 1]
        at_leaf = named[leaf]
        notes.add(
            f"a frame without symbol is called {UNKNOWN}; the weight is its self cost",
            count=int(named[samples.location].sum()),
            metric=metric,
            weight=float(weights[lengths > 0][at_leaf].sum()),
        )
    if period <= 0:
        notes.add("the sampling rate is not in the file: values are ticks, not time")
