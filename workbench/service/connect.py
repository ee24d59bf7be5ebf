"""From addresses to a ready target: a service that answers, the allocation to pay, and the payers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.errors import SettingsError, TargetError
from workbench.receipts.address import checksum, deployment_to_qm, parse_address, parse_deployment
from workbench.receipts.keys import SigningKey
from workbench.receipts.payer import Payer
from workbench.receipts.template import ReceiptTemplate
from workbench.service.addresses import Addresses
from workbench.service.agent import read_fees
from workbench.service.audit import Database, SqliteDatabase
from workbench.service.budget import Fees
from workbench.service.fetch import TIMEOUT_S
from workbench.service.health import require_service
from workbench.service.network import escrow_balance, find_allocation
from workbench.service.postgres import PostgresDatabase
from workbench.service.stored import Stored
from workbench.service.version import build_of, told_version
from workbench.settings import Settings, to_wei
from workbench.standin.accounts import payer as standin_payer


@dataclass(frozen=True)
class Target:
    """A service that answered, the allocation to pay and the payers to pay with."""

    url: str
    paid_url: str
    is_standin: bool
    allocation: bytes
    payers: tuple[Payer, ...]
    settings: Settings
    graph_url: str | None = None
    service_metrics_url: str | None = None
    agent_metrics_url: str | None = None
    database: Path | None = None
    database_url: str | None = field(default=None, repr=False)  # it may hold a password
    pids: dict[str, int] = field(default_factory=dict)
    version: str = ""  # the version reported by the service, and its binary; "": not reported
    probed: frozenset[bytes] = frozenset()  # payers whose receipts the service accepts, according to the preflight

    @property
    def patience_s(self) -> float:
        """The time limit of a request beside the load: at least that of receipts, since a profiler slows both down."""
        return max(TIMEOUT_S, self.settings.request_timeout_s)

    async def fees(self, payer: bytes) -> Fees | None:
        """The tap-agent's figures for ``payer``; None if nothing is known.

        They come from the agent's metrics if there are any; else from the limit in the settings and the escrow in the
        network subgraph, which do not show what was spent before.
        """
        settings = self.settings
        limit = to_wei(settings.limit_grt) if self.is_standin else None
        if settings.limit_hint_grt is not None:
            limit = to_wei(settings.limit_hint_grt)
        fees = Fees(limit=limit, balance=None, source="settings and network subgraph")
        if self.agent_metrics_url is not None:
            fees = await read_fees(self.agent_metrics_url, payer, limit=limit, timeout_s=self.patience_s)
        if fees.balance is None and self.graph_url is not None and settings.receipt_version == 2:
            collector, indexer = parse_address(settings.collector), parse_address(settings.indexer)
            fees = replace(fees, balance=await escrow_balance(self.graph_url, collector, indexer, payer))
        if self.agent_metrics_url is None and fees.limit is None and fees.balance is None:
            return None
        return fees

    def rows(self, payer: Payer) -> Stored | None:
        """The database's rows of ``payer``; None if no database can be read from here.

        It blocks: call it from a thread. Raises TargetError if the database does not answer.
        """
        rows = self.books
        return None if rows is None else rows.stored(payer, version=self.settings.receipt_version)

    @property
    def books(self) -> Database | None:
        """The services' database; None if it is not known."""
        if self.database_url is not None:
            return PostgresDatabase(self.database_url)
        return None if self.database is None else SqliteDatabase(self.database)


async def connect(
    settings: Settings,
    addresses: Addresses | None = None,
    *,
    is_standin: bool = False,
    pids: Mapping[str, int] | None = None,
) -> Target:
    """A ready target: the services that run at ``addresses``, with ``pids`` if they are processes of this machine.

    ``addresses`` None: those in the settings. Raises TargetError if the service does not answer or lacks what receipts
    need, SettingsError if no address is given.
    """
    if addresses is None:
        if settings.target is None:
            raise SettingsError("no service was given", where="target", hint="Give --target or --service")
        addresses = Addresses(
            service_url=settings.target,
            graph_url=settings.graph_url,
            service_metrics_url=settings.service_metrics_url,
            agent_metrics_url=settings.agent_metrics_url,
            database_url=settings.database_url,
        )
    url = addresses.service_url
    await require_service(url)
    version = await told_version(url)
    if settings.allocation is not None:
        allocation = parse_address(settings.allocation)
    elif addresses.graph_url is not None:
        allocation = await find_allocation(addresses.graph_url, parse_address(settings.indexer))
    else:
        raise TargetError(
            "the allocation to pay is not known",
            where=url,
            hint="Give --allocation, or --graph-url to look it up in the network subgraph",
        )
    prefix = settings.url_prefix.rstrip("/")
    deployment = deployment_to_qm(parse_deployment(settings.deployment))
    return Target(
        url=url,
        paid_url=f"{url}{prefix}/subgraphs/id/{deployment}",
        is_standin=is_standin,
        allocation=allocation,
        payers=_payers(settings, is_standin),
        settings=settings,
        graph_url=addresses.graph_url,
        service_metrics_url=addresses.service_metrics_url,
        agent_metrics_url=addresses.agent_metrics_url,
        database=None if addresses.database is None else Path(addresses.database),
        database_url=addresses.database_url,
        pids=dict(pids or {}),
        version="+".join(filter(None, (version, build_of(settings.service_command)))),
    )


def receipt_template(target: Target, payer: Payer) -> ReceiptTemplate:
    """The constant parts of the receipts of ``payer`` to ``target``."""
    settings = target.settings
    contract = settings.collector if settings.receipt_version == 2 else settings.tap_verifier
    return ReceiptTemplate(
        version=settings.receipt_version,
        chain_id=settings.chain_id,
        contract=parse_address(contract).hex(),
        allocation=target.allocation.hex(),
        payer=payer.address.hex(),
        data_service=parse_address(settings.data_service).hex(),
        service_provider=parse_address(settings.indexer).hex(),
        value_wei=settings.value_wei,
    )


def _payers(settings: Settings, is_standin: bool) -> tuple[Payer, ...]:
    """The payers in the settings; else the stand-in's, the first of which is also the local network's.

    Raises SettingsError for payers that the stand-in does not know, because it would refuse every receipt.
    """
    count = settings.standin_payers if is_standin else 1
    own = tuple(standin_payer(index) for index in range(count))
    if not settings.payers:
        return own
    given = tuple(
        Payer(parse_address(address), SigningKey(key.get_secret_value()))
        for address, key in zip(settings.payers, settings.signer_keys, strict=True)
    )
    strangers = [payer for payer in given if payer.address not in {known.address for known in own}]
    if is_standin and strangers:
        raise SettingsError(
            f"the stand-in has no payer {checksum(strangers[0].address)}",
            where="payers",
            hint="Give --target for a service that knows it, or unset WORKBENCH_PAYERS and WORKBENCH_SIGNER_KEYS",
        )
    return given
