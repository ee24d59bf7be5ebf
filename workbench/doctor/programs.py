"""The two programs under test: the level at which they log: logging is a part of the cost of each receipt."""

from __future__ import annotations

from workbench.doctor.check import Check
from workbench.errors import EXIT_TARGET
from workbench.settings import Settings

_MEND = "start it with RUST_LOG=info or RUST_LOG=warn"


def log_levels(settings: Settings) -> list[Check]:
    """A row for each program that a setting names: by the command that starts it, or as the process of this machine
    that listens at its address. Nothing is known of others, such as those in containers."""
    places = (
        ("indexer-service", settings.service_command, settings.target),
        ("tap-agent", settings.agent_command, settings.agent_metrics_url),
    )
    try:
        return [row for place in places if (row := _row(*place)) is not None]
    except ImportError as error:
        return [Check("log level", "missing", f"cannot be looked at without {error.name}")]


def _row(name: str, command: str | None, url: str | None) -> Check | None:
    from workbench.service.program import listening_at, of_command, of_process

    if command is not None:
        program = of_command(name, command)
    elif url is not None and (pid := listening_at(url)) is not None:
        program = of_process(name, pid)
    else:
        return None
    return log_level(name, program.rust_log, known=program.environment is not None)


def log_level(name: str, rust_log: str | None, *, known: bool = True) -> Check:
    """What a program's RUST_LOG means for a measurement; ``known``: whether its environment could be read."""
    from workbench.service.program import loud

    row = f"log level of {name}"
    if not known:
        return Check(row, "ok", "cannot be seen: the process is another user's")
    if rust_log is None:
        return Check(row, "ok", "RUST_LOG is not set")
    directive = loud(rust_log)
    if directive is None:
        return Check(row, "ok", f"RUST_LOG is {rust_log[:80]!r}")
    found = (
        f"RUST_LOG is {rust_log[:80]!r}: it writes many lines for each receipt ({directive}), and that work would be "
        "measured as the service's own"
    )
    return Check(row, "failed", found, _MEND, EXIT_TARGET)
