"""Leak rates of a real program under massif: the planted rate is found and named, warm-up is not called a leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.service import LEAK_BYTES, run
from workbench import read_profile
from workbench.analysis.answers import leak_answer
from workbench.analysis.leaks import LEAK, TOO_FEW, WARM_UP, HeapWindow, leak_rates
from workbench.errors import WorkbenchError

RECEIPTS = [60, 120, 240]


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> list[HeapWindow]:
    folder = run(tmp_path_factory.mktemp("massif"), "massif", ["--time-unit=B", "--threshold=0.5"], RECEIPTS)
    return [
        HeapWindow(step, count, *(read_profile(folder / f"massif-{step}-{edge}") for edge in ("begin", "end")))
        for step, count in enumerate(RECEIPTS, 1)
    ]


def test_a_planted_leak_is_named_with_its_rate(windows: list[HeapWindow]) -> None:
    found = leak_rates(windows)
    (leak,) = found.flagged().to_dict("records")
    assert leak["function"] == "keep"
    assert leak["allocator"].startswith("keep (service.c:")
    assert leak["rate"] == pytest.approx(LEAK_BYTES, rel=0.05)
    assert leak["rate_low"] <= leak["rate"] <= leak["rate_high"]
    assert found.rate[0] == pytest.approx(LEAK_BYTES, rel=0.05)
    assert "keep" in found.sentence
    assert f"{LEAK_BYTES}.0 bytes per receipt" in found.sentence


def test_a_cache_that_fills_in_the_first_step_is_no_leak(windows: list[HeapWindow]) -> None:
    found = leak_rates(windows, "function")
    flags = found.table.set_index("function")["flag"].to_dict()
    assert flags["warm"] == WARM_UP
    assert flags["keep"] == LEAK
    assert any("warm" in sentence and "warm-up" in sentence for sentence in leak_answer(found))


def test_a_leak_that_massif_lists_late_is_found_by_the_edges_that_list_it(tmp_path: Path) -> None:
    receipts = [60, 120, 240, 480]
    folder = run(tmp_path, "massif", ["--time-unit=B", "--threshold=10"], receipts)
    found = leak_rates(
        [
            HeapWindow(step, count, *(read_profile(folder / f"massif-{step}-{edge}") for edge in ("begin", "end")))
            for step, count in enumerate(receipts, 1)
        ]
    )
    (leak,) = found.flagged().to_dict("records")
    assert (leak["function"], leak["edges"], leak["unlisted"]) == ("keep", 3, 4)
    assert leak["rate"] == pytest.approx(LEAK_BYTES, rel=0.05)


def test_receipts_that_were_sent_between_windows_count(windows: list[HeapWindow]) -> None:
    # as if twice as many had been sent between the first window and the second
    apart = [
        HeapWindow(one.step, one.receipts, one.begin, one.end, receipts_before=before)
        for one, before in zip(windows, (0, 180, 300), strict=True)
    ]
    assert leak_rates(apart).rate[0] < leak_rates(windows).rate[0]


def test_a_leak_needs_three_steps_and_a_window_needs_receipts(windows: list[HeapWindow]) -> None:
    for few in (windows[:1], windows[:2]):
        found = leak_rates(few)
        assert not found.enough
        assert set(found.table["flag"]) == {TOO_FEW}
        assert "at least 3 are needed" in found.sentence
    with pytest.raises(WorkbenchError, match="window of 0 receipts"):
        leak_rates([HeapWindow(1, 0, windows[0].begin, windows[0].end)])


def test_a_heap_that_stays_as_it_was_is_said_to_be_steady(windows: list[HeapWindow]) -> None:
    still = [HeapWindow(step, 10, windows[2].end, windows[2].end) for step in (1, 2, 3)]
    found = leak_rates(still)
    assert found.flagged().empty
    assert found.sentence.startswith("Nothing looks like a leak")
    assert found.rate[0] == 0
