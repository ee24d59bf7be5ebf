"""Whether a page opens by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.report.opening import open_page, somebody_looks


@pytest.mark.parametrize(
    ("environment", "is_terminal", "platform", "looks"),
    [
        ({"DISPLAY": ":0"}, True, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, "linux", True),
        ({}, True, "darwin", True),
        ({}, True, "linux", False),
        ({"DISPLAY": ":0"}, False, "linux", False),
        ({"DISPLAY": ":0", "CI": "true"}, True, "linux", False),
    ],
)
def test_only_where_somebody_looks(environment: dict[str, str], is_terminal: bool, platform: str, looks: bool) -> None:
    assert somebody_looks(environment, is_terminal, platform) is looks


def test_nothing_opens_in_tests(tmp_path: Path) -> None:
    assert not open_page(tmp_path / "page.html", {"DISPLAY": ":0"})
