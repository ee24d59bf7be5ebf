"""``python -m workbench.cli``."""

from workbench.cli.program import command

command()
