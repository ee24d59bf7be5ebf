"""The crash harness, short: each kind of sweep killed once or twice. The long run: ``python -m tests.crash``."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.case import run_case
from tests.crash.family import KERNEL
from tests.crash.kinds import KINDS
from tests.crash.moments import IN_ROWS, Moment, moments


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, since it contains sockets."""
    path = Path(tempfile.mkdtemp(prefix="crash-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    ("kind", "whom"), [("sweep", [KERNEL, "stand-in"]), ("profiled", ["profiler"]), ("network", ["PostgreSQL"])]
)
def test_killed_at_random_moments_and_gone_on_with_by_its_hints_nothing_is_lost_or_left(
    kind: str, whom: list[str], folder: Path
) -> None:
    to_come = [Moment(role, chance.random() / 2) for chance in [random.Random()] for role in whom]
    case = run_case(KINDS[kind], 1, len(whom), folder, to_come)
    assert case.faults == [], (case.kills, case.said[-2000:])
    assert [kill.role for kill in case.kills] == whom


@pytest.mark.parametrize("kind", KINDS)
def test_each_process_is_to_be_killed_as_often_as_any_other(kind: str) -> None:
    roles = (*IN_ROWS, *KINDS[kind].roles)
    killed = Counter(
        moment.role
        for seed in range(1, len(roles) + 1)
        for moment in moments(kind, roles, seed, 12)
        if not moment.report
    )
    assert killed == dict.fromkeys(roles, 12)
