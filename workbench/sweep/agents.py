"""Which of a run's programs is the tap-agent."""

from __future__ import annotations

import shlex

from workbench.profilers.commands import name_of
from workbench.settings.kinds import apart


def agents_of(agent_command: object) -> tuple[str, ...]:
    """The names that a run can give to a tap-agent started by this command; empty without a command."""
    try:
        _, argv = apart(shlex.split(str(agent_command or "")))
    except ValueError:
        return ()
    return (name_of(argv), f"{name_of(argv)}-agent") if argv else ()
