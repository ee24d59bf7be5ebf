"""The exact sender limit: trials with fresh payers, each of them denied at its end or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workbench.analysis.limit_search import Cost, LimitSearch
from workbench.analysis.step_row import StepRow
from workbench.errors import EXIT_INVALID, EXIT_PASS, EXIT_SLO_FAILED, SettingsError, TargetError
from workbench.numbers import counted
from workbench.receipts.address import checksum
from workbench.search.spending import Spending, spent
from workbench.service.budget import budget
from workbench.settings import Settings
from workbench.sweep.experiment import Experiment
from workbench.sweep.measure import measure
from workbench.sweep.payers import payer_of
from workbench.sweep.record import Record
from workbench.sweep.setup import Setup, in_flight, rate_of
from workbench.sweep.steps import Step

UNKNOWN = 2
"""The search ends after this many trials in a row in which the agent did not say whether the payer was denied."""
LEAST_PAYERS = 2


async def find_sender_limit(experiment: Experiment) -> None:
    """Search until the exact limit is known, or until budget, payers or agent end the search. Each trial is written
    when it ends. Raises TargetError before anything is sent if the search is impossible."""
    record, settings = experiment.record, experiment.settings
    async with experiment.set_up("none", (Step(record.upcoming, 1),)) as setup:
        _require_agent(setup)
        search = LimitSearch.of(await _predicted(setup, record, settings))
        search = replace(search, bracket=record.learnt.bracket)
        if not record.manifest.get("search"):
            _say_budget(record, settings, search, _payers_left(setup))
        _keep_ended(record, "the search was cut short")
        ended = await _search(setup, search)
    _keep_ended(record, ended)


async def _search(setup: Setup, search: LimitSearch) -> str:
    """Make trials until none is left to make; returns why the search ended early, "" if it did not."""
    record, settings, unknown = setup.record, setup.settings, 0
    while (count := search.upcoming()) is not None:
        used = spent(record.rows, float(settings.value_grt), cut_off(record))
        if used.receipts + count > settings.search_receipts:
            return f"the next trial of {counted(count, 'receipt')} exceeds the budget of {settings.search_receipts:,}"
        step = Step(record.upcoming, count)
        try:
            payer = await payer_of(setup.target, settings, record.given, step, toward_limit=True)
        except TargetError as error:
            return f"no unused payer is left ({error})"
        _plan(record, settings, step)
        row = await measure(setup, step, payer)
        keep_spent(record, settings)
        unknown = unknown + 1 if row.denied_after_settle == "unknown" else 0
        if unknown == UNKNOWN:
            return f"the agent did not say in {UNKNOWN} trials whether the payer was denied"
        before, search = search, replace(search, bracket=record.learnt.bracket)
        if search == before and not unknown:
            return f"a trial was inconclusive: {row.reason}"
    return ""


def _keep_ended(record: Record, why: str) -> None:
    record.folder.update_manifest(search={**record.folder.manifest()["search"], "ended": why})


def _require_agent(setup: Setup) -> None:
    if setup.target.agent_metrics_url is None:
        raise TargetError(
            "the sender limit cannot be found: the agent must say after each trial whether the payer is denied",
            where=setup.target.url,
            hint="Give --agent-metrics-url",
        )
    if not setup.settings.value_wei:
        raise SettingsError("receipts of value 0 spend nothing: there is no limit to find", where="value_grt")


async def _predicted(setup: Setup, record: Record, settings: Settings) -> int | None:
    """The limit that the agent's figures predict for an unused payer; None if not to be predicted, or not known."""
    if not settings.predict:
        return None
    if record.rows or record.learnt.predicted is not None:
        return record.learnt.predicted
    payer = await payer_of(setup.target, settings, record.given, Step(record.upcoming, 1), toward_limit=True)
    fees = await setup.target.fees(payer.address)
    found = None if fees is None else budget(fees, settings.value_wei)
    return None if found is None else found.receipts


def _payers_left(setup: Setup) -> int:
    given = set(setup.record.given)
    return len({checksum(payer.address) for payer in setup.target.payers} - given)


def _say_budget(record: Record, settings: Settings, search: LimitSearch, payers: int) -> None:
    """Report what the search will cost, and refuse one that cannot finish. Raises SettingsError, TargetError."""
    value = float(settings.value_grt)
    expected, most = search.expected(), search.at_most()
    if payers < min(expected.trials, LEAST_PAYERS):
        raise TargetError(
            f"at least {expected.trials} trials need an unused payer each, there are {payers}",
            hint="Give more payers, or use `workbench sweep`, which finds the limit of its last payer with single "
            "receipts",
        )
    if expected.receipts > settings.search_receipts:
        raise SettingsError(
            f"the search takes {expected.receipts:,} receipts if nothing goes wrong, {settings.search_receipts:,} are "
            "allowed",
            where="search_receipts",
            hint="Allow more with --search-receipts, or send receipts of a larger --value-grt: fewer reach the limit",
        )
    capped = Cost(min(most.trials, payers), min(most.receipts, settings.search_receipts))
    budget_facts = Spending.of(capped.trials, capped.receipts, value)
    text = f"The search for the sender limit takes at most {budget_facts.text}, each trial with its own payer"
    if settings.predict and search.predicted:
        likely = Spending.of(expected.trials, expected.receipts, value)
        text += f"; {likely.text} if receipt {search.predicted:,} triggers denial as predicted"
    text += f". There are {counted(payers, 'payer')}."
    record.folder.update_manifest(
        search={"kind": "sender", "budget": {**budget_facts.to_json(), "sentence": text}, "ended": ""}
    )
    record.event("search_budget", sentence=text)


def _plan(record: Record, settings: Settings, step: Step) -> None:
    steps = (*(Step(row.step, row.receipts) for row in record.rows), step)
    record.plan(steps, [rate_of(settings, one.receipts) for one in steps], in_flight(settings))


def cut_off(record: Record) -> int:
    """Receipts of trials that were cut short: they count as sent."""
    done = sum(row.sent for row in record.rows)
    return record.sent_before() - done


def keep_spent(record: Record, settings: Settings) -> None:
    """Store in the manifest what the search has cost so far."""
    used = spent(record.rows, float(settings.value_grt), cut_off(record))
    record.folder.update_manifest(search={**record.folder.manifest()["search"], "spent": used.to_json()})


def conclude_sender(rows: list[StepRow], limit: dict[str, Any], search: dict[str, Any]) -> dict[str, Any]:
    """The manifest's ``verdict`` of a search for the sender limit: it depends on counts only, so trials with invalid
    latencies are used too. PASS if the exact limit was found, FAIL if it differs from the prediction, else INVALID."""
    failed = [f"step {row.step} ({counted(row.receipts, 'receipt')}): {row.failure}" for row in rows if row.failure]
    reasons = ([search["ended"]] if search.get("ended") else []) + failed
    if not limit["exact"]:
        verdict, code = "INVALID", EXIT_INVALID
        reasons = reasons or ["no limit was found within the allowed receipts"]
    elif limit["held"] is False:
        verdict, code = "FAIL", EXIT_SLO_FAILED
        reasons.insert(0, "the limit was not where it was predicted")
    else:
        verdict, code = "PASS", EXIT_PASS
    used = Spending(**search["spent"]) if "spent" in search else Spending(0, 0, 0.0)
    sentence = f"{limit['sentence']} The search took {used.text}."
    return {"verdict": verdict, "exit_code": code, "sentence": sentence, "reasons": reasons}
