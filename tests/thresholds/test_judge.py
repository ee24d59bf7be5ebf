"""Each kind of threshold held and exceeded, and what was not measured fails with what to do."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from tests.thresholds.made import COSTS_OF, LIMIT, costs, row
from workbench.analysis.badges import badges, badges_of, headline, stored, worst
from workbench.analysis.conclude import conclude_run
from workbench.analysis.leaks import LEAK, TIMED, Leaks
from workbench.analysis.measured_figures import cost_figures, run_figures, step_figures
from workbench.analysis.step_row import StepRow
from workbench.runs.atomic import to_json
from workbench.thresholds.figures import Figure
from workbench.thresholds.judge import Judged, judge
from workbench.thresholds.names import NAMES
from workbench.thresholds.parse import parse_threshold

INVALID = {"verdict": "INVALID", "reason": "half of the requests left 3 ms late"}


def of_steps(text: str, *rows: StepRow) -> Judged:
    threshold = parse_threshold(text)
    return judge(threshold, step_figures(threshold.name, rows))


@pytest.mark.parametrize(
    ("holds", "fails", "said"),
    [
        ("response_p95_ms > 50", "response_p95_ms > 39", "40 (38 to 44) ms in step 0, n = 1,000"),
        ("throughput_per_s < 100", "throughput_per_s < 300", "200/s in step 0"),
        ("lag_p99_ms > 1", "lag_p99_ms > 100 us", "0.2 ms in step 0, n = 1,000"),
        ("accepted < 1000", "accepted <= 1000", "1,000 in step 0"),
        ("refused_share > 0", "refused_share >= 0 %", "0 % in step 0, n = 1,000"),
        ("lost_share > 0", "lost_share == 0", "0 % in step 0, n = 1,000"),
    ],
)
def test_a_step_is_held_against_it(holds: str, fails: str, said: str) -> None:
    held, exceeded = of_steps(holds, row(0)), of_steps(fails, row(0))
    assert (held.verdict, exceeded.verdict) == ("PASS", "FAIL")
    assert held.line.startswith(f"✓ fail if {holds}: {said}")
    assert exceeded.line.startswith(f"✗ fail if {fails}: {said}")


def test_shares_are_of_what_was_sent() -> None:
    some = row(0, accepted=900, denied=80, failed=20, stored=890.0, paid=900, offered=1010)
    values = {
        name: step_figures(NAMES[name], [some])[0].value
        for name in ("refused_share", "denied_share", "failed_share", "lost_share", "unsent_share")
    }
    assert values == pytest.approx(
        {
            "refused_share": 0.1,
            "denied_share": 0.08,
            "failed_share": 0.02,
            "lost_share": 10 / 900,
            "unsent_share": 10 / 1010,
        }
    )


def test_any_step_is_enough_unless_all_are_asked_for() -> None:
    steps = (row(0), row(1, response_p95_ms=60.0, response_p95_low_ms=55.0, response_p95_high_ms=70.0), row(2))
    assert of_steps("response_p95_ms > 50", *steps).place == "step 1"
    assert of_steps("response_p95_ms > 50", *steps).verdict == "FAIL"
    assert of_steps("response_p95_ms[any] > 50", *steps).verdict == "FAIL"
    assert of_steps("response_p95_ms[all] > 50", *steps).verdict == "PASS"
    assert of_steps("response_p95_ms[all] > 30", *steps).verdict == "FAIL"
    assert of_steps("response_p95_ms[step=2] > 50", *steps).verdict == "PASS"
    assert of_steps("response_p95_ms[step=1] > 50", *steps).verdict == "FAIL"
    assert of_steps("response_p95_ms[last] > 50", *steps).place == "step 2"


def test_a_bound_inside_the_interval_is_said() -> None:
    assert of_steps("response_p95_ms > 39", row(0)).said.endswith("so this may be chance")
    assert of_steps("response_p95_ms > 30", row(0)).sure
    unsure = row(0, response_p95_low_ms=math.nan, response_p95_high_ms=math.nan)
    assert "(no interval: too few independent receipts)" in of_steps("response_p95_ms > 30", unsure).said


@pytest.mark.parametrize(
    ("text", "changes", "why"),
    [
        ("response_p95_ms > 50", {"profiler": "callgrind"}, "times under callgrind are distorted"),
        ("response_p95_ms > 50", INVALID, "no valid measurement (half of the requests left 3 ms late)"),
        ("response_p99_ms > 50", {"accepted": 300}, "p99 needs 1,000 rows, found 300: send more receipts"),
        ("stored < 5", {"stored": math.nan}, "no database could be read: give --database-url"),
        ("denial_lag_s > 1", {}, "the payer was not denied"),
        ("steal_percent > 1", {}, "not available"),
        (
            "response_p95_ms[step=7] > 50",
            {},
            "the run has no such step. It has steps: 0 (1,000 receipts)",
        ),
    ],
)
def test_what_was_not_measured_fails_and_says_why(text: str, changes: dict[str, object], why: str) -> None:
    judged = of_steps(text, row(0, **changes))
    assert judged.verdict == "UNMEASURED"
    assert judged.line.startswith(f"✗ fail if {text}: not measured: ")
    assert why in judged.line


def test_an_invalid_step_beside_valid_ones_is_left_out_and_said_and_its_counts_stay() -> None:
    steps = (row(0), row(1, response_p95_ms=900.0, failed=500, accepted=500, **INVALID))
    times = of_steps("response_p95_ms > 50", *steps)
    assert times.verdict == "PASS"
    assert "step 1 not judged: no valid measurement" in times.said
    assert of_steps("failed_share > 1%", *steps).verdict == "FAIL"


def test_only_steps_are_judged_not_the_walk_or_the_warm_up() -> None:
    extras = [row(9, kind=kind, response_p95_ms=900.0) for kind in ("pinpoint", "paired", "warm_up")]
    assert of_steps("response_p95_ms > 50", row(0), *extras).verdict == "PASS"
    assert judge(parse_threshold("accepted < 1"), []).why == "the run has no step that was measured"


def test_figures_of_the_run() -> None:
    rows = [row(0), row(1, **INVALID)]

    def of_run(text: str, limit: dict[str, object], predicted: int | None = 1000) -> Judged:
        threshold = parse_threshold(text)
        return judge(threshold, run_figures(threshold.name, rows, limit, predicted))

    assert of_run("limit_receipts != 1000", LIMIT).verdict == "PASS"
    assert of_run("limit_receipts < 2000", LIMIT).verdict == "FAIL"
    assert of_run("limit_error_receipts > 5", LIMIT, 990).value == 10.0
    assert of_run("valid_share < 100%", LIMIT).line == "✗ fail if valid_share < 100%: 50 %"
    assert of_run("valid_steps < 1", LIMIT).verdict == "PASS"
    assert "not observed exactly" in of_run("limit_receipts < 1", {}).why
    assert "could not be predicted" in of_run("limit_error_receipts > 1", LIMIT, None).why


COST_NAMES = [name for name, one in NAMES.items() if one.of == "cost"]
EACH = {
    name: each / (1e6 if unit == "ns" else 1)
    for name in COST_NAMES
    for metric, unit, each in COSTS_OF[NAMES[name].mode]
    if metric == NAMES[name].metric
}


@pytest.mark.parametrize("name", sorted(EACH))
def test_a_cost_per_receipt_is_held_against_it(name: str) -> None:
    mode, each = NAMES[name].mode, EACH[name]
    figures = cost_figures(NAMES[name], costs(mode, {0: 50, 1: 200}), {}, mode)
    held = judge(parse_threshold(f"{name} > {1.01 * each}"), figures)
    exceeded = judge(parse_threshold(f"{name} > {0.99 * each}"), figures)
    assert (held.verdict, exceeded.verdict) == ("PASS", "FAIL")
    assert held.value == pytest.approx(each)
    assert "indexer-service" in held.place
    other = judge(parse_threshold(f"{name} > 0"), cost_figures(NAMES[name], costs(mode, {0: 50}), {}, "none"))
    assert f"this run was without a profiler: use --profiler {mode}" in other.why


def test_costs_are_by_service_and_denied_steps_are_left_out() -> None:
    name = NAMES["instructions_per_receipt"]
    table = pd.concat([costs("callgrind", {0: 50, 1: 90}), costs("callgrind", {0: 50}, "tap-agent", 3.0)])
    table.loc[table["step"] == 1, ["denied", "self"]] = [40, 1.0]
    figures = cost_figures(name, table, {}, "callgrind")
    assert {(one.step, one.service) for one in figures} == {(0, "indexer-service"), (0, "tap-agent")}
    assert judge(parse_threshold("instructions_per_receipt > 7e6"), figures).place == "step 0, tap-agent"
    assert judge(parse_threshold("instructions_per_receipt[service=indexer-service] > 7e6"), figures).verdict == "PASS"
    nobody = judge(parse_threshold("instructions_per_receipt[service=nobody] > 7e6"), figures)
    assert "services: indexer-service, tap-agent" in nobody.why


@pytest.mark.parametrize(
    ("rates", "enough", "verdict", "said"),
    [
        ([], True, "PASS", "0 bytes in standin"),
        ([120.0, 30.0], True, "FAIL", "150 (135 to 165) bytes in standin"),
        ([120.0], False, "UNMEASURED", "leaks need at least three steps: give more with --receipts"),
    ],
)
def test_a_leak_is_what_the_test_of_leaks_flags(rates: list[float], enough: bool, verdict: str, said: str) -> None:
    table = pd.DataFrame(
        [{"rate": rate, "rate_low": 0.9 * rate, "rate_high": 1.1 * rate, "flag": LEAK} for rate in rates]
        + [{"rate": 900.0, "rate_low": 1.0, "rate_high": 2.0, "flag": TIMED}]
    )
    leaks = Leaks("", enough, (0.0, 0.0, 0.0), pd.DataFrame(), table)
    figures = cost_figures(NAMES["leak_bytes_per_receipt"], pd.DataFrame(), {"standin": leaks}, "massif")
    found = judge(parse_threshold("leak_bytes_per_receipt > 0"), figures)
    assert found.verdict == verdict
    assert said in found.line


def test_judgements_survive_json() -> None:
    for judged in (of_steps("response_p95_ms > 50", row(0)), of_steps("steal_percent > 1", row(0))):
        again = Judged.from_dict(json.loads(to_json(judged.as_dict())))
        assert again.line == judged.line
        assert math.isnan(again.low) == math.isnan(judged.low)


def judged(verdict: str) -> Judged:
    return Judged("accepted < 5", "accepted", verdict, 5.0, "", 3.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "verdicts", "expected", "code"),
    [
        ([row(0)], [], "PASS", 0),
        ([row(0)], ["PASS"], "PASS", 0),
        ([row(0)], ["PASS", "FAIL"], "FAIL", 1),
        ([row(0)], ["UNMEASURED"], "FAIL", 1),
        ([row(0, **INVALID)], [], "INVALID", 4),
        ([row(0, **INVALID)], ["PASS"], "INVALID", 4),
        ([row(0, **INVALID)], ["UNMEASURED"], "INVALID", 4),
        ([row(0, **INVALID)], ["FAIL"], "FAIL", 1),
        ([row(0, failure="5 reset", verdict="FAIL")], ["PASS"], "FAIL", 1),
    ],
)
def test_exit_codes(rows: list[StepRow], verdicts: list[str], expected: str, code: int) -> None:
    found = conclude_run(rows, LIMIT, [judged(verdict) for verdict in verdicts])
    assert (found["verdict"], found["exit_code"]) == (expected, code)
    failing = [one for one in verdicts if one != "PASS"]
    assert sum(reason.startswith("✗ fail if") for reason in found["reasons"]) == len(failing)


def test_limit_and_validity_are_two_badges_and_a_pass_with_invalid_steps_is_not_green() -> None:
    rows = [row(0), *(row(step, **INVALID) for step in range(1, 5))]
    found = conclude_run(rows, LIMIT)
    assert found["verdict"] == "PASS"
    assert found["headline"] == "PASS, but ◇ 1 of 5 steps valid"
    shown = badges_of(found)
    assert [(badge.what, badge.state) for badge in shown] == [
        ("receipts", "good"),
        ("limit", "good"),
        ("validity", "doubt"),
    ]
    assert worst(shown) == "doubt"
    assert stored(shown) == found["badges"]
    assert conclude_run([row(0)], LIMIT)["headline"] == "PASS"


def test_a_badge_of_the_thresholds() -> None:
    all_kinds = [judged("PASS"), judged("FAIL"), judged("UNMEASURED")]
    lines = [badge.line for badge in badges([row(0)], None, all_kinds)]
    assert lines == [
        "✓ no receipt failed",
        "– limit not tested",
        "✓ 1 of 1 step valid",
        "✗ 1 of 3 thresholds exceeded, 1 not measured",
    ]
    assert badges([row(0)], None, [judged("PASS")])[-1].line == "✓ 1 threshold held"
    assert headline("FAIL", badges([row(0)], False)) == "FAIL"


def test_a_figure_without_a_value_is_not_measured() -> None:
    assert not Figure(math.nan).measured
    assert not Figure(3.0, absent="why").measured
    assert Figure(3.0, step=2, service="agent").place == "step 2, agent"
