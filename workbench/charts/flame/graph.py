"""A flame graph in Python: its data, and the HTML that draws it anywhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.charts.flame.beside import Beside, beside
from workbench.charts.flame.calltree import (
    TRIMMED,
    CallTree,
    Dropped,
    Normalise,
    call_tree,
    difference,
    function_costs,
    function_costs_before,
    trimmed,
)
from workbench.charts.flame.packing import clean, pack
from workbench.errors import WorkbenchError
from workbench.markup import markup, safe
from workbench.numbers import plain
from workbench.profiles.labels import labels_of
from workbench.profiles.transforms.group import without_levels
from workbench.scripts import joined_script

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_HERE = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"
_PAGE_STYLE = "body { margin: 1rem } @media screen and (prefers-color-scheme: dark) { body { background: #16181b } }"
_ROWS = 20


@dataclass(frozen=True, eq=False)
class FlameGraph:
    """A flame graph of ``data``. The last expression of a cell shows it; ``page()`` is a separate file.

    ``metric``: index of the metric shown first; ``inverted``: leaves first; ``icicle``: roots on top, not at the
    bottom. The reader can change all three. ``beside``: further data for the tables beside the graph and the
    time-ordered view; None: only the tree's.
    """

    data: CallTree
    title: str
    metric: int = 0
    inverted: bool = False
    icicle: bool = True
    beside: Beside | None = None

    @property
    def dropped(self) -> Dropped:
        """What was cut to keep the graph small."""
        return self.data.dropped

    @cached_property
    def payload(self) -> bytes:
        """The script's data; see ``packing``."""
        return pack(
            self.data,
            self.beside,
            title=clean(self.title),
            metric=self.metric,
            inverted=self.inverted,
            icicle=self.icicle,
            dropped=_said(self),
        )

    def page(self) -> str:
        """One HTML file that loads nothing from outside and is not allowed to."""
        page = markup(
            "charts/flame/page",
            title=clean(self.title),
            policy=safe(_POLICY),
            style=safe(_PAGE_STYLE),
            graph=safe(self._repr_html_()),
        )
        return f"{page}\n"

    def _repr_html_(self) -> str:
        # Each output has its own script: one that relied on another cell's would not work in a saved notebook. The
        # script notices if it is already loaded. Without scripts the table stays.
        return markup(
            "charts/flame/graph",
            title=clean(self.title),
            style=safe(asset("flame.css")),
            table=safe(_table_html(self)),
            payload=base64.b64encode(self.payload).decode(),
            script=safe(joined_script("charts/flame/main")),
        )

    def __repr__(self) -> str:
        metric = self.data.metrics[self.metric]
        lines = [
            f"<FlameGraph {self.title}: {len(self.data):,} nodes, "
            f"{self.data.total(self.metric):,.10g} {metric.unit} of {metric.name}>"
        ]
        said = _said(self)
        return "\n".join([*lines, *([said] if said else []), *self.data.remarks])


def flame_graph(
    profile: Profile,
    *,
    metric: str | None = None,
    title: str | None = None,
    before: Profile | None = None,
    normalise: Normalise = "none",
    per: tuple[float, float] | None = None,
    inverted: bool = False,
    icicle: bool = True,
    max_nodes: int = 100_000,
    detail: bool = True,
) -> FlameGraph:
    """The flame graph of ``profile``, or of its differences from ``before``.

    All its additive metrics can be chosen; ``metric`` is shown first (None: the profile's default). With ``before`` the
    two trees are joined by function names, and bars show what grew, shrank, is new or gone; ``normalise="total"``
    scales ``before`` to the same total first, ``per=(n, m)`` from its n units of work to the m of ``profile``. At most
    ``max_nodes`` nodes are kept, the largest; the rest is summed in bars called ``(trimmed)``, and ``dropped`` tells
    how much it is. Costs below 0, as in a profile that is itself a difference, are drawn by their size and marked.
    ``detail`` keeps calls, source lines and spans for the tables and the time-ordered view; a comparison has none.

    Raises WorkbenchError for a metric that is missing or cannot be summed, and for profiles with nothing in common.
    """
    if before is None:
        tree = call_tree(profile)
    else:
        tree = difference(call_tree(without_levels(profile)), call_tree(without_levels(before)), normalise, per)
    names = [each.name for each in tree.metrics]
    wanted = profile.metric(metric).name
    if metric is not None and wanted not in names:
        raise WorkbenchError(f"{wanted} cannot be drawn", where=profile.name, hint=f"Choose one of {', '.join(names)}")
    if title is None:
        title = profile.name if before is None else f"{profile.name}, compared with {before.name}"
    more = beside(profile, tree) if detail and before is None else None
    if more is not None:
        tree = replace(tree, remarks=(*tree.remarks, *more.remarks))
    return FlameGraph(
        trimmed(tree, max_nodes),
        title,
        names.index(wanted) if wanted in names else 0,
        inverted=inverted,
        icicle=icicle,
        beside=more,
    )


