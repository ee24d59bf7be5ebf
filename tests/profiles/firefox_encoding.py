"""Firefox profiler files made of plain stacks, in the shapes that its versions have, and an independent sum of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

Stack = tuple[str, ...]


class Encoder:
    """The tables of some stacks: functions by name, a frame a function, stacks as a tree."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.names: list[str] = []
        self.stacks: list[tuple[int | None, int]] = []

    def string(self, text: str) -> int:
        if text not in self.strings:
            self.strings.append(text)
        return self.strings.index(text)

    def stack(self, names: Stack) -> int | None:
        """The number of a stack, root first; None for one without frames."""
        prefix: int | None = None
        for name in names:
            if name not in self.names:
                self.names.append(name)
            row = (prefix, self.names.index(name))
            if row not in self.stacks:
                self.stacks.append(row)
            prefix = self.stacks.index(row)
        return prefix

    def tables(self, version: int = 55, lib: int | None = None) -> dict[str, Any]:
        """The tables as a version has them."""
        size = len(self.names)
        frames: dict[str, Any] = {"func": list(range(size)), "line": [None] * size, "inlineDepth": [0] * size}
        resources: dict[str, Any] = {"name": [0], "type": [1]}
        if version >= 70:
            frames["lib"] = [-1 if lib is None else lib] * size
        else:
            resources["lib"] = [lib]
        stacks: dict[str, Any] = {"frame": [frame for _, frame in self.stacks], "length": len(self.stacks)}
        if version >= 66:
            stacks["prefixOffset"] = [0 if up is None else at - up for at, (up, _) in enumerate(self.stacks)]
        else:
            stacks["prefix"] = [up for up, _ in self.stacks]
        functions = {
            "name": [self.string(name) for name in self.names],
            "resource": [-1 if lib is None else 0] * size,
            ("source" if version >= 58 else "fileName"): [None] * size,
        }
        return {"stackTable": stacks, "frameTable": frames, "funcTable": functions, "resourceTable": resources}


def thread(encoder: Encoder, rows: Sequence[tuple[Stack, float]], **more: Any) -> dict[str, Any]:
    """A thread without tables of its own: samples a millisecond apart."""
    samples = {
        "stack": [encoder.stack(stack) for stack, _ in rows],
        "time": [float(number) for number in range(len(rows))],
        "weight": [weight for _, weight in rows],
        "weightType": "samples",
        "length": len(rows),
    }
    return {
        "name": "main",
        "pid": "7",
        "tid": 8,
        "processName": "app",
        "samples": {**samples, **more.pop("samples", {})},
        **more,
    }


def file(rows: Sequence[Sequence[tuple[Stack, float]]], version: int = 55, **meta: Any) -> dict[str, Any]:
    """A processed profile of a version, a thread for each of the rows."""
    head = {"meta": {"version": 24, "preprocessedProfileVersion": version, "interval": 1, **meta}, "libs": []}
    if version >= 60:
        encoder = Encoder()
        threads = [thread(encoder, some, tid=number) for number, some in enumerate(rows)]
        tables = encoder.tables(version)
        shared = {**tables, "stringArray": encoder.strings, "sources": {"filename": []}}
        return {**head, "shared": shared, "threads": threads}
    threads = []
    strings = Encoder()
    for number, some in enumerate(rows):
        encoder = Encoder()
        if version >= 56:
            encoder.strings = strings.strings
        one = thread(encoder, some, tid=number)
        one.update(encoder.tables(version))
        if version < 56:
            one["stringArray"] = encoder.strings
        threads.append(one)
    shared = {"shared": {"stringArray": strings.strings}} if version >= 56 else {}
    return {**head, **shared, "threads": threads}


def sums(document: dict[str, Any]) -> Counter[Stack]:
    """The weight of each stack, added up sample by sample as the viewer does: stacks are walked up to their roots."""
    found: Counter[Stack] = Counter()
    for one in document["threads"]:
        tables = one if "stackTable" in one else document["shared"]
        strings = one["stringArray"] if "stringArray" in one else document["shared"]["stringArray"]
        stacks, frames, functions = tables["stackTable"], tables["frameTable"], tables["funcTable"]
        weights = one["samples"].get("weight") or [1] * len(one["samples"]["stack"])
        for at, weight in zip(one["samples"]["stack"], weights, strict=True):
            path = []
            while at is not None:
                path.append(strings[functions["name"][frames["func"][stacks["frame"][at]]]])
                if "prefixOffset" in stacks:
                    at = at - stacks["prefixOffset"][at] if stacks["prefixOffset"][at] else None
                else:
                    at = stacks["prefix"][at]
            if path:
                found[tuple(reversed(path))] += weight
    return Counter({stack: weight for stack, weight in found.items() if weight})
