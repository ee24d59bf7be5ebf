"""Thresholds: what a run must not exceed, as text, and whether it did. Pure: knows nothing of runs or files.

``names`` (what can be named), ``units``, ``parse`` (text to a threshold), ``figures`` (what was measured of a name) and
``judge`` (held, exceeded, or not measured).
"""
