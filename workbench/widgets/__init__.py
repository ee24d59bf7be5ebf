"""Panels for notebooks: a running load or sweep, a profile, a profiler, the list of runs, findings."""
