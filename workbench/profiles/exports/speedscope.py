"""speedscope's JSON: one sampled profile a metric, all on the same stacks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.profiles.model import Profile
from workbench.profiles.tree import costs_of

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
EXPORTER = "indexer-workbench"
_UNITS = {
    "ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds", "bytes": "bytes",
}  # fmt: skip


def to_speedscope(profile: Profile) -> str:
    """The profile for https://www.speedscope.app (which can be used offline): open the file there.

    Each additive metric is a profile of its name, the default one is shown first. Frames carry the names of the
    profiled program, file and line. Raises WorkbenchError where no metric is additive.
    """
    metrics = [metric for metric in profile.metrics if metric.additive]
    if not metrics:
        raise WorkbenchError("no metric of this profile can be summed up in stacks", where=profile.name)
    nodes = profile.nodes
    costs = costs_of(nodes, [metric.name for metric in metrics])
    used = (costs != 0).any(axis=1)
    stacks = _stacks(nodes["depth"].tolist(), nodes["frame_id"].tolist(), used.tolist())
    names = [metric.name for metric in metrics]
    file: dict[str, Any] = {
        "$schema": SCHEMA,
        "exporter": EXPORTER,
        "name": profile.name,
        "activeProfileIndex": names.index(profile.default_metric) if profile.default_metric in names else 0,
        "shared": {"frames": _frames(profile)},
        "profiles": [
            {
                "type": "sampled",
                "name": metric.name,
                "unit": _UNITS.get(metric.unit, "none"),
                "startValue": 0,
                "endValue": np.abs(costs[used, place]).sum().item(),
                "samples": stacks,
                "weights": costs[used, place].tolist(),
            }
            for place, metric in enumerate(metrics)
        ],
    }
    return json.dumps(file, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _stacks(depth: list[int], frame: list[int], used: list[bool]) -> list[list[int]]:
    path = [0] * (max(depth, default=0) + 1)
    stacks = []
    for level, index, wanted in zip(depth, frame, used, strict=True):
        path[level] = index
        if wanted:
            stacks.append(path[: level + 1])
    return stacks


def _frames(profile: Profile) -> list[dict[str, Any]]:
    frames = profile.frames
    listed = []
    columns = (frames["raw_function"].tolist(), frames["file"].tolist(), frames["line"].tolist())
    for name, file, line in zip(*columns, strict=True):
        entry: dict[str, Any] = {"name": name}
        if file:
            entry["file"] = file
        if line:
            entry["line"] = line
        listed.append(entry)
    return listed
