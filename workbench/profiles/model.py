"""The one model that every profile format is read into.

A **frame** is a place code runs at: a function, perhaps with a line, perhaps inlined. A **function** is all frames of
one name, file and object. **self** is what a place cost by itself, **total** with all that it called. A **metric** is
what was counted, with its unit.

There are two kinds of profile, told apart by ``basis``:

- ``"stacks"``: whole stacks were recorded (pprof, massif, folded stacks, flame graphs, speedscope, strace). The tree in
  ``nodes`` is what was measured; functions and edges are summed from it, recursion counted once.
- ``"graph"``: only functions and calls between them were recorded (callgrind, pstats). ``functions`` and ``edges`` are
  what was measured. A graph does not determine stacks: the tree in ``nodes`` is built from it, and a node whose share
  of its function had to be assumed says ``exact=False``.

Tables are DataFrames with plain columns and a RangeIndex; an id is always the row's position. Values are int64, or
float64 where a format has fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import FRAME_COLUMNS, FUNCTION_COLUMNS, self_
from workbench.profiles.metrics import Metric
from workbench.profiles.notes import Note

if TYPE_CHECKING:
    from numpy.typing import NDArray

Basis = Literal["stacks", "graph"]


class Deferred:
    """A table that is made when it is first asked for."""

    def __init__(self, make: Callable[[], pd.DataFrame]) -> None:
        self._make: Callable[[], pd.DataFrame] | None = make
        self._table = pd.DataFrame()

    def table(self) -> pd.DataFrame:
        """The table, the same each time."""
        if self._make is not None:
            self._table, self._make = self._make(), None
        return self._table


class _Tables(Mapping[str, pd.DataFrame]):
    """The format's own tables. One that is Deferred is made when it is first asked for."""

    def __init__(self, tables: Mapping[str, pd.DataFrame | Deferred]) -> None:
        self._kept: dict[str, pd.DataFrame | Deferred] = dict(tables._kept if isinstance(tables, _Tables) else tables)

    def __getitem__(self, name: str) -> pd.DataFrame:
        table = self._kept[name]
        return table.table() if isinstance(table, Deferred) else table

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


class _Lines:
    """The attribute ``lines``: a table, or one that is Deferred."""

    def __get__(self, profile: Profile | None, owner: type[Profile]) -> pd.DataFrame:
        if profile is None:
            raise AttributeError("lines has no default")
        lines = profile.__dict__["lines"]
        return lines.table() if isinstance(lines, Deferred) else lines

    def __set__(self, profile: Profile, lines: pd.DataFrame | Deferred) -> None:
        profile.__dict__["lines"] = lines


