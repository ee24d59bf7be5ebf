"""The addresses of a running stand-in: the first line of its standard output, written when it is ready."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from workbench.errors import ToolError


@dataclass(frozen=True)
class Endpoints:
    """URLs, database file and process ids ("service", "agent"); a URL is empty if the role does not serve it."""

    service_url: str
    service_metrics_url: str
    agent_metrics_url: str
    graph_url: str
    database: str
    pids: dict[str, int]

    def to_json(self) -> str:
        """One line of JSON, read back by :meth:`from_json`; what the role lacks is null."""
        return json.dumps({name: value or None for name, value in asdict(self).items()})

    @classmethod
    def from_json(cls, line: str) -> Endpoints:
        """The endpoints of a ready line. Raises ToolError when the line is something else."""
        try:
            values = json.loads(line)
            found: dict[str, Any] = {field.name: values[field.name] or "" for field in fields(cls)}
            return cls(**found)
        except (ValueError, TypeError, KeyError) as error:
            raise ToolError(f"the stand-in's first line is not its endpoints, found {line[:120]!r}") from error
