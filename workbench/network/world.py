"""Who and what there is in the network: operator, allocation, payers with signers, and what of it can be changed."""

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
"""The indexer's of the local test network; public, like every key here."""

EPOCH = 1
DISPUTE_MANAGER = bytes.fromhex("00000000000000000000000000000000000d1590")
"""A stand-in for a contract: attestations name it, nobody calls it."""

SPARE_PAYERS = 64
"""Payers without escrow behind the funded ones. The agent knows their aggregator from its start, which it does not of
a stranger, so one of them can be given escrow while it runs."""


@dataclass(frozen=True)
class Place:
    """What does not change while the network runs; addresses as bytes."""

    indexer: bytes
    collector: bytes
    deployment: bytes
    allocation: bytes
    epoch: int = EPOCH

    @classmethod
    def of(cls, settings: Settings) -> Place:
        """The place that the settings name, with the allocation that the operator's mnemonic gives for it."""
        deployment = parse_deployment(settings.deployment)
        allocation = allocation_key(OPERATOR_MNEMONIC, epoch=EPOCH, deployment=deployment).address
        if settings.allocation is not None and parse_address(settings.allocation) != allocation:
            raise SettingsError(
                f"the network has the one allocation 0x{allocation.hex()}, derived from its operator's mnemonic",
                where="allocation",
                hint="Leave --allocation out: only answers of that one are attested",
            )
        return cls(parse_address(settings.indexer), parse_address(settings.collector), deployment, allocation)


@dataclass
class Faults:
    """What graph-node does wrong. ``backend_*`` and ``reset_share`` are the stand-in's settings of that name and mean
    the forwarded queries; ``subgraph_down`` leaves the network subgraph's questions without an answer."""

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
        """The world at the start: every payer has the settings' escrow."""
        place = Place.of(settings)
        chain = Chain.funded(settings.standin_payers, to_wei(settings.escrow_grt))
        chain.allocations = {place.allocation}
        faults = Faults(settings.backend_latency, settings.backend_down, settings.reset_share)
        return cls(place, chain, faults)


def known_payers(settings: Settings) -> tuple[Payer, ...]:
    """All payers whose aggregator the agent knows: the funded ones, then :data:`SPARE_PAYERS` without escrow."""
    return tuple(payer(index) for index in range(settings.standin_payers + SPARE_PAYERS))
