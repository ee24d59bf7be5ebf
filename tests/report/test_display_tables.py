"""Tables and notes of profiles as cells show them."""

from __future__ import annotations

import pandas as pd

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
    for text in ("1,234,567", "100.00", "0.10", "–", "0.1235", "yes", "no"):
        assert f"<td>{text}</td>" in view.as_html
    assert "1 more rows" in report.table(frame, 1).as_html
    assert "<tbody></tbody>" in report.table(frame.head(0)).as_html


def test_notes_are_listed_with_the_header() -> None:
    profile = read_profile(b"a;b 3\na x\n", format="folded")
    shown = report.notes(profile).as_html
    assert "<li>" in shown
    assert "reader" in shown
    assert "Nothing." in report.notes(read_profile(b"a;b 3\n", format="folded")).as_html
