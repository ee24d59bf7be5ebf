"""Made-up profiles for charts: small ones written by hand as folded stacks, large ones by a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks
from workbench.profiles.tree import add_at, grow

CPU = Metric("cpu", "ns", "CPU time")
SAMPLES = Metric("samples", "count", "samples")
HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)><!-- \u2028\u202e\x00 ]]>"


def folded(stacks: Mapping[str, float], *, metrics: Sequence[Metric] = (CPU,), name: str = "made-up") -> Profile:
    """A profile of ``{"main;work": 5}``; a frame ``work@lib.rs:3`` has a file and a line, ``~work`` was not exact. In a
    second metric every stack counts 1.
    """
    frames: dict[str, int] = {}
    paths = [[frames.setdefault(frame, len(frames)) for frame in stack.split(";")] for stack in stacks]
    tree = grow(np.cumsum([0, *map(len, paths)]), np.array([frame for path in paths for frame in path]))
    values = np.array(list(stacks.values()))
    costs = np.column_stack([values, *[np.ones(len(values), dtype=values.dtype) for _ in metrics[1:]]])
    parts = [frame.lstrip("~").partition("@") for frame in frames]
    places = [place.rpartition(":") if ":" in place else (place, "", "0") for _, _, place in parts]
    names = list(frames)
    return from_stacks(
        "folded",
        name,
        metrics=metrics,
        frames=frame_table(
            [function for function, _, _ in parts],
            [file for file, _, _ in places],
            [int(line) for _, _, line in places],
        ),
        parent=tree.parent,
        frame=tree.frame,
        self_costs=add_at(len(tree.parent), tree.node_of, costs),
        exact=np.array([not names[frame].startswith("~") for frame in tree.frame]),
    )


def large(nodes: int = 100_000, *, functions: int = 3_000, depth: int = 60, seed: int = 7) -> Profile:
    """A tree of that many nodes as a profiler of a large service gives it: deep, a few heavy branches, a long tail."""
    random = np.random.default_rng(seed)
    parent = np.full(nodes, -1, dtype=np.int64)
    level = np.zeros(nodes, dtype=np.int64)
    path = [0]
    for node in range(1, nodes):
        at = min(len(path), 1 + int(random.geometric(0.02)))
        del path[at if random.random() < 0.3 else min(len(path), depth) :]
        parent[node] = path[-1]
        level[node] = len(path)
        path.append(node)
    frame = random.zipf(1.3, nodes) % functions
    costs = np.column_stack([random.pareto(1.1, nodes) * 1_000, np.ones(nodes)]).astype(np.int64)
    names = [f"crate_{n % 40}::module_{n % 7}::Type<{n}>::function_{n}" for n in range(functions)]
    return from_stacks(
        "folded",
        "large",
        metrics=(CPU, SAMPLES),
        frames=frame_table(names, [f"src/file_{n % 90}.rs" for n in range(functions)]),
        parent=parent,
        frame=frame,
        self_costs=costs,
    )
