"""What is worth a word, and what of it spoils a step."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from tests.load.test_summary import report, samples
from workbench.load.chunks import chunk_of
from workbench.load.interference import HOLD_UPS_MS, Interference, disturbances, together
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.spec import StepReport
from workbench.load.summary import summarise
from workbench.load.validity import Lateness, allowed_lag_ms, why_late

QUIET = {
    "busy_cpu_s": 1.2,
    "wanted_cpu_s": 1.25,
    "own_cpu_s": 0.5,
    "services_cpu_s": 0.6,
    "stolen_cpu_s": 0.0,
    "cores": 2,
}


def interference(**changes) -> Interference:
    return Interference(**({"seconds": 1.0} | QUIET | changes))


def held(*lengths_ms: float) -> tuple[float, ...]:
    return tuple(sum(length for length in lengths_ms if length > limit) / 1e3 for limit in HOLD_UPS_MS)


def test_a_quiet_step_has_nothing_to_say():
    assert disturbances(interference(preempted=20, gc_pauses=1, gc_pause_max_ms=0.4, clock_step_ms=0.3)) == ()
    assert disturbances(None) == ()
    assert disturbances(Interference(1.0)) == ()  # nothing is known of the machine


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"busy_cpu_s": 1.73, "wanted_cpu_s": 1.8}, "other processes used 63 % of a core"),
        ({"busy_cpu_s": 2.9, "own_cpu_s": 0.5, "wanted_cpu_s": 3.0}, "other processes used 1.8 of the 2 cores"),
        (
            {"stolen_cpu_s": 0.3, "wanted_cpu_s": 1.5},
            "the hypervisor took 20 % of the CPU time that this machine needed (steal)",
        ),
        ({"gc_pauses": 1, "gc_pause_max_ms": 12.0}, "garbage collection ran once, for at most 12.0 ms"),
        ({"gc_pauses": 3, "gc_pause_max_ms": 12.0}, "garbage collection ran 3 times, for at most 12.0 ms"),
        ({"clock_step_ms": -1500.0}, "the wall clock was set by -1.5 s"),
        ({"clock_step_ms": 2.5}, "the wall clock was set by +2.5 ms"),
        ({"throttled_ms": 230.0}, "the CPU limit of its container throttled the generator for 230 ms"),
        ({"preempted": 1240}, "the generator was preempted 1,240 times"),
        (
            {"loop_delay_max_ms": 51.0, "loop_held_s": held(51, 20)},
            "the event loop was held up by up to 51 ms, 71 ms in all",
        ),
        ({"loop_delay_max_ms": 51.0, "loop_held_s": held(51)}, "the event loop was held up by up to 51 ms"),
    ],
)
def test_each_disturbance_in_words(changes, words):
    assert disturbances(interference(**changes)) == (words,)


def test_other_processes_on_other_cores_are_in_nobodys_way():
    assert disturbances(interference(busy_cpu_s=4.0, wanted_cpu_s=4.1, cores=8)) == ()


def test_a_tick_or_two_of_steal_in_a_short_step_are_no_share():
    assert interference(seconds=0.1, stolen_cpu_s=0.02, wanted_cpu_s=0.1).steal_share == 0


def test_lag_is_invalid_and_the_cause_is_named():
    found = interference(busy_cpu_s=2.9, wanted_cpu_s=3.0)
    summary = summarise([chunk_of(samples(["ok"] * 100, lag_ms=3.1))], OpenPlan(100, 100), report(interference=found))
    assert summary.invalid == (
        "half of the requests were sent 3.1 ms or more late: other processes used 1.8 of the 2 cores"
    )


def test_a_disturbance_that_made_nothing_late_is_no_reason():
    found = interference(
        busy_cpu_s=2.9, wanted_cpu_s=3.0, preempted=5000, gc_pauses=2, gc_pause_max_ms=4.0, clock_step_ms=5.0
    )
    for plan in (OpenPlan(100, 100), ClosedPlan(100, 2)):
        summary = summarise([chunk_of(samples(["ok"] * 100))], plan, report(interference=found))
        assert summary.invalid == ""
        assert summary.interference == found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clock_step_ms": 1500.0}, "the wall clock was set by +1.5 s while the step ran"),
        (
            {"stolen_cpu_s": 0.5, "wanted_cpu_s": 2.0},
            "the hypervisor took 25 % of the CPU time that this machine needed (steal)",
        ),
    ],
)
@pytest.mark.parametrize("plan", [OpenPlan(100, 100), ClosedPlan(100, 2)])
def test_a_set_clock_and_a_stolen_machine_spoil_a_step_alone(changes, words, plan):
    sent = report(interference=interference(**changes))
    assert summarise([chunk_of(samples(["ok"] * 100))], plan, sent).invalid == words


@pytest.mark.parametrize(
    ("lengths_ms", "service_p50_ms", "invalid"),
    [
        ((60, 60), 5.0, True),  # 12 % of a second
        ((40,), 5.0, False),
        ((90,), 5.0, False),  # one hiccup
        ((6,) * 20, 5.0, True),
        ((60, 60), 1000.0, False),  # an answer that takes a second is not spoilt by 60 ms
        ((4.9,) * 100, 5.0, False),  # an idle virtual machine is as late
    ],
)
@pytest.mark.parametrize("plan", [OpenPlan(1000, 1000), ClosedPlan(1000, 2)])
def test_an_event_loop_that_stood_still_spoils_a_step_also_without_a_lag(lengths_ms, service_p50_ms, invalid, plan):
    found = interference(loop_delay_max_ms=max(lengths_ms), loop_held_s=held(*lengths_ms))
    lag = Lateness(count=1000, median_ms=0.0, allowed_ms=allowed_lag_ms(service_p50_ms), late=0)
    reason = why_late(plan, report(interference=found), service_p50_ms, lag)
    assert bool(reason) == invalid
    assert not invalid or "12 % of the time the event loop was held up by more than 5.0 ms" in reason


def test_a_report_crosses_a_pipe():
    sent = report(interference=interference(loop_held_s=held(30)))
    assert StepReport.from_json(json.loads(json.dumps(asdict(sent)))) == sent
    assert StepReport.from_json(json.loads(json.dumps(asdict(report())))) == report()


def test_generators_of_one_machine_are_not_each_others_other_load():
    one = interference(own_cpu_s=0.6, services_cpu_s=0.0, loop_held_s=held(30), gc_pauses=1, clock_step_ms=-3.0)
    two = interference(own_cpu_s=0.5, services_cpu_s=0.0, loop_held_s=held(7, 7), gc_pauses=2, clock_step_ms=2.0)
    both = together([one, two])
    assert both is not None
    assert both.other_cores == pytest.approx(0.1)
    assert (both.gc_pauses, both.clock_step_ms) == (3, -3.0)
    assert both.held_up_s(5) == pytest.approx(0.03)
    assert together([one, replace(two, machine="other", busy_cpu_s=1.9)]) == replace(
        both, own_cpu_s=0.5, busy_cpu_s=1.9, machine="other"
    )
    assert together([one, None]) is None
    assert together([]) is None
