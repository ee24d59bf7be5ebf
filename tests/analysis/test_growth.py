"""Growth: planted growth is found and named, and thousands of innocent functions are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.analysis.made import costs_of
from tests.analysis.service import run
from workbench import read_profile
from workbench.analysis.costs import compact_costs, window_costs
from workbench.analysis.growth import FIXED, GROWS, LINEAR, STEADY, TOO_FEW, growth
from workbench.errors import WorkbenchError

pytestmark = pytest.mark.slow

LADDERS = [[50, 100, 200], [100, 200, 400, 800], [50, 100, 200, 400, 800], [50, 100, 200, 400, 800, 1600]]
FUNCTIONS = 600


def innocent(receipts: list[int], noise: float, seed: int, *, uneven: bool = False) -> NDArray[np.float64]:
    """Functions whose cost is fixed, linear or both, over six decades, with noise."""
    rng = np.random.default_rng(seed)
    marginal = np.where(rng.random(FUNCTIONS) < 0.2, 0, np.exp(rng.normal(6, 2, FUNCTIONS)))
    fixed = np.where((rng.random(FUNCTIONS) < 0.5) | (marginal == 0), np.exp(rng.normal(10, 2, FUNCTIONS)), 0)
    costs = fixed[:, None] + marginal[:, None] * np.array(receipts, dtype=float)
    each = noise * (np.exp(rng.normal(0, 0.7, FUNCTIONS)) if uneven else np.ones(FUNCTIONS))
    return np.maximum(np.round(costs * (1 + each[:, None] * rng.normal(size=costs.shape))), 0)


def planted(receipts: list[int], per_receipt: NDArray[np.float64], noise: float, seed: int) -> pd.DataFrame:
    """The innocent functions and one whose cost per receipt is given, as a part of all others' in the middle step."""
    costs = innocent(receipts, noise, seed)
    n = np.array(receipts, dtype=float)
    scale = costs.sum(axis=0)[len(n) // 2] / n[len(n) // 2] / per_receipt[len(n) // 2]
    rng = np.random.default_rng(seed + 1000)
    grown = 0.1 * scale * per_receipt * n * (1 + noise * rng.normal(size=len(n)))
    return costs_of(receipts, np.vstack([costs, np.round(grown)]))


@pytest.mark.parametrize("receipts", LADDERS, ids=lambda steps: f"{len(steps)} steps")
@pytest.mark.parametrize("noise", [0, 0.01, 0.04])
def test_nothing_that_is_linear_or_fixed_is_flagged(receipts: list[int], noise: float) -> None:
    flagged = [len(growth(costs_of(receipts, innocent(receipts, noise, seed)), "Ir").flagged()) for seed in range(3)]
    assert sum(flagged) <= 1, f"{flagged} of {FUNCTIONS} functions each"


@pytest.mark.parametrize("receipts", LADDERS, ids=lambda steps: f"{len(steps)} steps")
def test_uneven_noise_flags_hardly_any(receipts: list[int]) -> None:
    flagged = [
        len(growth(costs_of(receipts, innocent(receipts, 0.03, seed, uneven=True)), "Ir").flagged())
        for seed in range(4)
    ]
    assert sum(flagged) <= 4 * FUNCTIONS * 0.002, f"{flagged} of {FUNCTIONS} functions each"


@pytest.mark.parametrize("receipts", LADDERS, ids=lambda steps: f"{len(steps)} steps")
@pytest.mark.parametrize("noise", [0, 0.01, 0.03])
def test_a_quadratic_function_is_found_and_named(receipts: list[int], noise: float) -> None:
    n = np.array(receipts, dtype=float)
    for seed in range(3):
        found = growth(planted(receipts, 0.2 * n.mean() + n, noise, seed), "Ir")
        assert found.flagged()["name"].tolist() == [f"f{FUNCTIONS}"]
        assert found.flagged()["rise_pct"].iloc[0] > 100


@pytest.mark.parametrize("receipts", LADDERS[1:], ids=lambda steps: f"{len(steps)} steps")
def test_n_log_n_is_found_where_it_is_exact(receipts: list[int]) -> None:
    found = growth(planted(receipts, np.log(np.array(receipts, dtype=float)), 0.0, 1), "Ir").flagged()
    assert (found["name"].tolist(), found["growth_term"].tolist()) == ([f"f{FUNCTIONS}"], ["n log n"])


def test_a_scan_of_all_that_is_stored_is_found_against_accumulated_receipts() -> None:
    receipts = [200] * 5
    n = np.array(receipts, dtype=float)
    costs = planted(receipts, np.cumsum(n) - n / 2, 0.02, 3)
    same = growth(costs, "Ir")
    assert not same.enough
    assert set(same.table["flag"]) == {TOO_FEW}
    assert "accumulated" in same.sentence
    found = growth(costs, "Ir", against="accumulated")
    assert found.flagged()["name"].tolist() == [f"f{FUNCTIONS}"]
    assert set(found.table["flag"]) == {GROWS, STEADY}
    assert found.table["fixed"].isna().all()


def test_a_sampler_names_a_large_function_that_grows_and_no_other() -> None:
    receipts = [100, 200, 400, 800]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        costs = innocent(receipts, 0, seed)
        n = np.array(receipts, dtype=float)
        grown = costs.sum(axis=0)[-1] * (n / n[-1]) ** 2
        samples = np.vstack([costs, grown]) / costs.sum(axis=0)[-1] * 5000
        table = costs_of(receipts, rng.poisson(samples) * 6_666_666.0, mode="flamegraph", metric="cpu", unit="ns")
        assert growth(table, "cpu").flagged()["name"].tolist() == [f"f{FUNCTIONS}"]


def test_fixed_linear_and_mixed_are_told_apart_with_their_figures() -> None:
    receipts = [100, 200, 400, 800]
    n = np.array(receipts, dtype=float)
    costs = costs_of(receipts, {"start": [50_000.0] * 4, "each": 300 * n, "both": 40_000 + 200 * n})
    table = growth(costs, "Ir").table.set_index("name")
    assert table["flag"].to_dict() == {"each": LINEAR, "both": LINEAR, "start": FIXED}
    assert table.loc["both", ["fixed", "marginal_per_receipt"]].tolist() == pytest.approx([40_000, 200], rel=1e-6)
    assert table.loc["each", ["fixed", "marginal_per_receipt"]].tolist() == pytest.approx([0, 300], abs=1e-3)
    assert table.loc["start", ["fixed", "marginal_per_receipt"]].tolist() == pytest.approx([50_000, 0], rel=1e-6)
    assert table["marginal_share_pct"].sum() == pytest.approx(100)
    assert table.loc["start", "average_share_pct"] > table.loc["start", "marginal_share_pct"]


def test_the_interval_of_the_marginal_cost_holds_the_truth() -> None:
    receipts, held, seen = [100, 200, 400, 800, 1600], 0, 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        truth = np.exp(rng.normal(6, 1, 200))
        clean = (1000 + truth[:, None] * np.array(receipts, dtype=float)) * (1 + 0.05 * rng.normal(size=(200, 5)))
        table = growth(costs_of(receipts, clean), "Ir").table.set_index("name")
        table = table.loc[[f"f{row}" for row in range(200)]]
        held += int(((table["marginal_low"] <= truth) & (truth <= table["marginal_high"])).sum())
        seen += 200
    assert held / seen > 0.92


def test_two_steps_are_not_enough_and_three_say_what_they_cannot_tell() -> None:
    n = np.array([100, 200], dtype=float)
    two = growth(costs_of([100, 200], {"a": n**2, "b": n}), "Ir")
    assert not two.enough
    assert set(two.table["flag"]) == {TOO_FEW}
    assert "at least 3 are needed" in two.sentence
    near = growth(costs_of([100, 110, 120], {"a": [1, 2, 3], "b": [1, 1, 1]}), "Ir")
    assert "1.5 times" in near.sentence
    n = np.array([100, 200, 400], dtype=float)
    three = growth(costs_of([100, 200, 400], {"a": n**2, "b": 90 * n, "c": 80 * n}), "Ir")
    assert three.flagged()["name"].tolist() == ["a"]
    assert "more steps show whether" in three.sentence
    assert three.chosen_by == "scatter of other functions"


def test_the_whole_and_totals_are_judged_by_the_scatter_of_functions() -> None:
    receipts = [100, 200, 400, 800]
    n = np.array(receipts, dtype=float)
    costs = planted(receipts, n, 0.01, 5)
    caller = costs[costs["name"] == f"f{FUNCTIONS}"].assign(name="caller")
    caller["self"] = 0.0
    costs = pd.concat([costs, caller], ignore_index=True)
    whole = growth(costs, "Ir", "whole").table
    assert (whole["name"].tolist(), whole["flag"].tolist()) == (["(whole)"], [GROWS])
    totals = growth(costs, "Ir", which="total").flagged()
    assert set(totals["name"]) == {f"f{FUNCTIONS}", "caller"}
    assert growth(costs, "Ir").flagged()["name"].tolist() == [f"f{FUNCTIONS}"]


def test_several_modes_have_to_be_chosen_from() -> None:
    n = [10, 20, 40]
    costs = pd.concat([costs_of(n, {"a": n}), costs_of(n, {"a": n}, mode="pprof")], ignore_index=True)
    with pytest.raises(WorkbenchError, match="more than one mode: callgrind, pprof"):
        growth(costs, "Ir")
    assert growth(costs, "Ir", mode="callgrind").table["name"].tolist() == ["a"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=7),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["receipts", "accumulated"]),
)
def test_any_costs_get_a_flag_and_finite_figures(receipts: list[int], functions: int, seed: int, against: str) -> None:
    rng = np.random.default_rng(seed)
    costs = np.round(np.exp(rng.normal(5, 4, (functions, len(receipts))))) * (
        rng.random((functions, len(receipts))) < 0.7
    )
    found = growth(costs_of(receipts, costs), "Ir", against=against)  # type: ignore[arg-type]
    assert len(found.table) == int((costs.sum(axis=1) > 0).sum())
    figures = found.table[["marginal_per_receipt", "marginal_low", "growth", "rise_pct", "q"]]
    if found.enough:
        assert np.isfinite(figures.to_numpy()).all()
        assert (figures.to_numpy() >= 0).all()
        assert (found.table["marginal_low"] <= found.table["marginal_high"]).all()
    else:
        assert set(found.table["flag"]) <= {TOO_FEW}
        assert figures["marginal_per_receipt"].isna().all()
    assert found.sentence.endswith(".")


