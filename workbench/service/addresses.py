"""The addresses of a service under test and of related programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Addresses:
    """URLs of the two programs, the database and the subgraph; None if not known.

    ``database`` is the path of a SQLite file (the stand-in's), ``database_url`` a PostgreSQL URL (the real services').
    """

    service_url: str
    graph_url: str | None = None
    service_metrics_url: str | None = None
    agent_metrics_url: str | None = None
    database: str | None = None
    database_url: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, as :meth:`from_json` takes them."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Addresses:
        """The addresses that :meth:`to_json` wrote."""
        return cls(**facts)
