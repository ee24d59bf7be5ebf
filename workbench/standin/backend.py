"""graph-node as the service sees it: it answers after a delay, or not at all."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from random import Random

from workbench.standin.answers import compact
from workbench.standin.graphql.roots import QueryError, root_fields
from workbench.standin.latency import parse_latency
from workbench.standin.switches import Switches

BLOCK_NUMBER = 1000


class BackendError(Exception):
    """graph-node could not be reached; with the text of the service's HTTP client."""


class Backend:
    """Answers queries with ``_meta`` after a latency drawn from the configured distribution."""

    def __init__(self, url: str, switches: Switches, seed: int) -> None:
        self.url = url
        self._switches = switches
        self._random = Random(seed)  # noqa: S311 - a reproducible latency, no secret

    async def query(self, path: str, query: str) -> str:
        """The answer's text. Raises BackendError while ``backend_down`` is on."""
        self.reach(path)
        milliseconds = parse_latency(self._switches.backend_latency)(self._random)
        await asyncio.sleep(milliseconds / 1000)
        return _answer(query)

    def reach(self, path: str) -> None:
        """Raise BackendError while ``backend_down`` is on."""
        if self._switches.backend_down:
            raise BackendError(f"error sending request for url ({self.url}/{path})")


@lru_cache(maxsize=256)
def _answer(query: str) -> str:
    """graph-node's answer to a query on a subgraph that has only ``_meta``."""
    try:
        unknown = [name for name in root_fields(query) if name not in ("_meta", "__typename")]
    except QueryError as error:
        return compact({"errors": [{"message": str(error)}]}).decode()
    if unknown:
        errors = [{"message": f"Type `Query` has no field `{name}`"} for name in unknown]
        return compact({"errors": errors}).decode()
    return compact({"data": {"_meta": {"block": {"number": BLOCK_NUMBER}}}}).decode()
