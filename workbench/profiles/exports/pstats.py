"""pstats, Python's own profile format, which SnakeViz, gprof2dot and ``python -m pstats`` read.

pstats has only seconds, one metric, and functions with their callers. So one unit of another metric is written as one
second, and the name of the root says so.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.columns import NO_PARENT, cost_, self_, total_
from workbench.profiles.metrics import Metric

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_BUILTIN = "~"

Key = tuple[str, int, str]
Stats = dict[Key, tuple[int, int, float, float, dict[Key, tuple[int, int, float, float]]]]


def to_pstats(profile: Profile, metric: str | None = None) -> bytes:
    """One metric (None: the default) of the call graph as a pstats file. See :func:`to_stats`."""
    return marshal.dumps(to_stats(profile, metric))


def to_stats(profile: Profile, metric: str | None = None) -> Stats:
    """The content of a pstats file: (file, line, name) to (primitive calls, calls, self, cumulative seconds, callers).

    Times are in seconds; 1 unit of other metrics is written as 1 s. A root above everything is added if the profile has
    several roots, so that everything can be reached, and if the numbers are not seconds, to name the unit. Unknown
    numbers of calls are 0.
    """
    chosen = profile.metric(metric)
    scale = _SECONDS.get(chosen.unit, 1.0)
    functions, edges = profile.functions, profile.edges
    keys = _keys(profile)
    calls = functions["calls"].fillna(0).astype("int64").tolist()
    primitive = (
        functions["primitive_calls"].fillna(0).astype("int64").tolist() if "primitive_calls" in functions else calls
    )
    own = (functions[self_(chosen.name)].to_numpy(dtype=float) * scale).tolist()
    total = (functions[total_(chosen.name)].to_numpy(dtype=float) * scale).tolist()
    callers: list[dict[Key, tuple[int, int, float, float]]] = [{} for _ in keys]
    counted = edges["calls"].fillna(0).astype("int64").tolist()
    for caller, callee, count, outer, cost in zip(
        edges["caller_id"].tolist(),
        edges["callee_id"].tolist(),
        counted,
        edges["primitive_calls"].fillna(0).astype("int64").tolist() if "primitive_calls" in edges else counted,
        (edges[cost_(chosen.name)].to_numpy(dtype=float) * scale).tolist(),
        strict=True,
    ):
        # the self time of a callee for one caller is unknown; no reader of pstats shows it
        callers[callee][keys[caller]] = (count, outer, 0.0, cost)
    stats: Stats = {}
    roots = _roots(profile, chosen)
    if len(roots) > 1 or chosen.unit not in _SECONDS:
        root = _root_key(chosen, set(keys))
        stats[root] = (1, 1, 0.0, float(sum(roots.values())) * scale, {})
        for function, cost in roots.items():
            callers[function][root] = (1, 1, 0.0, cost * scale)
    for number, key in enumerate(keys):
        stats[key] = (primitive[number], calls[number], own[number], total[number], callers[number])
    return stats


def _keys(profile: Profile) -> list[Key]:
    """A different key for each function."""
    functions = profile.functions
    lines = functions["line"].clip(lower=0).tolist() if "line" in functions else [0] * len(functions)
    taken: set[Key] = set()
    keys: list[Key] = []
    for name, raw, file, holder, line in zip(
        functions["function"].tolist(),
        functions["raw_function"].tolist(),
        functions["file"].tolist(),
        functions["object"].tolist(),
        lines,
        strict=True,
    ):
        place = _one_line(file or holder or _BUILTIN)
        key: Key = (place, line, _one_line(name))
        if key in taken:
            key = (place, line, _one_line(raw))
        number = 2
        while key in taken:
            key = (place, line, f"{_one_line(raw)} #{number}")
            number += 1
        taken.add(key)
        keys.append(key)
    return keys


def _one_line(text: str) -> str:
    """SnakeViz parses ``file:line(name)`` only if it is one line."""
    return " ".join(text.splitlines()) if len(text.splitlines()) > 1 else text


def _root_key(metric: Metric, taken: set[Key]) -> Key:
    name = metric.name if metric.unit in _SECONDS else f"{metric.name}, 1 s stands for 1 {metric.unit}"
    key: Key = (_BUILTIN, 0, f"<all: {name}>")
    while key in taken:
        key = (_BUILTIN, 0, key[2] + "'")
    return key


def _roots(profile: Profile, metric: Metric) -> dict[int, float]:
    """The callees of the added root, with their cost: the roots of the call tree (also started threads), then the
    largest functions that are not reached from these."""
    functions, edges = profile.functions, profile.edges
    total = functions[total_(metric.name)].to_numpy(dtype=float)
    nodes = profile.nodes[profile.nodes["parent_id"] == NO_PARENT]
    function = profile.frames["function_id"].to_numpy()[nodes["frame_id"].to_numpy()]
    cost = np.bincount(function, weights=nodes[total_(metric.name)].to_numpy(dtype=float), minlength=len(total))
    roots = {number: float(cost[number]) for number in dict.fromkeys(function.tolist())}
    if profile.basis == "stacks":
        return roots
    caller, callee = edges["caller_id"].to_numpy(), edges["callee_id"].to_numpy()
    reached = np.zeros(len(total), dtype=bool)
    order = np.argsort(caller, kind="stable")
    bounds = np.searchsorted(caller[order], np.arange(len(total) + 1))
    targets = callee[order]
    heaviest = np.argsort(-np.abs(total), kind="stable").tolist()
    for number in [*roots, *heaviest]:
        if reached[number]:
            continue
        roots.setdefault(number, float(total[number]))
        waiting = [number]
        reached[number] = True
        while waiting:
            here = waiting.pop()
            for target in targets[bounds[here] : bounds[here + 1]].tolist():
                if not reached[target]:
                    reached[target] = True
                    waiting.append(target)
    return roots
