"""The guide's four questions in words, with the figures of the tables."""

from __future__ import annotations

import pandas as pd

from tests.analysis.made import costs_of
from workbench.analysis.answers import CACHES, CPU, LEAKS, SYSCALLS, answers

N = [100, 200, 400, 800]


def test_growth_and_start_up_are_named_with_their_figures() -> None:
    functions = {
        "app::scan": [10 * n * n for n in N],
        "app::verify": [3000 * n for n in N],
        "app::start": [900_000] * 4,
        "app::route": [2500 * n for n in N],
    }
    said = answers(costs_of(N, functions))
    text = " ".join(said[CPU])
    assert "app::scan grows faster than the load (quadratic)" in text
    assert "of the cost does not depend on the number of receipts; most of it is in app::start" in text
    assert "By callgrind, a receipt costs 13,567 instructions on average" in text
    assert not said[LEAKS]
    assert not said[SYSCALLS]


def test_caches_are_answered_by_their_part_of_the_cycles() -> None:
    parts = [
        costs_of(N, {"a": [per * n for n in N]}, metric=metric)
        for metric, per in (("Ir", 1000), ("L1m", 10), ("LLm", 5), ("Bm", 2), ("CEst", 1620))
    ]
    said = answers(pd.concat(parts, ignore_index=True))[CACHES]
    assert said[0].startswith("Worth looking at: a receipt takes about 1,620 estimated cycles")
    assert "A receipt has 5 last-level cache misses, 31 % of its estimated cycles, most in a (100 %)." in said


def test_system_calls_are_counted_per_receipt() -> None:
    calls = costs_of(N, {"write": [2 * n for n in N], "epoll_wait": N}, mode="strace", metric="calls")
    working = costs_of(N, {"write": [30_000 * n for n in N]}, mode="strace", metric="working", unit="ns")
    waiting = costs_of(N, {"epoll_wait": [2_000_000 * n for n in N]}, mode="strace", metric="waiting", unit="ns")
    either = costs_of(N, {"read": [1_000 * n for n in N]}, mode="strace", metric="undecided", unit="ns")
    with_both = answers(pd.concat([calls, working, waiting, either], ignore_index=True))[SYSCALLS]
    assert "2 ms waiting; for 1 µs the log does not show which, strace's own" in with_both[1]
    said = answers(pd.concat([calls, working, waiting], ignore_index=True))[SYSCALLS]
    assert said[0] == "A receipt makes 3 system calls: write 2; epoll_wait 1."
    assert said[1].startswith("It spends 30 µs working in them, most in write (100 %) and 2 ms waiting")
    assert len(said) == 2


def test_calls_that_grow_are_named() -> None:
    calls = costs_of(
        N,
        {"read": [n * n for n in N], "write": [200 * n for n in N], "poll": [150 * n for n in N]},
        mode="strace",
        metric="calls",
    )
    assert any("read grows faster than the load" in sentence for sentence in answers(calls)[SYSCALLS])


def test_three_steps_name_no_law() -> None:
    functions = {
        "scan": [10 * n * n for n in N[:3]],
        "verify": [900 * n for n in N[:3]],
        "route": [800 * n for n in N[:3]],
    }
    text = " ".join(answers(costs_of(N[:3], functions))[CPU])
    assert "scan grows faster than the load: its cost per receipt rises" in text
    assert "more steps show whether" in text


def test_the_fixed_part_is_that_of_all_functions() -> None:
    n = [100, 200, 300]
    functions = {"main": [1_000_000 + 10_000 * one for one in n], "each": [5000 * one for one in n], "timer": [5, 5, 5]}
    text = " ".join(answers(costs_of(n, functions))[CPU])
    # 3 million of 12
    assert "25.0 % of the cost does not depend on the number of receipts; most of it is in main" in text


def test_start_up_that_cannot_be_told_apart_is_said() -> None:
    functions = {"_parse": [1_200_000.0] * 3, "verify": [100_000.0] * 3}
    said = answers(costs_of([20, 20, 20], functions, mode="pprofile", metric="hits"))[CPU]
    assert "so this includes its start-up" in " ".join(said)
    assert "costs 65,000 lines of Python, start-up included" in said[0]
    one = answers(costs_of([20], {"a": [100.0]}))[CPU]
    assert "This includes each step's fixed cost" in " ".join(one)
    n = [20, 40, 60]
    told = {"_parse": [1_200_000.0] * 3, "verify": [5000 * each for each in n]}
    said = answers(costs_of(n, told, mode="pprofile", metric="hits"))[CPU]
    assert "start-up" not in said[0]
    assert "One more receipt costs most in verify" in " ".join(said)


def test_refusals_are_no_receipts() -> None:
    n = [20, 40, 60]
    calls = costs_of(n, {"read": [5 * one for one in n]}, mode="strace", metric="calls", denied=n)
    said = answers(calls)[SYSCALLS]
    assert len(said) == 1
    assert "every receipt was denied" in said[0]
    parts = [costs_of(n, {"a": [9 * one for one in n]}, metric=name, denied=n) for name in ("Ir", "CEst", "L1m")]
    found = answers(pd.concat([*parts, costs_of(n, {"a": n}, metric="sysCount", denied=n)], ignore_index=True))
    assert "every receipt was denied" in " ".join(found[CPU])
    assert not found[CACHES]
    assert not found[SYSCALLS]
    some = costs_of(n, {"read": [5 * one for one in n]}, mode="strace", metric="calls", denied=[0, 5, 60])
    assert "2 steps with denied receipts are left out." in answers(some)[SYSCALLS]
    some = costs_of(n, {"read": [5 * one for one in n]}, denied=[0, 5, 60])
    assert "2 steps with denied receipts are left out." in " ".join(answers(some)[CPU])
    allocated = costs_of(n, {}, mode="massif", metric="bytes_allocated", unit="bytes", denied=n)
    assert not answers(allocated)[LEAKS]


def test_few_samples_are_said_to_be_few() -> None:
    n = [20, 40, 60]
    few = costs_of(n, {"a": [6e6, 12e6, 12e6], "b": [12e6, 6e6, 12e6]}, mode="flamegraph", metric="cpu", unit="ns")
    said = answers(few)[CPU]
    assert "there are 10 samples in all steps together, at least 400 are needed" in " ".join(said)
    assert "does not depend" not in " ".join(said)
