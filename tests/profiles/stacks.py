"""Profiles as plain stacks, so that two of them can be compared whatever their order and numbering."""

from __future__ import annotations

from collections import defaultdict

from workbench.profiles.columns import self_
from workbench.profiles.model import Profile


def stacks_of(profile: Profile, metric: str | None = None) -> dict[tuple[str, ...], float]:
    """The self cost of each stack that has one; a stack is the raw names of its frames, root first."""
    column = self_(profile.metric(metric).name)
    names = profile.frames["raw_function"].tolist()
    found: dict[tuple[str, ...], float] = defaultdict(int)
    path: list[str] = []
    for row in profile.nodes[["depth", "frame_id", column]].itertuples(index=False):
        del path[row[0] :]
        path.append(names[row[1]])
        if row[2]:
            found[tuple(path)] += row[2]
    return dict(found)
