"""The one model that every profile format is read into.

A **frame** is a place in code: a function, perhaps with a line, perhaps inlined. A **function** is all frames with the
same name, file and object. **self** is the cost of a place itself, **total** includes everything it called. A
**metric** is what was counted, with its unit.

There are two kinds of profile, given by ``basis``:

- ``"stacks"``: whole stacks were recorded (pprof, massif, folded stacks, flame graphs, speedscope, strace, perf script,
  Firefox). The tree in ``nodes`` is what was measured; functions and edges are summed from it, recursion counted once.
- ``"graph"``: only functions and calls between them were recorded (callgrind, pstats). ``functions`` and ``edges`` are
  what was measured. A graph does not determine stacks: the tree in ``nodes`` is built from it, and a node whose share
  of its function had to be assumed says ``exact=False``.

Tables are DataFrames with plain columns and a RangeIndex; an id is always the row's position. Values are int64, or
float64 if a format has fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from workbench.card import card
from workbench.errors import WorkbenchError
from workbench.hints import TYPE_CHECKING
from workbench.profiles.columns import FRAME_COLUMNS, FUNCTION_COLUMNS, self_
from workbench.profiles.frames import frame_table as frame_table
from workbench.profiles.frames import identify as identify
from workbench.profiles.metrics import Metric
from workbench.profiles.notes import Note
from workbench.profiles.table import Deferred, Frames, Listed, Table, Tables, kept, made
from workbench.profiles.ungrown import Ungrown

if TYPE_CHECKING:
    from typing import Any, Literal, NoReturn

    import pandas as pd
    from numpy.typing import NDArray

    from workbench.profiles.table import TableLike

    Basis = Literal["stacks", "graph"]


class _Framed:
    """A field of a Profile that is stored as a Table or Deferred table and read as a DataFrame."""

    def __set_name__(self, owner: type[Profile], name: str) -> None:
        self._name = name

    def __get__(self, profile: Profile | None, owner: type[Profile]) -> pd.DataFrame:
        if profile is None:
            raise AttributeError(f"{self._name} has no default")
        return made(profile.__dict__[self._name]).frame()

    def __set__(self, profile: Profile, table: TableLike | Deferred) -> None:
        profile.__dict__[self._name] = kept(table)


class _Measured:
    """A field of a Profile with the measured Table; None if it is computed from others."""

    def __set_name__(self, owner: type[Profile], name: str) -> None:
        self._name = name

    def __get__(self, profile: Profile | None, owner: type[Profile]) -> Table | None:
        table = None if profile is None else profile.__dict__[self._name]
        return None if table is None else made(table)

    def __set__(self, profile: Profile, table: TableLike | Deferred | None) -> None:
        profile.__dict__[self._name] = None if table is None else kept(table)


class _OwnTables:
    """The field ``tables``: DataFrames by name, each made at first use."""

    def __get__(self, profile: Profile | None, owner: type[Profile]) -> Mapping[str, pd.DataFrame]:
        if profile is None:
            raise AttributeError("tables has no default")
        return Frames(profile.__dict__["tables"])

    def __set__(self, profile: Profile, tables: Mapping[str, Any]) -> None:
        profile.__dict__["tables"] = Tables(tables)


class Profile:
    """One profile. Made by :func:`from_stacks` or :func:`from_graph`; never changed afterwards.

    Fields:

    - ``format``: ``callgrind``, ``massif``, ``pprof``, ``strace``, ``flamegraph``, ``folded``, ``speedscope``,
      ``pstats``, ``perf_script``, ``firefox``; transforms keep it. ``name``: the file's name or what the caller called
      it.
    - ``metrics``: what was counted; ``default_metric``: the one shown first.
    - ``frames``: function, raw_function (as the file has it), file, line (0: unknown), object, crate, inlined,
      function_id.
    - ``lines``: function_id, file, line, and ``self_`` and ``called_`` of each metric: cost per source line. Empty if
      the format has no reliable lines. Of a large callgrind file it is made on first use.
    - ``samples``: if the format's stacks have labels: node_id, tags_id and ``self_`` of each metric; ``tags``:
      tags_id, key, value (text), number (Int64), unit. Otherwise both are empty.
    - ``tables``: the format's own tables (``snapshots``, ``heap_trees`` of massif, ``calls`` of strace, ``jumps`` ...).
    - ``meta``: plain values from the header. ``notes``: what was odd, assumed or dropped.
    """

    format: str
    name: str
    basis: Basis
    metrics: tuple[Metric, ...]
    default_metric: str
    frames = _Framed()
    lines = _Framed()
    samples = _Framed()
    tags = _Framed()
    tables = _OwnTables()
    meta: Mapping[str, Any]
    notes: tuple[Note, ...]
    _functions = _Measured()
    _edges = _Measured()
    _nodes = _Measured()

    _repr_mimebundle_ = card("profile")

    def __init__(
        self,
        *,
        format: str,
        name: str,
        basis: Basis,
        metrics: tuple[Metric, ...],
        default_metric: str,
        frames: TableLike | Deferred,
        lines: TableLike | Deferred,
        samples: TableLike | Deferred,
        tags: TableLike | Deferred,
        tables: Mapping[str, TableLike | Deferred],
        meta: Mapping[str, Any],
        notes: tuple[Note, ...],
        _functions: TableLike | Deferred | None = None,
        _edges: TableLike | Deferred | None = None,
        _nodes: TableLike | Deferred | None = None,
    ) -> None:
        self._set({field: value for field, value in locals().items() if field != "self"})

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a Profile is not changed: but({name}=...) gives another")

    def _set(self, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        total = self.total(self.default_metric)
        return (
            f"<Profile {self.name}: {self.format}, {len(self.arrays.functions):,} functions, "
            f"{total:,.10g} {self.metric(self.default_metric).unit} of {self.default_metric}>"
        )

    @property
    def arrays(self) -> Arrays:
        """The same tables as numpy arrays, without pandas."""
        return Arrays(self)

    # measured tables, and those computed from them

    @property
    def functions(self) -> pd.DataFrame:
        """One row per function, position = function_id: function, raw_function, file, object, crate, calls (Int64, <NA>
        if the format does not count calls), cycle (number of the cycle of mutually recursive functions it is in, -1:
        none), ``total_exact``, and ``self_`` and ``total_`` of each metric. The total of a function counts recursion
        once. Functions of one cycle share the cycle's total, which may be more than their own: there ``total_exact``
        is False."""
        return self._function_table.frame()

    @property
    def edges(self) -> pd.DataFrame:
        """One row per pair of caller and callee: caller_id, callee_id (function ids), calls (Int64, <NA> if unknown)
        and ``cost_`` of each metric: the cost of the callee, with all it called, when called by this caller."""
        return self._edge_table.frame()

    @property
    def nodes(self) -> pd.DataFrame:
        """The call tree in preorder, position = node_id: parent_id (-1: a root), depth (roots 0), frame_id, exact,
        and ``self_`` and ``total_`` of each metric."""
        return self._node_table.frame()

    @cached_property
    def _function_table(self) -> Table:
        if self._functions is not None:
            return self._functions
        if isinstance(stacks := self.__dict__["_nodes"], Ungrown):
            return stacks.functions(self.arrays.frames, self.metric_names)
        from workbench.profiles.tree import functions_of

        return functions_of(self.arrays.nodes, self.arrays.frames, self.metric_names)

    @cached_property
    def _edge_table(self) -> Table:
        if self._edges is not None:
            return self._edges
        from workbench.profiles.tree import edges_of

        return edges_of(self.arrays.nodes, self.arrays.frames, self.metric_names)

    @cached_property
    def _node_table(self) -> Table:
        if self._nodes is not None:
            return self._nodes
        from workbench.profiles.call_tree import nodes_of

        return nodes_of(self.arrays.functions, self.arrays.edges, self.metrics)

    # small helpers

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of the metrics, in their order."""
        return tuple(metric.name for metric in self.metrics)

    def metric(self, name: str | None = None) -> Metric:
        """The metric of that name (None: the default). Raises WorkbenchError that lists the existing ones."""
        wanted = self.default_metric if name is None else name
        for metric in self.metrics:
            if metric.name == wanted:
                return metric
        raise WorkbenchError(
            f"there is no metric {wanted!r}", where=self.name, hint=f"It has {', '.join(self.metric_names) or 'none'}"
        )

    def total(self, name: str | None = None) -> int | float:
        """The sum of all self costs of a metric: 100 % of every table. In the metric's unit."""
        return self.sums(name)[0]

    def sums(self, name: str | None = None) -> tuple[int | float, int | float]:
        """The sum of all self costs of a metric, and the sum of those below 0."""
        column = self_(self.metric(name).name)
        if self.basis == "stacks" and isinstance(nodes := self.__dict__["_nodes"], Ungrown):
            sums = nodes.sums(column)
            if not sums[1]:
                return sums
        costs = self.self_costs(name)
        return costs.sum().item(), costs[costs < 0].sum().item()

    def self_costs(self, name: str | None = None) -> NDArray[Any]:
        """A metric's self costs at each recorded place (functions of a graph, nodes of a tree); their sum is
        :meth:`total`. The tree is built only for negative costs, where the net at each node counts."""
        column = self_(self.metric(name).name)
        if self.basis == "graph":
            return self.arrays.functions[column]
        nodes = self.__dict__["_nodes"]
        if isinstance(nodes, Ungrown) and not ((values := nodes.values(column)) < 0).any():
            return values
        return self.arrays.nodes[column]

    def tree_notes(self) -> tuple[Note, ...]:
        """What the tree of a call graph assumes and leaves out, with weights in the default metric; empty for recorded
        stacks."""
        if self.basis != "graph" or not self.metrics:
            return ()
        from workbench.profiles.call_tree import tree_notes

        return tree_notes(self.arrays.functions, self.arrays.edges, self.metrics, self.default_metric)

    def notes_table(self) -> pd.DataFrame:
        """The notes as a table: what, count, where, metric, weight."""
        import pandas as pd

        return pd.DataFrame([*self.notes], columns=Note._fields)

    def top(
        self,
        metric: str | None = None,
        n: int | None = None,
        *,
        by: Literal["function", "name", "file", "crate", "object", "line"] = "function",
        sort: Literal["self", "total"] = "self",
    ) -> pd.DataFrame:
        """The most expensive functions: see :func:`workbench.profiles.views.top.top`."""
        from workbench.profiles.views.top import top

        return top(self, metric, n, by=by, sort=sort)

    def to_pstats(self, metric: str | None = None) -> bytes:
        """The profile for SnakeViz: see :func:`workbench.profiles.exports.pstats.to_pstats`."""
        from workbench.profiles.exports.pstats import to_pstats

        return to_pstats(self, metric)

    def with_notes(self, *notes: Note) -> Profile:
        """The same profile with more notes."""
        return self.but(notes=(*self.notes, *notes))

    def with_meta(self, **meta: Any) -> Profile:
        """The same profile with more in ``meta``."""
        return self.but(meta={**self.meta, **meta})

    def with_costs(self, metrics: tuple[Metric, ...], more: Callable[[Table], Table]) -> Profile:
        """The same profile with these metrics; ``more`` adds their columns to each measured table."""
        lines = self.__dict__["lines"]
        return self.but(
            metrics=metrics,
            lines=Deferred(lambda: more(lines.table())) if isinstance(lines, Deferred) else more(lines),
            samples=more(self.arrays.samples),
            **{
                name: table if table is None else more(table)
                for name, table in (("_functions", self._functions), ("_edges", self._edges), ("_nodes", self._nodes))
            },
        )

    def but(self, **changes: Any) -> Profile:
        """A copy with other values of some fields, tables as Tables or DataFrames. No other table is computed."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        if not changes.keys() <= _TOLD:
            for computed in ("_function_table", "_edge_table", "_node_table"):
                other.__dict__.pop(computed, None)
        other._set(changes)
        return other


# fields from which no table is computed
_TOLD = frozenset(("format", "name", "meta", "notes", "default_metric", "lines", "tables"))


class Arrays:
    """The tables of a profile without pandas: each is a :class:`~workbench.profiles.table.Table`, whose columns are
    numpy arrays. ``arrays.functions["self_Ir"]`` is the array behind ``profile.functions["self_Ir"]``."""

    __slots__ = ("_profile",)

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    @property
    def frames(self) -> Table:
        """See :class:`Profile`."""
        return made(self._profile.__dict__["frames"])

    @property
    def functions(self) -> Table:
        """See :attr:`Profile.functions`."""
        return self._profile._function_table

    @property
    def edges(self) -> Table:
        """See :attr:`Profile.edges`."""
        return self._profile._edge_table

    @property
    def nodes(self) -> Table:
        """See :attr:`Profile.nodes`."""
        return self._profile._node_table

    @property
    def lines(self) -> Table:
        """See :class:`Profile`."""
        return made(self._profile.__dict__["lines"])

    @property
    def samples(self) -> Table:
        """See :class:`Profile`."""
        return made(self._profile.__dict__["samples"])

    @property
    def tags(self) -> Table:
        """See :class:`Profile`."""
        return made(self._profile.__dict__["tags"])

    @property
    def tables(self) -> Tables:
        """The format's own tables."""
        own: Tables = self._profile.__dict__["tables"]
        return own


