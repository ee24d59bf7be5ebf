"""The page of a profile: complete, sortable, offline, and not moved by the names in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tests.charts.profiles import CPU, HOSTILE, SAMPLES, folded
from tests.report.browser import PHONE_PX, offline_page
from workbench.profiles.notes import Note
from workbench.report import external_addresses
from workbench.report.export import POLICY
from workbench.report.page import ROWS, profile_page

PROFILE = folded({"main;work@w.rs:3": 1_000, "main;rest": 30, "main": 4}, metrics=(CPU, SAMPLES), name="run.folded")


@pytest.mark.browser
async def test_it_has_facts_graph_table_and_notes(tmp_path: Path) -> None:
    profile = PROFILE.with_notes(Note("lines without a count", 3, "run.folded:7"))
    path = tmp_path / "page.html"
    path.write_text(profile_page(profile), encoding="utf-8")
    async with offline_page(path, width_px=PHONE_PX) as offline:
        page = offline.page
        await page.locator('.wb-flame[data-state="drawn"]').wait_for()
        text = await page.locator("body").inner_text()
        assert "Total cpu\t1,034 ns (CPU time)" in text
        assert "Total samples\t3 count" in text
        assert "lines without a count, 3 times, first at run.folded:7" in text
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= PHONE_PX
        names = page.locator("table.sortable tbody tr td:first-child")
        assert await names.all_inner_texts() == ["work", "rest", "main"]
        await page.locator("table.sortable").get_by_role("button", name="Total", exact=True).click()
        assert await names.all_inner_texts() == ["main", "work", "rest"]
        await page.locator("table.sortable").get_by_role("button", name="Total", exact=True).click()
        assert await names.all_inner_texts() == ["rest", "work", "main"]
        await page.locator("table.sortable").get_by_role("button", name="Function").click()
        assert await names.all_inner_texts() == ["main", "rest", "work"]
        assert await page.locator("table.sortable th[aria-sort]").all_inner_texts() == ["Function"]
        assert offline.requests == []
        assert offline.complaints == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_every_screen(scheme: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(profile_page(PROFILE), encoding="utf-8")
    async with offline_page(path, color_scheme=scheme) as offline:
        page = offline.page
        await page.locator(f'.wb-flame[data-state="drawn"][data-theme="{scheme}"]').wait_for()
        beside = []
        for width_px in (PHONE_PX, 768, 1024, 1366, 1920):
            await page.set_viewport_size({"width": width_px, "height": 900})
            assert await page.evaluate("() => document.documentElement.scrollWidth") <= width_px
            graph = await page.locator(".wb-flame-graph").bounding_box()
            tables = await page.locator(".wb-flame-beside").bounding_box()
            assert graph
            assert tables
            beside.append(tables["x"] > graph["x"])
        assert beside == [False, False, False, True, True]  # below the graph where there is no room beside it
        assert offline.requests == []
        assert offline.complaints == []


def test_it_is_closed_to_the_outside() -> None:
    html = profile_page(PROFILE)
    page = BeautifulSoup(html, "html.parser")
    assert external_addresses(html) == []
    assert page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"] == POLICY
    assert [heading.text for heading in page.find_all(["h1", "h2"])] == [
        "run.folded",
        "Flame graph",
        "Functions",
        "Notes",
        "Totals and header",
    ]


def test_two_profiles_stand_side_by_side() -> None:
    page = BeautifulSoup(profile_page(PROFILE, before=folded({"main": 9}, name="old"), title="Better?"), "html.parser")
    assert page.h1.text == "Better?"
    rows = {row.th.text: [cell.text for cell in row.find_all("td")] for row in page.select(".facts tbody tr")}
    assert rows["File"] == ["run.folded", "old"]
    assert rows["Total cpu"] == ["1,034 ns (CPU time)", "9 ns (CPU time)"]
    assert [heading.text for heading in page.find_all("h3")] == ["After", "Before"]


def test_text_of_others_stays_text() -> None:
    profile = folded({f"{HOSTILE};x@{HOSTILE}:3": 1}, name=HOSTILE).with_notes(Note(HOSTILE, 1, HOSTILE))
    page = BeautifulSoup(profile_page(profile, title=HOSTILE), "html.parser")
    assert not [script for script in page.find_all("script") if script.text.startswith("alert")]
    assert page.find("img") is None
    assert page.title.text.startswith("</script>")


def test_a_long_table_says_what_is_shown() -> None:
    html = profile_page(folded({f"f{n}": n + 1 for n in range(ROWS + 20)}))
    page = BeautifulSoup(html, "html.parser")
    assert len(page.select("table.sortable tbody tr")) == ROWS
    assert f"The first {ROWS} of {ROWS + 20:,} are shown." in page.text
