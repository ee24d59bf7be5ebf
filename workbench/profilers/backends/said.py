"""A program's addresses from its output: one line of JSON, as the stand-in prints it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from workbench.service.addresses import Addresses

FIELDS = tuple(field.name for field in fields(Addresses))
_HEAD_BYTES = 1024 * 1024


def said_in(log: Path) -> dict[str, str]:
    """The addresses in a program's log, between lines of a tool; {} if there are none (yet)."""
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
