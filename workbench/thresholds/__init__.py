"""Thresholds: what a run must not exceed, as text, and whether it did. Pure: knows nothing of runs or files.

``names`` (the figures that can be named), ``units``, ``parse`` (text to a threshold), ``figures`` (the values measured
for a name) and ``judge`` (held, exceeded, or not measured).
"""
