"""The stand-in put together: databases, service, agent and their listeners, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry

from workbench.child import Lifeline, loop_factory
from workbench.errors import SettingsError
from workbench.private import temporary_folder
from workbench.profilers.sampler import setup_profiling
from workbench.receipts import v1, v2
from workbench.receipts.address import collection_of, parse_address, parse_deployment
from workbench.settings import Settings, to_wei
from workbench.standin import tasks
from workbench.standin.accounts import ALLOCATION
from workbench.standin.agent import Agent, AgentConfig
from workbench.standin.aggregation import Collection, close_redeemed
from workbench.standin.answers import CORS
from workbench.standin.backend import Backend
from workbench.standin.chain import Chain
from workbench.standin.checks import Knowledge
from workbench.standin.database import Database
from workbench.standin.endpoints import Endpoints
from workbench.standin.follow import follow_receipts, follow_tables
from workbench.standin.graph import PATH as GRAPH_PATH
from workbench.standin.graph import NetworkSubgraph
from workbench.standin.http.connection import Handler, Service
from workbench.standin.latency import parse_latency
from workbench.standin.listen import check_host, listen, metrics_handler
from workbench.standin.metrics import CONTENT_TYPE, AgentMetrics, ServiceMetrics, exposition
from workbench.standin.misc import MiscRoutes
from workbench.standin.paid import PaidConfig, PaidRoute
from workbench.standin.routes import Routes
from workbench.standin.store import ReceiptStore
from workbench.standin.switches import Switches
from workbench.standin.tables import Notice, apply_watched, read_watched


class Standin:
    """``async with Standin(settings) as standin`` serves until the block ends.

    ``endpoints``: its addresses; ``switches`` can be changed at any time. Two instances in one loop share nothing.
    Raises SettingsError for settings that do not fit together, TargetError if a port is taken.
    """

    endpoints: Endpoints
    _database: Database

    def __init__(self, settings: Settings) -> None:
        check_host(settings.host, settings.allow_remote)
        parse_latency(settings.backend_latency)
        if settings.role == "agent" and settings.database is None:
            raise SettingsError(
                "the agent reads the receipts that the service stores",
                where="role agent",
                hint="Give both the same --database",
            )
        self.settings = settings
        self.switches = Switches.of(settings)
        self._indexer = parse_address(settings.indexer)
        self._data_service = parse_address(settings.data_service)
        self._known = Knowledge(
            indexer=self._indexer,
            data_service=self._data_service,
            tolerance_ns=int(settings.timestamp_tolerance_s * 1e9),
            max_value=to_wei(settings.max_receipt_value_grt),
            min_value=settings.min_receipt_value_wei,
            chain=Chain.funded(settings.standin_payers, to_wei(settings.escrow_grt)),
        )
        self._stack = contextlib.AsyncExitStack()
        self._agent: Agent | None = None
        self._store: ReceiptStore | None = None

    async def __aenter__(self) -> Standin:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def store(self) -> ReceiptStore:
        """The service's receipt store. Raises SettingsError in the agent's role."""
        if self._store is None:
            raise SettingsError("there is no receipt store in this role", where="role")
        return self._store

    async def settled(self) -> None:
        """Wait until the agent has counted every receipt stored so far."""
        await self._the_agent().settled()

    async def deny(self, payer: bytes) -> None:
        """Deny a payer at once; the agent allows it again at its next check."""
        await self._the_agent().deny(payer)

    async def set_escrow(self, payer: bytes, grt: Decimal) -> None:
        """Set a payer's escrow balance, in GRT."""
        self._known.chain.accounts[payer].balance = to_wei(grt)
        await self._the_agent().escrow_changed(payer)

    async def thaw(self, payer: bytes, grt: Decimal) -> None:
        """Set how much of a payer's escrow is thawing, in GRT."""
        self._known.chain.accounts[payer].thawing = to_wei(grt)
        await self._the_agent().escrow_changed(payer)

    async def redeem(self, payer: bytes) -> None:
        """Redeem the payer's pending RAVs on chain now."""
        await self._the_agent().redeem(payer)

    async def redeem_closing_rav(self, payer: bytes) -> None:
        """Redeem the payer's last RAV of the allocation: no further receipt for this collection is accepted."""
        collection = Collection(payer, collection_of(ALLOCATION), self._data_service, self._indexer)
        await self._database.run(close_redeemed, collection)
        self._known.redeemed.add((payer, self._data_service, collection.collection_id))

    def close_allocation(self) -> None:
        """Close the allocation: its receipts are no longer eligible, the network subgraph no longer lists it."""
        self._known.chain.allocations.discard(ALLOCATION)

    def _the_agent(self) -> Agent:
        if self._agent is None:
            raise SettingsError("there is no agent in this role", where="role")
        return self._agent

    async def _start(self) -> None:
        settings = self.settings
        path = settings.database
        if path is None:
            folder = self._stack.enter_context(temporary_folder("standin"))
            path = folder / "standin.sqlite"
        self._database = await self._open(path, "agent")
        apply_watched(await self._database.run(read_watched), self._known)
        agent_metrics_url = service_url = service_metrics_url = graph_url = ""
        pids: dict[str, int] = {}
        if settings.role != "service":
            agent_metrics_url = await self._start_agent()
            pids["agent"] = os.getpid()
        if settings.role != "agent":
            service_url, service_metrics_url, graph_url = await self._start_service(path)
            pids["service"] = os.getpid()
        self.endpoints = Endpoints(service_url, service_metrics_url, agent_metrics_url, graph_url, str(path), pids)

    async def _start_agent(self) -> str:
        settings, known = self.settings, self._known
        metrics = AgentMetrics()

        def tell(payer: bytes, denied: bool) -> None:
            (known.denied.add if denied else known.denied.discard)(payer)

        self._agent = Agent(AgentConfig.of(settings), self._database, known.chain, self.switches, metrics, tell)
        self._stack.push_async_callback(self._agent.stop)
        await self._agent.start()
        if settings.role == "agent":
            self._keep(follow_receipts(self._database, known.chain, self._agent), "receipt follower")
        # As with the real agent, metrics are served only after it has started fully.
        return await self._listen_metrics(metrics.registry, "agent_metrics_port")

    async def _start_service(self, path: Path) -> tuple[str, str, str]:
        settings, known, switches = self.settings, self._known, self.switches
        metrics = ServiceMetrics()
        deployment = parse_deployment(settings.deployment)
        subgraph = NetworkSubgraph(known.chain, self._indexer, parse_address(settings.collector), deployment)
        graph_base = await self._listen(subgraph.handle, "graph_port")

        writer = await self._open(path, "receipts")
        self._store = ReceiptStore(writer, switches, self._committed)
        self._store.start()
        self._stack.push_async_callback(self._store.stop)
        if settings.role == "service":
            self._keep(follow_tables(self._database, known), "table follower")

        backend = Backend(graph_base, switches, settings.standin_seed)
        config = PaidConfig(
            domain_v2=v2.domain(settings.chain_id, parse_address(settings.collector)),
            domain_v1=v1.domain(settings.chain_id, parse_address(settings.tap_verifier)),
            accept_v1=settings.accept_v1,
            free_query_token=settings.free_query_token,
            allocations={deployment: ALLOCATION},
        )
        paid = PaidRoute(config, known, self._store, backend, switches, metrics, settings.standin_seed)
        misc = MiscRoutes(self._indexer, deployment, self._database, backend, switches, metrics)
        routes = Routes()
        routes.add_of_segment("POST", f"{settings.url_prefix.rstrip('/')}/subgraphs/id", paid.handle)
        misc.add_to(routes)
        metrics_url = await self._listen_metrics(metrics.registry, "service_metrics_port")
        service_url = await self._listen(routes, "service_port", CORS)
        return service_url, metrics_url, f"{graph_base}{GRAPH_PATH}"

    def _committed(self, notices: list[Notice]) -> None:
        if self._agent is not None:
            self._agent.notify(notices)

    async def _open(self, path: Path, purpose: str) -> Database:
        database = await Database.open(path, purpose)
        self._stack.push_async_callback(database.close)
        return database

    async def _listen(self, handler: Handler, option: str, always: tuple[tuple[str, str], ...] = ()) -> str:
        settings = self.settings
        # if other machines may connect, the names they use are unknown
        service = Service(handler, always, any_host=settings.allow_remote)
        listener = await listen(service, settings.host, getattr(settings, option), option)
        self._stack.push_async_callback(listener.close)
        return listener.url

    async def _listen_metrics(self, registry: CollectorRegistry, option: str) -> str:
        url = await self._listen(metrics_handler(lambda: exposition(registry), CONTENT_TYPE), option)
        return f"{url}/metrics"

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._stack.push_async_callback(tasks.end, tasks.start(work, name))


