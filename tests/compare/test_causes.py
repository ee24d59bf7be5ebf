"""Which change explains which cost: of the real service, of programs built twice, and on any call graph."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.real import real
from workbench.analysis.findings.code import short
from workbench.compare.causes import Causes, causes
from workbench.compare.families import ALLOCATIONS, LOCKS, counted, graphs
from workbench.compare.joint import joint
from workbench.profiles.frames import frame_table
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph
from workbench.profiles.read import read_profile

METRIC = Metric("Ir", "count", "instructions")


def graph(own: dict[str, int], calls: dict[tuple[str, str], int], costs: dict[tuple[str, str], int]) -> Profile:
    """A call graph of functions by name: own cost, and each call's number and cost."""
    names = list(own)
    number = {name: at for at, name in enumerate(names)}
    into = dict.fromkeys(names, 0)
    for (_, callee), times in calls.items():
        into[callee] += times
    table = frame_table(names, file=["app.c"] * len(names), object=["app"] * len(names))
    functions = table.assign(calls=np.asarray(list(into.values()), np.int64), self_Ir=np.asarray(list(own.values())))
    edges = pd.DataFrame(
        {
            "caller_id": [number[caller] for caller, _ in calls],
            "callee_id": [number[callee] for _, callee in calls],
            "calls": pd.array(list(calls.values()), "Int64"),
            "cost_Ir": [costs[key] for key in calls],
        }
    )
    frame = functions.frame().drop(columns=["line", "inlined", "function_id"], errors="ignore")
    return from_graph("callgrind", "made", metrics=[METRIC], functions=frame, edges=edges, default_metric="Ir")


def program(work: dict[str, int], plan: dict[str, dict[str, int]], receipts: int = 100) -> Profile:
    """What callgrind would count of a program without recursion: ``work`` is what each function does in a call, and
    ``plan`` how often it calls which others; ``main`` is called once a receipt."""
    times = dict.fromkeys(work, 0)
    times["main"] = receipts
    # work names callers before those they call
    for name in work:
        for callee, count in plan.get(name, {}).items():
            times[callee] += times[name] * count
    total: dict[str, int] = {}
    for name in reversed(list(work)):
        total[name] = work[name] + sum(count * total[callee] for callee, count in plan.get(name, {}).items())
    calls = {(name, callee): times[name] * count for name in work for callee, count in plan.get(name, {}).items()}
    costs = {(name, callee): count * total[callee] for (name, callee), count in calls.items()}
    return graph({name: work[name] * times[name] for name in work}, calls, costs)


WORK = {"main": 50, "check": 20, "store": 30, "recover": 10, "mix": 1000, "copy": 5}
PLAN = {"main": {"check": 1, "store": 1}, "check": {"recover": 1}, "store": {"recover": 1, "copy": 3},
        "recover": {"mix": 4, "copy": 1}}  # fmt: skip


def told(before: Profile, after: Profile, least: float = 1.0) -> Causes:
    return causes(joint(before, after, "Ir", (100, 100)), least=least)


def test_a_call_that_went_is_the_cause_and_what_it_did_is_its_symptom() -> None:
    found = told(program(WORK, PLAN), program(WORK, {**PLAN, "store": {"copy": 3}}))
    (cause,) = found.causes
    assert (cause.function, cause.main.kind, cause.main.callee) == ("store", "calls", "recover")
    assert (cause.main.before, cause.main.after, cause.main.whole) == (1, 0, True)
    assert cause.effect == pytest.approx(-4015)
    assert dict(cause.symptoms) == pytest.approx({"mix": -4000, "recover": -10, "copy": -5})


def test_a_slower_function_is_named_and_its_callers_are_not() -> None:
    found = told(program(WORK, PLAN), program({**WORK, "mix": 1100}, PLAN))
    (cause,) = found.causes
    assert (cause.function, cause.main.kind, cause.main.change_pct) == ("mix", "own", pytest.approx(10))
    assert cause.effect == pytest.approx(800)
    assert cause.symptoms == ()


def test_two_changes_are_two_causes() -> None:
    changed = program({**WORK, "copy": 8}, {**PLAN, "check": {"recover": 2}})
    found = told(program(WORK, PLAN), changed)
    assert [(cause.function, cause.main.kind) for cause in found.causes] == [("check", "calls"), ("copy", "own")]
    assert sum(cause.effect for cause in found.causes) + found.rest == pytest.approx(found.after - found.before)


def test_a_function_that_is_inlined_is_no_cause() -> None:
    inlined = {name: cost for name, cost in WORK.items() if name != "recover"}
    inlined |= {"check": 30, "store": 40}
    plan = {"main": {"check": 1, "store": 1}, "check": {"mix": 4, "copy": 1}, "store": {"mix": 4, "copy": 4}}
    found = told(program(WORK, PLAN), program(inlined, plan), least=0.5)
    assert found.before == found.after
    assert [cause.function for cause in found.causes] == []


def test_one_large_copy_that_went_makes_copying_no_cheaper() -> None:
    own = {"main": 100, "small": 100, "large": 100, "copy": 10_100}
    calls = {("main", "small"): 100, ("main", "large"): 100, ("small", "copy"): 100, ("large", "copy"): 100}
    costs = {("main", "small"): 200, ("main", "large"): 10_100, ("small", "copy"): 100, ("large", "copy"): 10_000}
    before = graph(own, calls, costs)
    del calls["large", "copy"]
    after = graph({**own, "copy": 100}, calls, {**costs, ("main", "large"): 100})
    found = told(before, after, least=0.01)
    assert [(cause.function, cause.main.callee) for cause in found.causes] == [("large", "copy")]
    assert found.causes[0].effect == pytest.approx(-100)


