"""The defaults of a sweep whose settings give neither rate nor concurrency."""

DEFAULT_RATE = 400.0
"""Receipts per second of a sweep that names neither rate nor concurrency."""

PROFILED_IN_FLIGHT = 4
"""Requests in flight of a sweep under a profiler that names neither: under a profiler a service cannot keep a planned
rate."""
