"""Where a program answers, from what it printed: one line of JSON with its addresses, as the stand-in says it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from workbench.service.addresses import Addresses

FIELDS = tuple(field.name for field in fields(Addresses))
_HEAD_BYTES = 1024 * 1024


def said_in(log: Path) -> dict[str, str]:
    """The addresses a program has said in its log, among the lines of a tool; {} where it has said none (yet)."""
    try:
        with log.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return {}
    for line in head.decode("utf-8", errors="replace").splitlines():
        if found := said_by(line):
            return found
    return {}


def said_by(line: str) -> dict[str, str]:
    """The addresses in a line: a JSON object with at least the URL of a service or of an agent's metrics."""
    if not (line.startswith("{") and line.endswith("}") and "_url" in line):
        return {}
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    found = {name: values[name] for name in FIELDS if isinstance(values.get(name), str) and values[name]}
    return found if found.keys() & {"service_url", "agent_metrics_url"} else {}
