"""The rules of the preflight: facts in, notes out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.load.outcome import Outcome
from workbench.numbers import grt
from workbench.receipts.address import checksum
from workbench.receipts.fields import WEI_PER_GRT
from workbench.service.probe import Attestation, ProbeAnswer
from workbench.service.program import ServiceConfig, loud


@dataclass(frozen=True)
class Note:
    """One line: ``check`` names the rule, ``what`` was found, ``remedy`` says what to do ("": nothing). ``refuses``:
    the run must not begin."""

    check: str
    what: str
    remedy: str = ""
    refuses: bool = False

    @property
    def line(self) -> str:
        """The note as it is shown."""
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


@dataclass(frozen=True)
class PayerFacts:
    """What is known of a payer; None if it cannot be read.

    ``in_denylist``: from the database. ``held_denied``: the agent's gauge (None also if it has no such series).
    ``has_actor``: whether the agent reports the payer's escrow. ``owed_wei``: receipts in the database that are in no
    RAV; ``counted_wei``: the agent's fee tracker. ``probe``: the service's answer.
    """

    payer: bytes
    in_denylist: bool | None = None
    held_denied: bool | None = None
    has_actor: bool | None = None
    owed_wei: int = 0
    counted_wei: int | None = None
    probe: ProbeAnswer | None = None

    @property
    def settled(self) -> bool:
        """Whether the database or the agent shows if the payer is denied, so that no probe is needed."""
        return self.in_denylist is not None or self.held_denied is not None


@dataclass(frozen=True)
class ServiceFacts:
    """What is known of the two programs. ``rust_log``: program and value, if it is set. ``with_sampler``: the profiled
    programs that contain pprof-rs."""

    value_wei: int
    max_value_wei: int | None = None
    max_value_from: str = ""
    rust_log: tuple[tuple[str, str], ...] = ()
    profiler: str = "none"
    with_sampler: tuple[str, ...] = ()
    config: ServiceConfig | None = None


_DENIED = (
    "Give another payer; or redeem its RAVs, top up its escrow or raise max_amount_willing_to_lose_grt, and wait until "
    "the tap-agent allows it"
)
_NO_ACTOR = (
    "Start the aggregator, check that [tap.sender_aggregator_endpoints] names the payer and that its escrow is known, "
    "then restart the tap-agent"
)
_REFUSED = {
    Outcome.UNKNOWN_SIGNER: (
        "signer",
        "Authorise the signer, fund the escrow with more than escrow_min_balance_grt_wei, or correct --collector and "
        "--chain-id",
    ),
    Outcome.LOW_BALANCE: ("escrow", "Top up the payer's escrow"),
    Outcome.BAD_TIMESTAMP: ("clock", "Set the clocks of both machines: sudo timedatectl set-ntp true"),
    Outcome.BAD_ALLOCATION: ("allocation", "Give an active allocation of this indexer with --allocation"),
    Outcome.BAD_VALUE: ("value", "Give another --value-grt, or change max_receipt_value_grt of the service"),
    Outcome.NO_RECEIPT: ("receipt", "Give --receipt-version 2 for services from 2.0.0 on, and 1 for older ones"),
}


def judge_payer(facts: PayerFacts) -> Note | None:
    """Why a payer's receipts would be refused; None if nothing shows that."""
    who = checksum(facts.payer)
    if facts.has_actor is False:
        listed = "is on the denylist and " if facts.in_denylist else ""
        return Note(
            "actor",
            f"payer {who} {listed}has no actor in the tap-agent, so its escrow is not known: its aggregator could not "
            "be reached when the agent started, or no endpoint is configured for it",
            _NO_ACTOR,
            refuses=True,
        )
    if facts.in_denylist or facts.held_denied:
        by = "it is on the denylist of the database" if facts.in_denylist else "the tap-agent's gauge says so"
        return Note("denied", f"payer {who} is denied already: {by}", _DENIED, refuses=True)
    if facts.probe is not None and facts.probe.outcome is Outcome.DENIED:
        return Note("denied", f"payer {who} is denied already: the service refused a probe", _DENIED, refuses=True)
    if facts.probe is not None and facts.probe.outcome is Outcome.UNKNOWN_SIGNER:
        check, remedy = _REFUSED[Outcome.UNKNOWN_SIGNER]
        return Note(check, f"payer {who}: {facts.probe.message}", remedy, refuses=True)
    return None


