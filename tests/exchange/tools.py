"""Other people's load tools, where they are installed, and a stand-in for them to load."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.standin.conftest import quick
from workbench.standin.endpoints import Endpoints
from workbench.standin.server import Standin

WORKBENCH = (sys.executable, "-m", "workbench.cli")


def program(name: str) -> str:
    """The path of a tool; the test is skipped where there is none. Debian has no package of vegeta and k6."""
    found = shutil.which(name) or shutil.which(name, path=str(Path.home() / "go" / "bin"))
    if found is None:
        pytest.skip(f"{name} is not installed, and Debian has no package of it: go install it")
    return found


@dataclass(frozen=True)
class Loaded:
    """A running stand-in."""

    endpoints: Endpoints

    @property
    def options(self) -> tuple[str, ...]:
        """What the command line is told of it."""
        return (
            *("--target", str(self.endpoints.service_url), "--graph-url", str(self.endpoints.graph_url)),
            *("--agent-metrics-url", str(self.endpoints.agent_metrics_url)),
        )

    def stored(self) -> list[int]:
        """The nonces of the receipts in its database."""
        with sqlite3.connect(str(self.endpoints.database)) as database:
            rows = database.execute("SELECT nonce FROM tap_horizon_receipts").fetchall()
        return [int(row[0]) for row in rows]


@asynccontextmanager
async def standin(**changes: object) -> AsyncIterator[Loaded]:
    """A stand-in with budget for a thousand receipts of a tenth of a GRT."""
    async with Standin(quick(limit_grt=1000, escrow_grt=10_000, **changes)) as running:
        yield Loaded(running.endpoints)


async def run(*command: str | Path, stdin: bytes | None = None, code: int = 0) -> tuple[str, str]:
    """What a command writes to its two outputs, while the stand-in of this process answers."""
    words: Sequence[str] = [str(word) for word in command]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "K6_NO_USAGE_REPORT": "true"},
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 120)
    assert process.returncode == code, err.decode()
    return out.decode(), err.decode()
