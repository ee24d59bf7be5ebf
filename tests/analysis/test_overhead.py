"""What a profiler costs: a pair of steps in figures and in words."""

from __future__ import annotations

import math

import pytest

from workbench.analysis.overhead import distorted, overhead
from workbench.errors import WorkbenchError
from workbench.profilers.modes import MODES

PLAIN = {
    "step": 1, "receipts": 500, "loop": "closed", "accepted": 500, "throughput_per_s": 400.0, "response_p50_ms": 2.0,
    "response_p99_ms": 8.0,
}  # fmt: skip
SLOW = {**PLAIN, "step": 4, "throughput_per_s": 10.0, "response_p50_ms": 80.0, "response_p99_ms": math.nan}


def test_a_pair_of_steps_gives_ratios_and_words() -> None:
    found = overhead(SLOW, PLAIN, mode="callgrind", cpu_profiled_s=25.0, cpu_plain_s=0.5)
    assert (found.throughput, found.response_p50, found.cpu) == (0.025, 40.0, 50.0)
    assert math.isnan(found.response_p99)
    assert found.sentence == (
        "Under callgrind, with 500 receipts: the service used 50 times the CPU per receipt, the median response was 40 "
        "times as long, throughput was 2.5 % of that without the profiler."
    )


def test_throughput_that_was_kept_is_said_to_be() -> None:
    assert "throughput was the same" in overhead(PLAIN, PLAIN, mode="flamegraph").sentence


def test_steps_of_different_plans_are_no_pair() -> None:
    with pytest.raises(WorkbenchError, match="receipts 500 with the profiler, 400 without"):
        overhead(SLOW, {**PLAIN, "receipts": 400}, mode="callgrind")


def test_nothing_to_compare_with_is_said() -> None:
    bare = {**PLAIN, "throughput_per_s": 0.0, "response_p50_ms": math.nan, "response_p99_ms": math.nan}
    assert "not known" in overhead(SLOW, bare, mode="callgrind").sentence


def test_a_plain_step_that_measured_the_generator_is_compared_by_cpu_alone() -> None:
    found = overhead(SLOW, {**PLAIN, "verdict": "INVALID"}, mode="callgrind", cpu_profiled_s=25.0, cpu_plain_s=0.5)
    assert found.cpu == 50.0
    assert math.isnan(found.response_p50)
    assert found.sentence == "Under callgrind, with 500 receipts: the service used 50 times the CPU per receipt."


def test_every_profiler_distorts_and_says_why() -> None:
    assert distorted("none") == ""
    for mode in MODES:
        if mode != "none":
            assert "distorts" in distorted(mode)
            assert ": " in distorted(mode)
