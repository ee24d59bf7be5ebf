"""The status of a run: what steps are done, which is running, and how long the rest will take."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workbench.runs.status import Event, Live, RunStatus, status_of

PLANNED = {"steps_planned": [{"number": n, "receipts": 100 * n, "kind": "step"} for n in (1, 2, 3)]}


def at(second: float, kind: str, **facts: Any) -> Event:
    return kind, {"time": f"2026-01-01T00:00:{second:06.3f}Z", "kind": kind, **facts}


def started(second: float, step: int, kind: str = "step", receipts: int | None = None) -> Event:
    return at(second, "step_started", step=step, kind_of_step=kind, receipts=receipts or 100 * step)


def finished(second: float, step: int) -> Event:
    counts = {"accepted": 100 * step, "denied": 0, "failed": 0, "throughput_per_s": 50.0}
    return at(second, "step_finished", step=step, verdict="PASS", reason="every receipt was accepted", **counts)


def row(step: int, **changes: Any) -> dict[str, Any]:
    sent = 100 * step
    return {
        "step": step, "kind": "step", "receipts": sent, "sent": sent, "accepted": sent, "denied": 0, "failed": 0,
        "duration_s": sent / 50, "throughput_per_s": 50.0, "response_p50_ms": 5.0, "response_p99_ms": None,
        "verdict": "PASS", "reason": "every receipt was accepted", **changes,
    }  # fmt: skip


def of(events: list[Event], state: str = "running", **given: Any) -> RunStatus:
    return status_of("a-run", PLANNED, state, events, **given)


def test_a_run_that_waits_has_its_steps_before_it() -> None:
    status = of([at(0, "run_started")], rates=dict.fromkeys((1, 2, 3), 50.0))
    assert [step.state for step in status.steps] == ["planned"] * 3
    assert (status.left_s, status.running, status.done) == (12.0, None, 0)


def test_the_running_step_has_the_figures_of_its_rows() -> None:
    events = [at(0, "run_started"), started(0, 1), finished(3, 1), started(3, 2)]
    live = Live(80, {"ok": 70, "denied": 4, "timeout": 6, "reset": 0}, 45.0, 6.0, math.nan)
    status = of(events, rows=[row(1)], rates=dict.fromkeys((1, 2, 3), 50.0), live=live)
    first, second, third = status.steps
    assert (first.state, first.share, first.p50_ms, math.isnan(first.p99_ms)) == ("done", 1.0, 5.0, True)
    assert (second.state, second.answered, second.share) == ("sending", 80, 0.4)
    assert (second.accepted, second.denied, second.failed) == (70, 4, 6)
    assert second.by_outcome == {"ok": 70, "denied": 4, "timeout": 6}
    # a step took a second longer than its sending
    assert (first.left_s, second.left_s, third.left_s) == (0.0, 120 / 50 + 1, 300 / 50 + 1)
    assert status.left_s == second.left_s + third.left_s
    assert status.running == second


def test_in_a_closed_loop_time_is_told_from_what_was_measured() -> None:
    events = [at(0, "run_started"), started(0, 1)]
    assert math.isnan(of(events, rates={1: math.nan}).left_s)
    assert of(events, live=Live(50, {"ok": 50}, 25.0)).left_s == 50 / 25 + 200 / 25 + 300 / 25


def test_a_step_whose_rows_are_all_there_settles() -> None:
    status = of([at(0, "run_started"), started(0, 1)], live=Live(100, {"ok": 100}, 50.0))
    assert (status.steps[0].state, status.steps[0].left_s) == ("settling", 0.0)


def test_live_rows_are_those_of_the_step_that_was_started_last() -> None:
    events = [at(0, "run_started"), started(0, 1), finished(3, 1), started(3, 2)]
    status = of(events, live=Live(80, {"ok": 80}, 45.0))  # the first one's row is not read yet
    assert [step.answered for step in status.steps] == [0, 80, 0]


def test_steps_that_were_not_planned_ahead_are_steps() -> None:
    events = [at(0, "run_started"), started(0, 4, "pinpoint", 20)]
    (*_, walk) = of(events).steps
    assert (walk.number, walk.kind, walk.receipts, walk.state) == (4, "pinpoint", 20, "sending")


def test_what_was_cut_off_is_said_and_comes_again_when_the_run_is_gone_on_with() -> None:
    events = [at(0, "run_started"), started(0, 1), finished(3, 1), started(3, 2)]
    events += [at(4, "progress", step=2, done=50, ok=40, receipts=200), at(5, "run_interrupted", why="by the user")]
    status = status_of("a-run", {**PLANNED, "error": "interrupted by the user"}, "interrupted", events, [row(1)])
    assert [step.state for step in status.steps] == ["done", "cut off", "planned"]
    assert (status.steps[1].answered, status.left_s, status.ended) == (50, 0.0, True)
    assert status.sentence == "interrupted by the user"
    again = of([*events, at(9, "run_resumed", steps=3, done=1)], rows=[row(1)])
    assert [step.state for step in again.steps] == ["done", "planned", "planned"]


def test_steps_after_denial_are_left_out() -> None:
    events = [at(0, "run_started"), started(0, 1), finished(3, 1), at(3, "step_left_out", step=2)]
    assert [step.state for step in of(events, rows=[row(1)]).steps] == ["done", "left out", "planned"]


KINDS = st.sampled_from(["run_started", "run_resumed", "step_started", "progress", "step_finished", "step_left_out"])


@given(
    st.lists(st.tuples(KINDS, st.integers(0, 5)), max_size=30),
    st.sets(st.integers(0, 5)),
    st.sampled_from(["new", "running", "finished", "interrupted", "failed"]),
)
def test_whatever_a_folder_says_has_a_status(lines: list[tuple[str, int]], rows: set[int], state: str) -> None:
    facts = {"kind_of_step": "step", "receipts": 7, "done": 3, "ok": 3, "accepted": 7, "denied": 0, "failed": 0}
    facts |= {"throughput_per_s": 1.0, "verdict": "PASS", "reason": "", "steps": 3}
    events = [at(number, kind, step=step, **facts) for number, (kind, step) in enumerate(lines)]
    status = of(events, state, rows=[row(step) for step in sorted(rows)], live=Live(3, {"ok": 3}, 1.0))
    numbers = [step.number for step in status.steps]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) >= {1, 2, 3} | rows
    assert all(0 <= step.share <= 1 and not step.left_s < 0 for step in status.steps)
    assert status.done <= len(rows)
