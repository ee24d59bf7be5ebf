"""What a call graph counts besides cost: allocations, locks and system calls per receipt, each treated as a cost.

Counts of calls are as exact as counts of instructions, and show what instructions do not: one more allocation is only
0.01 % of a receipt's instructions, but exactly one more allocation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.compare.joint import Joint, joint
from workbench.profiles.model import Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYSTEM_CALLS = "sysCount"


@dataclass(frozen=True, slots=True)
class Family:
    """Functions whose calls are counted: ``metric`` is the count's name in tables, ``unit`` what one call is,
    ``matches`` their names. Calls between them are not counted: malloc within realloc is one allocation."""

    metric: str
    unit: str
    matches: re.Pattern[str]


# glibc, musl, jemalloc, mimalloc and tcmalloc under their own names. Rust's and C++'s own allocation functions call
# these and are not counted themselves.
ALLOCATIONS = Family(
    "allocations",
    "allocations",
    re.compile(
        r"(?:__libc_|_rjem_|je_|mi_|tc_|_rjem_je_)?(?:malloc|calloc|realloc|reallocarray|memalign|posix_memalign"
        r"|aligned_alloc|valloc|mallocx|rallocx|mallocat)(?:_aligned)?"
    ),
)
LOCKS = Family(
    "locks taken",
    "locks",
    re.compile(
        r"(?:__|___)?pthread_(?:mutex_(?:lock|trylock|timedlock|clocklock)|rwlock_(?:rd|wr|tryrd|trywr)lock"
        r"|spin_lock)(?:@.*)?"
        r"|.*::(?:lock_slow|lock_contended|lock_shared_slow|lock_exclusive_slow|read_contended|write_contended)"
    ),
)
FAMILIES = (ALLOCATIONS, LOCKS)


def counted(graph: Joint, family: Family) -> Joint | None:
    """The same graph with calls of the family as its cost; None if neither side makes any."""
    names = np.asarray([family.matches.fullmatch(name) is not None for name in graph.names], dtype=bool)
    if not names.any():
        return None
    count = len(graph.names)
    from_outside = names[graph.callee] & ~names[graph.caller]
    counts = [np.bincount(graph.callee, np.where(from_outside, calls, 0.0), count) for calls in graph.calls]
    own: NDArray[np.float64] = np.stack(counts).astype(np.float64)
    if not own.any():
        return None
    # the file does not say how many of them a call makes: all calls of a function are assumed to make the same number
    return replace(graph, own=own, cost=graph.calls)


def system_calls(before: Profile, after: Profile, receipts: tuple[float, float]) -> Joint | None:
    """The graph of system calls if callgrind counted them (``--collect-systime``), else None."""
    if any(SYSTEM_CALLS not in side.metric_names for side in (before, after)):
        return None
    graph = joint(before, after, SYSTEM_CALLS, receipts)
    return graph if graph.own.any() else None


def graphs(before: Profile, after: Profile, metric: str, receipts: tuple[float, float]) -> Sequence[tuple[str, Joint]]:
    """The cost in ``metric`` and everything counted besides it: a name and a graph for each."""
    main = joint(before, after, metric, receipts)
    found: list[tuple[str, Joint]] = [(metric, main)]
    for family in FAMILIES:
        graph = counted(main, family)
        if graph is not None:
            found.append((family.metric, graph))
    calls = system_calls(before, after, receipts) if metric != SYSTEM_CALLS else None
    if calls is not None:
        found.append(("system calls", calls))
    return found