def test_planted_growth_of_a_real_program_is_named(tmp_path: Path) -> None:
    receipts = [50, 100, 200]
    folder = run(tmp_path, "callgrind", [], receipts)
    costs = pd.concat(
        [
            window_costs(
                read_profile(folder / f"callgrind.out.{step}"),
                service="c", mode="callgrind", step=step, receipts=count,
            )
            for step, count in enumerate(receipts, 1)
        ]
    )  # fmt: skip
    found = growth(compact_costs(costs), "Ir")
    assert set(found.flagged()["name"]) == {"scan_batch", "scan_stored"}
    flags = found.table.set_index("name")["flag"]
    assert (flags["verify"], flags["start_up"]) == (LINEAR, FIXED)
    # the exact law shows against what it depends on
    before = growth(compact_costs(costs), "Ir", against="accumulated").table.set_index("name")
    assert before.loc["scan_stored", "growth_term"] == "quadratic"
    exact = np.array(before.loc["scan_stored", ["growth_low", "growth_high"]], dtype=float)
    per_turn = found.table.set_index("name").loc["verify", "marginal_per_receipt"] / 1000
    assert exact[0] <= 10 * per_turn <= exact[1]


def test_what_is_not_known_of_one_more_receipt_has_no_figure() -> None:
    unknown = ["fixed", "marginal_per_receipt", "marginal_low", "marginal_high", "marginal_share_pct", "growth_low"]
    for receipts in ([20], [20, 20, 20], [20, 40]):
        found = growth(costs_of(receipts, {"a": [10 * n for n in receipts], "b": [7] * len(receipts)}), "Ir")
        assert found.table[unknown].isna().all(axis=None)
        assert set(found.table["model"]) == {""}
        assert set(found.table["flag"]) == {TOO_FEW}
        assert found.points["fitted_per_receipt"].isna().all()
        assert found.table["average_per_receipt"].notna().all()


