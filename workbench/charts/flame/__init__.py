"""The flame graph: one component for notebooks, reports and single pages.

``calltree`` makes the tree from one profile, or from two to compare; ``beside`` the tables beside it; ``packing`` packs
both into bytes; ``graph`` puts these into HTML, ``steps`` several graphs under a slider. The modules under ``js/``,
joined by ``script``, draw on a canvas and do everything interactive: zoom, search, inversion, callers and callees,
order of time. They need only the payload and are the same everywhere.
"""

from __future__ import annotations

from workbench.charts.flame.calltree import CallTree, Dropped
from workbench.charts.flame.graph import FlameGraph, flame_graph
from workbench.charts.flame.steps import StepGraphs, flame_steps

__all__ = ["CallTree", "Dropped", "FlameGraph", "StepGraphs", "flame_graph", "flame_steps"]
