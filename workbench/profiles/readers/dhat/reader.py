"""DHAT files of Valgrind 3.15 and later (modes heap, copy and ad-hoc) and of the Rust crate dhat.

A program point is a stack with its allocations: bytes and blocks in total, at the peak (t-gmax) and at the end, reads
and writes, lifetimes. These add up over points. The maximum of a point does not, since points reach it at different
times: ``max_bytes`` and ``max_blocks`` are not additive.

The innermost frames in DHAT's own library (``malloc``, ``memcpy``) are left out, as massif does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.dhat.accesses import access_table
from workbench.profiles.readers.dhat.document import Document, document_of
from workbench.profiles.readers.dhat.frames import frames_of, stacks_of, table_of, used_of
from workbench.profiles.tree import add_at, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "dhat"
_HEAD_BYTES = 65_536
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*[\"}]")
_MOST = 2**63
# the unit in the name of a metric: in mode ad-hoc DHAT's units are the user's own
_WORD = re.compile(r"[A-Za-z_]\w{0,30}")
_TIMES = {"µs": "us", "μs": "us"}


def recognise(source: Source) -> str | None:
    """A JSON object with ``dhatFileVersion`` near its beginning."""
    head = source.data[:_HEAD_BYTES]
    return "JSON with dhatFileVersion" if _OBJECT.match(head) and b'"dhatFileVersion"' in head else None


def read(source: Source) -> Profile:
    """The program points as a profile of stacks, with the metrics the file has (see the module); ``total_bytes`` is
    shown first, in mode ad-hoc the total in the program's own unit.

    ``tables``: ``points`` (one row per program point, as in the file: node_id, and each metric), ``accesses`` (for
    points whose blocks have one size: point, first_byte, size_bytes, accesses of each byte). ``meta``: ``version``,
    ``mode``, ``cmd``, ``pid``, ``time_unit``, ``time_end``, ``time_gmax``.

    Raises ReadError for JSON that is damaged or cut off before its frame table, and for impossible values.
    """
    notes = NoteBook()
    document = document_of(source, notes)
    keys, metrics = _metrics(document)
    costs = _costs(document, keys, source)
    stacks = used_of(document, source)
    frames = frames_of(document, stacks, source)
    offsets, codes = stacks_of(stacks, frames, costs, metrics[0], notes, source)
    tree = grow(offsets, codes)
    # DHAT's own frames are no longer in any stack
    shown, numbered = np.unique(tree.frame, return_inverse=True)
    _note_kinds(document, metrics, notes)
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        frames=table_of(frames, shown),
        parent=tree.parent,
        frame=numbered,
        self_costs=add_at(len(tree.parent), tree.node_of, costs),
        tables=_tables(document, metrics, tree.node_of, costs, source),
        meta=_meta(document),
        notes=notes.notes(),
    )


def _metrics(document: Document) -> tuple[list[tuple[str, ...]], list[Metric]]:
    """The keys of a program point that the file has, and their metrics. Keys have other names in the first version."""
    fields = document.fields
    old = document.version == 1
    size, blocks = (_word(fields.get(key), default) for key, default in (("bsu", "bytes"), ("bksu", "blocks")))
    unit = size if fields.get("bsu") else "bytes"
    time = _time_unit(fields)
    mode = str(fields.get("mode", "heap")).removeprefix("rust-")
    done = {"heap": "allocated", "copy": "copied"}.get(mode, "counted")
    found: list[tuple[tuple[str, ...], Metric]] = [
        (("tb",), Metric(f"total_{size}", unit, f"{size} {done} in all")),
        (("tbk",), Metric(f"total_{blocks}", "count", f"{blocks} {done} in all")),
    ]
    if old or fields.get("bklt") is True:
        found += [
            (("gb",), Metric(f"gmax_{size}", unit, f"{size} at the peak of the whole program (t-gmax)")),
            (("gbk",), Metric(f"gmax_{blocks}", "count", f"{blocks} at the peak of the whole program (t-gmax)")),
            (("eb", "fb"), Metric(f"end_{size}", unit, f"{size} not freed at the end (t-end)")),
            (("ebk", "fbk"), Metric(f"end_{blocks}", "count", f"{blocks} not freed at the end (t-end)")),
            (("tl", "tli"), Metric("lifetimes", time, f"how long all {blocks} lived, in sum")),
            (
                ("mb",),
                Metric(f"max_{size}", unit, f"most {size} of a place at once, each at its own time", additive=False),
            ),
            (("mbk",), Metric(f"max_{blocks}", "count", f"{blocks} when a place held its most", additive=False)),
        ]
    if old or fields.get("bkacc") is True:
        found += [
            (("rb",), Metric(f"read_{size}", unit, f"{size} read from {blocks}")),
            (("wb",), Metric(f"written_{size}", unit, f"{size} written to {blocks}")),
        ]
    names = [metric.name for _, metric in found]
    if len(set(names)) < len(names):  # units to which the program gave the same name
        return _metrics(Document(document.version, {**fields, "bsu": None, "bksu": None}, (), (), True))
    return [keys for keys, _ in found], [metric for _, metric in found]


def _word(value: Any, default: str) -> str:
    """A unit as part of a metric's name."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else default


