"""The service's rate-limited routes: liveness, health, version; and two without a limit, ``/status`` and ``/cost``."""

from __future__ import annotations

import sqlite3
from importlib.metadata import version

from workbench.errors import ReceiptError
from workbench.receipts.address import parse_deployment
from workbench.standin.answers import json_answer, text_answer
from workbench.standin.backend import Backend, BackendError
from workbench.standin.cost import CostRoute
from workbench.standin.database import Database
from workbench.standin.http.messages import Answer, Request
from workbench.standin.metrics import ServiceMetrics
from workbench.standin.ratelimit import RateLimit, client_of
from workbench.standin.routes import Routes
from workbench.standin.status import StatusRoute
from workbench.standin.switches import Switches

# The imitated release; the part after + shows that this is the stand-in.
IMITATED_VERSION = "2.2.1+standin"

MISC_BURST, MISC_INTERVAL_S = 10, 0.1


class MiscRoutes:
    """The handlers of all routes except the paid one."""

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

    def add_to(self, routes: Routes) -> None:
        """Register the routes."""
        routes.add("GET", "/", self.running, self._limited)
        routes.add("GET", "/info", self.info, self._limited)
        routes.add("GET", "/version", self.version, self._limited)
        routes.add("GET", "/healthz", self.healthz, self._limited)
        routes.add_of_segment("GET", "/subgraph/health", self.subgraph_health, self._limited)
        routes.add("POST", "/status", StatusRoute(self._deployment, self._backend).handle)
        routes.add("POST", "/cost", CostRoute(self._metrics).handle)

    def _limited(self, request: Request) -> Answer | None:
        """The limiter's refusal, if any. It gives whole seconds, so with ten requests per second always 0."""
        wait = self._limit.wait(client_of(request.head.headers, request.peer))
        if not wait:
            return None
        seconds = str(int(wait))
        headers = (("x-ratelimit-after", seconds), ("retry-after", seconds))
        return Answer(429, f"Too Many Requests! Wait for {seconds}s".encode(), headers=headers)

    async def running(self, request: Request) -> Answer:
        """``GET /``."""
        return text_answer("Service is up and running")

    async def info(self, request: Request) -> Answer:
        """``GET /info``: the operator's address; the local network's operator is the indexer."""
        return json_answer({"publicKey": f"0x{self._indexer.hex()}"})

    async def version(self, request: Request) -> Answer:
        """``GET /version``."""
        return json_answer(
            {
                "version": IMITATED_VERSION,
                "dependencies": {"indexer-workbench": version("indexer-workbench")},
            }
        )

    async def healthz(self, request: Request) -> Answer:
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

    async def subgraph_health(self, request: Request, segment: bytes) -> Answer:
        """``GET /subgraph/health/{id}``: graph-node's health of one deployment, "unknown" for an invalid id."""
        try:
            text = segment.decode()
        except UnicodeDecodeError:
            return text_answer("Invalid UTF-8 in `deployment_id`", 400)
        try:
            self._backend.reach("graphql")
            known = parse_deployment(text) == self._deployment
        except BackendError:
            return json_answer({"errors": ["Failed to send request"]}, 502)
        except ReceiptError:
            known = False
        if not known:
            return json_answer({"errors": ["Deployment not found"]}, 404)
        return json_answer({"health": "healthy"})


def _ping(connection: sqlite3.Connection, lost: bool) -> None:
    if lost:
        raise sqlite3.OperationalError("pool timed out while waiting for an open connection")
    connection.execute("SELECT 1")
