"""What a step is measured with, and the step as planned before anything is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

from workbench.load.engines.child import child_process
from workbench.load.engines.chosen import Engine
from workbench.load.plan import ClosedPlan, OpenPlan, Plan
from workbench.load.spec import StepSpec
from workbench.profilers.session import Session
from workbench.receipts.address import checksum
from workbench.receipts.payer import Payer
from workbench.service.budget import Fees
from workbench.service.connect import Target, receipt_template
from workbench.service.denylist import DenylistWatch
from workbench.service.stored import Stored
from workbench.settings import Settings
from workbench.sweep.defaults import DEFAULT_RATE, PROFILED_IN_FLIGHT
from workbench.sweep.record import Record
from workbench.sweep.steps import Step
from workbench.sweep.watch import Watch


@dataclass(frozen=True)
class Setup:
    """The running services and what watches them.

    ``session`` is the profiler's while the services are under it. ``toward_limit`` False: a denied receipt is a
    failure. ``denylist``: changes of the denylist in the services' database, if there is one to listen to.
    ``require_alive`` raises if something that was started for the run has ended. ``send`` sends a step.
    """

    settings: Settings
    record: Record
    target: Target
    watch: Watch
    session: Session | None
    toward_limit: bool
    denylist: DenylistWatch | None = None
    require_alive: Callable[[], Awaitable[None]] | None = None
    send: Engine = child_process


@dataclass(frozen=True)
class Before:
    """The state before a step: the agent's view of the payer, the budget it leaves, the rows in the database."""

    fees: Fees | None
    budget: int | None
    stored: Stored | None


@dataclass(frozen=True)
class PlannedStep:
    """A planned step: its payer, when each receipt is due, the generator's input, and the state before it."""

    step: Step
    payer: Payer
    plan: Plan
    spec: StepSpec
    before: Before

    @property
    def address(self) -> str:
        """The payer's address, in the form used in rows."""
        return checksum(self.payer.address)


def rate_of(settings: Settings, receipts: int) -> float:
    """Receipts per second of an open loop of ``receipts``, on average."""
    return _open(settings, receipts, 0).mean_rate


def in_flight(settings: Settings) -> int | None:
    """Requests in flight of a closed loop; None for an open one."""
    if not settings.loop_given and settings.profiler != "none":
        return PROFILED_IN_FLIGHT
    return settings.concurrency


def plan_of(settings: Settings, receipts: int, step: int) -> Plan:
    """When the receipts of a step are due."""
    closed = in_flight(settings)
    if closed is not None:
        return ClosedPlan(receipts, closed)
    return _open(settings, receipts, step)


def _open(settings: Settings, receipts: int, step: int) -> OpenPlan:
    rate = None if settings.ramp is not None else settings.rate or DEFAULT_RATE
    return OpenPlan(receipts, rate, settings.arrivals, settings.seed + step)


def spec_of(setup: Setup, payer: Payer, plan: Plan, step: int) -> StepSpec:
    """The generator's input for a step."""
    settings = setup.settings
    return StepSpec(
        url=setup.target.paid_url,
        query=settings.query,
        plan=plan,
        buffer=setup.record.folder.live_samples(step),
        receipt=receipt_template(setup.target, payer),
        step=step,
        seed=settings.seed,
        timeout_s=settings.request_timeout_s,
        max_in_flight=settings.max_in_flight,
        timestamp_window_s=settings.timestamp_window_s,
        services=services_of(setup.target),
        spin=settings.spin,
    )


def services_of(target: Target) -> tuple[int, ...]:
    """Processes of this machine that do not count as other load: the services under test and what we started for
    them."""
    started = (child.pid for child in psutil.Process().children())
    return tuple(sorted({*target.pids.values(), *started}))
