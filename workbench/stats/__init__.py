"""What may be concluded from numbers that follow each other in time: pure functions over numpy arrays.

``bootstrap`` (blocks drawn again, intervals of means and shares), ``quantiles`` (percentiles with their intervals, or
why there are none), ``warmup`` (where a start-up ends), ``littles_law``. Nothing here knows of receipts, steps or runs.
"""
