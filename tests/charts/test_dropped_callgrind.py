"""Callgrind dropped on a page: the costs of functions, their totals and their calls are those that Python reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.real import real
from tests.charts.test_dropped import read_by_node
from tests.profiles.samples import SAMPLES
from workbench import read_profile
from workbench.charts.flame.packing import clean
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.report.answers.example import example

COMMITTED = ("demo-callgrind.out", "receipts-before.callgrind.out.gz", "receipts-after.callgrind.out.gz")
REAL = ("service-idle.callgrind.out.gz", "service-step-400.callgrind.out.gz")
# every way to say less: numbered names, relative positions, inlined files, callees of another file and object, jumps,
# two positions a line, two parts, a cycle, a recursion
COMPRESSED = """# callgrind format
version: 1
creator: by hand
positions: instr line
event: Time_(10ns) : time
events: Ir Time_(10ns)

ob=(1) /bin/app
fl=(1) /src/main.c
fn=(1) main
0x100 10 5 1
+4 +1 0x10
* * 2
cob=(2) /lib/b.so
cfi=(2) /src/b.c
cfn=(2) b
calls=3 0x200 0
+8 -1 900 30
cfn=(3) even
calls=1 0x300 40
* +2 60 4
fi=(3) /src/inlined.h
+2 7 4
fe=(1)
jcnd=2/9 +4 *
* 12

ob=(2)
fl=(2)
fn=(2)
0x200 3 900 30

ob=(1)
fl=(1)
fn=(3)
0x300 40 10
cfn=(4) odd
calls=2 0x310 0
* * 50 4
cfn=(3)
calls=7 0x300 0
* * 20
fn=(4)
0x310 50 25 2
cfn=(3)
calls=1 0x300 0
+1 +1 25 2

part: 2
positions: line
events: Time_(10ns) Ir
fn=(1)
3 7 70
totals: 44 1092
"""


def compared(path: Path, found: dict[str, Any], python: Profile) -> None:
    functions, measured = python.functions, found["measured"]
    raw = [clean(name) for name in functions["raw_function"]]
    names = [name for name, _ in found["metrics"]]
    assert names == [metric.name for metric in python.metrics if metric.additive and metric.name in names]
    assert names, path.name
    for at, metric in enumerate(names):
        own, total = functions[f"self_{metric}"].tolist(), functions[f"total_{metric}"].tolist()
        there = Counter(zip(found["functions"]["raw"], measured["self"][at], measured["total"][at], strict=True))
        assert there == Counter(zip(raw, own, total, strict=True)), f"{path.name}, {metric}"
        # all that the tree has is what was measured
        assert found["paths"][at].get("all", 0) == pytest.approx(python.total(metric), rel=1e-9), (
            f"{path.name}, {metric}"
        )
    edges, shown, called = python.edges.fillna({"calls": 0}), found["functions"]["raw"], found["edges"]
    there = Counter(
        (shown[caller], shown[callee], calls, cost)
        for caller, callee, calls, cost in zip(*(called[key] for key in CALLS), called["cost"][0], strict=True)
    )
    columns = (edges[key].tolist() for key in ("caller_id", "callee_id", "calls", f"cost_{names[0]}"))
    assert there == Counter((raw[a], raw[b], calls, cost) for a, b, calls, cost in zip(*columns, strict=True)), (
        path.name
    )


CALLS = ("caller", "callee", "calls")


def test_functions_totals_and_calls_are_those_of_python() -> None:
    paths = [example(name) for name in COMMITTED]
    for path, found in zip(paths, read_by_node(*paths), strict=True):
        compared(path, found, read_profile(path))


def test_of_the_real_service_too() -> None:
    paths = [real(name) for name in REAL]
    for path, found in zip(paths, read_by_node(*paths), strict=True):
        compared(path, found, read_profile(path))


def test_what_other_tools_write_and_what_is_refused() -> None:
    if SAMPLES is None:
        pytest.skip("the corpus of public profiles is not beside this project")
    paths = sorted((SAMPLES / "callgrind").iterdir())
    assert len(paths) > 20
    for path, found in zip(paths, read_by_node(*paths), strict=True):
        try:
            python = read_profile(path)
        except ReadError:
            assert found.get("error") == "ReadError", path.name
            continue
        assert "error" not in found, f"{path.name}: {found.get('message')}"
        if found["metrics"] and found["functions"]["raw"]:
            compared(path, found, python)


def test_all_that_the_format_leaves_unsaid_is_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "compressed.out"
    path.write_text(COMPRESSED)
    [found] = read_by_node(path)
    compared(path, found, read_profile(path))
    assert found["metrics"] == [["Ir", "count"], ["Time_(10ns)", "ns"]]
    ir = found["paths"][0]
    assert ir["all;main;b"] == 900
    assert ir["all;main;even"] == 35  # a cycle is entered once
    assert ir["all;main;even;odd"] == 25
    assert any("Functions that call each other" in remark for remark in found["remarks"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# callgrind format\nversion: 2\nevents: Ir\n", "Version 2"),
        ("# callgrind format\nversion: 1\nfn=main\n", 'no line "events:"'),
        ("# callgrind format\nfn=main\n1 5\n", 'before the line "events:"'),
        ("events: Ir\nfn=main\n1 *\n", 'Line 3: the cost "*" is no whole number'),
        ("events: Ir\nfn=main\n1 -5\n", "costs below 0"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "dropped.out"
    path.write_text(text)
    [found] = read_by_node(path)
    assert found["error"] == "ReadError"
    assert why in found["message"]


def test_a_graph_of_many_ways_stays_small(tmp_path: Path) -> None:
    """Forty functions, each of which calls the next one from two others: a million million stacks."""
    lines = ["# callgrind format", "events: Ir"]
    for level in range(40):
        for side in "ab":
            lines += [f"fn={side}{level}", "1 10"]
            lines += [line for to in "ab" for line in (f"cfn={to}{level + 1}", "calls=1 0", f"1 {10 * (40 - level)}")]
    path = tmp_path / "ways.out"
    path.write_text("\n".join(lines) + "\n")
    [found] = read_by_node(path)
    assert len(found["paths"][0]) < 100_000
    assert found["paths"][0]["all"] == pytest.approx(read_profile(path).total("Ir"))
