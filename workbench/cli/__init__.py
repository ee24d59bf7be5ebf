"""The ``workbench`` command: one module per command, and what they share."""

from workbench.cli.program import main

__all__ = ["main"]
