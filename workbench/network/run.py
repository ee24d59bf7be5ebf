"""The network within a block: PostgreSQL, network subgraph and graph-node, aggregator, configuration files."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import RunFolderError
from workbench.network import admin, postgres
from workbench.network.child import child
from workbench.network.config import Wiring, agent_config, in_numbers, require_fitting, service_config, write_private
from workbench.network.extra import require_extra
from workbench.network.ports import choose_ports
from workbench.network.schema import apply_schema
from workbench.network.world import Place, known_payers
from workbench.receipts.payer import Payer
from workbench.runs.folder import exclusive
from workbench.service.addresses import Addresses
from workbench.settings import Settings
from workbench.standin.accounts import payer

ANYWHERE = "0.0.0.0"  # noqa: S104 - where the metrics of the two programs listen, which cannot be set
LOCK = ".lock"
LOCK_WAIT_S = 2.0


@dataclass(frozen=True)
class Network:
    """A running network.

    ``graph_url`` is the network subgraph's, ``status_url`` and ``query_url`` are graph-node's; the network can be
    changed at ``admin_url``. ``addresses``: those of the two programs when they run with their files. ``pids``: the
    network's own processes by name. ``database_url`` contains a password.
    """

    folder: Path
    database_url: str = field(repr=False)
    graph_url: str
    status_url: str
    query_url: str
    admin_url: str
    aggregator_url: str
    service_config: Path
    agent_config: Path
    addresses: Addresses = field(repr=False)
    allocation: bytes
    payer_count: int
    pids: dict[str, int]

    @property
    def payers(self) -> tuple[Payer, ...]:
        """The payers with escrow at the start, each with its signer; the first is that of the local test network."""
        return tuple(payer(index) for index in range(self.payer_count))

    def commands(self, service: str = "indexer-service-rs", agent: str = "indexer-tap-agent") -> tuple[str, str]:
        """The shell commands of the two programs."""
        return (
            f"{service} --config {shlex.quote(str(self.service_config))}",
            f"{agent} --config {shlex.quote(str(self.agent_config))}",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the database's password."""
        return {
            **asdict(self),
            "folder": str(self.folder),
            "service_config": str(self.service_config),
            "agent_config": str(self.agent_config),
            "allocation": self.allocation.hex(),
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Network:
        """The inverse of :meth:`to_json`."""
        return cls(
            **{
                **facts,
                "folder": Path(facts["folder"]),
                "service_config": Path(facts["service_config"]),
                "agent_config": Path(facts["agent_config"]),
                "addresses": Addresses.from_json(facts["addresses"]),
                "allocation": bytes.fromhex(facts["allocation"]),
            }
        )


@asynccontextmanager
async def network(settings: Settings, folder: Path | None = None, *, fresh: bool = False) -> AsyncIterator[Network]:
    """Run the network within the context, with its data, logs and configuration files in ``folder``
    (``settings.network_folder``).

    Stored data is kept, unless ``fresh``. All processes end with the block, and also if this process is killed. Raises
    SettingsError for settings that the two programs would refuse, RunFolderError if the folder is in use or cannot be
    made, TargetError if a port is taken, ToolError if a part fails.
    """
    require_extra()
    require_fitting(settings)
    place = Place.of(settings)
    folder = (folder or settings.network_folder).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot make the folder: {error.strerror}", where=str(folder), hint="Give another with --network-folder"
        ) from None
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(exclusive(folder / LOCK, "a network runs in this folder", wait_s=LOCK_WAIT_S))
        host = str(in_numbers(settings.host))
        service, service_metrics, agent_metrics, own = choose_ports(
            (
                ("service-port", host, settings.service_port),
                ("service-metrics-port", ANYWHERE, settings.service_metrics_port),
                ("agent-metrics-port", ANYWHERE, settings.agent_metrics_port),
                ("postgres-port", postgres.HOST, settings.postgres_port),
            )
        )
        pids: dict[str, int] = {}
        if settings.postgres is None:
            server = await stack.enter_async_context(postgres.server(folder, own, fresh=fresh))
            database_url, pids["postgres"] = server.url, server.pid
        else:
            database_url = settings.postgres
        await apply_schema(database_url, settings.migrations)
        graph = await stack.enter_async_context(child("graph", settings, folder / "graph.log"))
        pids["graph"] = graph.pid
        if settings.aggregator is None:
            aggregator = await stack.enter_async_context(child("aggregator", settings, folder / "aggregator.log"))
            aggregator_url, pids["aggregator"] = aggregator.url, aggregator.pid
        else:
            aggregator_url = settings.aggregator
        wiring = Wiring(
            database_url,
            graph.url,
            aggregators={known.address: aggregator_url for known in known_payers(settings)},
            service_port=service,
            service_metrics_port=service_metrics,
            agent_metrics_port=agent_metrics,
        )
        yield _described(settings, folder, place, wiring, aggregator_url, pids)


def _described(
    settings: Settings, folder: Path, place: Place, wiring: Wiring, aggregator_url: str, pids: dict[str, int]
) -> Network:
    """Write the configuration files; returns all addresses."""
    files = folder / "service.toml", folder / "agent.toml"
    write_private(files[0], service_config(settings, wiring))
    write_private(files[1], agent_config(settings, wiring))
    return Network(
        folder=folder,
        database_url=wiring.database_url,
        graph_url=wiring.graph_url,
        status_url=wiring.status_url,
        query_url=wiring.query_url,
        admin_url=f"{wiring.graph_node_url}{admin.PATH}",
        aggregator_url=aggregator_url,
        service_config=files[0],
        agent_config=files[1],
        addresses=Addresses(
            service_url=wiring.service_url(settings.host),
            graph_url=wiring.graph_url,
            service_metrics_url=f"http://127.0.0.1:{wiring.service_metrics_port}/metrics",
            agent_metrics_url=f"http://127.0.0.1:{wiring.agent_metrics_port}/metrics",
            database_url=wiring.database_url,
        ),
        allocation=place.allocation,
        payer_count=settings.standin_payers,
        pids=pids,
    )
