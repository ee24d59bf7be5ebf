"""Findings on made profiles: what was planted is found with its figures, and nothing where nothing was."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.graphs import OWN, PACKAGE, STD, Call, graph, measured
from tests.analysis.made import costs_of
from tests.profiles.make import profile_of
from workbench.analysis.findings import Findings, Measured, find
from workbench.analysis.findings.code import short
from workbench.analysis.findings.paths import work_by_path
from workbench.analysis.growth import growth
from workbench.profiles.model import Profile

pytestmark = pytest.mark.slow

LOOP = "tokio::run"
RECEIPTS = (50, 100)
FILES = {LOOP: STD}

# calls a receipt that no whole number is near: what waits, retries, batches
uneven = st.floats(0.3, 9.7).filter(lambda times: abs(times - round(times)) > 0.06 * max(times, 1))


def service(own: dict[str, float], calls: list[Call], files: dict[str, str] | None = None) -> Measured:
    """Steps of RECEIPTS of a service that handles each receipt once."""
    costs = {LOOP: 10.0, "app::handle": 100.0, **own}
    ways = [Call(LOOP, "app::handle", 1), *calls]
    where = {**FILES, **(files or {})}
    return measured({receipts: graph(costs, ways, receipts, where) for receipts in RECEIPTS})


@settings(deadline=None, max_examples=40)
@given(st.lists(uneven, min_size=1, max_size=8), st.integers(2, 6), st.floats(2000, 20000), st.booleans())
def test_a_planted_repeat_is_found_with_its_count_and_saving(
    noise: list[float], k: int, cost: float, apart: bool
) -> None:
    own = {f"app::work_{number}": 5000.0 / len(noise) for number in range(len(noise))}
    calls = [Call("app::handle", name, times) for name, times in zip(own, noise, strict=True)]
    if apart:
        # each call by another function of the service
        ways = {f"app::asks_{number}": 10.0 for number in range(k)}
        calls += [Call("app::handle", name, 1) for name in ways]
        calls += [Call(name, "ecdsa::recover", 1) for name in ways]
        own |= ways
    else:
        calls.append(Call("app::handle", "ecdsa::recover", k))
    calls.append(Call("ecdsa::recover", "ecdsa::lincomb", 2 * k))
    one = service({**own, "ecdsa::recover": cost, "ecdsa::lincomb": cost}, calls, dict.fromkeys(
        ("ecdsa::recover", "ecdsa::lincomb"), PACKAGE))  # fmt: skip
    found = find([one])
    (repeat,) = found
    assert (repeat.kind, repeat.subject) == ("repeated work", "ecdsa::recover")
    whole = one.costs.loc[one.costs["by"] == "whole", "self"].sum() / sum(RECEIPTS)
    assert repeat.size.per_receipt == pytest.approx(3 * k * cost, rel=0.001)
    assert repeat.share_pct == pytest.approx(100 * 3 * k * cost / whole, rel=0.01)
    assert repeat.saving_pct == pytest.approx(repeat.share_pct * (k - 1) / k)
    assert len(repeat.evidence) == (k if apart else 1)
    # what the library does within each call is its symptom
    assert {one.subject for one in found.folded} <= {"ecdsa::lincomb"}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(uneven, st.floats(10, 1e5)), min_size=1, max_size=12))
def test_nothing_is_found_in_noise(work: list[tuple[float, float]]) -> None:
    own = {f"app::work_{number}": cost for number, (_, cost) in enumerate(work)}
    calls = [Call("app::handle", name, times) for name, (times, _) in zip(own, work, strict=True)]
    assert list(find([service(own, calls)])) == []


def test_a_future_that_is_polled_three_times_is_not_done_three_times() -> None:
    """Asked until it is ready, it does its work once; so do the polls above it."""
    own = {"app::route::{closure}": 50.0, "app::authorize::{closure}": 50.0, "ecdsa::recover": 50_000.0}
    calls = [
        Call("app::handle", "app::route::{closure}", 3),
        Call("app::route::{closure}", "app::authorize::{closure}", 3),
        Call("app::authorize::{closure}", "ecdsa::recover", 1),
    ]
    assert list(find([service(own, calls, {"ecdsa::recover": PACKAGE})])) == []


def test_what_a_library_does_several_times_in_one_call_is_its_own_affair() -> None:
    def calls_of(outer: str) -> list[Call]:
        return [
            Call("app::handle", outer, 1),
            Call(outer, "ecdsa::lincomb", 2),
            Call("app::handle", "app::other", 1),
        ]

    def own_of(outer: str) -> dict[str, float]:
        return {outer: 100.0, "ecdsa::lincomb": 20_000.0, "app::other": 10_000.0}

    files = {"ecdsa::recover": PACKAGE, "ecdsa::lincomb": PACKAGE}
    assert list(find([service(own_of("ecdsa::recover"), calls_of("ecdsa::recover"), files)])) == []
    # the same within the service's own code is not
    (repeat,) = find([service(own_of("app::recover"), calls_of("app::recover"), files)])
    assert repeat.subject == "ecdsa::lincomb"


def test_a_result_that_is_kept_is_no_repeat() -> None:
    """The first caller pays and the second finds it done: dropping the second saves nothing."""
    own = {"app::first": 10.0, "app::second": 10.0, "app::load": 10.0, "app::parse": 30_000.0}
    calls = [
        Call("app::handle", "app::first", 1),
        Call("app::handle", "app::second", 1),
        Call("app::first", "app::load", 1),
        Call("app::second", "app::load", 1),
        Call("app::load", "app::parse", 1),
    ]
    assert list(find([service(own, calls)])) == []


def test_a_count_must_be_whole_in_every_step() -> None:
    own = {LOOP: 10.0, "app::handle": 100.0, "app::verify": 10_000.0}

    def step(times: float, receipts: int) -> Profile:
        calls = [Call(LOOP, "app::handle", 1), Call("app::handle", "app::verify", times)]
        return graph(own, calls, receipts, FILES)

    assert [one.subject for one in find([measured({50: step(2, 50), 100: step(2, 100)})])] == ["app::verify"]
    assert list(find([measured({50: step(2.1, 50), 100: step(2, 100)})])) == []


# sampled stacks


def stacks(*rows: tuple[str, int]) -> Profile:
    """Samples of stacks ``a;b;c``, functions of ``app`` in own files and all others of a package."""
    one = (("tokio::run",), 1)  # the smallest cost is that of a sample
    profile = profile_of([one, *((tuple(stack.split(";")), count) for stack, count in rows)])
    names = profile.frames["function"]
    own = names.str.startswith("app")
    files = pd.Series([OWN if mine else PACKAGE for mine in own], dtype="str")
    crates = names.str.split("::").str[0].astype("str")
    return profile.but(frames=profile.frames.assign(file=files, crate=crates))


def by_path(profile: Profile) -> Findings:
    from workbench.analysis.findings.model import ranked

    return ranked(work_by_path(profile, profile.default_metric, 100, service="service", mode="flamegraph"))


TWO_WAYS = (
    ("tokio::run;app::sender;tap::recover;ecdsa::double;k256::add", 150),
    ("tokio::run;app::sender;tap::recover;ecdsa::square;k256::add", 150),
    ("tokio::run;app::store;tap::recover;ecdsa::double;k256::add", 140),
    ("tokio::run;app::store;tap::recover;ecdsa::square;k256::add", 150),
)


def test_work_that_is_reached_by_two_ways_is_found_by_its_outermost_function() -> None:
    (found,) = by_path(stacks(*TWO_WAYS, ("tokio::run;app::other;serde::parse", 409)))
    assert (found.subject, found.share_pct, found.saving_pct) == ("tap::recover", 59.0, 29.0)
    assert found.evidence["asked by"].tolist() == ["app::sender", "app::store"]
    assert found.size.low < found.size.per_receipt < found.size.high


@pytest.mark.parametrize(
    "rows",
    [
        # one way
        [("tokio::run;app::sender;tap::recover;ecdsa::double", 500), ("tokio::run;app::other;serde::parse", 500)],
        # other work below the same name
        [("tokio::run;app::a;sqlx::run;sqlx::insert", 500), ("tokio::run;app::b;sqlx::run;sqlx::select", 450)],
        # a library's innermost code serves all
        [("tokio::run;app::a;tap::recover;k256::add", 500), ("tokio::run;app::b;tap::sign;k256::add", 450)],
        # one of the two is far cheaper
        [("tokio::run;app::a;tap::recover;ecdsa::double", 900), ("tokio::run;app::b;tap::recover;ecdsa::double", 90)],
        # too few samples
        [("tokio::run;app::a;tap::recover;ecdsa::double", 20), ("tokio::run;app::b;tap::recover;ecdsa::double", 20)],
    ],
)
def test_other_ways_are_not(rows: list[tuple[str, int]]) -> None:
    assert list(by_path(stacks(*rows))) == []


# growth, order, folding


def test_growth_is_a_finding_and_what_is_steady_is_none() -> None:
    receipts = [100, 200, 300, 400, 500, 600]
    costs = costs_of(
        receipts, {"app::scan": [5 * n * n for n in receipts], "app::verify": [4000 * n for n in receipts]}
    )
    one = Measured("indexer-service", "callgrind", "Ir", costs, growth=growth(costs, "Ir"))
    (found,) = find([one])
    assert (found.kind, found.subject) == ("growth", "app::scan")
    assert found.weight == found.share_pct > 40
    assert list(find([replace(one, growth=growth(costs[costs["name"] != "app::scan"], "Ir"))])) == []


def test_functions_of_one_name_that_grow_are_two_findings_and_one_that_grows_in_two_ways_is_one() -> None:
    receipts = [200, 300, 400, 500, 600, 700]
    sent = [sum(receipts[:step]) + n / 2 for step, n in enumerate(receipts)]

    def costs(file: str, scan: list[float]) -> pd.DataFrame:
        made = costs_of(receipts, {"scan": scan, "verify": [4000 * n for n in receipts]})
        return made.assign(file=made["name"].map({"scan": file}).fillna(""))

    in_a_step = costs("list.rs", [5.0 * n * n for n in receipts])
    over_all = costs("map.rs", [3.0 * n * before for n, before in zip(receipts, sent, strict=True)])
    one = Measured("indexer-service", "callgrind", "Ir", in_a_step, growth=growth(in_a_step, "Ir"))
    both = replace(one, accumulated=growth(over_all, "Ir", against="accumulated"))
    assert sorted("sent before" in found.sentence for found in find([both])) == [False, True]
    same = growth(over_all.replace("map.rs", "list.rs"), "Ir", against="accumulated")
    (found,) = find([replace(one, accumulated=same)])
    assert "receipts are in a step" in found.sentence


def test_system_calls_of_a_receipt_are_those_of_the_middle_step_and_a_burst_is_called_one() -> None:
    """The real service's sampler wrote its report in the second of three steps: 30,000 calls of mprotect."""
    receipts = [50, 100, 200]
    calls = {
        "recvfrom": [4 * n for n in receipts],
        "writev": [2 * n for n in receipts],
        "write": [8 * n for n in receipts],
        "mprotect": [10, 30_000, 20],
    }
    costs = costs_of(receipts, calls, mode="strace", metric="calls")
    (found,) = find([Measured("indexer-service", "strace", "calls", costs)]).of("system calls")
    assert found.sentence == (
        "A receipt makes 14.2 system calls: write exactly 8, recvfrom exactly 4, writev exactly 2. "
        "In one step there was a burst of mprotect."
    )
    assert found.subject == "write"
    assert (round(found.size.low, 1), round(found.size.high, 1)) == (14.1, 314.0)


