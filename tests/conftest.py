"""Shared by all tests: no setting leaks in from outside, and in CI nothing is skipped."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from tests import quick, workers
from tests.ci_skips import pytest_make_collect_report, pytest_runtest_makereport
from tests.quick import pytest_addoption, pytest_ignore_collect, pytest_runtest_protocol
from tests.workers import pytest_unconfigure
from workbench import keyring
from workbench.leaving_out import without_last_collection

__all__ = [
    "pytest_addoption",
    "pytest_ignore_collect",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_unconfigure",
]


def pytest_configure(config: pytest.Config) -> None:
    """Started in the background, tests and what they start would ignore Ctrl-C, which some of them send.

    Garbage in cycles is looked for rarely, and at the end not at all: a tenth of the CPU time, and a second a worker.
    """
    gc.set_threshold(100_000, 20, 20)
    without_last_collection()
    # each of hundreds of processes would compile the package for itself, some of them under valgrind
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    workers.give_folder(config)
    quick.choose_examples(config)
    quick.watch(config)


def pytest_collection_finish() -> None:
    """What is imported by now stays."""
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is not asked for is left out; of the rest the longest come first."""
    for item in items:
        if any("valgrind" in marker.kwargs.get("reason", "") for marker in item.iter_markers("skipif")):
            item.add_marker("valgrind")  # it says itself that it is skipped where there is none
        if item.get_closest_marker("browser"):
            # a browser is bound to a loop, so those who share it share the loop
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.fixturenames.insert(0, "chromium")  # type: ignore[attr-defined]  # of functions, and these are
    quick.leave_out(config, items)
    workers.longest_first(config, items)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[None]:
    """One browser for the tests marked ``browser``, see :func:`tests.report.browser.headless_chromium`."""
    from tests.report.browser import one_browser

    async with one_browser():
        yield


@pytest.fixture(scope="session")
def new_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Empty folders, one after the other. ``mktemp`` looks through all there are, thousands of times."""
    home = tmp_path_factory.mktemp("cwd")

    def made() -> Iterator[Path]:
        for number in count():
            path = home / str(number)
            path.mkdir()
            yield path

    return made()


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch, new_folders: Iterator[Path]) -> None:
    """No WORKBENCH_* variable, no workbench.toml, and runs in a folder of the test's own."""
    for name in list(os.environ):
        if name.startswith("WORKBENCH_"):
            monkeypatch.delenv(name)
    keyring.hold(None)  # those of the test before
    monkeypatch.chdir(next(new_folders))
