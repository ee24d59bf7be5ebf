"""The state of the network: operator, allocation, payers with signers, and what can be changed."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import SettingsError
from workbench.receipts.address import parse_address, parse_deployment
from workbench.receipts.derive import allocation_key
from workbench.receipts.payer import Payer
from workbench.settings import Settings, to_wei
from workbench.standin.accounts import payer
from workbench.standin.chain import Chain

OPERATOR_MNEMONIC = " ".join(["test"] * 11 + ["zero"])
"""The indexer's mnemonic in the local test network; public, like every key here."""

EPOCH = 1
DISPUTE_MANAGER = bytes.fromhex("00000000000000000000000000000000000d1590")
"""The address of a contract that attestations name and nobody calls."""

SPARE_PAYERS = 64
"""The number of payers without escrow, after the funded ones. The agent knows their aggregator from its start, so they
can get escrow while it runs."""


@dataclass(frozen=True)
class Place:
    """The constant facts of the network; addresses as bytes."""

    indexer: bytes
    collector: bytes
    deployment: bytes
    allocation: bytes
    epoch: int = EPOCH

    @classmethod
    def of(cls, settings: Settings) -> Place:
        """The facts from the settings, with the allocation derived from the operator's mnemonic."""
        deployment = parse_deployment(settings.deployment)
        allocation = allocation_key(OPERATOR_MNEMONIC, epoch=EPOCH, deployment=deployment).address
        if settings.allocation is not None and parse_address(settings.allocation) != allocation:
            raise SettingsError(
                f"the network's only allocation is 0x{allocation.hex()}, derived from its operator's mnemonic",
                where="allocation",
                hint="Leave --allocation out: only answers of this allocation are attested",
            )
        return cls(parse_address(settings.indexer), parse_address(settings.collector), deployment, allocation)


@dataclass
class Faults:
    """Faults of graph-node. ``backend_*`` and ``reset_share`` are the stand-in's settings of that name and apply to
    forwarded queries; with ``subgraph_down`` queries to the network subgraph get no answer."""

    backend_latency: str
    backend_down: bool = False
    reset_share: float = 0.0
    subgraph_down: bool = False


@dataclass
class World:
    """The state of the network subgraph and graph-node."""

    place: Place
    chain: Chain
    faults: Faults

    @classmethod
    def of(cls, settings: Settings) -> World:
        """The initial state: every payer has the escrow of the settings."""
        place = Place.of(settings)
        chain = Chain.funded(settings.standin_payers, to_wei(settings.escrow_grt))
        chain.allocations = {place.allocation}
        faults = Faults(settings.backend_latency, settings.backend_down, settings.reset_share)
        return cls(place, chain, faults)


def known_payers(settings: Settings) -> tuple[Payer, ...]:
    """All payers whose aggregator the agent knows: the funded ones, then :data:`SPARE_PAYERS` without escrow."""
    return tuple(payer(index) for index in range(settings.standin_payers + SPARE_PAYERS))
