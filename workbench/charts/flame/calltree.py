"""The tree that is drawn: one node per function and its callers, of one profile or of two side by side.

Frames of one function differ by line; a flame graph has one bar per function, so siblings of one function become one
node, which keeps the line if all have the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import FUNCTION_COLUMNS
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile
from workbench.profiles.transforms.alignment import Side, aligned
from workbench.profiles.transforms.matching import matching, unmatched
from workbench.profiles.transforms.shape import TRIMMED as TRIMMED_NAME
from workbench.profiles.tree import add_at, costs_of, depths, outermost, preorder, regrow, subtree_sums, totals_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Normalise = Literal["none", "total"]

# bits of ``flags``, as in ``js/tree.js``
ASSUMED, INLINED, TRIMMED = 1, 2, 4
_FUNCTION_COLUMNS = list(FUNCTION_COLUMNS)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was cut to keep the graph small: how many nodes, and their cost by metric (``before``: in the other
    profile). The cost stays in the graph, in bars called ``(trimmed)``.
    """

    nodes: int = 0
    weights: Mapping[str, int | float] | None = None
    before: Mapping[str, int | float] | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """Costs of functions, a row per function and a column per metric: ``own`` is self cost, ``total`` includes callees
    (recursion once).
    """

    own: NDArray[Any]
    total: NDArray[Any]


@dataclass(frozen=True, eq=False)
class CallTree:
    """A tree in preorder, one entry per node: ``parent`` (-1: a root), ``function`` (row of ``functions``), ``line``
    (0: unknown, or several), ``flags`` and ``costs``, the self cost in each of ``metrics``, one column per metric.

    ``before``: the same for the other profile of a comparison, or None. ``measured`` and ``measured_before``: the costs
    of functions if a call graph was recorded and the tree is only derived from it; None if the tree itself was
    recorded.
    """

    metrics: tuple[Metric, ...]
    functions: pd.DataFrame
    parent: NDArray[np.int64]
    function: NDArray[np.int64]
    line: NDArray[np.int64]
    flags: NDArray[np.uint8]
    costs: NDArray[Any]
    before: NDArray[Any] | None = None
    dropped: Dropped = Dropped()
    remarks: tuple[str, ...] = ()
    measured: Measured | None = None
    measured_before: Measured | None = None

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def depth(self) -> NDArray[np.int64]:
        """Depth of each node, roots 0."""
        return depths(self.parent)

    def total(self, metric: int) -> int | float:
        """Sum of all self costs in the metric with this index."""
        value: int | float = self.costs[:, metric].sum().item()
        return value


def call_tree(profile: Profile) -> CallTree:
    """The tree of a profile, in its additive metrics. Raises WorkbenchError if there are none, since widths of bars are
    sums.
    """
    metrics = tuple(metric for metric in profile.metrics if metric.additive)
    if not metrics:
        raise WorkbenchError(
            "no metric of this profile can be summed, so no flame graph can be drawn", where=profile.name
        )
    names = [metric.name for metric in metrics]
    nodes, frames = profile.nodes, profile.frames
    frame = nodes["frame_id"].to_numpy()
    function_of = frames["function_id"].to_numpy(dtype=np.int64)
    functions = frames.drop_duplicates("function_id").sort_values("function_id")[_FUNCTION_COLUMNS]
    tree = CallTree(
        metrics,
        functions.reset_index(drop=True),
        nodes["parent_id"].to_numpy(),
        function_of[frame],
        frames["line"].to_numpy(dtype=np.int64)[frame],
        (
            np.where(nodes["exact"].to_numpy(dtype=bool), 0, ASSUMED)
            | np.where(frames["inlined"].to_numpy(dtype=bool)[frame], INLINED, 0)
        ).astype(np.uint8),
        costs_of(nodes, names),
    )
    measured = None
    if profile.basis == "graph":
        # its frames are its functions, one by one
        measured = Measured(costs_of(profile.functions, names), totals_of(profile.functions, names))
    return _merged(replace(tree, remarks=_remarks(profile, metrics, tree.costs), measured=measured))


