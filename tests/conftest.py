"""Shared by all tests: no setting leaks in from outside, and in CI nothing is skipped."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.ci_skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

# machines that run tests are shared: how long an example takes says nothing
settings.register_profile("workbench", deadline=None)
settings.load_profile("workbench")


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No WORKBENCH_* variable, no workbench.toml, and runs in a folder of the test's own."""
    for name in list(os.environ):
        if name.startswith("WORKBENCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