@dataclass(frozen=True, eq=False, kw_only=True)
class Profile:
    """One profile. Made by :func:`from_stacks` or :func:`from_graph`; never changed afterwards.

    Fields:

    - ``format``: ``callgrind``, ``massif``, ``pprof``, ``strace``, ``flamegraph``, ``folded``, ``speedscope``,
      ``pstats``; transforms keep it. ``name``: the file's name or what the caller called it.
    - ``metrics``: what was counted; ``default_metric``: the one shown first.
    - ``frames``: function, raw_function (as the file has it), file, line (0: unknown), object, crate, inlined,
      function_id.
    - ``lines``: function_id, file, line, and ``self_`` and ``called_`` of each metric: cost per source line, empty
      where a format has no lines that can be trusted. Of a large callgrind file it is made when first asked for.
    - ``samples``: of a format whose stacks carry labels: node_id, tags_id and ``self_`` of each metric; ``tags``:
      tags_id, key, value (text), number (Int64), unit. Both empty elsewhere.
    - ``tables``: the format's own tables (``snapshots``, ``heap_trees`` of massif, ``calls`` of strace, ``jumps`` ...).
    - ``meta``: plain values from the header. ``notes``: what was odd, assumed or dropped.
    """

    format: str
    name: str
    basis: Basis
    metrics: tuple[Metric, ...]
    default_metric: str
    frames: pd.DataFrame
    lines: pd.DataFrame = _Lines()
    samples: pd.DataFrame
    tags: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    meta: Mapping[str, Any]
    notes: tuple[Note, ...]
    _functions: pd.DataFrame | None = field(default=None, repr=False)
    _edges: pd.DataFrame | None = field(default=None, repr=False)
    _nodes: pd.DataFrame | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        total = self.total(self.default_metric)
        return (
            f"<Profile {self.name}: {self.format}, {len(self.functions):,} functions, "
            f"{total:,.10g} {self.metric(self.default_metric).unit} of {self.default_metric}>"
        )

    # what was measured, or follows from it

    @cached_property
    def functions(self) -> pd.DataFrame:
        """One row a function, position = function_id: function, raw_function, file, object, crate, calls (Int64, <NA>
        where the format does not count calls), cycle (number of the cycle of mutually recursive functions it is in,
        -1: none), ``total_exact``, and ``self_`` and ``total_`` of each metric. The total of a function holds recursion
        once; functions of one cycle share the cycle's total, of which only some may be below each: there
        ``total_exact`` is False."""
        if self._functions is not None:
            return self._functions
        from workbench.profiles.tree import functions_of

        return functions_of(self)

    @cached_property
    def edges(self) -> pd.DataFrame:
        """One row a pair of caller and callee: caller_id, callee_id (function ids), calls (Int64, <NA> where unknown)
        and ``cost_`` of each metric: what the callee cost, with all it called, on behalf of this caller."""
        if self._edges is not None:
            return self._edges
        from workbench.profiles.tree import edges_of

        return edges_of(self)

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """The call tree in preorder, position = node_id: parent_id (-1: a root), depth (roots 0), frame_id, exact,
        and ``self_`` and ``total_`` of each metric."""
        if self._nodes is not None:
            return self._nodes
        from workbench.profiles.graph import nodes_of

        return nodes_of(self)

    # small questions

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of the metrics, in their order."""
        return tuple(metric.name for metric in self.metrics)

    def metric(self, name: str | None = None) -> Metric:
        """The metric of that name (None: the default). Raises WorkbenchError that lists those there are."""
        wanted = self.default_metric if name is None else name
        for metric in self.metrics:
            if metric.name == wanted:
                return metric
        raise WorkbenchError(
            f"there is no metric {wanted!r}", where=self.name, hint=f"It has {', '.join(self.metric_names) or 'none'}"
        )

    def total(self, name: str | None = None) -> int | float:
        """The sum of all self costs of a metric: 100 % of every table. In the metric's unit."""
        column = self_(self.metric(name).name)
        value: int | float = (self.functions if self.basis == "graph" else self.nodes)[column].sum().item()
        return value

    def notes_table(self) -> pd.DataFrame:
        """The notes as a table: what, count, where, metric, weight."""
        return pd.DataFrame(
            [(note.what, note.count, note.where, note.metric, note.weight) for note in self.notes],
            columns=["what", "count", "where", "metric", "weight"],
        )

    def top(
        self,
        metric: str | None = None,
        n: int | None = None,
        *,
        by: Literal["function", "name", "file", "crate", "object", "line"] = "function",
        sort: Literal["self", "total"] = "self",
    ) -> pd.DataFrame:
        """What costs most: see :func:`workbench.profiles.views.top.top`."""
        from workbench.profiles.views.top import top

        return top(self, metric, n, by=by, sort=sort)

    def to_pstats(self, metric: str | None = None) -> bytes:
        """The profile for SnakeViz: see :func:`workbench.profiles.exports.pstats.to_pstats`."""
        from workbench.profiles.exports.pstats import to_pstats

        return to_pstats(self, metric)

    def with_notes(self, *notes: Note) -> Profile:
        """The same profile with more notes."""
        return self._but(notes=(*self.notes, *notes))

    def with_meta(self, **meta: Any) -> Profile:
        """The same profile with more in ``meta``."""
        return self._but(meta={**self.meta, **meta})

    def _but(self, **changes: Any) -> Profile:
        """A copy with other values of fields on which no other depends; what is deferred stays so, as it would not
        with :func:`dataclasses.replace`."""
        other = copy(self)
        other.__dict__.update(changes)
        return other


def only(profile: Profile, metric: str | None = None) -> Profile:
    """The profile with one metric (None: the default), for what would otherwise be worked out in all of them."""
    chosen = profile.metric(metric)
    return replace(profile, metrics=(chosen,), default_metric=chosen.name)


