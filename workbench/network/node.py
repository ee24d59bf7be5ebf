"""graph-node as the two programs see it, by path: network subgraph, status and paid queries."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any

from workbench.errors import WorkbenchError
from workbench.network import admin
from workbench.network.reply import Reply, encode
from workbench.network.subgraph import PATH, Subgraph, compact, errors, request
from workbench.network.world import World
from workbench.receipts.address import deployment_to_qm
from workbench.standin.backend import BLOCK_NUMBER
from workbench.standin.graphql.roots import QueryError, root_fields
from workbench.standin.latency import parse_latency

STATUS_PATH = "/graphql"
QUERY_PATH = "/subgraphs/id/"

_SUBGRAPH, _STATUS, _QUERY, _ADMIN = (path.encode() for path in (PATH, STATUS_PATH, QUERY_PATH, admin.PATH))
_ATTESTABLE = "graph-attestable: true\r\n"
_NO_ANSWER = Reply(None)


class GraphNode:
    """The handler of :mod:`workbench.network.http`."""

    def __init__(self, world: World, seed: int, now: Callable[[], float] = time.time) -> None:
        self._world = world
        self._subgraph = Subgraph(world, now)
        self._random = Random(seed)  # noqa: S311 - a reproducible latency, no secret

    def handle(self, method: bytes, path: bytes, body: bytes) -> Reply:
        """The answer to one request."""
        faults = self._world.faults
        if path.startswith(_QUERY):
            if faults.backend_down or (faults.reset_share and self._random.random() < faults.reset_share):
                return _NO_ANSWER
            return Reply(_query(body), parse_latency(faults.backend_latency)(self._random) / 1000)
        if path == _SUBGRAPH:
            return _NO_ANSWER if faults.subgraph_down else Reply(encode(self._subgraph.answer(body)))
        if path == _STATUS:
            return _NO_ANSWER if faults.backend_down else Reply(encode(self._status(body)))
        if path == _ADMIN:
            return Reply(self._admin(method, body))
        return Reply(encode(errors([f"there is nothing at {path.decode(errors='replace')[:80]}"]), status=404))

    def _admin(self, method: bytes, body: bytes) -> bytes:
        try:
            if method == b"POST":
                admin.change(self._world, body)
            return encode(compact(admin.describe(self._world)))
        except WorkbenchError as problem:
            return encode(errors([str(problem)]), status=400)

    def _status(self, body: bytes) -> bytes:
        try:
            query, variables, _ = request(body)
            names = root_fields(query)
        except QueryError as problem:
            return errors([str(problem)])
        known: dict[str, Callable[[], Any]] = {
            "__typename": lambda: "Query",
            "indexingStatuses": lambda: self._indexing(variables.get("ids")),
            "version": lambda: {"version": "indexer-workbench", "commit": ""},
        }
        if unknown := [name for name in names if name not in known]:
            return errors(f'Unknown field "{name}" on type "Query"' for name in unknown)
        return compact({"data": {name: known[name]() for name in names}})

    def _indexing(self, ids: Any) -> list[dict[str, Any]]:
        """The one deployment, if it is requested or no other is."""
        qm = deployment_to_qm(self._world.place.deployment)
        if isinstance(ids, list) and qm not in ids:
            return []
        block = {"number": str(BLOCK_NUMBER), "hash": f"{BLOCK_NUMBER:064x}"}
        return [
            {
                "subgraph": qm,
                "synced": True,
                "health": "healthy",
                "fatalError": None,
                "nonFatalErrors": [],
                "node": "default",
                "entityCount": "0",
                "chains": [{"network": "hardhat", "chainHeadBlock": block, "latestBlock": block}],
            }
        ]


@lru_cache(maxsize=1024)
def _query(body: bytes) -> bytes:
    """The complete answer to a query on a subgraph that has only ``_meta``. It is marked attestable, as graph-node does
    for every answer that a block determines, including errors of the query."""
    try:
        query, _, _ = request(body)
        unknown = [name for name in root_fields(query) if name not in ("_meta", "__typename")]
    except QueryError as problem:
        return encode(errors([str(problem)]), headers=_ATTESTABLE)
    if unknown:
        answer = errors(f"Type `Query` has no field `{name}`" for name in unknown)
    else:
        answer = compact({"data": {"_meta": {"block": {"number": BLOCK_NUMBER}}}})
    return encode(answer, headers=_ATTESTABLE)
