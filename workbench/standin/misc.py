"""The service's other routes: liveness, health, version, status and cost."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from aiohttp import web

from workbench.errors import ReceiptError
from workbench.receipts.address import deployment_to_qm, parse_deployment
from workbench.standin.answers import empty, error, json_answer, preflight, text_answer
from workbench.standin.backend import Backend, BackendError
from workbench.standin.database import Database
from workbench.standin.graphql import QueryError, root_fields
from workbench.standin.metrics import ServiceMetrics
from workbench.standin.ratelimit import RateLimit, client_of
from workbench.standin.serde import BodyError, graphql_request
from workbench.standin.switches import Switches

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# The release whose behaviour is imitated; the part after + says that this is not it.
IMITATED_VERSION = "2.2.1+standin"

MISC_BURST, MISC_INTERVAL_S = 10, 0.1
MAX_STATUS_BYTES = 32_768
MAX_COST_MODELS = 200

STATUS_FIELDS = frozenset(
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


class MiscRoutes:
    """The handlers of everything but the paid route."""

    def __init__(
        self,
        indexer: bytes,
        deployment: bytes,
        database: Database,
        backend: Backend,
        switches: Switches,
        metrics: ServiceMetrics,
    ) -> None:
        self._indexer = indexer
        self._deployment = deployment
        self._database = database
        self._backend = backend
        self._switches = switches
        self._metrics = metrics
        self._limit = RateLimit(MISC_BURST, MISC_INTERVAL_S)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes, with and without a trailing slash, as the service trims it."""
        limited = {
            "/": self.running,
            "/info": self.info,
            "/version": self.version,
            "/healthz": self.healthz,
            "/subgraph/health/{id}": self.subgraph_health,
        }
        for path, handler in limited.items():
            add_route(router, "GET", path, self._limited(handler), self._limited(other_method("GET,HEAD")))
        add_route(router, "POST", "/status", self.status, other_method("POST"))
        add_route(router, "POST", "/cost", self.cost, other_method("POST"))

    def _limited(self, handler: Handler) -> Handler:
        async def within_limit(request: web.Request) -> web.StreamResponse:
            if request.method == "OPTIONS":
                return preflight()
            wait = self._limit.wait(client_of(request.headers, request.remote))
            if wait:
                # The limiter tells whole seconds, so with ten requests a second this is 0.
                seconds = str(int(wait))
                answer = empty(429, **{"x-ratelimit-after": seconds, "retry-after": seconds})
                answer.body = f"Too Many Requests! Wait for {seconds}s".encode()
                return answer
            return await handler(request)

        return within_limit

    async def running(self, request: web.Request) -> web.Response:
        """``GET /``."""
        return text_answer("Service is up and running")

    async def info(self, request: web.Request) -> web.Response:
        """``GET /info``: the operator's address; the local network's operator is the indexer."""
        return json_answer({"publicKey": f"0x{self._indexer.hex()}"})

    async def version(self, request: web.Request) -> web.Response:
        """``GET /version``."""
        return json_answer(
            {
                "version": IMITATED_VERSION,
                "dependencies": {"indexer-workbench": version("indexer-workbench")},
            }
        )

    async def healthz(self, request: web.Request) -> web.Response:
        """``GET /healthz``: database and graph-node, 503 when one of them is unhealthy."""
        checks: dict[str, dict[str, str]] = {
            "database": {"status": "healthy"},
            "graph_node": {"status": "healthy"},
        }
        try:
            await self._database.run(_ping, self._switches.store == "lost")
        except sqlite3.Error as problem:
            checks["database"] = {"status": "unhealthy", "error": str(problem)}
        try:
            self._backend.reach("graphql")
        except BackendError as problem:
            checks["graph_node"] = {"status": "unhealthy", "error": str(problem)}
        healthy = all(check["status"] == "healthy" for check in checks.values())
        body = {"checks": checks, "status": "healthy" if healthy else "unhealthy"}
        return json_answer(body, 200 if healthy else 503)

    async def subgraph_health(self, request: web.Request) -> web.Response:
        """``GET /subgraph/health/{id}``: graph-node's health of one deployment."""
        try:
            self._backend.reach("graphql")
            known = parse_deployment(request.match_info["id"]) == self._deployment
        except BackendError:
            return json_answer({"errors": ["Failed to send request"]}, 502)
        except ReceiptError:
            # graph-node answers an id it cannot read with errors, which the service cannot decode.
            return json_answer({"errors": ["Failed to decode response"]}, 500)
        if not known:
            return json_answer({"errors": ["Deployment not found"]}, 404)
        return json_answer({"health": "healthy"})

    async def status(self, request: web.Request) -> web.Response:
        """``POST /status``: selected root fields of graph-node's status API."""
        body = await request.read()
        try:
            if len(body) > MAX_STATUS_BYTES:
                raise QueryError(f"Query exceeds maximum size of {MAX_STATUS_BYTES} bytes")
            query, _ = graphql_request(body)
            fields = root_fields(query)
        except (BodyError, QueryError) as problem:
            return error(400, f"Invalid status query: {problem}")
        unsupported = [name for name in fields if name not in STATUS_FIELDS]
        if unsupported:
            return error(400, f"Unsupported status query fields: {json.dumps(unsupported)}")
        try:
            self._backend.reach("graphql")
        except BackendError as problem:
            return error(502, f"Internal server error: {problem}")
        return json_answer({"data": {name: self._status_of(name) for name in fields}})

    def _status_of(self, field: str) -> Any:
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
            return {"version": IMITATED_VERSION, "commit": ""}
        return [] if field in ("chains", "publicProofsOfIndexing", "apiVersions") else None

    async def cost(self, request: web.Request) -> web.Response:
        """``POST /cost``: Agora cost models; the stand-in has none."""
        started = time.perf_counter()
        try:
            query, variables = graphql_request(await request.read())
            fields = root_fields(query)
        except (BodyError, QueryError) as problem:
            return json_answer({"data": None, "errors": [{"message": str(problem)}]}, 200)
        data: dict[str, Any] = {}
        try:
            for name in fields:
                data[name] = self._cost_models(name, _strings(query, variables), started)
        except QueryError as problem:
            return json_answer({"data": None, "errors": [{"message": str(problem), "path": [name]}]})
        return json_answer({"data": data})

    def _cost_models(self, field: str, deployments: list[str], started: float) -> Any:
        if field not in ("costModel", "costModels"):
            raise QueryError(f'Unknown field "{field}" on type "Query".')
        batch = field == "costModels"
        if batch and len(deployments) > MAX_COST_MODELS:
            self._metrics.cost_model_batch_limit_exceeded.inc()
            raise QueryError(f"Batch size {len(deployments)} exceeds maximum allowed ({MAX_COST_MODELS})")
        try:
            for deployment in deployments:
                parse_deployment(deployment)
        except ReceiptError as problem:
            invalid = self._metrics.cost_model_batch_invalid if batch else self._metrics.cost_model_invalid
            invalid.inc()
            raise QueryError(problem.what) from None
        seconds = time.perf_counter() - started
        if batch:
            self._metrics.cost_model_batch_size.observe(len(deployments))
            self._metrics.cost_model_batch_seconds.observe(seconds)
            return []
        self._metrics.cost_model_seconds.labels(*deployments[:1] or [""]).observe(seconds)
        return None