def from_stacks(
    format: str,
    name: str,
    *,
    metrics: Sequence[Metric],
    frames: pd.DataFrame,
    parent: NDArray[np.int64],
    frame: NDArray[np.int64],
    self_costs: NDArray[Any],
    default_metric: str | None = None,
    exact: NDArray[np.bool_] | None = None,
    samples: pd.DataFrame | None = None,
    tags: pd.DataFrame | None = None,
    lines: pd.DataFrame | None = None,
    tables: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    notes: Sequence[Note] = (),
) -> Profile:
    """A profile of recorded stacks.

    ``parent``, ``frame`` and ``self_costs`` (one row a node, one column a metric) are a tree in preorder, as
    :func:`workbench.profiles.tree.grow` and :func:`~workbench.profiles.tree.preorder` give it. ``frames`` is
    made by :func:`frame_table`.
    """
    from workbench.profiles.tree import node_table

    return Profile(
        format=format,
        name=name,
        basis="stacks",
        metrics=tuple(metrics),
        default_metric=default_metric or (metrics[0].name if metrics else ""),
        frames=frames,
        lines=_or_empty(lines, ("function_id", "file", "line")),
        samples=_or_empty(samples, ("node_id", "tags_id")),
        tags=_or_empty(tags, ("tags_id", "key", "value", "number", "unit")),
        tables=_Tables(tables or {}),
        meta=dict(meta or {}),
        notes=tuple(notes),
        _nodes=node_table([metric.name for metric in metrics], parent, frame, self_costs, exact),
    )


def from_graph(
    format: str,
    name: str,
    *,
    metrics: Sequence[Metric],
    functions: pd.DataFrame,
    edges: pd.DataFrame,
    default_metric: str | None = None,
    lines: pd.DataFrame | Deferred | None = None,
    tables: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    notes: Sequence[Note] = (),
) -> Profile:
    """A profile of functions and the calls between them.

    ``functions`` has FUNCTION_COLUMNS, ``calls`` and ``self_`` of each metric; ``edges`` has EDGE_COLUMNS and ``cost_``
    of each metric, one row a pair. ``cycle`` is added here, and ``total_`` and ``total_exact`` unless ``functions`` has
    them already (see :func:`workbench.profiles.graph.with_totals`).
    """
    from workbench.profiles.graph import with_totals

    names = [metric.name for metric in metrics]
    functions = with_totals(functions, edges, names)
    frames = functions[list(FUNCTION_COLUMNS)].copy()
    frames["line"] = np.int64(0)
    frames["inlined"] = False
    frames["function_id"] = np.arange(len(frames), dtype=np.int64)
    return Profile(
        format=format,
        name=name,
        basis="graph",
        metrics=tuple(metrics),
        default_metric=default_metric or (names[0] if names else ""),
        frames=frames[list(FRAME_COLUMNS)],
        lines=_or_empty(lines, ("function_id", "file", "line")),
        samples=_or_empty(None, ("node_id", "tags_id")),
        tags=_or_empty(None, ("tags_id", "key", "value", "number", "unit")),
        tables=_Tables(tables or {}),
        meta=dict(meta or {}),
        notes=tuple(notes),
        _functions=functions,
        _edges=edges,
    )


def frame_table(
    function: Sequence[str],
    file: Sequence[str] | None = None,
    line: Sequence[int] | NDArray[np.int64] | None = None,
    object: Sequence[str] | None = None,
    inlined: Sequence[bool] | NDArray[np.bool_] | None = None,
    raw_function: Sequence[str] | None = None,
) -> pd.DataFrame:
    """A table of frames; what is not given is unknown: "" or 0. ``function_id`` numbers the distinct (raw_function,
    file, object) in order of appearance, ``crate`` is derived from name and file."""
    from workbench.profiles.names import crates_of

    size = len(function)
    raw = list(function if raw_function is None else raw_function)
    files = [""] * size if file is None else list(file)
    objects = [""] * size if object is None else list(object)
    columns = {
        "function": pd.array(list(function), dtype="str"),
        "raw_function": pd.array(raw, dtype="str"),
        "file": pd.array(files, dtype="str"),
        "line": np.zeros(size, dtype=np.int64) if line is None else np.asarray(line, dtype=np.int64),
        "object": pd.array(objects, dtype="str"),
        "crate": pd.array(crates_of(raw, files), dtype="str"),
        "inlined": np.zeros(size, dtype=bool) if inlined is None else np.asarray(inlined, dtype=bool),
        "function_id": _identify(raw, files, objects),
    }
    return pd.DataFrame(columns)


def identify(frames: pd.DataFrame) -> NDArray[np.int64]:
    """The function_id of each frame: distinct (raw_function, file, object), numbered in order of appearance."""
    return _identify(*(frames[column].to_numpy(dtype=object) for column in ("raw_function", "file", "object")))


def _identify(*columns: Sequence[str] | NDArray[Any]) -> NDArray[np.int64]:
    ids = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes, values = pd.factorize(np.asarray(column, dtype=object))
        ids, _ = pd.factorize(ids * (len(values) + 1) + codes)
    return np.asarray(ids, dtype=np.int64)


def _or_empty(table: Any, columns: Sequence[str]) -> Any:
    return pd.DataFrame(columns=list(columns)) if table is None else table
