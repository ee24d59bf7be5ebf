"""``POST /status``: selected root fields of graph-node's status API."""

from __future__ import annotations

from typing import Any

from workbench.receipts.address import deployment_to_qm
from workbench.standin.answers import error, json_answer, text_answer
from workbench.standin.backend import Backend, BackendError
from workbench.standin.graphql.roots import QueryError, root_fields
from workbench.standin.graphql.syntax import check
from workbench.standin.http.body import BrokenBody
from workbench.standin.http.messages import Answer, BodyTooLarge, Request
from workbench.standin.rust import debug
from workbench.standin.serde.structs import status_query
from workbench.standin.serde.tokens import BodyError

MAX_STATUS_BYTES = 32_768
# The most that axum reads of a body before a handler sees it.
MAX_BUFFERED_BYTES = 2 * 1024 * 1024

ALLOWED_FIELDS = frozenset(
    {
        "indexingStatuses",
        "chains",
        "latestBlock",
        "earliestBlock",
        "publicProofsOfIndexing",
        "entityChangesInBlock",
        "blockData",
        "blockHashFromNumber",
        "cachedEthereumCalls",
        "subgraphFeatures",
        "apiVersions",
        "version",
    }
)


class StatusRoute:
    """The handler; one instance a service."""

    def __init__(self, deployment: bytes, backend: Backend) -> None:
        self._deployment = deployment
        self._backend = backend

    async def handle(self, request: Request) -> Answer:
        """One status query. Only the fields of queries are checked: a mutation is passed to graph-node."""
        try:
            body = await request.read(MAX_BUFFERED_BYTES)
        except BodyTooLarge:
            return text_answer("Failed to buffer the request body: length limit exceeded", 413)
        except BrokenBody:
            return text_answer("Failed to buffer the request body: error reading a body from connection", 400)
        try:
            if len(body) > MAX_STATUS_BYTES:
                raise QueryError(f"Query exceeds maximum size of {MAX_STATUS_BYTES} bytes")
            query = status_query(body)
            check(query)
            fields = root_fields(query)
        except (BodyError, QueryError) as problem:
            return error(400, f"Invalid status query: {problem}")
        unsupported = [name for name in fields if name not in ALLOWED_FIELDS]
        if unsupported:
            listed = ", ".join(debug(name) for name in unsupported)
            return error(400, f"Unsupported status query fields: [{listed}]")
        try:
            self._backend.reach("graphql")
        except BackendError as problem:
            return error(502, f"Internal server error: {problem}")
        if not fields:
            return json_answer({"data": {"__typename": "Query"}})
        return json_answer({"data": {name: self._value(name) for name in fields}})

    def _value(self, field: str) -> Any:
        if field == "indexingStatuses":
            return [
                {
                    "subgraph": deployment_to_qm(self._deployment),
                    "synced": True,
                    "health": "healthy",
                    "fatalError": None,
                    "nonFatalErrors": [],
                    "chains": [{"network": "hardhat"}],
                }
            ]
        if field == "version":
            return {"version": "0.0.0", "commit": ""}
        return [] if field in ("chains", "publicProofsOfIndexing", "apiVersions") else None
