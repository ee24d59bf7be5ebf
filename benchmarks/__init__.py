"""Benchmarks against other tools in the same run. Each is a script: ``python -m benchmarks.signing``."""
