"""Steps from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.sweep.steps import parse_steps


def receipts(text: str) -> list[int]:
    return [step.receipts for step in parse_steps(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250,500,1000", [250, 500, 1000]),
        (" 250, 500 ,1_000", [250, 500, 1000]),
        ("100,100,100", [100, 100, 100]),
        ("7", [7]),
        ("250:1250:250", [250, 500, 750, 1000, 1250]),
        ("1:10:4", [1, 5, 9]),
        ("125:2000:x2", [125, 250, 500, 1000, 2000]),
        ("1:5:x1.1", [1, 2, 3, 4, 5]),
    ],
)
def test_forms(text, expected):
    assert receipts(text) == expected


@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=50))
def test_a_list_is_taken_as_it_is(counts):
    steps = parse_steps(",".join(map(str, counts)))
    assert [step.receipts for step in steps] == counts
    assert [step.number for step in steps] == list(range(len(counts)))


@given(st.integers(1, 1000), st.integers(0, 100_000), st.floats(1.05, 10).map(lambda x: round(x, 2)))
def test_a_geometric_series_goes_up_and_stays_inside(start, more, factor):
    counts = receipts(f"{start}:{start + more}:x{factor}")
    assert counts[0] == start
    assert counts == sorted(set(counts))
    assert counts[-1] <= start + more


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "-5",
        "1,,2",
        "0",
        "0,5",
        "5:1:1",
        "1:5:0",
        "1:5:1.5",
        "1:5:x1",
        "1:5:x0.5",
        "1:100000:1",
        "10000001",
        "1:2",
        "250;500",
        "1e3",
        "0:5:1",
    ],
)
def test_what_is_no_steps_is_refused_by_name(text):
    with pytest.raises(SettingsError, match=r"^receipts: ") as caught:
        parse_steps(text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="0123456789:,x. -", max_size=20))
def test_any_text_is_steps_or_an_error(text):
    try:
        steps = parse_steps(text)
    except SettingsError:
        return
    assert all(1 <= step.receipts <= 10_000_000 for step in steps)