def test_a_few_samples_tell_nothing() -> None:
    n = [20, 40, 60]
    few = {"a": [1, 2, 2], "b": [2, 1, 2]}
    cpu = costs_of(n, {name: [6e6 * one for one in row] for name, row in few.items()}, mode="flamegraph", metric="cpu")
    samples = costs_of(n, few, mode="flamegraph", metric="samples")
    for table in (cpu, pd.concat([cpu, samples], ignore_index=True)):
        found = growth(table, "cpu")
        assert not found.enough
        assert set(found.table["flag"]) == {TOO_FEW}
        assert "10 samples" in found.sentence
    many = {"a": [500, 1000, 1500], "b": [1, 2, 2]}
    flags = growth(costs_of(n, many, mode="flamegraph", metric="samples"), "samples").table.set_index("name")
    assert flags["flag"].to_dict() == {"a": LINEAR, "b": TOO_FEW}
    assert flags["marginal_per_receipt"].isna().to_dict() == {"a": False, "b": True}


def test_bytes_kept_have_no_growth() -> None:
    kept = costs_of([100, 200, 300], {"a": [10_000, -9_000, 9_500]}, mode="massif", metric="bytes_kept", unit="bytes")
    with pytest.raises(WorkbenchError, match="kept bytes are a level") as failure:
        growth(kept, "bytes_kept")
    assert "leak" in str(failure.value.hint)


