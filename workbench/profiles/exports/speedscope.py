"""speedscope's JSON: one sampled profile per metric, all with the same stacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.profiles.exports.signs import not_negative
from workbench.profiles.memory import MIB
from workbench.profiles.model import Profile
from workbench.profiles.source import allowed_bytes
from workbench.profiles.tree import costs_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
EXPORTER = "indexer-workbench"
# the longest string of V8 (Chromium, Node)
MOST_BYTES = 512 * MIB
_UNITS = {
    "ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds", "bytes": "bytes",
}  # fmt: skip


def to_speedscope(profile: Profile) -> str:
    """The profile for https://www.speedscope.app (which can be used offline): open the file there.

    Each additive metric is a profile with its name, the default first. Frames have the names of the profiled program,
    file and line. Raises WorkbenchError if no metric is additive, if the text would be longer than a browser allows
    (every stack is written for every metric), and for a difference, whose weights speedscope refuses
    (:mod:`workbench.profiles.exports.signs`).
    """
    metrics = [metric for metric in profile.metrics if metric.additive]
    if not metrics:
        raise WorkbenchError("no metric of this profile can be summed up in stacks", where=profile.name)
    nodes = profile.nodes
    names = [metric.name for metric in metrics]
    costs = not_negative(profile, costs_of(nodes, names), names, "speedscope")
    used = (costs != 0).any(axis=1)
    _check_size(profile, nodes["depth"].to_numpy()[used] + 1, len(metrics))
    samples = _samples(nodes["depth"].tolist(), nodes["frame_id"].tolist(), used.tolist())
    file: dict[str, Any] = {
        "$schema": SCHEMA,
        "exporter": EXPORTER,
        "name": profile.name,
        "activeProfileIndex": names.index(profile.default_metric) if profile.default_metric in names else 0,
        "shared": {"frames": _frames(profile)},
        "profiles": [],
    }
    profiles = [
        _json(
            {
                "type": "sampled",
                "name": metric.name,
                "unit": _UNITS.get(metric.unit, "none"),
                "startValue": 0,
                "endValue": costs[used, place].sum().item(),
                "weights": costs[used, place].tolist(),
            }
        )[:-1]
        + f',"samples":{samples}}}'
        for place, metric in enumerate(metrics)
    ]
    # "profiles" is last
    return f"{_json(file)[: -len(']}')]}{','.join(profiles)}]}}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _samples(depth: list[int], frame: list[int], used: list[bool]) -> str:
    """The stacks as JSON. json.dumps would make a text for each number, ten times the memory."""
    path = [""] * (max(depth, default=0) + 1)
    stacks = []
    for level, index, wanted in zip(depth, map(str, frame), used, strict=True):
        path[level] = index
        if wanted:
            stacks.append(f"[{','.join(path[: level + 1])}]")
    return f"[{','.join(stacks)}]"


def _check_size(profile: Profile, lengths: NDArray[np.int64], metrics: int) -> None:
    digits = len(str(len(profile.frames)))
    size = int(lengths.sum()) * (digits + 1) * metrics
    most = min(MOST_BYTES, allowed_bytes())
    if size > most:
        raise WorkbenchError(
            f"for speedscope about {size // MIB:,} MiB, but memory or a browser allows only {most // MIB}",
            where=profile.name,
            hint="Every stack is written out: take a part of the profile (--focus), or another format",
        )


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
