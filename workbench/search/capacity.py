"""The capacity under thresholds: the highest rate whose trials pass, as a bracket with its confidence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workbench.analysis.capacity_search import CapacityBracket, CapacitySearch, Outcome
from workbench.analysis.step_row import StepRow
from workbench.errors import EXIT_INVALID, EXIT_PASS, SettingsError, TargetError
from workbench.load.plan import OpenPlan
from workbench.load.validity import CAP_REACHED
from workbench.numbers import counted
from workbench.receipts.payer import Payer
from workbench.search.condition import P95_RECEIPTS, Condition
from workbench.search.sender import cut_off, keep_spent
from workbench.search.spending import Spending, spent
from workbench.service.budget import budget
from workbench.settings import Settings
from workbench.sweep.experiment import Experiment
from workbench.sweep.measure import measure
from workbench.sweep.record import Record
from workbench.sweep.setup import Setup
from workbench.sweep.steps import MAX_RECEIPTS, Step

BUDGET = "the budget of receipts"


@dataclass(frozen=True)
class Tried:
    """One trial: its step, its rate, its outcome and the reason."""

    step: int
    rate_per_s: float
    outcome: Outcome
    why: str


async def find_capacity(experiment: Experiment, passes: Condition, condition: str, unseen: float) -> None:
    """Search for the highest rate whose trials satisfy ``passes`` (``condition`` in words, ``unseen`` as in
    :class:`workbench.analysis.capacity_search.CapacitySearch`). Each trial is written when it ends. Raises before
    anything is sent if the search is impossible."""
    record, settings = experiment.record, experiment.settings
    async with experiment.set_up("none", (Step(record.upcoming, 1),)) as setup:
        if not record.manifest.get("search"):
            _say_budget(record, settings, condition, unseen)
        search = resumed(settings, record)
        _keep(record, search, "the search was cut short")
        ended = await _search(setup, search, passes)
    _keep(record, resumed(settings, record), ended)


async def _search(setup: Setup, search: CapacitySearch, passes: Condition) -> str:
    """Make trials until the bracket is narrow enough; returns why the search ended early, "" if it did not."""
    record, settings = setup.record, setup.settings
    while (rate := search.upcoming()) is not None:
        receipts = receipts_of(settings, rate)
        used = spent(record.rows, float(settings.value_grt), cut_off(record)).receipts
        if used + receipts > settings.search_receipts:
            return f"{BUDGET} (the next trial needs {receipts:,}, {used:,} are sent)"
        step = Step(record.upcoming, receipts)
        payer = await payer_with(setup, receipts)
        _plan(record, settings, step, rate)
        seed = settings.seed + step.number
        row = await measure(setup, step, payer, OpenPlan(receipts, rate, settings.arrivals, seed))
        tried = judged(row, passes)
        _keep_trial(record, tried)
        keep_spent(record, settings)
        record.event("trial_finished", **asdict(tried))
        search = search.tried(tried.rate_per_s, tried.outcome)
        _keep(record, search, "the search was cut short")
    return ""


def judged(row: StepRow, passes: Condition) -> Tried:
    """The outcome of a trial. If the generator did not send as planned, the trial is invalid and shows nothing about
    the service. But if the reason is that the maximum number of requests was waiting for answers, it failed."""
    if row.verdict == "INVALID" and row.reason.startswith(CAP_REACHED):
        return Tried(row.step, row.rate_per_s, "fail", f"answers did not come in time: {row.reason}")
    if row.verdict == "INVALID":
        return Tried(row.step, row.rate_per_s, "invalid", row.reason)
    why = passes(row)
    return Tried(row.step, row.rate_per_s, "fail" if why else "pass", why or "every threshold is held")


def receipts_of(settings: Settings, rate: float) -> int:
    """The receipts of a trial at a rate: enough for its duration and for its thresholds."""
    least = P95_RECEIPTS if settings.max_p95_ms is not None else 20
    return min(MAX_RECEIPTS, max(least, math.ceil(rate * settings.trial_s)))


async def payer_with(setup: Setup, receipts: int) -> Payer:
    """A payer whose budget is enough for a trial of this many receipts. Raises TargetError if there is none."""
    value, most = setup.settings.value_wei, 0
    for payer in setup.target.payers:
        fees = await setup.target.fees(payer.address)
        if fees is None or (fees.limit is None and fees.balance is None and not fees.denied):
            return payer  # its remaining budget is not known
        left = budget(fees, value)
        if fees.denied or (left is not None and left.receipts <= receipts):
            most = max(most, 0 if left is None or fees.denied else left.receipts - 1)
            continue
        return payer
    raise TargetError(
        f"a trial of {counted(receipts, 'receipt')} needs a payer with that budget; the largest budget left is "
        f"{counted(most, 'receipt')}",
        where=setup.target.url,
        hint="Send receipts of a smaller --value-grt, make trials shorter with --trial-s, or raise the agent's limit",
    )


def resumed(settings: Settings, record: Record) -> CapacitySearch:
    """The search after the trials stored in the run folder."""
    kept = record.folder.manifest()["search"]
    search = CapacitySearch(
        start=settings.start_rate,
        precision=settings.precision,
        max_trials=settings.max_trials,
        lowest=min(1.0, settings.start_rate),
        unseen=kept.get("unseen", 1.0),
    )
    for tried in trials(kept, record.rows):
        search = search.tried(tried.rate_per_s, tried.outcome)
    return search


def trials(search: dict[str, Any], rows: Sequence[StepRow]) -> list[Tried]:
    """The trials of a manifest's ``search`` whose steps are measured."""
    done = {row.step for row in rows}
    return [Tried(**facts) for facts in search.get("trials", []) if facts["step"] in done]


