"""Steps from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.settings import Settings
from workbench.sweep.steps import extra_steps, first_number, parse_steps, steps_of, walk_of


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
    assert [step.number for step in steps] == list(range(1, len(counts) + 1))  # people count from 1


@pytest.mark.parametrize("first", [1, 0])
def test_the_walk_and_the_steps_of_a_profiler_come_after_all_repeats(first: int) -> None:
    """A run of an earlier release, which counted from 0, goes on as it began."""
    settings = Settings.resolve(receipts="10,20", repeats=2)
    steps = steps_of(settings, first)
    assert [(step.number - first, step.receipts, step.repeat) for step in steps] == [
        (0, 10, 1), (1, 20, 1), (2, 10, 2), (3, 20, 2)
    ]  # fmt: skip
    paired, warm_up = extra_steps(steps, settings)
    assert paired is not None
    assert warm_up is not None
    assert [step.number - first for step in (walk_of(steps), paired, warm_up)] == [4, 5, 6]
    assert first_number({"steps_planned": [vars(step) for step in steps]}) == first
    assert first_number({"steps_planned": []}) == first_number({}) == 1


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
