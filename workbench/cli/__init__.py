"""The ``workbench`` command: a module a command, and what they share."""

from workbench.cli.program import main

__all__ = ["main"]
