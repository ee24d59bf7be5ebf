"""Numbers as people read them, one way for each kind; the script of the flame graph writes them alike."""

from __future__ import annotations

import json
import math
import random
import subprocess
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.charts.test_scripts import PROJECT, SCRIPTS, node
from workbench import numbers
from workbench.analysis.findings import words


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4_563_210, "count", "4.56 M"),
        (999_999, "count", "999,999"),
        (0.01234, "count", "0.0123"),
        (999.7, "count", "1,000"),
        (1_234_567, "ns", "1.23 ms"),
        (1_500, "us", "1.5 ms"),
        (-2e9, "ns", "-2 s"),
        (0, "ns", "0 ns"),
        (0.5, "ns", "0.5 ns"),
        (1536, "bytes", "1.5 KiB"),
        (48, "bytes", "48 bytes"),
        (12, "objects", "12 objects"),
    ],
)
def test_amounts_have_three_digits_and_the_unit_that_people_would_choose(value: float, unit: str, text: str) -> None:
    assert numbers.amount(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "1 s"),
        (99, "99 s"),
        (99.5, "1 min 40 s"),
        (150, "2 min 30 s"),
        (3599.5, "1 h 00 min"),
        (7261, "2 h 02 min"),
        (12000, "3 h 20 min"),
        (math.nan, "–"),
    ],
)
def test_a_wait_is_rounded_up(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_each_kind_has_one_way() -> None:
    assert numbers.precise(1_234_567, "count") == "1,234,567"
    assert numbers.precise(1_234_567, "ns") == "1.235 ms"
    assert numbers.precise(1_572_864, "bytes") == "1.50 MiB"
    assert numbers.precise(7, "samples") == "7 samples"
    assert [numbers.cell(value) for value in (None, math.nan, 5.0, 1234.5, 0.12345, True)] == [
        "–", "–", "5", "1,234", "0.1235", "yes",
    ]  # fmt: skip
    assert numbers.cell(12.3, "share_pct") == "12.30"
    assert numbers.grt(0.000001) == "0.000001 GRT"
    assert numbers.grt(Decimal(1000)) == "1,000 GRT"
    assert numbers.grt(1.021) == "1.021 GRT"
    assert numbers.per_second(1683.2) == "1,683/s"
    assert numbers.per_second(38.52) == "38.52/s"
    assert numbers.milliseconds(12.346) == "12.35 ms"
    assert (numbers.counted(1, "trial"), numbers.counted(2000, "trial")) == ("1 trial", "2,000 trials")
    assert words.amount(4_563_210, "count", "Ir") == "4.56 M instructions"
    assert words.amount(1.2e6, "ns", "cpu") == "1.2 ms of CPU time"


@given(st.floats(-1e15, 1e15))
def test_no_figure_has_an_exponent(value: float) -> None:
    if value == 0 or abs(value) >= 1e-4:
        assert "e" not in numbers.figure(value)
    assert "E" not in numbers.grt(value)


def test_the_flame_graph_writes_the_same() -> None:
    drawn = random.Random(1)
    values = [drawn.uniform(1, 10) * 10 ** drawn.randint(0, 11) for _ in range(200)]
    pairs = [(value, unit) for value in values for unit in ("ns", "us", "bytes")]
    code = (
        f"import {{ rounded }} from {str(SCRIPTS / 'words.js')!r};\n"
        f"console.log(JSON.stringify({json.dumps(pairs)}.map(([value, unit]) => rounded(value, unit))))"
    )
    run = subprocess.run(
        [node(), "--input-type=module", "--eval", code], capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    shown = json.loads(run.stdout or "[]")
    assert len(shown) == len(pairs), run.stderr
    told = [(ours, theirs) for (value, unit), theirs in zip(pairs, shown, strict=True) if theirs
            for ours in [numbers.amount(value, unit)]]  # fmt: skip
    assert len(told) > 500
    assert [pair for pair in told if pair[0] != pair[1]] == []
