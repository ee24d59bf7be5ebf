"""Sweeps are killed with -9 at random moments, resumed and checked: ``python -m tests.crash``."""
