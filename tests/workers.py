"""Several workers of pytest-xdist at once, as ``make test`` has them. ``tests/conftest.py`` takes it from here.

A file of tests is one worker's, so what is made once for a file is made once. Nothing may depend on being alone on the
machine: tests assert counts and ratios, never how long something takes.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

# What takes minutes a file is begun first; what is left at the end are files of seconds, for whichever worker is free.
LONGEST_FIRST = ("tests/profilers/", "tests/sweep/", "tests/network/", "tests/test_", "tests/report/", "tests/charts/")

_folder = pytest.StashKey[str]()


def give_folder(config: pytest.Config) -> None:
    """A worker has a folder of its own for temporary files: the lock of whoever measures is there, and its pipes."""
    if hasattr(config, "workerinput"):
        os.environ.pop("XDG_RUNTIME_DIR", None)  # where it would be else
        config.stash[_folder] = os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="worker-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The folder goes with its worker."""
    if folder := config.stash.get(_folder, ""):
        shutil.rmtree(folder, ignore_errors=True)


def longest_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with the longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


def rank(nodeid: str) -> int:
    """The place of a test's folder in LONGEST_FIRST; what is not there comes last."""
    return next((place for place, start in enumerate(LONGEST_FIRST) if nodeid.startswith(start)), len(LONGEST_FIRST))
