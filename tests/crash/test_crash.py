"""The crash harness, short: each kind of sweep killed once or twice. The long run: ``python -m tests.crash``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.case import run_case
from tests.crash.kinds import KINDS


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: sockets are in it."""
    path = Path(tempfile.mkdtemp(prefix="crash-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("kind", "kills"), [("sweep", 2), ("profiled", 1), ("network", 1)])
def test_killed_at_random_moments_and_gone_on_with_by_its_hints_nothing_is_lost_or_left(
    kind: str, kills: int, folder: Path
) -> None:
    case = run_case(KINDS[kind], seed=1, kills=kills, folder=folder)
    assert case.faults == [], (case.kills, case.said[-2000:])
    assert case.kills
