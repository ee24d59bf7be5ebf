"""A step in shares, and the reports of its generators as one."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.test_summary import report
from workbench.errors import SettingsError
from workbench.load.clock import ClockOffset, offset_of
from workbench.load.cores import usable_cores
from workbench.load.engines.processes import automatic
from workbench.load.plan import ClosedPlan, OpenPlan, Plan
from workbench.load.spec import Share, StepReport, StepSpec, generator_lines, merge_reports
from workbench.load.validity import Lateness, why_late

plans = st.one_of(
    st.builds(OpenPlan, st.integers(1, 5000), st.floats(1, 1e5)),
    st.builds(ClosedPlan, st.integers(1, 5000), st.integers(1, 300)),
)


def spec(plan: Plan, max_in_flight: int = 1000) -> StepSpec:
    return StepSpec("http://127.0.0.1:1", "{ a }", plan, Path("step.live"), None, max_in_flight=max_in_flight)


@given(plans, st.integers(1, 300), st.integers(1, 50))
def test_shares_are_the_whole_step_and_ask_for_no_more_in_flight(plan: Plan, workers: int, most: int) -> None:
    whole = spec(plan, most)
    parts = whole.shared(workers)
    assert 1 <= len(parts) <= workers
    assert sorted(index for part in parts for index in part.share.indexes(plan.count)) == list(range(plan.count))
    assert all(part.count >= 1 and part.in_flight >= 1 for part in parts)
    assert sum(part.in_flight for part in parts) == whole.in_flight
    assert all(1 <= part.connections <= part.in_flight for part in parts)
    assert all(StepSpec.from_json(part.to_json()) == part for part in parts)


def test_a_share_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="of 2 generators has no generator 2"):
        Share(2, 2)


def test_reports_of_several_generators_become_one() -> None:
    parts = [
        report(started_ns=5, ended_ns=10**9, cpu_s=0.3, sent=40, pid=7),
        report(started_ns=4, ended_ns=2 * 10**9, cpu_s=1.9, sent=41, pid=8, cap_hits=2, spun_s=0.1, signed_late=3),
        report(started_ns=6, ended_ns=10**9, cpu_s=0.2, sent=42, pid=9, signed_anew=4),
    ]
    whole = merge_reports(parts)
    assert (whole.started_ns, whole.ended_ns, whole.sent) == (4, 2 * 10**9, 123)
    assert (whole.cpu_s, whole.cap_hits, whole.signed_late, whole.signed_anew) == (pytest.approx(2.4), 2, 3, 4)
    assert whole.parts == tuple(parts)
    assert whole.cpu_percent == pytest.approx(90)
    assert whole.busiest == "generator 2 of 3"
    assert whole.pid == 8
    assert not whole.interrupted
    assert merge_reports([*parts, replace(parts[0], interrupted=True)]).interrupted
    assert merge_reports(parts[:1]) is parts[0]


def test_validity_names_the_generator_that_had_no_cpu_to_spare() -> None:
    parts = [report(cpu_s=share, started_ns=0, ended_ns=10**9) for share in (0.3, 0.97, 0.2, 0.4)]
    lag = Lateness(count=10, median_ms=0.0, allowed_ms=5.0, late=0)
    said = why_late(OpenPlan(10, 10), merge_reports(parts), 5.0, lag)
    assert said == "generator 2 of 4 used 97 % of a core and was at its limit"
    assert why_late(OpenPlan(10, 10), merge_reports(parts[:1]), 5.0, lag) == ""


def test_each_of_several_generators_is_told_of() -> None:
    assert generator_lines(report()) == {}
    far = replace(report(sent=1200, pid=5), where="Dask worker tls://a:1 on b", clock=ClockOffset(120_000, 50_000))
    assert generator_lines(merge_reports([far, report(sent=1, pid=6)])) == {
        "generator 1 of 2": (
            "Dask worker tls://a:1 on b, clock offset +0.12 ms ± 0.05 ms, 1,200 sent, 20 % of a core, pid 5"
        ),
        "generator 2 of 2": "1 sent, 20 % of a core, pid 6",
    }
    assert StepReport.from_json(asdict(far)) == far


def test_a_drift_is_told_where_it_is_more_than_the_error() -> None:
    assert str(ClockOffset(-2_000_000, 500_000, 400_000)) == "-2.00 ms ± 0.50 ms"
    assert str(ClockOffset(0, 500_000, 700_000)) == "+0.00 ms ± 0.50 ms, +0.70 ms drift by the end"


trips = st.tuples(st.integers(0, 10**12), st.integers(0, 10**8), st.integers(0, 10**8))


@given(st.integers(-(10**13), 10**13), st.lists(trips, min_size=1, max_size=20))
def test_the_true_offset_is_within_the_error_however_long_each_way_took(
    true: int, ways: list[tuple[int, int, int]]
) -> None:
    found = offset_of([(asked, asked + there + true, asked + there + back) for asked, there, back in ways])
    assert abs(found.offset_ns - true) <= found.error_ns
    assert found.error_ns <= min(there + back for _, there, back in ways) // 2 + 1


@pytest.mark.parametrize(
    ("plan", "cores", "count"),
    [
        (OpenPlan(10, 400), 8, 1),
        (OpenPlan(10, 20_000), 8, 3),
        (OpenPlan(10, 200_000), 8, 7),
        (OpenPlan(10, 200_000), 1, 1),
        (ClosedPlan(10, 4), 8, 4),
        (ClosedPlan(10, 4), 1, 1),
    ],
)
def test_auto_leaves_cores_to_the_service(plan: Plan, cores: int, count: int) -> None:
    assert automatic(plan, cores) == count
    assert usable_cores() >= 1
