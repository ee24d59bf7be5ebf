"""Tables and notes of profiles as cells show them."""

from __future__ import annotations

import base64
import io

import pandas as pd
from bs4 import BeautifulSoup

from workbench import report
from workbench.profiles.read import read_profile


def test_figures_are_readable_and_names_cannot_do_harm() -> None:
    frame = pd.DataFrame(
        {
            "name": ["<script>alert(1)</script>", "b"],
            "self": [1234567, 2],
            "self_pct": [99.9999, 0.1],
            "calls": pd.array([pd.NA, 3], dtype="Int64"),
            "per": [0.123456, float("nan")],
            "exact": [True, False],
        }
    )
    view = report.table(frame)
    assert "<script>" not in view.as_html
    page = BeautifulSoup(view.as_html, "html.parser")
    cells = {cell.text: cell.get("class", []) for cell in page.find_all("td")}
    for text in ("1,234,567", "100.00", "0.10", "–", "0.1235"):
        assert cells[text] == []
    # what is no figure stands at the left
    assert cells["yes"][0] == cells["b"][0] == "text"
    assert [one.text for one in page.find_all("th")] == ["name", "self", "self, %", "calls", "per", "exact"]
    assert "1 more row " in report.table(frame, 1).as_html
    assert not BeautifulSoup(report.table(frame.head(0)).as_html, "html.parser").select("tbody tr")


def test_every_table_has_all_its_rows_as_csv() -> None:
    frame = pd.DataFrame({"name": ["a,b", "c"], "cost_ns": [1.5, float("nan")]})
    page = BeautifulSoup(report.table(frame, 1, name="What it costs").as_html, "html.parser")
    link = page.select_one("a[download]")
    assert link["download"] == "what-it-costs.csv"
    kept = pd.read_csv(io.BytesIO(base64.b64decode(link["href"].partition(",")[2])))
    pd.testing.assert_frame_equal(kept, frame)


def test_a_column_that_no_row_has_is_left_out() -> None:
    frame = pd.DataFrame({"name": ["a"], "low": [float("nan")], "crate": [""]})
    page = BeautifulSoup(report.table(frame).as_html, "html.parser")
    assert [one.text for one in page.find_all("th")] == ["name"]


def test_a_name_can_lead_somewhere() -> None:
    frame = pd.DataFrame({"run": ["a", "b"], "verdict": ["PASS", "FAIL"]})
    view = report.table(frame, links={"run": ["a/report.html", ""]})
    links = [(link["href"], link.text) for link in BeautifulSoup(view.as_html, "html.parser").select("td a")]
    assert links == [("a/report.html", "a")]


def test_notes_are_listed_with_the_header() -> None:
    profile = read_profile(b"a;b 3\na x\n", format="folded")
    shown = report.notes(profile).as_html
    assert "<li>" in shown
    assert "reader" in shown
    assert "Nothing." in report.notes(read_profile(b"a;b 3\n", format="folded")).as_html
