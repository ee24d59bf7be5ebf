"""Backends: where the services of a profiler session run, and how to control them there."""