def add_route(router: web.UrlDispatcher, method: str, path: str, handler: Handler, other: Handler) -> None:
    """Register a handler for one method of a path, and ``other`` for all its other methods."""
    resource = router.add_resource(path if path == "/" else f"{path}{{slash:/*}}")
    resource.add_route(method, handler)
    if method == "GET":
        resource.add_route("HEAD", handler)
    resource.add_route("*", other)


def other_method(allowed: str) -> Handler:
    """What a path answers to the methods it does not have: CORS preflight to OPTIONS, else 405."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        return preflight() if request.method == "OPTIONS" else empty(405, allow=allowed)

    return refuse


async def unknown_path(request: web.Request) -> web.StreamResponse:
    """What any other path answers."""
    return preflight() if request.method == "OPTIONS" else empty(404)


def _ping(connection: sqlite3.Connection, lost: bool) -> None:
    if lost:
        raise sqlite3.OperationalError("pool timed out while waiting for an open connection")
    connection.execute("SELECT 1")


def _strings(query: str, variables: Any) -> list[str]:
    """The string literals of a query and the strings of its variables: here these are deployment ids."""
    found = [part for i, part in enumerate(query.split('"')) if i % 2]
    values = variables.values() if isinstance(variables, dict) else ()
    for value in values:
        found += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
    return found
