"""A sampling profiler inside a Python service, with the files of the one inside the Rust services.

>>> from workbench.profilers.sampler import setup_profiling
>>> sampler = setup_profiling("/opt/profiling/indexer-service")   # doctest: +SKIP

``stacks`` names functions and tasks, ``clocks`` tells who used CPU time, ``collector`` joins both at every look and
adds up; ``ticks`` says when to look. ``protobuf`` and ``flamegraph`` write a ``report`` (in pieces: ``breathing``),
``files`` gives it its two names. ``sampler`` is the thread and its life, ``ask`` the other side.

It runs inside services, so nothing but the standard library is imported, and nothing of the workbench but its errors.
"""

from __future__ import annotations

from workbench.profilers.sampler.files import Snapshot
from workbench.profilers.sampler.sampler import Sampler, setup_profiling

__all__ = ["Sampler", "Snapshot", "setup_profiling"]