def top_functions(tree: CallTree, metric: int) -> pd.DataFrame:
    """The functions of a tree by self cost: function, self, total (recursion once) and, for a comparison, before and
    change of the total; sorted by self, in a comparison by change. For a call graph these are the measured costs, not
    those of the derived tree.
    """
    costs, before = function_costs(tree), function_costs_before(tree)
    # (trimmed) is not a measured function
    names = labels_of(tree.functions)[: len(costs.own)]
    table = pd.DataFrame({"function": names, "self": costs.own[:, metric], "total": costs.total[:, metric]})
    if before is None:
        return table.sort_values(["self", "total"], key=np.abs, ascending=False, kind="stable")
    table["before"] = before.total[:, metric]
    table["change"] = table["total"] - table["before"]
    return table.sort_values("change", key=np.abs, ascending=False, kind="stable")


def _said(graph: FlameGraph) -> str:
    """The line about what was cut; empty if nothing was."""
    dropped, tree = graph.dropped, graph.data
    if not dropped.nodes:
        return ""
    metric = tree.metrics[graph.metric]
    weight, total = (dropped.weights or {})[metric.name], tree.total(graph.metric)
    share = f", {weight / total:.2%}" if total > 0 else ""
    return (
        f"{dropped.nodes:,} of {dropped.nodes + len(tree) - _stand_ins(tree):,} nodes are too small to keep: "
        f"{weight:,.10g} {metric.unit} of {metric.name} together{share}. Bars called (trimmed) have their cost."
    )


def _stand_ins(tree: CallTree) -> int:
    return int(((tree.flags & TRIMMED) > 0).sum())


def _table_html(graph: FlameGraph) -> str:
    """The table of the largest functions: shown without scripts, and for readers who prefer tables."""
    tree, metric = graph.data, graph.data.metrics[graph.metric]
    table = top_functions(tree, graph.metric)
    total = tree.total(graph.metric)
    unit = clean(f"{metric.name}, {metric.unit}")

    def share(value: float) -> str:
        return f"{value / total:.2%}" if total > 0 else "–"

    if tree.before is None:
        headings = [f"Self ({unit})", "Self, %", f"Total ({unit})", "Total, %"]
        rows = [
            [name, plain(own), share(own), plain(both), share(both)]
            for name, own, both in table[["function", "self", "total"]].head(_ROWS).itertuples(index=False)
        ]
    else:
        headings = [f"Before ({unit})", "After", "Change", "Self after"]
        rows = [
            [name, plain(was), plain(now), plain(change, "+"), plain(own)]
            for name, was, now, change, own in table[["function", "before", "total", "change", "self"]]
            .head(_ROWS)
            .itertuples(index=False)
        ]
    return markup(
        "charts/flame/table",
        headings=["Function", *headings],
        rows=[(clean(name), cells) for name, *cells in rows],
        more=f"The {_ROWS} largest of {len(table):,} functions." if len(table) > _ROWS else "",
        said=_said(graph),
    )


def asset(name: str) -> str:
    """A file that lies beside this module."""
    return (_HERE / name).read_text(encoding="utf-8")
