"""Progress of a run: a bar where somebody looks, lines that stay everywhere."""

from __future__ import annotations

import io
import math
import sys
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.progress import Progress, Step, bar, bar_line, in_notebook, left_s, where_somebody_looks

EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("run_started", {"steps": 2, "done": 0}),
    ("step_started", {"step": 1, "kind_of_step": "step", "receipts": 1000}),
    ("progress", {"step": 1, "receipts": 1000, "done": 0, "ok": 0}),  # time goes on while the generator starts
    ("progress", {"step": 1, "receipts": 1000, "done": 250, "ok": 240}),
    ("progress", {"step": 1, "receipts": 1000, "done": 500, "ok": 480}),
    (
        "step_finished",
        {
            "step": 1,
            "accepted": 980,
            "denied": 20,
            "failed": 0,
            "throughput_per_s": 99.5,
            "verdict": "PASS",
            "reason": "x",
        },
    ),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(done=st.integers(-5, 2000), whole=st.integers(1, 1000), width=st.integers(1, 80))
def test_a_bar_has_its_width_and_is_full_at_the_end_only(done: int, whole: int, width: int) -> None:
    drawn = bar(done, whole, width)
    assert len(drawn) == width
    assert ("░" not in drawn) == (done >= whole)


@given(done=st.integers(0, 1000), whole=st.integers(1, 1000), elapsed=st.floats(0, 1e6))
def test_time_left_is_known_once_something_is_done(done: int, whole: int, elapsed: float) -> None:
    line = bar_line(Step(1, 1, whole, 0.0), {"done": done, "ok": done}, elapsed)
    assert line.endswith(" left") == (done > 0 and elapsed > 0)


@given(receipts=st.integers(-5, 10_000), rate=st.floats(-1, 1e6))
def test_the_rest_takes_as_long_as_the_rate_says(receipts: int, rate: float) -> None:
    seconds = left_s(receipts, rate)
    assert math.isnan(seconds) == (rate <= 0)
    assert not seconds < 0
    if rate > 1e-3:
        assert seconds * rate == pytest.approx(max(0, receipts))


def test_a_step_under_way_is_one_line() -> None:
    step = Step(2, 5, 1000, 10.0)
    line = bar_line(step, {"done": 250, "ok": 240}, 35.0)
    assert line == f"step 2 of 5 {bar(250, 1000)} 250 of 1,000 receipts, 240 ok, 75 s left"
    assert "of 5" not in bar_line(Step(6, 5, 10, 0.0), {"done": 1, "ok": 1}, 1.0)  # the walk to the limit


def shown(stream: io.StringIO) -> str:
    times = iter(range(0, 1000, 5))
    with Progress(stream, clock=lambda: float(next(times))) as progress:
        for kind, facts in EVENTS:
            progress.event(kind, facts)
        progress("a line")
    return stream.getvalue()


def test_a_terminal_has_the_bar_in_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    text = shown(Terminal())
    assert "250 of 1,000 receipts, 240 ok, 30 s left" in text
    on_screen = []
    for line in text.split("\n"):
        on_screen.append(line.split("\r\x1b[2K")[-1])  # what the last rewriting left
    assert on_screen == shown(io.StringIO()).split("\n")


def test_a_pipe_has_the_lines_alone() -> None:
    lines = shown(io.StringIO()).splitlines()
    assert lines == [
        "step 1: sending 1,000 receipts",
        "step 1: 980 accepted, 20 denied, 0 failed, 99.5/s, PASS: x",
        "a line",
    ]


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(where_somebody_looks(), nullcontext)
    assert not in_notebook()
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(where_somebody_looks(), Progress)
