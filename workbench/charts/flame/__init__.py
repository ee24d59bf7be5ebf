"""The flame graph: one component for notebooks, reports and single pages.

``calltree`` makes of one profile, or of two to be compared, the tree that is drawn; ``beside`` what is shown beside it;
``packing`` puts both into bytes; ``graph`` puts those into HTML, ``steps`` several of them under a slider. The modules
under ``js/``, which ``script`` joins, draw on a canvas and do all that a reader can do to the graph: zoom, search,
inversion, callers and callees, order of time. They need nothing but the payload and are the same wherever it is shown.
"""

from __future__ import annotations

from workbench.charts.flame.calltree import CallTree, Dropped
from workbench.charts.flame.graph import FlameGraph, flame_graph
from workbench.charts.flame.steps import StepGraphs, flame_steps

__all__ = ["CallTree", "Dropped", "FlameGraph", "StepGraphs", "flame_graph", "flame_steps"]
