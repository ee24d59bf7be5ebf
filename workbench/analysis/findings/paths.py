"""Work repeated within a receipt, from sampled stacks: a function that the service reaches in several ways.

Samples do not count calls, so this is only likely: the same work, at about the same cost, below different functions of
the service itself. The outermost function that these ways share is named. A library's innermost code (a hash, a field
operation) is reached from everywhere and is not named: at most DEEPEST library calls may lie between the service's code
and the function, and it must call the same functions on each way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.findings.code import LIBRARY, OWN, PLUMBING, roles, short
from workbench.analysis.findings.model import Finding, Size, folded
from workbench.analysis.findings.words import amount, times
from workbench.numbers import percent, range_text
from workbench.profiles.columns import self_
from workbench.profiles.interval import interval
from workbench.profiles.transforms.group import legible, tidy
from workbench.profiles.tree import subtree_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

    Floats = NDArray[np.float64]

LEAST_SHARE = 0.05
# least share of the function's cost on one way
LEAST_WAY = 0.15
# least ratio of the cheapest way to the most expensive one
LEAST_EVEN = 0.6
# least share of the cost that both ways spend in the same callees
LEAST_ALIKE = 0.7
FEWEST_SAMPLES = 50
DEEPEST = 3
# functions are on one path if this share of one's samples is below the other
_ONE_PATH = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """A tree of stacks. Of each node: name, role, samples including all below, whether it is the outermost of its name,
    the nearest node of the service's own code above it, and how many library calls lie between, itself included."""

    names: list[str]
    name: NDArray[np.int64]
    role: NDArray[np.object_]
    parent: NDArray[np.int64]
    total: Floats
    outermost: NDArray[np.bool_]
    asker: NDArray[np.int64]
    depth: NDArray[np.int64]

    @classmethod
    def of(cls, profile: Profile, metric: str) -> Stacks:
        """The stacks of a profile."""
        nodes = profile.nodes
        parent = nodes["parent_id"].to_numpy(dtype=np.int64)
        frame = nodes["frame_id"].to_numpy(dtype=np.int64)
        code, names = pd.factorize(profile.frames["function"])
        role = roles(profile.frames)[frame]
        name = code[frame].astype(np.int64)
        total = subtree_sums(parent, nodes[self_(metric)].to_numpy(dtype=np.float64)[:, None])[:, 0]
        count = len(parent)
        asker, depth = np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.int64)
        outermost = np.ones(count, dtype=bool)
        on_path: list[int] = []
        for node in range(count):
            above = int(parent[node])
            while on_path and on_path[-1] != above:
                on_path.pop()
            if above >= 0:
                asker[node] = above if role[above] == OWN else asker[above]
                depth[node] = depth[above] + 1 if role[node] == LIBRARY else 0
            else:
                depth[node] = int(role[node] == LIBRARY)
            on_path.append(node)
        outermost = _outermost(parent, name)
        return cls(list(names), name, role, parent, total, outermost, asker, depth)


