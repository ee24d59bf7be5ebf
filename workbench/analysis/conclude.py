"""The results of a sweep, in figures and in words. Pure functions of its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workbench.analysis.badges import badges, headline, stored
from workbench.analysis.limit import Bracket, Denial
from workbench.analysis.step_row import Judgement, StepRow
from workbench.errors import EXIT_INVALID, EXIT_PASS, EXIT_SLO_FAILED
from workbench.load.summary import StepSummary
from workbench.numbers import grt as in_grt
from workbench.receipts.fields import WEI_PER_GRT
from workbench.service.budget import Budget, Fees
from workbench.service.stored import StoredSince
from workbench.thresholds.judge import Judged


@dataclass(frozen=True)
class Prediction:
    """The budget of a payer at the start, computed from the agent's figures before anything is sent."""

    receipts: int | None
    rule: str
    limit_grt: float
    escrow_grt: float
    fees_before_grt: float
    value_grt: float
    source: str

    @property
    def sentence(self) -> str:
        """The prediction in words."""
        if not self.value_grt:
            return "Receipts of value 0 spend nothing: there is no limit to predict."
        if self.receipts is None:
            return "The limit cannot be predicted: neither the agent's limit nor the escrow is known."
        limit, escrow = (
            "unknown" if math.isnan(value) else in_grt(value) for value in (self.limit_grt, self.escrow_grt)
        )
        return (
            f"Receipt {self.receipts:,} of {in_grt(self.value_grt)} is predicted to trigger denial "
            f"(rule {self.rule}; limit {limit}, escrow {escrow}, {in_grt(self.fees_before_grt)} spent before)."
        )


def predict(fees: Fees | None, found: Budget | None, value_wei: int) -> Prediction:
    """The prediction in the form that is shown and stored."""

    def grt(wei: int | None) -> float:
        return math.nan if wei is None else wei / WEI_PER_GRT

    return Prediction(
        receipts=None if found is None else found.receipts,
        rule="" if found is None else found.rule,
        limit_grt=grt(fees.limit if fees else None),
        escrow_grt=grt(fees.balance if fees else None),
        fees_before_grt=grt(fees.spent if fees else None),
        value_grt=value_wei / WEI_PER_GRT,
        source=fees.source if fees else "nothing known",
    )


def judge_step(
    summary: StepSummary,
    denial: Denial,
    charged: int,
    budget: int | None,
    found: StoredSince | None,
    *,
    toward_limit: bool,
    distorted: bool = False,
) -> Judgement:
    """The judgement of a step in which the payer was charged for ``charged`` receipts.

    In a sweep toward the limit, denial past the limit is expected and no failure. A step that is ``distorted`` by a
    profiler (warm-up included) measures cost, not speed: late sending or signing does not make it INVALID, receipts
    that were not sent do. The paired step is not distorted: times under the profiler are compared with its times, so
    they must be the service's.
    """
    denied = ""
    if denial.refused and not toward_limit:
        denied = f"{summary.denied} receipts were denied"
    elif denial.refused and budget and not charged:
        denied = "every receipt was refused: the payer was denied before the first of them"
    elif denial.refused and budget is not None and charged < budget:
        denied = f"denied after {charged} receipts, before the predicted limit of {budget}"
    failure = "; ".join(filter(None, (_lost(denial, found), _invalid(found), summary.failures, denied)))
    if invalid := summary.cut_short if distorted else summary.invalid:
        return Judgement("INVALID", "; ".join(filter(None, (invalid, failure))), failure)
    if failure:
        return Judgement("FAIL", failure, failure)
    if not denial.refused:
        return Judgement("PASS", "every receipt was accepted", "")
    lag = "" if math.isnan(denial.lag_receipts) else f", {denial.lag_receipts:.0f} receipts past the limit"
    return Judgement("PASS", f"denied after {denial.paid_before_refusal:.0f} receipts{lag}", "")


def judge_walk(summary: StepSummary, denial: Denial, denied: bool | None, found: StoredSince | None) -> Judgement:
    """The judgement of the walk to the limit. ``denied``: whether the agent held the payer denied at the end."""
    failure = "; ".join(filter(None, (_lost(denial, found), _invalid(found), summary.failures)))
    if failure:
        return Judgement("FAIL", failure, failure)
    if denied:
        return Judgement("PASS", f"the agent denied the payer after receipt {denial.paid}", "")
    return Judgement("PASS", f"the payer was not denied after {denial.paid} receipts; the limit was not found", "")


def _lost(denial: Denial, found: StoredSince | None) -> str:
    """Receipts that were answered as stored and are not in the database: HTTP 200 is no proof."""
    if found is None or found.receipts >= denial.paid:
        return ""
    return f"{denial.paid} receipts were paid according to the answers, {found.receipts} are in the database"


def _invalid(found: StoredSince | None) -> str:
    """Receipts that were stored but that the agent refused to aggregate: they are lost to the indexer."""
    if found is None or found.invalid <= 0:
        return ""
    return f"the tap-agent found {found.invalid} receipts invalid ({found.reasons})"


def conclude_limit(bracket: Bracket, predicted: int | None, rows: list[StepRow]) -> dict[str, Any]:
    """The manifest's ``limit``: the observed limit, whether the prediction held, first refusal and denial lag."""
    first = first_refused(rows)
    held = bracket.holds(predicted)
    return {
        "observed_receipts": bracket.high if bracket.exact else None,
        "observed_low": bracket.low,
        "observed_high": bracket.high,
        "exact": bracket.exact,
        "held": held,
        "first_refusal": None
        if first is None
        else {
            "step": first.step,
            "index": int(first.first_refusal_index),
            "receipt": int(first.first_refusal_index) + 1,
            "receipts": first.receipts,
            "paid_before": _paid_before(first),
            "t_s": first.first_refusal_s,
            "fees_grt": first.fees_at_first_refusal_grt,
        },
        "denial_lag_receipts": math.nan if first is None else first.denial_lag_receipts,
        "denial_lag_s": math.nan if first is None else first.denial_lag_s,
        "denylist_lag_s": math.nan if first is None else first.denylist_lag_s,
        "sentence": _limit_sentence(bracket, predicted, held, rows),
    }


