"""The ``workbench`` command: one module per command, and what they share."""

from workbench.cli.program import command, main

__all__ = ["command", "main"]