def _outermost(parent: NDArray[np.int64], name: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether no node above has the same name. Nodes are in preorder, so the open ones form a path."""
    found = np.ones(len(parent), dtype=bool)
    open_: dict[int, int] = {}
    path: list[int] = []
    for node in range(len(parent)):
        while path and path[-1] != parent[node]:
            gone = path.pop()
            open_[int(name[gone])] -= 1
        found[node] = not open_.get(int(name[node]), 0)
        open_[int(name[node])] = open_.get(int(name[node]), 0) + 1
        path.append(node)
    return found


def work_by_path(profile: Profile, metric: str, receipts: int, *, service: str, mode: str) -> list[Finding]:
    """The findings of one service from the samples of its steps, in which ``receipts`` were sent."""
    profile = legible(tidy(profile))
    stacks = Stacks.of(profile, metric)
    whole = float(profile.total(metric))
    if not whole > 0 or not receipts:
        return []
    samples = _samples(profile, metric, whole)
    totals = np.bincount(stacks.name[stacks.outermost], stacks.total[stacks.outermost], len(stacks.names))
    found: list[tuple[int, Finding]] = []
    for name in np.argsort(-totals, kind="stable").tolist():
        share = totals[name] / whole
        if share < LEAST_SHARE or share * samples < FEWEST_SAMPLES:
            break
        ways = _ways(stacks, name)
        if len(ways) < 2:
            continue
        finding = _finding(stacks, profile, metric, name, ways, whole, samples, receipts, service, mode)
        cause = next((one for outer, one in found if _below(stacks, name, outer) >= _ONE_PATH), None)
        found.append((name, finding if cause is None else folded(finding, cause)))
    return [finding for _, finding in found]


def _samples(profile: Profile, metric: str, whole: float) -> float:
    """The number of samples: as counted, or the whole cost divided by the smallest cost of a node."""
    if "samples" in profile.metric_names:
        return float(profile.total("samples"))
    own = profile.nodes[self_(metric)].to_numpy(dtype=np.float64)
    return whole / float(own[own > 0].min())


def _ways(stacks: Stacks, name: int) -> dict[str, float]:
    """The ways in which a function is reached and does the same at about the same cost: the service's own function
    that calls, and the cost of this way. Empty if there are not two such ways."""
    at = np.flatnonzero((stacks.name == name) & stacks.outermost)
    role = stacks.role[at[0]]
    if role == PLUMBING or (role == LIBRARY and _median_depth(stacks, at) > DEEPEST):
        return {}
    askers = [stacks.names[stacks.name[node]] if node >= 0 else "" for node in stacks.asker[at].tolist()]
    below: dict[str, list[int]] = {}
    for node, asker in zip(at.tolist(), askers, strict=True):
        below.setdefault(short(asker), []).append(node)
    cost = {asker: float(stacks.total[nodes].sum()) for asker, nodes in below.items() if asker}
    # the calling function may itself be called by others of the service: ways on one path are one way
    all_of_it = float(stacks.total[at].sum())
    ways = {asker: one for asker, one in cost.items() if one >= LEAST_WAY * all_of_it}
    if len(ways) < 2 or min(ways.values()) < LEAST_EVEN * max(ways.values()):
        return {}
    shapes = [_shape(stacks, below[asker]) for asker in ways]
    alike = min(_alike(shapes[0], other) for other in shapes[1:])
    leaf = all(not len(shape) for shape in shapes)
    if (leaf and role != OWN) or (not leaf and alike < LEAST_ALIKE):
        return {}
    return ways


def _median_depth(stacks: Stacks, at: NDArray[np.int64]) -> float:
    order = np.argsort(stacks.depth[at], kind="stable")
    weight = np.cumsum(stacks.total[at][order])
    return float(stacks.depth[at][order][np.searchsorted(weight, weight[-1] / 2)]) if weight[-1] > 0 else 0.0


def _shape(stacks: Stacks, nodes: list[int]) -> dict[int, float]:
    """The callees of nodes, each with its share of their total cost."""
    inside = np.isin(stacks.parent, nodes)
    cost = np.bincount(stacks.name[inside], stacks.total[inside], len(stacks.names))
    whole = cost.sum()
    return {int(name): float(cost[name] / whole) for name in np.flatnonzero(cost)} if whole > 0 else {}


def _alike(one: dict[int, float], other: dict[int, float]) -> float:
    return sum(min(part, other.get(name, 0.0)) for name, part in one.items())


def _below(stacks: Stacks, name: int, outer: int) -> float:
    """The share of a function's cost that lies below another function."""
    under = np.zeros(len(stacks.name), dtype=bool)
    for node in range(len(under)):
        above = stacks.parent[node]
        under[node] = above >= 0 and (under[above] or stacks.name[above] == outer)
    at = np.flatnonzero((stacks.name == name) & stacks.outermost)
    return float(stacks.total[at[under[at]]].sum()) / max(float(stacks.total[at].sum()), 1e-9)


def _finding(
    stacks: Stacks,
    profile: Profile,
    metric: str,
    name: int,
    ways: dict[str, float],
    whole: float,
    samples: float,
    receipts: int,
    service: str,
    mode: str,
) -> Finding:
    unit = profile.metric(metric).unit
    cost = float(stacks.total[(stacks.name == name) & stacks.outermost].sum())
    share, saved = 100 * cost / whole, 100 * (cost - max(ways.values())) / whole
    low, high = (float(end[0]) for end in interval([cost], whole, round(samples)))
    each = cost / receipts
    ordered = sorted(ways.items(), key=lambda way: -way[1])
    said = ", ".join(f"{asker} {percent(100 * one / whole)}" for asker, one in ordered)
    sentence = (
        f"{short(stacks.names[name])} is reached in {len(ways)} ways: {amount(each, unit, metric)} a receipt, "
        f"{percent(share)} of what a receipt costs ({said}). If that is the same work {times(len(ways))}, doing it "
        f"once saves {percent(saved)}."
    )
    evidence = pd.DataFrame(
        {
            "function": stacks.names[name],
            "asked by": [asker for asker, _ in ordered],
            "per receipt": [one / receipts for _, one in ordered],
            "share_pct": [100 * one / whole for _, one in ordered],
        }
    )
    return Finding(
        kind="repeated work",
        service=service,
        mode=mode,
        subject=stacks.names[name],
        sentence=sentence,
        metric=metric,
        size=Size(each, unit, each * low / share, each * high / share),
        share_pct=share,
        saving_pct=saved,
        certainty=(
            f"from {samples:,.0f} samples its share is {range_text(low, high)} (95 % interval); samples do not count "
            "calls, callgrind does"
        ),
        confidence=0.7,
        todo="Count its calls per receipt with callgrind; do it once and pass the result on",
        shown="flame graph of a step",
        weight=saved,
        evidence=evidence,
        names=_on_path(stacks, name),
    )


def _on_path(stacks: Stacks, name: int) -> tuple[str, ...]:
    """The function, and the functions one below the other that have nearly all of its cost."""
    names, at = [stacks.names[name]], np.flatnonzero((stacks.name == name) & stacks.outermost)
    whole = float(stacks.total[at].sum())
    while True:
        inside = np.isin(stacks.parent, at)
        cost = np.bincount(stacks.name[inside], stacks.total[inside], len(stacks.names))
        heaviest = int(np.argmax(cost)) if len(cost) else -1
        if heaviest < 0 or cost[heaviest] < _ONE_PATH * whole or len(names) > 50:
            return tuple(names)
        names.append(stacks.names[heaviest])
        at = np.flatnonzero(inside & (stacks.name == heaviest))
