"""Every test of profilers leaves no process behind."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.profilers.services import compiled

MARK = "PROFILERS_TEST"


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test starts has its mark in the environment; none of it may go on."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    yield
    deadline = time.monotonic() + 30
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    names = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            names.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
            process.kill()
    assert names == [], "processes were left behind"


def marked(mark: str) -> list[psutil.Process]:
    """The processes with a mark in their environment that run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C service, compiled once."""
    return compiled(tmp_path_factory.mktemp("program"))