def only(profile: Profile, metric: str | None = None) -> Profile:
    """The profile with one metric (None: the default), to avoid computing all metrics."""
    chosen = profile.metric(metric)
    return profile.but(metrics=(chosen,), default_metric=chosen.name)


def from_stacks(
    format: str,
    name: str,
    *,
    metrics: Sequence[Metric],
    frames: TableLike,
    parent: NDArray[np.int64],
    frame: NDArray[np.int64],
    self_costs: NDArray[Any],
    exact: NDArray[np.bool_] | None = None,
    **others: Any,
) -> Profile:
    """A profile of recorded stacks.

    ``parent``, ``frame`` and ``self_costs`` (one row per node, one column per metric) are a tree in preorder, as
    :func:`workbench.profiles.tree.grow` and :func:`~workbench.profiles.tree.preorder` give it. ``others`` are those of
    :func:`from_nodes`.
    """
    from workbench.profiles.tree import node_table

    nodes = node_table([metric.name for metric in metrics], parent, frame, self_costs, exact)
    return from_nodes(format, name, metrics=metrics, frames=frames, nodes=nodes, **others)


def from_nodes(
    format: str,
    name: str,
    *,
    metrics: Sequence[Metric],
    frames: TableLike,
    nodes: Table | Ungrown,
    default_metric: str | None = None,
    samples: TableLike | Deferred | None = None,
    tags: TableLike | Deferred | None = None,
    lines: TableLike | Deferred | None = None,
    tables: Mapping[str, TableLike | Deferred] | None = None,
    meta: Mapping[str, Any] | None = None,
    notes: Sequence[Note] = (),
) -> Profile:
    """A profile of recorded stacks: the table of their tree's nodes, or an
    :class:`~workbench.profiles.ungrown.Ungrown`, whose tree is built at first use.

    ``frames`` is made by :func:`frame_table`. A table is a Table, a mapping of columns (arrays or lists) or a
    DataFrame, or one of these Deferred.
    """
    return Profile(
        format=format,
        name=name,
        basis="stacks",
        metrics=tuple(metrics),
        default_metric=default_metric or (metrics[0].name if metrics else ""),
        frames=frames,
        lines=_NO_LINES if lines is None else lines,
        samples=_NO_SAMPLES if samples is None else samples,
        tags=_NO_TAGS if tags is None else tags,
        tables=tables or {},
        meta=dict(meta or {}),
        notes=tuple(notes),
        _nodes=nodes,
    )