def _time_unit(fields: Any) -> str:
    unit = fields.get("tu", "instrs")
    return _TIMES.get(unit, unit) if isinstance(unit, str) and 0 < len(unit) <= 30 else "instrs"


def _costs(document: Document, keys: Sequence[tuple[str, ...]], source: Source) -> NDArray[np.int64]:
    """A row per program point, a column per metric."""
    columns = []
    try:
        for names in keys:
            name = next((name for name in names if document.points and name in document.points[0]), names[0])
            columns.append([point[name] for point in document.points])
        costs = np.array(columns, dtype=object).reshape(len(keys), -1)
        if not {type(value) for column in columns for value in column} <= {int}:
            raise TypeError
    except (KeyError, TypeError, IndexError, ValueError):
        raise _odd_point(document, keys, source) from None
    if costs.size and (costs.min() < 0 or max(costs.sum(axis=1)) >= _MOST):
        raise ReadError(
            "a count is below 0, or counts add up to more than 64 bits can hold",
            where=source.name,
            hint="DHAT does not write such numbers: fetch the file again",
        )
    return costs.T.astype(np.int64)


def _odd_point(document: Document, keys: Sequence[tuple[str, ...]], source: Source) -> ReadError:
    """The error for the first program point that lacks a count."""
    for number, point in enumerate(document.points):
        if not isinstance(point, dict):
            return ReadError(f"program point {number} is not an object", where=source.name, hint="Fetch the file again")
        for names in keys:
            if not any(type(point.get(name)) is int for name in names):
                return ReadError(
                    f"program point {number} has no whole number {names[0]!r}",
                    where=source.name,
                    hint="Fetch the file again",
                )
    return ReadError("program points of two versions in one file", where=source.name, hint="Fetch the file again")


def _note_kinds(document: Document, metrics: Sequence[Metric], notes: NoteBook) -> None:
    apart = [metric.name for metric in metrics if not metric.additive]
    if apart and document.points:
        notes.add(f"{' and '.join(apart)} are maxima of each place at different times: their sums mean nothing")
    if not document.points:
        notes.add("the file holds no program points: nothing was counted")


def _tables(
    document: Document, metrics: Sequence[Metric], node: NDArray[np.int64], costs: NDArray[np.int64], source: Source
) -> dict[str, Any]:
    points = {"node_id": node, **{metric.name: costs[:, column] for column, metric in enumerate(metrics)}}
    accesses = access_table(document.points, source)
    return {"points": points} if accesses is None else {"points": points, "accesses": accesses}


def _meta(document: Document) -> dict[str, Any]:
    fields = document.fields
    meta: dict[str, Any] = {
        "version": document.version,
        "mode": fields.get("mode", "heap"),
        "cmd": fields.get("cmd"),
        "pid": fields.get("pid"),
        "time_unit": _time_unit(fields),
        "time_end": fields.get("te", fields.get("ei")),
        "time_gmax": fields.get("tg", fields.get("mi")),
    }
    return {key: value for key, value in meta.items() if isinstance(value, (str, int))}
