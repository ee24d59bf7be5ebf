"""One damaged input against a reader: a Profile whose tables can be made, or a ReadError. All else is a defect."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import self_, total_
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile

HANG_S = 20


class Hang(Exception):
    """The reader was still busy after HANG_S seconds with a few kilobytes."""


def attempt(data: bytes, format: str | None, *, tables: bool = True) -> bool:
    """Read ``data`` and make all its ``tables``. True: a Profile; False: refused with ReadError. Raises anything
    else.
    """
    with _limited():
        try:
            profile = read_profile(data, format=format)
        except ReadError as error:
            text = str(error)
            if "fits into memory" in text or len(text) > 2000 or "\n" in text:
                raise AssertionError(f"a refusal nobody can use: {text[:200]}") from error
            return False
        assert "file" in profile.lines  # made when it is asked for
        for name in profile.arrays.tables:
            assert profile.arrays.tables[name].columns  # some of these too
        if tables:
            check(profile)
        return True


def check(profile: Profile) -> None:
    """What holds for every profile. Raises AssertionError."""
    functions, edges, nodes = profile.functions, profile.edges, profile.nodes
    profile.notes_table()
    for name in profile.tables:
        profile.tables[name]  # some are made when they are asked for
    for table, column, size in (
        (nodes, "frame_id", len(profile.frames)),
        (edges, "caller_id", len(functions)),
        (edges, "callee_id", len(functions)),
        (profile.frames, "function_id", len(functions)),
    ):
        ids = table[column].to_numpy()
        assert not len(ids) or (ids.min() >= 0 and ids.max() < size), f"{column} out of range"
    parents = nodes["parent_id"].to_numpy()
    assert (parents < np.arange(len(parents))).all(), "a parent after its child"
    for metric in profile.metrics:
        total = profile.total(metric.name)
        assert not isinstance(total, float) or math.isfinite(total), f"{metric.name} sums to {total}"
        if profile.basis == "stacks" and len(nodes):
            roots = nodes[total_(metric.name)].to_numpy()[parents < 0].sum()
            summed = functions[self_(metric.name)].to_numpy().sum()
            assert math.isclose(roots, total, rel_tol=1e-6, abs_tol=1e-6), f"roots hold {roots}, total {total}"
            assert math.isclose(summed, total, rel_tol=1e-6, abs_tol=1e-6), f"functions hold {summed}, total {total}"


@contextmanager
def _limited() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"still busy after {HANG_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
