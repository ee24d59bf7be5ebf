"""Statistics of numbers in the order of time: pure functions over numpy arrays.

``bootstrap`` (resampled blocks, intervals of means and shares), ``quantiles`` (percentiles with their intervals, or why
there are none), ``warmup`` (where a start-up ends), ``littles_law``. Nothing here depends on receipts, steps or runs.
"""
