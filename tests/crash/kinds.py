"""The sweeps that are killed: a plain one, one under a profiler, one with the network around its services."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.profilers.services import free_port

RECEIPTS = (40, 60, 30, 50)
RATE = 60
LIMIT_GRT = "5"  # is not reached: every receipt is accepted, so every row can be compared with the database
MANY_PAYERS = "64"  # a step that was cut off has spent one


@dataclass(frozen=True)
class Kind:
    """A kind of sweep: its ``options`` for a case's folder, the SQLite file in which its receipts are stored, by the
    case's folder and the run's, and how many receipts it sends beside those of its steps."""

    name: str
    options: Callable[[Path], list[str]]
    database: Callable[[Path, Path], Path]
    extra: int = 0


def command(kind: Kind, folder: Path) -> list[str]:
    """The sweep as it is typed, with its files in ``folder``."""
    plan = ["--receipts", ",".join(map(str, RECEIPTS)), "--rate", str(RATE), "--limit-grt", LIMIT_GRT]
    return ["workbench", "sweep", *plan, "--no-pinpoint", "--runs-dir", str(folder / "runs"), *kind.options(folder)]


def _with_network(folder: Path) -> list[str]:
    """The stand-in's two roles as commands with a settings file of their own, and the real network around them."""
    config = folder / "standin.toml"
    config.write_text(f'limit_grt = "{LIMIT_GRT}"\ndatabase = "{folder / "standin.sqlite"}"\n')
    words = [sys.executable, "-m", "workbench.cli", "standin", "--config", str(config)]
    ports = [f"--{name}={free_port()}" for name in ("service-port", "service-metrics-port", "graph-port")]
    return [
        *("--network", "--network-folder", str(folder / "network"), "--standin-payers", MANY_PAYERS),
        *("--service", shlex.join([*words, "--role", "service", *ports])),
        *("--agent", shlex.join([*words, "--role", "agent", f"--agent-metrics-port={free_port()}"])),
    ]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("sweep", lambda _: ["--standin-payers", MANY_PAYERS], lambda _, run: run / "standin.sqlite"),
        Kind(
            "profiled",
            lambda _: ["--standin-payers", MANY_PAYERS, "--profiler", "strace", "--idle-s", "1"],
            lambda _, run: run / "standin.sqlite",
            extra=90,  # the step without the profiler, and the warm-up
        ),
        Kind("network", _with_network, lambda folder, _: folder / "standin.sqlite"),
    )
}