def judge_payers(facts: Sequence[PayerFacts], needed: int) -> list[Note]:
    """Whether enough payers can pay; the others are left out, with a note."""
    wrong = [note for fact in facts if (note := judge_payer(fact)) is not None]
    if not wrong:
        return []
    others = f" (and {len(wrong) - 1} more cannot pay)" if len(wrong) > 1 else ""
    first = wrong[0]
    if len(facts) - len(wrong) >= needed:
        return [Note(first.check, f"{len(wrong)} of {len(facts)} payers are left out: {first.what}")]
    if needed > 1:
        others += f"; {needed} payers are needed and {len(facts) - len(wrong)} of {len(facts)} can pay"
    return [Note(first.check, first.what + others, first.remedy, refuses=True)]


def is_behind(owed_wei: int, counted_wei: int) -> bool:
    """Whether the agent counted less than is owed. Gauges are floating point, so the last digits are ignored."""
    return owed_wei - counted_wei > owed_wei // 10**9


def judge_counting(facts: PayerFacts, counted_wei: int) -> Note | None:
    """A note if an agent that was behind the database is still behind, with ``counted_wei``, after a wait."""
    before = facts.counted_wei or 0
    if not is_behind(facts.owed_wei, counted_wei):
        return None
    what = (
        f"the tap-agent has counted {grt(counted_wei / WEI_PER_GRT)} of payer {checksum(facts.payer)}, "
        f"{grt(facts.owed_wei / WEI_PER_GRT)} are in the database"
    )
    if counted_wei != before:
        return Note("counting", f"{what}: it is still counting", "Wait for it, or denial comes earlier than predicted")
    return Note("counting", f"{what}, and it has stopped counting", "Start the tap-agent again", refuses=True)


def judge_service(facts: ServiceFacts) -> list[Note]:
    """Problems that spoil the run for every payer."""
    notes = []
    for program, value in facts.rust_log:
        directive = loud(value)
        if directive is not None:
            notes.append(
                Note(
                    "log",
                    f"RUST_LOG of the {program} is {value[:80]!r}: logging at that level ({directive}) would be a "
                    "large part of the measured cost",
                    "Start it with RUST_LOG=info or warn",
                    refuses=True,
                )
            )
    if facts.max_value_wei is not None and facts.value_wei >= facts.max_value_wei:
        notes.append(
            Note(
                "value",
                f"receipts of {grt(facts.value_wei / WEI_PER_GRT)} reach the service's maximum of "
                f"{grt(facts.max_value_wei / WEI_PER_GRT)} ({facts.max_value_from}); it refuses this value and more",
                "Lower --value-grt, or raise max_receipt_value_grt of the service",
                refuses=True,
            )
        )
    return notes + [_sampler(program, facts.profiler) for program in facts.with_sampler]


def judge_probe(answer: ProbeAnswer | None, value_wei: int) -> list[Note]:
    """What the first probe shows of the receipts to come. Problems of one payer are left to :func:`judge_payer`."""
    if answer is None or answer.outcome in (Outcome.DENIED, Outcome.UNKNOWN_SIGNER):
        return []
    if answer.passed:
        return [
            Note("probe", "one probe was sent: the service would accept the receipts; nothing was stored or charged")
        ]
    if answer.charged:
        cost = f"a receipt of {grt(value_wei / WEI_PER_GRT)} was spent and is counted"
        return [Note("probe", f"the service accepted a probe that names another payer, so {cost}")]
    check, remedy = _REFUSED.get(
        answer.outcome, ("probe", "Look at the service's log, and run `workbench doctor --target ...`")
    )
    found = f"the service refuses the receipts (HTTP {answer.status}): {answer.message}"
    return [Note(check, found, remedy, refuses=True)]


def judge_attestation(seen: Attestation | None, profiler: str) -> list[Note]:
    """A note if the service cannot derive the allocation's key: under callgrind its attempts are most of the cost."""
    if seen is None or not seen.attestable or seen.attested:
        return []
    return [
        Note(
            "attestation",
            "the answers are not attested although graph-node calls them attestable: the allocation cannot be derived "
            "from the service's operator_mnemonic. At each poll the service tries 200 keys: 89 % of all instructions "
            "in windows of 50 to 200 receipts under callgrind",
            "Open the allocation with that mnemonic's key, or raise syncing_interval_secs",
            refuses=profiler == "callgrind",
        )
    ]


def _sampler(program: str, profiler: str) -> Note:
    """A note on a binary with pprof-rs, under a tool that measures the sampler as a part of the program."""
    if profiler == "massif":
        effect = "the heap includes the sampler's own allocations: 225 of 240 MB in the release measured"
    else:
        effect = "its timer would end callgrind, so SIGPROF is blocked and its sampler records nothing"
    return Note(
        "profiling",
        f"the {program} is built with the feature profiling: {effect}",
        "Use a build without it",
    )