def serve(settings: Settings, *, exit_with_parent: bool = False, announce: Callable[[str], None] = print) -> None:
    """Run the stand-in until SIGTERM or SIGINT, or, with ``exit_with_parent``, until standard input ends.

    When it is ready, its Endpoints are printed as one line of JSON. At the end unfinished batches are written. Raises
    SettingsError and TargetError like Standin.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(settings, exit_with_parent, announce))


async def _serve(settings: Settings, exit_with_parent: bool, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lifeline = None
    if exit_with_parent:
        lifeline, _ = await loop.connect_read_pipe(lambda: Lifeline(stop), sys.stdin)
    try:
        with _profiled(settings):
            async with Standin(settings) as standin:
                announce(standin.endpoints.to_json())
                # Flush: a parent waits for this line at its pipe.
                sys.stdout.flush()
                await stop.wait()
    finally:
        if lifeline is not None:
            lifeline.close()


@contextlib.contextmanager
def _profiled(settings: Settings) -> Iterator[None]:
    """Run under the sampler if a folder for profiles is given, with upstream's names of the services."""
    if settings.profile_dir is None:
        yield
        return
    name = "Tap-agent service" if settings.role == "agent" else "Indexer Service"
    frequency, interval, delay = settings.profile_frequency, settings.profile_interval_s, settings.profile_delay_s
    sampler = setup_profiling(settings.profile_dir, frequency, interval, name, delay=delay)
    try:
        yield
    finally:
        sampler.stop()