def from_graph(
    format: str,
    name: str,
    *,
    metrics: Sequence[Metric],
    functions: TableLike,
    edges: TableLike,
    default_metric: str | None = None,
    lines: TableLike | Deferred | None = None,
    tables: Mapping[str, TableLike | Deferred] | None = None,
    meta: Mapping[str, Any] | None = None,
    notes: Sequence[Note] = (),
) -> Profile:
    """A profile of functions and the calls between them.

    ``functions`` has FUNCTION_COLUMNS, ``calls`` and ``self_`` of each metric; ``edges`` has EDGE_COLUMNS and ``cost_``
    of each metric, one row per pair. ``cycle`` is added here, and ``total_`` and ``total_exact`` unless ``functions``
    has them already (see :func:`workbench.profiles.graph.with_totals`). Tables are as in :func:`from_stacks`.
    """
    from workbench.profiles.graph import with_totals

    names = [metric.name for metric in metrics]
    calls = Table.of(edges)
    made_of = with_totals(Table.of(functions), calls, names)
    size = len(made_of)
    frames = made_of.select(FUNCTION_COLUMNS).assign(
        line=np.zeros(size, dtype=np.int64),
        inlined=np.zeros(size, dtype=bool),
        function_id=np.arange(size, dtype=np.int64),
    )
    return Profile(
        format=format,
        name=name,
        basis="graph",
        metrics=tuple(metrics),
        default_metric=default_metric or (names[0] if names else ""),
        frames=frames.select(FRAME_COLUMNS),
        lines=_NO_LINES if lines is None else lines,
        samples=_NO_SAMPLES,
        tags=_NO_TAGS,
        tables=tables or {},
        meta=dict(meta or {}),
        notes=tuple(notes),
        _functions=made_of,
        _edges=calls,
    )


def _empty(**kinds: str) -> Table:
    return Table({name: Listed([], kind) for name, kind in kinds.items()})


_NO_LINES = _empty(function_id="int64", file="object", line="int64")
_NO_SAMPLES = _empty(node_id="int64", tags_id="int64")
_NO_TAGS = _empty(tags_id="int64", key="object", value="object", number="counts", unit="object")
