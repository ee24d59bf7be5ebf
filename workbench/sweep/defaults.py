"""The loop of a sweep whose settings name none."""

DEFAULT_RATE = 400.0
"""Receipts per second of a sweep that names neither rate nor concurrency."""

PROFILED_IN_FLIGHT = 4
"""Requests in flight of a sweep under a profiler that names neither: no rate worth planning can be kept there."""
