"""In continuous integration a test that does not run is a failure: a skip would say green for nothing.

``tests/conftest.py`` imports the two hooks. They do something only where ``CI=true`` is set. What cannot be had
on every machine is listed in ``ALLOWED`` with a word that its skip reason holds.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
ALLOWED = (
    "needs macOS",
    "needs Windows",
    "corpus of public profiles",
    "recordings of the real programs",
    "cannot be mounted here",
    "Debian has no package of",
    "no time namespaces",
    "perf may not record here",
)


def must_run(reason: str, environment: dict[str, str]) -> bool:
    """Whether a skip for ``reason`` is a failure in this environment."""
    return environment.get("CI") == "true" and not any(word.lower() in reason.lower() for word in ALLOWED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of one test into a failure."""
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module (``importorskip`` and the like) into a failure."""
    return _refuse_skip((yield))


def _refuse_skip(report: R) -> R:
    # a test that is expected to fail reports "skipped" as well
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if must_run(reason, dict(os.environ)):
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid} was skipped, and CI skips nothing. {reason}"
    return report
