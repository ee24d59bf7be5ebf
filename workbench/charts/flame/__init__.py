"""The flame graph: one component for notebooks, reports and single pages.

``calltree`` makes of one profile, or of two to be compared, the tree that is drawn; ``packing`` puts it into bytes;
``graph`` puts those into HTML, ``steps`` several of them under a slider. ``flame.js`` draws on a canvas and does all
that a reader can do to the graph: zoom, search, inversion, callers and callees. It needs nothing but the payload and is
the same file wherever it is used.
"""

from __future__ import annotations

from workbench.charts.flame.calltree import CallTree, Dropped
from workbench.charts.flame.graph import FlameGraph, flame_graph
from workbench.charts.flame.steps import StepGraphs, flame_steps

__all__ = ["CallTree", "Dropped", "FlameGraph", "StepGraphs", "flame_graph", "flame_steps"]