def function_costs(tree: CallTree) -> Measured:
    """The costs of the functions: as measured, or summed over the tree with recursion once."""
    return tree.measured or _summed(tree, tree.costs)


def function_costs_before(tree: CallTree) -> Measured | None:
    """The same for the other profile of a comparison; None without one."""
    if tree.before is None:
        return None
    return tree.measured_before or _summed(tree, tree.before)


def _summed(tree: CallTree, costs: NDArray[Any]) -> Measured:
    size = len(tree.functions)
    counts = np.where(outermost(tree.parent, tree.function), tree.function, -1)
    return Measured(add_at(size, tree.function, costs), add_at(size, counts, subtree_sums(tree.parent, costs)))


def difference(
    after: CallTree,
    before: CallTree,
    normalise: Normalise = "none",
    per: tuple[float, float] | None = None,
) -> CallTree:
    """Two trees joined into one. Functions and nodes are matched as by
    :func:`workbench.profiles.transforms.combine.difference`. ``normalise="total"`` scales ``before`` so that the totals
    of each metric agree; ``per=(n, m)`` scales from the n units of work of ``before`` to the m of ``after``.

    Raises WorkbenchError if the two have no metric in common, or for invalid scales.
    """
    here_columns, there_columns, remarks = _in_common(after, before)
    metrics = tuple(after.metrics[column] for column in here_columns)
    here, there = after.costs[:, here_columns], before.costs[:, there_columns]
    factors, said = _factors(here, there, metrics, normalise, per)
    remarks += said
    there = there * factors
    size = len(before.functions)
    match = matching(before.functions, after.functions)
    # names and files are those of the later build
    functions = pd.concat([after.functions, before.functions], ignore_index=True)
    code = np.concatenate([match.code[size:], match.code[:size]])
    own = (function_costs(before).own[:, there_columns[0]], function_costs(after).own[:, here_columns[0]])
    remarks += [f"{said[0].upper()}{said[1:]}." for said in map(str, unmatched(match, *own, metric=metrics[0].name))]
    forest = aligned(
        _side(after, code[after.function], here_columns[0]),
        _side(before, code[len(after.functions) :][before.function], there_columns[0]),
    )
    if len(forest.hung):
        remarks.append(
            f"{len(forest.hung):,} trees begin inside a function that has callers in the other profile; they are "
            "shown below that function."
        )
    measured = measured_before = None
    if after.measured or before.measured:
        every = int(code.max()) + 1
        measured = _recoded(function_costs(after), here_columns, every, code[: len(after.functions)])
        measured_before = _recoded(function_costs(before), there_columns, every, code[len(after.functions) :], factors)
    both = CallTree(
        metrics,
        functions.iloc[np.unique(code, return_index=True)[1]].reset_index(drop=True),
        forest.parent,
        forest.function,
        np.concatenate([after.line, before.line]),
        np.concatenate([after.flags, before.flags]),
        np.concatenate([here, np.zeros_like(there)]),
        np.concatenate([np.zeros_like(here), there]),
        remarks=tuple(remarks),
        measured=measured,
        measured_before=measured_before,
    )
    return _merged(both)


def _in_common(after: CallTree, before: CallTree) -> tuple[list[int], list[int], list[str]]:
    """The indexes of the metrics that both trees have, for each tree, and the remarks. Raises WorkbenchError if there
    are none."""
    # descriptions can be about one profile only, like massif's of a snapshot
    here_at = {(metric.name, metric.unit): position for position, metric in enumerate(after.metrics)}
    there_at = {(metric.name, metric.unit): position for position, metric in enumerate(before.metrics)}
    common = [key for key in here_at if key in there_at]
    if not common:
        names = [", ".join(f"{m.name} in {m.unit}" for m in tree.metrics) for tree in (after, before)]
        raise WorkbenchError(
            f"nothing to compare: one profile has {names[0]}, the other {names[1]}",
            hint="Give two profiles of one tool",
        )
    remarks = [*after.remarks, *(f"Before: {remark}" for remark in before.remarks if remark not in after.remarks)]
    for name, unit in {**here_at, **there_at}:
        if (name, unit) not in common:
            remarks.append(f"{name} is in one of the two profiles only and is left out.")
    return [here_at[key] for key in common], [there_at[key] for key in common], remarks


