"""The conditions that a trial must meet: functions of a step's row. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

from workbench.analysis.measured_figures import step_figures
from workbench.analysis.operational import kept_share, left_over_s
from workbench.analysis.step_row import StepRow
from workbench.errors import SettingsError
from workbench.numbers import milliseconds, per_second
from workbench.settings import Settings
from workbench.thresholds.judge import judge
from workbench.thresholds.parse import Threshold, parse_thresholds

Condition = Callable[[StepRow], str]
"""Why a trial does not pass; "" if it passes."""

LEAST_SHARE = 0.99
"""Share of the planned rate: a service that answers less than this does not keep up."""
SLACK_S = 0.02
"""One slow answer at the end of a trial may be this late: that shows nothing about the rate."""
P95_RECEIPTS = 200
"""With so many values, ten are above the 95th percentile."""


def keeps_up(row: StepRow) -> str:
    """The operational limit: at least 99 % of the planned rate was answered, as
    :func:`workbench.analysis.operational.kept_share` counts, or only a slow answer was left over."""
    usual_s = row.response_p50_ms / 1000
    share = kept_share(row.duration_s, row.drain_s, usual_s)
    if math.isnan(row.rate_per_s) or math.isnan(share) or share >= LEAST_SHARE:
        return ""
    if left_over_s(row.drain_s, usual_s) <= SLACK_S:
        return ""
    return f"{per_second(share * row.rate_per_s)} were answered, {100 * share:.1f} % of the rate"


def unseen(trial_s: float) -> float:
    """A trial of this many seconds can pass at a rate up to this times the capacity: half of the queue that it leaves
    also raises the median response, and the other half is within the allowance."""
    return 1 + 2 * max(1 / LEAST_SHARE - 1, SLACK_S / trial_s)


def share_refused(most: float) -> Condition:
    """At most this share of the receipts was not accepted."""

    def condition(row: StepRow) -> str:
        refused = row.sent - row.accepted
        if refused <= most * row.sent:
            return ""
        return f"{refused:,} of {row.sent:,} receipts were not accepted, the limit is {100 * most:g} %"

    return condition


def p95_within(most_ms: float) -> Condition:
    """The 95th percentile of the response time is at most this; a trial that cannot measure it does not pass."""

    def condition(row: StepRow) -> str:
        if row.response_p95_ms <= most_ms:
            return ""
        if math.isnan(row.response_p95_ms):
            return "too few receipts were accepted to measure the 95th percentile"
        return f"response p95 was {milliseconds(row.response_p95_ms)}, the limit is {most_ms:g} ms"

    return condition


def holds(threshold: Threshold) -> Condition:
    """A threshold of ``--fail-if``, judged on the trial; a trial that could not measure it does not pass.

    Raises SettingsError for a threshold of a figure that trials never measure.
    """
    if threshold.name.of in ("cost", "run"):
        raise SettingsError(
            f"{threshold.text!r}: a trial does not measure {threshold.name.name}",
            where="fail_if",
            hint="Give a threshold of a step, such as 'response_p95_ms > 50'",
        )

    def condition(row: StepRow) -> str:
        judged = judge(threshold, step_figures(threshold.name, [row]))
        return "" if judged.verdict == "PASS" else f"{threshold.text}: {judged.said}"

    return condition


def all_of(*conditions: Condition) -> Condition:
    """All conditions; every failure is reported."""

    def condition(row: StepRow) -> str:
        return "; ".join(filter(None, (one(row) for one in conditions)))

    return condition


def of_settings(settings: Settings) -> Condition:
    """The conditions of the settings: keeping up, few errors, the 95th percentile if given, and each threshold."""
    conditions = [keeps_up, share_refused(settings.max_error_share)]
    if settings.max_p95_ms is not None:
        conditions.append(p95_within(settings.max_p95_ms))
    conditions += map(holds, parse_thresholds(settings.fail_if))
    return all_of(*conditions)


def sentence(settings: Settings) -> str:
    """The conditions of the settings in words."""
    said = [f"at least {100 * LEAST_SHARE:g} % of the rate is answered"]
    said.append(f"at most {100 * settings.max_error_share:g} % of the receipts are not accepted")
    if settings.max_p95_ms is not None:
        said.append(f"response p95 is at most {settings.max_p95_ms:g} ms")
    said += [f"not {text}" for text in settings.fail_if]
    return f"{', '.join(said[:-1])} and {said[-1]}"
