"""Limits found: the sender limit to the receipt, and the capacity of the service under thresholds.

``run`` (the public ways in), ``sender`` and ``capacity`` (a search each, over the pure ones in ``analysis``),
``condition`` (what a trial must hold), ``spending`` (what a search may cost and has cost), ``result``.
"""
