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
    assert "does not depend on the receipts; the most of that is app::start" in text
    assert "By callgrind, a receipt costs 13,567 instructions on average" in text
    assert not said[LEAKS]
    assert not said[SYSCALLS]


def test_caches_are_answered_by_their_part_of_the_cycles() -> None:
    parts = [
        costs_of(N, {"a": [per * n for n in N]}, metric=metric)
        for metric, per in (("Ir", 1000), ("L1m", 10), ("LLm", 5), ("Bm", 2), ("CEst", 1620))
    ]
    said = answers(pd.concat(parts, ignore_index=True))[CACHES]
    assert said[0].startswith("Worth looking at: a receipt takes some 1,620 estimated cycles")
    assert "A receipt has 5 misses of the last cache, 31 % of its estimated cycles, most in a (100 %)." in said


def test_system_calls_are_counted_per_receipt() -> None:
    calls = costs_of(N, {"write": [2 * n for n in N], "epoll_wait": N}, mode="strace", metric="calls")
    working = costs_of(N, {"write": [30_000 * n for n in N]}, mode="strace", metric="working", unit="ns")
    waiting = costs_of(N, {"epoll_wait": [2_000_000 * n for n in N]}, mode="strace", metric="waiting", unit="ns")
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
    assert "scan grows faster than the load: at the end" in text
    assert "takes more steps" in text
