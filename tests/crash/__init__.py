"""Sweeps whose processes are killed with -9 at random moments, gone on with and checked: ``python -m tests.crash``."""