def test_three_steps_need_a_raw_cost_that_rises() -> None:
    n = [20, 40, 60]
    exact = {f"call{each}": [each * one for one in n] for each in range(1, 9)}
    polls = {"epoll_pwait": [26, 39, 68]}
    for mode, metric in (("strace", "calls"), ("callgrind", "Ir")):
        assert growth(costs_of(n, {**exact, **polls}, mode=mode, metric=metric), metric).flagged().empty
    scan = {"read": [one * one for one in n]}
    found = growth(costs_of(n, {**exact, **polls, **scan}, mode="strace", metric="calls"), "calls")
    assert found.flagged()["name"].tolist() == ["read"]


@pytest.mark.parametrize("receipts", LADDERS, ids=lambda steps: f"{len(steps)} steps")
@pytest.mark.parametrize("times", [1.3, 3.0, 20.0])
@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_burst_of_work_in_one_step_is_no_growth(receipts: list[int], times: float, which: str) -> None:
    """The real service derived keys in the largest of three steps, at a poll: its hash cost 111,232 instructions a
    receipt twice, and then 254,179."""
    n = np.array(receipts, dtype=float)
    table = {f"exact{each}": (each * 1000 * n).tolist() for each in range(1, 40)}
    at = {"first": 0, "middle": len(n) // 2, "last": -1}[which]
    burst = 111_232 * n
    burst[at] *= times
    found = growth(costs_of(receipts, {**table, "compress256": burst.tolist()}), "Ir")
    assert found.flagged().empty


@pytest.mark.parametrize("receipts", [[20, 40, 60], [100, 200, 300], [50, 100, 150, 200], [50, 100, 150, 200, 250]])
def test_calls_that_depend_on_timing_are_not_flagged_among_exact_ones(receipts: list[int]) -> None:
    n = np.array(receipts, dtype=float)
    flagged, tried = 0, 60
    for seed in range(tried):
        rng = np.random.default_rng(seed)
        table = {f"exact{each}": (each * n).tolist() for each in (1, 1, 2, 2, 3, 4, 6, 8)}
        for name, each in (("epoll_wait", 1.2), ("futex", 3.0)):
            table[name] = np.round(each * n * (1 + 0.15 * rng.normal(size=len(n)))).clip(0).tolist()
        flagged += len(growth(costs_of(receipts, table, mode="strace", metric="calls"), "calls").flagged())
    assert flagged <= 0.05 * tried, f"{flagged} of {tried}"


def test_steps_with_denied_receipts_are_left_out() -> None:
    n = [100, 200, 400, 800]
    scan = [one * one for one in n[:3]] + [400 * 400]
    others = {name: [each * one for one in n] for name, each in (("verify", 90), ("route", 80))}
    costs = costs_of(n, {"scan": scan, **others}, denied=[0, 0, 0, 400])
    found = growth(costs, "Ir")
    assert found.flagged()["name"].tolist() == ["scan"]
    assert set(found.points["step"]) == {1, 2, 3}
    assert "1 step with denied receipts is left out." in found.sentence
    assert found.table["cost"].sum() == sum(scan[:3]) + 170 * 700
    # receipts of a step that is left out were still sent before the next
    middle = costs_of(n, {"each": [9 * one for one in n]}, denied=[0, 50, 0, 0])
    assert growth(middle, "Ir", against="accumulated").points["position"].tolist() == [50, 500, 1100]
    mixed = growth(costs_of(n, {"each": [9 * one for one in n]}, denied=[1, 1, 1, 800]), "Ir")
    assert set(mixed.points["step"]) == {1, 2, 3}
    assert "Every step has denied receipts" in mixed.sentence
    refused = growth(costs_of(n, {"each": [9 * one for one in n]}, denied=n), "Ir")
    assert not refused.enough
    assert refused.table.empty
    assert "every receipt was denied" in refused.sentence


def test_commits_that_fall_into_a_small_window_by_chance_are_no_growth() -> None:
    # counted in sweeps of 20, 40 and 60 receipts, of a service that does the same for each
    n = [20, 40, 60]
    for writes, polls, locks in (
        ([46, 162, 438], [64, 164, 378], [28, 112, 274]),
        ([52, 178, 340], [82, 158, 244], [34, 130, 196]),
    ):
        calls = {
            "pwrite64": writes,
            "epoll_pwait": polls,
            "fcntl": locks,
            "read": [33, 67, 114],
            "write": [29, 63, 110],
        }
        calls["getpid"] = [108, 294, 588]
        assert growth(costs_of(n, calls, mode="strace", metric="calls"), "calls").flagged().empty
