"""A sampling profiler inside a Python service. It writes the same files as the sampler inside the Rust services.

>>> from workbench.profilers.sampler import setup_profiling
>>> sampler = setup_profiling("/opt/profiling/indexer-service")   # doctest: +SKIP

``stacks`` names functions and tasks, ``clocks`` measures CPU time by thread, ``collector`` joins both into samples;
``ticks`` decides when to sample. ``protobuf`` and ``flamegraph`` write a ``report`` (in pieces: ``breathing``),
``files`` names its two files. ``sampler`` runs the thread, ``ask`` is the control side in another process.

It runs inside services, so it imports only the standard library and the workbench's errors.
"""

from __future__ import annotations

from workbench.profilers.sampler.files import Snapshot
from workbench.profilers.sampler.sampler import Sampler, setup_profiling

__all__ = ["Sampler", "Snapshot", "setup_profiling"]
