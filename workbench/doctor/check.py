"""One finding, the table of all findings, and the exit code that follows from them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workbench.errors import EXIT_PASS
from workbench.terminal import of_word, paint

Status = Literal["ok", "missing", "warning", "failed"]

_WIDTH = 110


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    ``missing`` is an optional thing that is not installed, ``warning`` what may disturb a measurement, ``failed`` what
    must be fixed first; only ``failed`` has an ``exit_code``. ``found`` says what was seen and what needs it,
    ``mend`` the command that fixes it.
    """

    name: str
    status: Status
    found: str
    mend: str = ""
    exit_code: int = EXIT_PASS

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def exit_code(checks: Iterable[Check]) -> int:
    """What ``workbench doctor`` ends with: the code of the first failed check, 0 without one."""
    return next((check.exit_code for check in checks if check.status == "failed"), EXIT_PASS)


def render(checks: Sequence[Check], *, colours: bool = False) -> str:
    """The findings as a table of plain text, with a command to fix it below each gap, and a closing count.
    ``colours``: the states in colour."""
    name_width = max((len(check.name) for check in checks), default=0)
    indent = " " * (len("warning") + name_width + 4)
    lines = []
    for check in checks:
        start = f"{check.status:<7}  {check.name:<{name_width}}  "
        own = textwrap.wrap(
            check.found, _WIDTH, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False
        ) or [start.rstrip()]
        colour = of_word(check.status) if colours else None
        lines += own if colour is None else [paint(check.status, colour) + own[0][len(check.status) :], *own[1:]]
        if check.mend:
            lines.append(f"{indent}-> {check.mend}")  # never wrapped, so that it can be copied
    counts = {status: sum(check.status == status for check in checks) for status in ("failed", "warning", "missing")}
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return "\n".join([*lines, "", said or "nothing to fix"])
