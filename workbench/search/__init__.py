"""Searches for limits: the exact sender limit in receipts, and the capacity of the service under thresholds.

``run`` (the public functions), ``sender`` and ``capacity`` (one search each, using the pure ones in ``analysis``),
``condition`` (when a trial passes), ``spending`` (what a search may cost and has cost), ``result``.
"""