def _side(tree: CallTree, function: NDArray[np.int64], metric: int) -> Side:
    weight = subtree_sums(tree.parent, tree.costs[:, [metric]])[:, 0]
    return Side(tree.parent, function, weight, calls=tree.measured is not None)


def _factors(
    here: NDArray[Any],
    there: NDArray[Any],
    metrics: tuple[Metric, ...],
    normalise: Normalise,
    per: tuple[float, float] | None,
) -> tuple[float | NDArray[np.float64], list[str]]:
    """The factors that scale ``there`` for the comparison with ``here``, and a remark."""
    if per is None:
        return _to_same_totals(here, there, metrics) if normalise == "total" else (1, [])
    if normalise != "none" or not all(0 < units < float("inf") for units in per):
        raise WorkbenchError(
            f"cannot compare per unit of work with {per} units and normalise={normalise!r}",
            where="difference",
            hint="Give two numbers above 0 and no other scale",
        )
    factor = per[1] / per[0]
    return factor, [f"Before is scaled by {factor:.4g}, to the work of after."]


def _recoded(
    costs: Measured, columns: list[int], size: int, code: NDArray[np.int64], factors: float | NDArray[np.float64] = 1
) -> Measured:
    """The costs of ``size`` functions, renumbered by ``code``, in the metrics of ``columns``."""
    return Measured(*(add_at(size, code, each[:, columns] * factors) for each in (costs.own, costs.total)))


def trimmed(tree: CallTree, max_nodes: int) -> CallTree:
    """The tree with at most ``max_nodes`` nodes, those with the largest share in any metric. Nodes cut below a node
    become one node ``(trimmed)`` with the same cost, so that every sum stays the same.
    """
    if max_nodes < 2:
        raise WorkbenchError(f"max_nodes is {max_nodes}", hint="A flame graph needs at least 2 nodes")
    if len(tree) <= max_nodes:
        return tree
    every = tree.costs if tree.before is None else np.concatenate([tree.costs, tree.before], axis=1)
    weights = np.abs(every.astype(np.float64))
    shares = (subtree_sums(tree.parent, weights) / np.maximum(weights.sum(axis=0), np.finfo(float).tiny)).max(axis=1)
    # a subtree costs no more than the one it is in: no node ranks before its parent
    order = np.argsort(-shares, kind="stable")
    rank = np.empty(len(tree), dtype=np.int64)
    rank[order] = np.arange(len(tree))
    kept = rank < _how_many(tree.parent, rank, max_nodes)
    place = np.cumsum(kept) - 1
    above = _moved(tree.parent, place)
    # the first cut node on each path down; its total includes everything below
    tops = np.flatnonzero(~kept & ((tree.parent < 0) | kept[tree.parent]))
    holders, group = np.unique(above[tops], return_inverse=True)
    order, parent = preorder(np.concatenate([above[kept], holders]))

    def column(values: NDArray[Any], fill: int) -> NDArray[Any]:
        return np.concatenate([values[kept], np.full(len(holders), fill, dtype=values.dtype)])[order]

    def costs(values: NDArray[Any]) -> NDArray[Any]:
        totals = subtree_sums(tree.parent, values)[tops]
        return np.concatenate([values[kept], add_at(len(holders), group, totals)])[order]

    def weights_of(values: NDArray[Any]) -> dict[str, int | float]:
        return dict(zip(names, values[~kept].sum(axis=0).tolist(), strict=True))

    names = [metric.name for metric in tree.metrics]
    stand_in = pd.DataFrame([[TRIMMED_NAME, TRIMMED_NAME, "", "", ""]], columns=_FUNCTION_COLUMNS)
    return replace(
        tree,
        functions=pd.concat([tree.functions, stand_in], ignore_index=True),
        parent=parent,
        function=column(tree.function, len(tree.functions)),
        line=column(tree.line, 0),
        flags=column(tree.flags, TRIMMED),
        costs=costs(tree.costs),
        before=None if tree.before is None else costs(tree.before),
        dropped=Dropped(
            int((~kept).sum()),
            weights_of(tree.costs),
            None if tree.before is None else weights_of(tree.before),
        ),
    )


