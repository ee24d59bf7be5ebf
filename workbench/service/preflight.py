"""Before anything is spent: would the receipts be accepted, counted and measured correctly?

It reads the database, the agent's metrics and the programs' processes, and sends the service a probe that costs nothing
(``probe``). The rules are pure functions of what was found (``preflight_rules``). Each note is one line with its
remedy; a note that ``refuses`` ends the run before a receipt is sent.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from workbench.errors import TargetError
from workbench.receipts.payer import Payer
from workbench.service.agent import has_actor, held_denied, unaggregated_of
from workbench.service.connect import Target, receipt_template
from workbench.service.metrics import Reading, scrape
from workbench.service.preflight_rules import (
    Note,
    PayerFacts,
    ServiceFacts,
    is_behind,
    judge_attestation,
    judge_counting,
    judge_payer,
    judge_payers,
    judge_probe,
    judge_service,
)
from workbench.service.probe import ProbeAnswer, ask_attestation, probe
from workbench.service.program import (
    Program,
    ServiceConfig,
    built_with_profiling,
    listening_at,
    of_command,
    of_process,
    service_config,
)
from workbench.settings import to_wei

COUNTING_S = 5.0
"""How long an agent that is behind the database may take to count more."""
STARTING_S = 30.0
"""How long an agent may take to create an actor for each payer."""
QUIET_S = 3.0
"""If no actor is created for this long, payers without one are expected to get none."""
_POLL_S = 0.25


@dataclass(frozen=True)
class Preflight:
    """The result: ``usable``: the payers that can pay, in order; ``notes``: all notes.

    ``probed``: the addresses of payers that the service itself confirmed.
    """

    usable: tuple[Payer, ...]
    notes: tuple[Note, ...]
    probed: frozenset[bytes] = frozenset()

    def require(self, where: str) -> None:
        """Raise TargetError with the first note that refuses."""
        refusals = [note for note in self.notes if note.refuses]
        if refusals:
            first, others = refusals[0], len(refusals) - 1
            more = f" (and {others} more, see the notes)" if others else ""
            raise TargetError(
                f"nothing was sent: {first.what}{more}", where=where, hint=f"{first.remedy}; or pass --no-preflight"
            )


async def preflight(target: Target, payers: tuple[Payer, ...], *, needed: int = 1) -> Preflight:
    """Check the target and ``payers``, of which the run needs ``needed``, before the first receipt.

    Raises TargetError if the database or the agent's metrics were given and do not answer. Problems are in the notes;
    :meth:`Preflight.require` raises them. Without the setting ``preflight`` no note refuses, and no probe is sent.
    """
    settings = target.settings
    service = await asyncio.to_thread(_service_facts, target)
    notes = judge_service(service)
    facts = await _payer_facts(target, payers, await _started(target, payers), owed=True)
    notes += await _counting(target, facts)
    refused = any(note.refuses for note in notes) or sum(judge_payer(fact) is None for fact in facts) < needed
    if settings.preflight and not target.is_standin and not refused:
        facts = await _probed(target, payers, facts, needed)
        first = next((fact.probe for fact in facts if fact.probe is not None), None)
        notes += judge_probe(first, target.settings.value_wei)
        notes += await _attestation(target, service.config)
    notes += judge_payers(facts, needed)
    if not settings.preflight:
        notes = [replace(note, refuses=False) for note in notes]
    usable = tuple(
        payer for payer, fact in zip(payers, facts, strict=True) if judge_payer(fact) is None or not settings.preflight
    )
    probed = frozenset(fact.payer for fact in facts if fact.probe is not None and judge_payer(fact) is None)
    return Preflight(usable, tuple(notes), probed)


async def check_payer(target: Target, payer: Payer) -> Note | None:
    """The problem of a payer that starts paying during a run; None if there is none."""
    if not target.settings.preflight:
        return None
    (fact,) = await _payer_facts(target, (payer,), await _readings(target), owed=False)
    known = fact.settled or target.is_standin or payer.address in target.probed
    if judge_payer(fact) is None and not known:
        fact = replace(fact, probe=await _probe(target, payer))
    return judge_payer(fact)


async def _readings(target: Target) -> list[Reading] | None:
    """One scrape of the agent; None if its address was not given."""
    if target.agent_metrics_url is None:
        return None
    return await scrape(target.agent_metrics_url, "the tap-agent's metrics", target.patience_s)


async def _started(target: Target, payers: tuple[Payer, ...]) -> list[Reading] | None:
    """A scrape of the agent once it has an actor for each of ``payers``, or creates no more of them.

    Its metrics answer already while it creates actors, one after the other.
    """
    readings = await _readings(target)
    if readings is None:
        return None
    started = grown = time.monotonic()
    count = sum(has_actor(readings, payer.address) for payer in payers)
    while count < len(payers):
        now = time.monotonic()
        if now - started > STARTING_S or now - grown > QUIET_S:
            break
        await asyncio.sleep(_POLL_S)
        readings = await scrape(str(target.agent_metrics_url), "the tap-agent's metrics", target.patience_s)
        before, count = count, sum(has_actor(readings, payer.address) for payer in payers)
        if count > before:
            grown = time.monotonic()
    return readings


async def _payer_facts(
    target: Target, payers: tuple[Payer, ...], readings: list[Reading] | None, *, owed: bool
) -> tuple[PayerFacts, ...]:
    """What database and agent show of the payers. ``owed``: with the fees they owe, which reads all receipts."""
    books, version = target.books, target.settings.receipt_version
    denied = None if books is None else await asyncio.to_thread(books.denied, version=version)
    of_payers: dict[str, int] = {}
    if owed and books is not None and readings is not None and version == 2:
        of_payers = await asyncio.to_thread(books.unaggregated)
    return tuple(
        PayerFacts(
            payer=payer.address,
            in_denylist=None if denied is None else payer.address.hex() in denied,
            held_denied=None if readings is None else held_denied(readings, payer.address),
            has_actor=None if readings is None else has_actor(readings, payer.address),
            owed_wei=of_payers.get(payer.address.hex(), 0),
            counted_wei=None if readings is None else unaggregated_of(readings, payer.address),
        )
        for payer in payers
    )


async def _counting(target: Target, facts: tuple[PayerFacts, ...]) -> list[Note]:
    """Notes on payers for whom the agent is still behind the database after a wait."""
    behind = [fact for fact in facts if fact.has_actor and is_behind(fact.owed_wei, fact.counted_wei or 0)]
    if not behind or target.agent_metrics_url is None:
        return []
    deadline = time.monotonic() + COUNTING_S
    now = {fact.payer: fact.counted_wei or 0 for fact in behind}
    while time.monotonic() < deadline and any(is_behind(fact.owed_wei, now[fact.payer]) for fact in behind):
        await asyncio.sleep(_POLL_S)
        readings = await scrape(target.agent_metrics_url, "the tap-agent's metrics", target.patience_s)
        now = {fact.payer: unaggregated_of(readings, fact.payer) or 0 for fact in behind}
    return [note for fact in behind if (note := judge_counting(fact, now[fact.payer])) is not None]


async def _probed(
    target: Target, payers: tuple[Payer, ...], facts: tuple[PayerFacts, ...], needed: int
) -> tuple[PayerFacts, ...]:
    """The facts with the service's own answers: for the first payer that can pay, and for each payer whose denial
    neither the database nor the agent shows, until there are enough."""
    found, enough = list(facts), 0
    for index, (payer, fact) in enumerate(zip(payers, facts, strict=True)):
        if enough >= needed:
            break
        if judge_payer(fact) is None and (enough == 0 or not fact.settled):
            found[index] = replace(fact, probe=await _probe(target, payer))
        enough += judge_payer(found[index]) is None
    return tuple(found)


async def _probe(target: Target, payer: Payer) -> ProbeAnswer:
    settings = target.settings
    template = receipt_template(target, payer)
    return await probe(target.paid_url, template, payer, settings.query, settings.request_timeout_s)


async def _attestation(target: Target, config: ServiceConfig | None) -> list[Note]:
    """Can the service attest an answer? Only its configuration shows where to ask and with which token."""
    if config is None or config.query_url is None or config.free_query_token is None:
        return []
    token = config.free_query_token
    seen = await ask_attestation(target.paid_url, config.query_url, token, target.settings.query)
    return judge_attestation(seen, target.settings.profiler)


def _service_facts(target: Target) -> ServiceFacts:
    settings = target.settings
    service, agent = _programs(target)
    config = service_config(service)
    embedded = target.is_standin
    known = to_wei(settings.max_receipt_value_grt) if embedded else None
    profiled = {"service": (service,), "agent": (agent,), "both": (service, agent)}[settings.profile]
    heavy = settings.profiler in ("massif", "callgrind")
    return ServiceFacts(
        value_wei=settings.value_wei,
        max_value_wei=known if config is None else config.max_value_wei,
        max_value_from="the setting max_receipt_value_grt" if config is None else str(config.path),
        rust_log=tuple((each.name, each.rust_log) for each in (service, agent) if each.rust_log and not embedded),
        profiler=settings.profiler,
        with_sampler=tuple(
            program.name
            for program in profiled
            if heavy and program.executable is not None and built_with_profiling(program.executable)
        ),
        config=config,
    )


def _programs(target: Target) -> tuple[Program, Program]:
    """Service and agent: from their commands, else from their processes, else from the listeners at their addresses."""
    settings = target.settings
    return (
        _program("indexer-service", settings.service_command, target.pids.get("service"), target.url),
        _program("tap-agent", settings.agent_command, target.pids.get("agent"), target.agent_metrics_url),
    )


def _program(name: str, command: str | None, pid: int | None, url: str | None) -> Program:
    if command is not None:
        return of_command(name, command)
    if pid is None and url is not None:
        pid = listening_at(url)
    return Program(name) if pid is None else of_process(name, pid)
