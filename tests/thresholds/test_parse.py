"""Thresholds from text: every name, units, which steps, and errors that say what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.step_row import StepRow
from workbench.errors import SettingsError
from workbench.thresholds.names import NAMES
from workbench.thresholds.parse import parse_threshold, parse_thresholds
from workbench.thresholds.units import parse_value, shown, with_interval

DOCS = Path(__file__).parents[2] / "docs" / "thresholds.md"


@pytest.mark.parametrize(
    ("text", "name", "comparison", "bound"),
    [
        ("response_p95_ms > 50", "response_p95_ms", ">", 50.0),
        ("response_p95_ms>=0.05s", "response_p95_ms", ">=", 50.0),
        ("lag_p99_ms > 300 us", "lag_p99_ms", ">", 0.3),
        ("settle_s > 200 ms", "settle_s", ">", 0.2),
        ("instructions_per_receipt > 7e6", "instructions_per_receipt", ">", 7e6),
        ("instructions_per_receipt > 7M", "instructions_per_receipt", ">", 7e6),
        ("allocated_bytes_per_receipt > 64 KiB", "allocated_bytes_per_receipt", ">", 65536.0),
        ("leak_bytes_per_receipt > 0", "leak_bytes_per_receipt", ">", 0.0),
        ("refused_share > 0.1%", "refused_share", ">", 0.001),
        ("refused_share > 0.1", "refused_share", ">", 0.1),
        ("generator_cpu_percent > 80 %", "generator_cpu_percent", ">", 80.0),
        ("throughput_per_s < 1_000/s", "throughput_per_s", "<", 1000.0),
        ("fees_after_grt > .5 GRT", "fees_after_grt", ">", 0.5),
        ("limit_receipts != 1,000", "limit_receipts", "!=", 1000.0),
        ("  accepted   <= 10 ", "accepted", "<=", 10.0),
    ],
)
def test_a_threshold_is_read(text: str, name: str, comparison: str, bound: float) -> None:
    found = parse_threshold(text)
    assert (found.name.name, found.comparison) == (name, comparison)
    assert found.bound == pytest.approx(bound)
    assert (found.steps, found.step, found.receipts, found.service) == ("any", None, None, None)


def test_brackets_say_which_steps() -> None:
    one = parse_threshold("response_p95_ms[step=3] > 50")
    assert (one.step, one.steps) == (3, "any")
    assert parse_threshold("response_p95_ms[receipts=1_000] > 50").receipts == 1000
    two = parse_threshold("instructions_per_receipt[all, service=tap-agent] > 5")
    assert (two.steps, two.service) == ("all", "tap-agent")
    assert parse_threshold("accepted[last] < 5").steps == "last"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("response_p95 > 50", "there is no figure 'response_p95'. Did you mean response_p95_ms"),
        ("instruction_per_receipt > 5", "Did you mean instructions_per_receipt"),
        ("qqq > 5", "docs/thresholds.md lists all names"),
        ("response_p95_ms > 50 KiB", "response_p95_ms is a time, found the unit 'KiB'. Units are ns, us"),
        ("refused_share > 5 ms", "refused_share is a share, found the unit 'ms'. Units are %"),
        ("response_p95_ms > many", "expected a number after the comparison, found 'many'"),
        ("response_p95_ms > nan", "expected a number"),
        ("response_p95_ms > 1e999", "expected a number"),
        ("response_p95_ms", "cannot read the threshold, found 'response_p95_ms'. Write NAME > NUMBER"),
        ("", "cannot read the threshold"),
        ("response_p95_ms[step=x] > 5", r"which steps are meant, found [step=x]. Write any, all"),
        ("response_p95_ms[service=a] > 5", "response_p95_ms is not measured by service"),
        ("limit_receipts[step=1] > 5", "limit_receipts is one figure of the whole run"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        parse_threshold(text)


@given(st.text(max_size=40))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    try:
        said = parse_threshold(text).text
    except SettingsError as error:
        said = str(error)
    assert "\n" not in said


@given(st.sampled_from(sorted(NAMES)), st.sampled_from([">", ">=", "<", "<=", "==", "!="]), st.floats(-1e12, 1e12))
def test_every_name_takes_every_comparison_and_number(name: str, comparison: str, bound: float) -> None:
    found = parse_threshold(f"{name} {comparison} {bound!r}")
    assert found.bound == bound
    assert found.exceeded_by(bound) == (comparison in (">=", "<=", "=="))


def test_each_is_kept_once() -> None:
    assert len(parse_thresholds(["accepted < 5", "accepted  <  5", "accepted < 6"])) == 2


def test_values_are_shown_with_their_units() -> None:
    assert shown(0.0042, "share") == "0.42 %"
    assert shown(6_600_000.4, "") == "6,600,000"
    assert shown(parse_value("2 min", "s", name="settle_s", where=""), "s") == "120 s"
    assert with_interval(61.23, 58.1, 66.4, "ms") == "61.23 (58.1 to 66.4) ms"
    assert with_interval(3.0, float("nan"), float("nan"), "per second") == "3/s"


def test_the_names_are_columns_of_steps_and_all_are_documented() -> None:
    derived = {"refused_share", "denied_share", "failed_share", "unsent_share", "lost_share"}
    of_steps = {name for name, one in NAMES.items() if one.of in ("time", "count")} - derived
    assert of_steps <= set(StepRow.__dataclass_fields__)
    documented = set(re.findall(r"`(\w+)`", DOCS.read_text()))
    assert set(NAMES) <= documented
