"""A flame graph for each step, with a slider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.charts.flame.graph import FlameGraph, asset, flame_graph
from workbench.errors import WorkbenchError
from workbench.markup import markup, safe

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

NODES_EACH = 20_000


@dataclass(frozen=True, eq=False)
class StepGraphs:
    """Flame graphs of which one is shown at a time. Without scripts all are shown below each other."""

    graphs: tuple[FlameGraph, ...]
    labels: tuple[str, ...]

    def _repr_html_(self) -> str:
        graphs = [(label, safe(graph._repr_html_())) for graph, label in zip(self.graphs, self.labels, strict=True)]
        return markup("charts/flame/steps", graphs=graphs, script=safe(asset("steps.js")))

    def __repr__(self) -> str:
        return "\n".join(f"{label}\n{graph!r}" for graph, label in zip(self.graphs, self.labels, strict=True))


def flame_steps(profiles: Sequence[Profile], labels: Sequence[str], *, metric: str | None = None) -> StepGraphs:
    """The flame graphs of the steps of one sweep, in order; ``labels`` name the steps.

    ``metric`` is shown first in each. Each graph keeps its NODES_EACH largest nodes. Raises WorkbenchError if the
    number of labels differs from that of profiles, or the metric is missing.
    """
    if len(profiles) != len(labels):
        raise WorkbenchError(f"{len(profiles)} profiles and {len(labels)} labels were given", where="flame_steps")
    graphs = tuple(
        flame_graph(profile, metric=metric, title=label, max_nodes=NODES_EACH, detail=False)
        for profile, label in zip(profiles, labels, strict=True)
    )
    return StepGraphs(graphs, tuple(labels))
