"""Shared by all tests: no setting leaks in from outside, and in CI nothing is skipped."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.ci_skips import pytest_make_collect_report, pytest_runtest_makereport
from tests.workers import give_folder, pytest_collection_modifyitems, pytest_unconfigure
from workbench import keyring

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
    "pytest_unconfigure",
]

# machines that run tests are shared: how long an example takes, or making it, says nothing
settings.register_profile("workbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("workbench")


def pytest_configure(config: pytest.Config) -> None:
    """Started in the background, tests and what they start would ignore Ctrl-C, which some of them send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    give_folder(config)


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No WORKBENCH_* variable, no workbench.toml, and runs in a folder of the test's own."""
    for name in list(os.environ):
        if name.startswith("WORKBENCH_"):
            monkeypatch.delenv(name)
    keyring.hold(None)  # those of the test before
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