def test_what_a_receipt_waits_in_and_what_cannot_be_told_are_two_findings() -> None:
    receipts, seconds = [50, 100, 200], [0.5, 1.0, 2.0]  # 10 ms a receipt
    parts = {"waiting": {"recvfrom": 4_000_000, "futex": 9_000_000}, "undecided": {"read": 2_000_000, "accept": 10_000}}
    costs = pd.concat(
        [
            costs_of(
                receipts,
                {name: [each * n for n in receipts] for name, each in calls.items()},
                mode="strace",
                metric=metric,
                unit="ns",
                seconds=seconds,
            )
            for metric, calls in parts.items()
        ],
        ignore_index=True,
    )
    found = find([Measured("indexer-service", "strace", "calls", costs)]).of("waiting")
    by_call = {one.subject: one for one in found}
    assert set(by_call) == {"recvfrom", "read"}
    assert by_call["recvfrom"].sentence.startswith("A receipt waits 4 ms in recvfrom, 40.0 % of the time")
    assert by_call["read"].sentence.endswith("The log does not show whether it waits or works there.")
    assert by_call["read"].confidence < by_call["recvfrom"].confidence


def test_the_weightiest_comes_first_and_all_can_be_kept() -> None:
    calls = [Call("app::handle", "app::large", 2), Call("app::handle", "app::small", 3)]
    found = find([service({"app::large": 20_000.0, "app::small": 2_000.0}, calls)])
    assert [one.subject for one in found] == ["app::large", "app::small"]
    assert found.table["rank"].tolist() == [1, 2]
    assert found.table["saving_pct"].is_monotonic_decreasing
    kept = json.loads(json.dumps(found.as_dict()))
    assert [one["subject"] for one in kept["findings"]] == ["app::large", "app::small"]
    assert kept["findings"][0]["low"] == pytest.approx(40_000)
    assert repr(found).startswith("1. app::large is called twice a receipt: 40,000 instructions")


def test_no_findings_say_so() -> None:
    assert find([]).text() == "Nothing was found."
    assert find([]).table.empty


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ecdsa::recovery::<impl ecdsa::verifying::VerifyingKey>::recover", "VerifyingKey::recover"),
        ("a::b::<impl t::Store for a::Context>::keep::{closure}", "Context::keep"),
        ("<app::Value as tap::Check>::check::{{closure}}", "Value::check"),
        ("main", "main"),
        ("store:12", "store:12"),
    ],
)  # fmt: skip
def test_names_are_said_short(name: str, said: str) -> None:
    assert short(name) == said
