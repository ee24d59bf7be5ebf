"""Why a program ended, from its log: the tool's own reason, or the last lines of the service, without secrets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from workbench.masking import HIDDEN, masked
from workbench.profilers.tools.tool import Tool

_PART_BYTES = 65536
_LINES = 5
_LINE_CHARACTERS = 300
_PANIC = re.compile(r"^thread '.*' (?:\(\d+\) )?panicked at ")
_PANIC_LINES = 2
_PASSWORD = re.compile(r"(?<=://)[^\s/@]+(?=@)")
# colours of a terminal
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def last_words(log: Path, tool: Tool, secrets: Sequence[str] = ()) -> str:
    """Why the service or its tool ended: the tool's reason if it gives one, otherwise the last lines of the log, joined
    by slashes; without output it says so. ``secrets`` are hidden, and keys always."""
    try:
        head, tail = _parts(log)
    except OSError:
        return "it has no log"
    # a tool's refusal comes first in a log, an assertion last
    reason = tool.reason(f"{head}\n{tail}" if head != tail else head)
    lines = [reason] if reason else _services_own(tail, tool)
    lines = [hidden(line.strip(), secrets) for line in lines if line.strip()]  # before lines are shortened
    return " / ".join(line[:_LINE_CHARACTERS] for line in lines) or "it wrote nothing"


def _services_own(text: str, tool: Tool) -> list[str]:
    """The last lines of the service: of a Rust panic its message, without the stack."""
    lines = [line for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not tool.is_own(line)] or lines
    panics = [number for number, line in enumerate(lines) if _PANIC.search(line)]
    return lines[panics[-1] : panics[-1] + _PANIC_LINES] if panics else lines[-_LINES:]


def hidden(text: str, secrets: Sequence[str] = ()) -> str:
    """A text without the given secrets, private keys, and users and passwords in URLs."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return masked(_PASSWORD.sub(HIDDEN, text))


def _parts(log: Path) -> tuple[str, str]:
    """The beginning and the end of a log; the same text twice if it is short."""
    with log.open("rb") as file:
        head = file.read(_PART_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - _PART_BYTES))
        tail = file.read()
    begin, end = (_COLOUR.sub("", part.decode("utf-8", errors="replace")) for part in (head, tail))
    return (end, end) if size <= _PART_BYTES else (begin, end)
