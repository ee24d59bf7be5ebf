"""Panels for notebooks: a load or sweep under way, a profile, a profiler, the runs there are, findings."""