def test_polls_that_come_more_often_do_not_make_what_they_ask_for_a_cause() -> None:
    """A future is asked three times or four; the work in it is done once all the same."""
    own = {"main": 100, "poll": 300, "work": 100_000}
    calls, costs = (
        {("main", "poll"): 300, ("poll", "work"): 100},
        {("main", "poll"): 100_300, ("poll", "work"): 100_000},
    )
    more = graph({**own, "poll": 400}, {**calls, ("main", "poll"): 400}, {**costs, ("main", "poll"): 100_400})
    found = told(graph(own, calls, costs), more, least=0.5)
    (cause,) = found.causes
    assert (cause.function, cause.main.callee, cause.effect) == ("main", "poll", pytest.approx(1))


@st.composite
def programs(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    names = ["main", *(f"f{number}" for number in range(draw(st.integers(1, 7))))]
    work = {name: draw(st.integers(1, 1000)) for name in names}
    plan = {
        name: {
            callee: draw(st.integers(1, 3))
            for callee in draw(st.lists(st.sampled_from(names[at + 1 :]), unique=True, max_size=3))
        }
        for at, name in enumerate(names[:-1])
    }
    return work, plan


@settings(max_examples=30, deadline=None)
@given(programs(), programs())
def test_the_effects_add_up_whatever_changed(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    found = told(program(*one), program(*other), least=0.0)
    whole = sum(cause.effect for cause in found.causes) + found.rest
    assert whole == pytest.approx(found.after - found.before, abs=1e-6 * max(1, found.before, found.after))
    assert all(math.isfinite(cause.effect) for cause in found.causes)


@settings(max_examples=20, deadline=None)
@given(programs(), st.integers(2, 5))
def test_an_unchanged_program_has_no_cause_however_many_receipts(made: tuple, more: int) -> None:  # type: ignore[type-arg]
    before, after = program(*made), program(*made, receipts=100 * more)
    found = causes(joint(before, after, "Ir", (100, 100 * more)), least=1e-6)
    assert found.causes == ()


def test_allocations_and_locks_are_counted_by_who_makes_them() -> None:
    work = {"main": 10, "store": 10, "malloc": 40, "pthread_mutex_lock": 20}
    before = program(work, {"main": {"store": 1}, "store": {"malloc": 2}})
    after = program(work, {"main": {"store": 1}, "store": {"malloc": 3, "pthread_mutex_lock": 1}})
    found = {name: causes(made, least=0.5) for name, made in graphs(before, after, "Ir", (100, 100))}
    assert (found["allocations"].before, found["allocations"].after) == (2, 3)
    assert [(one.function, one.main.callee) for one in found["allocations"].causes] == [("store", "malloc")]
    assert found["locks taken"].causes[0].effect == pytest.approx(1)


@pytest.mark.parametrize("name", ["malloc", "calloc", "realloc", "posix_memalign", "_rjem_malloc", "mi_malloc_aligned"])
def test_names_of_allocators(name: str) -> None:
    assert ALLOCATIONS.matches.fullmatch(name)


@pytest.mark.parametrize(("name", "is_one"), [
    ("pthread_mutex_lock@@GLIBC_2.2.5", True), ("pthread_mutex_unlock", False), ("___pthread_mutex_lock", True),
    ("parking_lot::raw_mutex::RawMutex::lock_slow", True), ("pthread_rwlock_rdlock", True), ("flock", False),
])  # fmt: skip
def test_names_of_locks(name: str, is_one: bool) -> None:
    assert (LOCKS.matches.fullmatch(name) is not None) == is_one


def test_of_a_program_that_calls_none_nothing_is_counted() -> None:
    made = joint(program(WORK, PLAN), program(WORK, PLAN), "Ir", (1, 1))
    assert counted(made, LOCKS) is None


def test_of_the_real_service_the_one_call_that_went_is_the_cause() -> None:
    before, after = (
        read_profile(real(name))
        for name in ("service-step-100.callgrind.out.gz", "service-once-step-100.callgrind.out.gz")
    )
    found = causes(joint(before, after, "Ir", (100, 100)), least=6_636)
    cause, *others = found.causes
    assert short(cause.function) == "IndexerTapContext::store_receipt"
    assert short(cause.main.callee) == "VerifyingKey::recover_from_prehash"
    assert (round(cause.main.before, 2), cause.main.after) == (1.0, 0.0)
    assert 100 * cause.effect / found.before == pytest.approx(-35.05, abs=0.1)
    assert others == []
    folded = {short(name) for name, _ in cause.symptoms}
    assert {"ProjectivePoint::add", "keccakf::keccakf", "FieldElement5x52::square"} <= folded
    assert any("memcpy" in name for name in folded)


def test_of_two_windows_of_one_real_build_nothing_is_named() -> None:
    before, after = (read_profile(real(f"service-step-{sent}.callgrind.out.gz")) for sent in (100, 400))
    found = {
        name: causes(made, least=6_636 if name == "Ir" else 0.5)
        for name, made in graphs(before, after, "Ir", (100, 400))
    }
    assert found["Ir"].causes == ()
    assert not [one for told in found.values() for one in told.causes if any(part.whole for part in one.parts)]