def _say_budget(record: Record, settings: Settings, condition: str, unseen: float) -> None:
    if settings.ramp is not None or settings.concurrency is not None:
        raise SettingsError(
            "the search sets the rates of its trials itself, in an open loop",
            where="arrivals" if settings.ramp is not None else "concurrency",
            hint="Leave it out; --arrivals poisson is allowed, --start-rate sets the first rate",
        )
    first = receipts_of(settings, settings.start_rate)
    if first > settings.search_receipts:
        raise SettingsError(
            f"the first trial takes {first:,} receipts, {settings.search_receipts:,} are allowed",
            where="search_receipts",
            hint="Allow more with --search-receipts, or begin with a lower --start-rate",
        )
    most = Spending.of(settings.max_trials, settings.search_receipts, float(settings.value_grt))
    text = (
        f"The search for the capacity takes at most {most.text}, each trial {settings.trial_s:g} s long. "
        f"A trial passes when {condition}."
    )
    spending = {**most.to_json(), "sentence": text}
    facts = {
        "kind": "capacity",
        "condition": condition,
        "unseen": unseen,
        "budget": spending,
        "trials": [],
        "ended": "",
    }
    record.folder.update_manifest(search=facts)
    record.event("search_budget", sentence=text)


def _plan(record: Record, settings: Settings, step: Step, rate: float) -> None:
    earlier = [(Step(row.step, row.receipts), row.rate_per_s) for row in record.rows]
    steps, rates = zip(*earlier, (step, rate), strict=True)
    record.plan(steps, rates, None)


def _keep_trial(record: Record, tried: Tried) -> None:
    search = record.folder.manifest()["search"]
    earlier = [facts for facts in search["trials"] if facts["step"] != tried.step]
    record.folder.update_manifest(search={**search, "trials": [*earlier, asdict(tried)]})


def _keep(record: Record, search: CapacitySearch, ended: str) -> None:
    """Store the answer so far, so that the result of a killed search can be read."""
    found = search.bracket()
    facts = {**record.folder.manifest()["search"], "bracket": asdict(found), "ended": ended}
    record.folder.update_manifest(search=facts)


def conclude_capacity(search: dict[str, Any], rows: Sequence[StepRow]) -> dict[str, Any]:
    """The manifest's ``verdict`` of a search for the capacity: PASS if a bracket was found, even if it is
    wider than requested; INVALID if no rate passed, or none failed."""
    found = CapacityBracket(**search["bracket"])
    counts = Counter(tried.outcome for tried in trials(search, rows))
    ended = search.get("ended") or (f"limited by {found.limited_by}" if found.limited_by else "")
    if not found.low:
        verdict, code = "INVALID", EXIT_INVALID
        said = "No capacity was found: no rate passed."
    elif found.high is None:
        verdict, code = "INVALID", EXIT_INVALID
        said = f"The capacity is at least {found.low:,.4g}/s ({100 * found.confidence:g} % confidence)"
        said += ": no rate certainly failed."
    else:
        verdict, code = "PASS", EXIT_PASS
        said = (
            f"The capacity is between {found.low:,.4g} and {found.high:,.4g} receipts a second "
            f"({100 * found.confidence:g} % confidence): the rate at which half of the trials pass."
        )
    used = Spending(**search["spent"]) if "spent" in search else Spending(0, 0, 0.0)
    sentence = (
        f"{said} {counted(counts['pass'], 'trial')} passed, {counts['fail']} failed, {counts['invalid']} were not "
        f"sent as planned. The search took {used.text}. A trial passes when {search['condition']}."
    )
    return {"verdict": verdict, "exit_code": code, "sentence": sentence, "reasons": [ended] if ended else []}
