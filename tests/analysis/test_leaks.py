"""Leak rates of a real program under massif: the planted rate is found and named, warm-up is not called a leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.made import heap
from tests.analysis.service import LEAK_BYTES, run
from workbench import read_profile
from workbench.analysis.answers import leak_answer
from workbench.analysis.leaks import LEAK, PLACE, STEADY, TOO_FEW, WARM_UP, HeapWindow, leak_rates
from workbench.errors import WorkbenchError
from workbench.profiles.model import Profile

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


def leaky(folder: Path, held: int) -> Profile:
    return heap(folder, ("0x49DF100", "A (x.c:1)", 400_000), ("0x49DF1C6", "leaky (x.c:9)", 100_000 + held))


def test_a_line_that_is_two_frames_is_one_site(tmp_path: Path) -> None:
    """A function that is inlined in one place and called in another allocates at one line from two frames."""

    def edge(held: int) -> Profile:
        return heap(
            tmp_path,
            ("0x49DF100", "A (x.c:1)", 400_000),
            ("0x49DF1C6", "leaky (x.c:9) < caller (x.c:20)", 100_000 + held),
            ("0x49E7108", "leaky (x.c:9)", 20_000),
        )

    sent, windows = 0, []
    for step, receipts in enumerate((100, 200, 300)):
        windows.append(HeapWindow(step, receipts, edge(100 * sent), edge(100 * (sent + receipts))))
        sent += receipts
    found = leak_rates(windows)
    (leak,) = found.flagged().to_dict("records")
    assert leak["rate"] == pytest.approx(100)
    assert (leak["kept_bytes"], leak["held_bytes"]) == (50_000, 180_000)
    assert (leak["edges"], leak["unlisted"]) == (5, 0)
    assert not found.edges.duplicated(["step", "edge", *PLACE]).any()


def resumed(folder: Path, sizes: tuple[int, ...], at: int) -> list[HeapWindow]:
    """Windows of 100 bytes a receipt; from step ``at`` on another process, whose heap begins anew."""
    windows, sent, held = [], 0, 0
    for step, receipts in enumerate(sizes):
        held = 0 if step == at else held
        begin, end = leaky(folder, 100 * held), leaky(folder, 100 * (held + receipts))
        windows.append(HeapWindow(step, receipts, begin, end, sent, session=int(step >= at)))
        sent, held = sent + receipts, held + receipts
    return windows


def test_levels_of_two_sessions_are_not_compared(tmp_path: Path) -> None:
    found = leak_rates(resumed(tmp_path, (100, 200, 300, 400), 2))
    (leak,) = found.flagged().to_dict("records")
    assert leak["rate"] == pytest.approx(100)
    assert found.rate == pytest.approx((100, 100, 100))
    # each session's first step is warm-up
    assert (leak["edges"], leak["kept_bytes"]) == (6, 60_000)
    assert "2 sessions" in found.sentence
    assert "session" not in leak_rates(resumed(tmp_path, (100, 200, 300), 9)).sentence
    few = leak_rates(resumed(tmp_path, (100, 200, 300), 2))
    assert not few.enough
    assert "first of each session is warm-up" in few.sentence


def test_steps_with_denied_receipts_are_left_out(tmp_path: Path) -> None:
    windows = resumed(tmp_path, (100, 200, 300), 9)
    held = 100 * 600
    refused = HeapWindow(3, 400, leaky(tmp_path, held), leaky(tmp_path, held), 600, denied=400)
    found = leak_rates([*windows, refused])
    assert found.flagged()["rate"].tolist() == pytest.approx([100])
    assert "1 step with denied receipts is left out" in found.sentence
    assert set(found.edges["step"]) == {0, 1, 2}
    early = HeapWindow(0, 100, windows[0].begin, windows[0].end, 0, denied=1)
    assert leak_rates([early, *windows[1:]]).flagged()["rate"].tolist() == pytest.approx([100])
    alone = leak_rates([refused])
    assert not alone.enough
    assert "every receipt was denied" in alone.sentence


def test_warm_up_is_what_rose_and_the_most_of_it_is_named(tmp_path: Path) -> None:
    def edge(cache: int, large: int) -> Profile:
        return heap(tmp_path, ("0x1", "cache (x.c:1)", cache), ("0x2", "large (x.c:2)", large), ("0x3", "t (x.c:3)", 9))

    ends = [edge(90_000, 2_000_065)] * 3
    begins = [edge(10_000, 2_000_000), *ends[:2]]
    found = leak_rates([HeapWindow(step, 10, begins[step], ends[step]) for step in range(3)])
    flags = found.table.set_index("function")["flag"].to_dict()
    assert flags == {"cache": WARM_UP, "large": STEADY, "t": STEADY}
    said = " ".join(leak_answer(found))
    assert "cache (x.c:1) rose by 80,000 bytes in the first step only: that is warm-up" in said


def test_a_site_that_crosses_the_threshold_in_the_first_step_is_no_warm_up(tmp_path: Path) -> None:
    unlisted = heap(tmp_path, ("0x1", "A (x.c:1)", 400_000), below=600_000)
    listed = heap(tmp_path, ("0x1", "A (x.c:1)", 400_000), ("0x2", "B (x.c:2)", 5_010), below=594_990)
    found = leak_rates([HeapWindow(step, 100, unlisted if step == 0 else listed, listed) for step in range(3)])
    assert found.table.set_index("function").loc["B", "flag"] == STEADY
