"""Benchmarks against rivals in the same run. Each is a script: ``python -m benchmarks.signing``."""