def _limit_sentence(bracket: Bracket, predicted: int | None, held: bool | None, rows: list[StepRow]) -> str:
    text = _observation(bracket, rows)
    if predicted is not None:
        agrees = "as predicted" if bracket.exact else "which agrees with the prediction"
        word = {True: agrees, False: "not as predicted", None: "consistent with the prediction"}[held]
        text += f", {word} ({predicted:,})"
    text += "."
    first = first_refused(rows)
    if first is not None:
        text += f" {_refusal_sentence(first)}"
        if not math.isnan(first.denial_lag_receipts):
            text += f" Denial came {first.denial_lag_receipts:.0f} receipts"
            if not math.isnan(first.denial_lag_s):
                text += f" and {first.denial_lag_s * 1000:.0f} ms"
            text += " after the limit was crossed."
        if not math.isnan(first.denylist_lag_s):
            text += f" The payer entered the denylist {first.denylist_lag_s * 1000:.0f} ms after that receipt."
    return text


def _paid_before(row: StepRow) -> int | None:
    """The receipts that the payer was charged for before the first refusal, from its fees; None: not known."""
    receipts = row.fees_at_first_refusal_grt / row.value_grt if row.value_grt else math.nan
    return None if math.isnan(receipts) else round(receipts)


def _refusal_sentence(first: StepRow) -> str:
    """The position of the first refusal in its step, from 1, and how many receipts its payer had paid for by then,
    those before the step included."""
    text = (
        f"First refusal in step {first.step}: receipt {first.first_refusal_index + 1:,.0f} of {first.receipts:,}, "
        f"{first.first_refusal_s:.3f} s after the step began"
    )
    fees = f"{in_grt(first.fees_at_first_refusal_grt)} of fees"
    before = _paid_before(first)
    return f"{text}, at {fees}." if before is None else f"{text}, after {before:,} receipts of its payer ({fees})."


def _observation(bracket: Bracket, rows: list[StepRow]) -> str:
    if bracket.exact:
        return f"The limit was observed at receipt {bracket.high:,}"
    if bracket.high is not None:
        if not bracket.low:
            return f"The limit was observed at receipt {bracket.high:,} or earlier; no smaller number was accepted"
        return f"The limit was observed between {bracket.low:,} (survived) and {bracket.high:,} (denied) receipts"
    if first_refused(rows) is not None:
        return "The payer was denied after an unknown number of receipts"
    if any(row.denied_after_settle == "unknown" for row in rows):
        return "Whether the limit was reached is not known: the agent did not say, or had not counted all receipts"
    return "The limit was not reached" + ("" if bracket.low is None else f" up to {bracket.low:,} receipts")


def first_refused(rows: list[StepRow]) -> StepRow | None:
    """The step with the first refusal. The walk to the limit counts only if no step has one: it is slow, and lag under
    load is in the steps."""
    refused = [row for row in rows if not math.isnan(row.first_refusal_index)]
    return next((row for row in refused if row.kind == "step"), refused[0] if refused else None)


def conclude_run(rows: list[StepRow], limit: dict[str, Any], judged: Sequence[Judged] = ()) -> dict[str, Any]:
    """The manifest's ``verdict``: PASS, FAIL or INVALID, the exit code, a sentence, the reasons step by step, and the
    ``badges`` with their ``headline`` (see :mod:`workbench.analysis.badges`). ``judged``: the results of the
    thresholds.

    INVALID steps say nothing about the service, but they count for the limit, which depends on counts only. The run is
    INVALID if all steps are. An exceeded threshold fails an INVALID run too, because it was measured. A threshold that
    could not be measured fails the other runs.
    """
    steps = [row for row in rows if row.kind == "step"]
    invalid = [row for row in steps if row.verdict == "INVALID"]
    failed = [row for row in rows if row.failure]
    noted = [row for row in rows if row.failure or row.verdict == "INVALID"]
    reasons = [f"step {row.step} ({row.receipts} receipts), {row.verdict}: {row.reason}" for row in noted]
    if limit["held"] is False:
        reasons.insert(0, "the limit was not where it was predicted")
    reasons += [one.line for one in judged if one.verdict != "PASS"]
    if failed or limit["held"] is False or any(one.verdict == "FAIL" for one in judged):
        verdict, code = "FAIL", EXIT_SLO_FAILED
    elif len(invalid) == len(steps):
        verdict, code = "INVALID", EXIT_INVALID
    elif any(one.verdict == "UNMEASURED" for one in judged):
        verdict, code = "FAIL", EXIT_SLO_FAILED
    else:
        verdict, code = "PASS", EXIT_PASS
    valid = len(steps) - len(invalid)
    sentence = f"{limit['sentence']} {valid} of {len(steps)} steps are valid measurements"
    sentence += f"; {len(failed)} failed." if failed else ", none failed."
    found = badges(rows, limit["held"], judged)
    return {
        "verdict": verdict,
        "exit_code": code,
        "sentence": sentence,
        "reasons": reasons,
        "headline": headline(verdict, found),
        "badges": stored(found),
    }


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """The prediction in the form that the manifest stores."""
    return {**asdict(prediction), "sentence": prediction.sentence}