def _how_many(parent: NDArray[np.int64], rank: NDArray[np.int64], max_nodes: int) -> int:
    """How many nodes of the highest rank can stay if each node that loses children gets a ``(trimmed)`` node."""
    size = len(parent)
    # index 0 is the root, which always stays
    last_child = np.full(size + 1, -1, dtype=np.int64)
    np.maximum.at(last_child, parent + 1, rank)
    own = np.concatenate([[-1], rank])
    holds = last_child >= 0
    # a node of rank r whose last child has rank c has a stand-in for r < k <= c
    change = np.bincount(own[holds] + 1, minlength=size + 2) - np.bincount(last_child[holds] + 1, minlength=size + 2)
    needed = np.arange(size + 1) + np.cumsum(change)[: size + 1]
    return int(np.flatnonzero(needed <= max_nodes)[-1])


def _merged(tree: CallTree) -> CallTree:
    """Siblings of one function as one node."""
    grown = regrow(tree.parent, tree.function, np.ones(len(tree), dtype=bool))
    size, node = len(grown.parent), grown.node_of
    low = np.full(size, np.iinfo(np.int64).max)
    high = np.zeros(size, dtype=np.int64)
    np.minimum.at(low, node, tree.line)
    np.maximum.at(high, node, tree.line)
    assumed = np.zeros(size, dtype=np.uint8)
    np.bitwise_or.at(assumed, node, tree.flags & np.uint8(ASSUMED))
    inlined = np.full(size, INLINED, dtype=np.uint8)
    np.bitwise_and.at(inlined, node, tree.flags)
    return replace(
        tree,
        parent=grown.parent,
        function=grown.frame,
        line=np.where(low == high, low, 0),
        flags=assumed | inlined,
        costs=add_at(size, node, tree.costs),
        before=None if tree.before is None else add_at(size, node, tree.before),
    )


def _moved(parent: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(parent >= 0, place[parent], -1)


def _to_same_totals(
    after: NDArray[Any], before: NDArray[Any], metrics: Sequence[Metric]
) -> tuple[NDArray[np.float64], list[str]]:
    """The factor for "before" costs in each metric, and the remarks."""
    factors = np.ones(len(metrics))
    scaled, not_scaled = [], []
    for position, metric in enumerate(metrics):
        here, there = float(after[:, position].sum()), float(before[:, position].sum())
        if here > 0 and there > 0:
            factors[position] = here / there
            scaled.append(f"{here / there:.4g} in {metric.name}")
        else:
            not_scaled.append(metric.name)
    said = [f"Before is scaled so that both totals are equal: by {', '.join(scaled)}."] if scaled else []
    if not_scaled:
        said.append(f"Not scaled, since a total is not above zero: {', '.join(not_scaled)}.")
    return factors, said


def _remarks(profile: Profile, metrics: Sequence[Metric], costs: NDArray[Any]) -> tuple[str, ...]:
    said = [
        f"{metric.name} is left out: it cannot be summed over functions."
        for metric in profile.metrics
        if metric not in metrics
    ]
    for position, metric in enumerate(metrics):
        negative = costs[:, position][costs[:, position] < 0]
        if len(negative):
            said.append(
                f"{len(negative):,} nodes have a negative self cost of {metric.name}, {negative.sum():,.10g} "
                f"{metric.unit} together: such bars are as wide as the size of their cost, and marked."
            )
    said += [f"{text[0].upper()}{text[1:]}." for text in map(str, profile.tree_notes())]
    return tuple(said)
