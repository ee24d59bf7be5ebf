"""The sweeps that are killed: a plain one, one under a profiler, one with the network around its services."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port
from workbench.cli.options import option_of

RECEIPTS = (40, 60, 30, 50)
RATE = 20
LIMIT_GRT = "5"  # not reached: every receipt is accepted, so every row can be compared with the database
SERVICES = ("service", "agent", "guardian of the services")
NETWORK = ("graph-node and subgraph", "aggregator", "guard of PostgreSQL", "PostgreSQL")
MANY_PAYERS = 64  # a cut-off step has used one


@dataclass(frozen=True)
class Kind:
    """A kind of sweep: its settings in addition to the common ones, for a case's folder; the SQLite file of its
    receipts, from the case's folder and the run's; additional ``roles`` to kill; the receipts of its steps; and how
    many it sends beside those."""

    name: str
    own: Callable[[Path], dict[str, Any]]
    database: Callable[[Path, Path], Path]
    roles: tuple[str, ...]
    receipts: tuple[int, ...] = RECEIPTS
    extra: int = 0


def settings(kind: Kind, folder: Path) -> dict[str, Any]:
    """The settings of a case's sweep, with its files in ``folder``."""
    plan = {"receipts": ",".join(map(str, kind.receipts)), "rate": RATE, "limit_grt": LIMIT_GRT, "pinpoint": False}
    return {**plan, "standin_payers": MANY_PAYERS, "runs_dir": str(folder / "runs"), **kind.own(folder)}


def command(given: dict[str, Any]) -> list[str]:
    """A sweep as a typed command."""
    words = ["workbench", "sweep"]
    for name, value in given.items():
        if isinstance(value, bool):
            words.append(option_of(name) if value else f"--no-{option_of(name)[2:]}")
        else:
            words += [option_of(name), str(value)]
    return words


def _with_network(folder: Path) -> dict[str, Any]:
    """The stand-in's two roles as commands with a separate settings file, and the real network around them."""
    config = folder / "standin.toml"
    config.write_text(f'limit_grt = "{LIMIT_GRT}"\ndatabase = "{folder / "standin.sqlite"}"\n')
    words = [sys.executable, "-m", "workbench.cli", "standin", "--config", str(config)]
    ports = [f"--{name}={free_port()}" for name in ("service-port", "service-metrics-port", "graph-port")]
    return {
        "network": True,
        "network_folder": str(folder / "network"),
        "service_command": shlex.join([*words, "--role", "service", *ports]),
        "agent_command": shlex.join([*words, "--role", "agent", f"--agent-metrics-port={free_port()}"]),
    }


KINDS = {
    kind.name: kind
    for kind in (
        Kind("sweep", lambda _: {}, lambda _, run: run / "standin.sqlite", ("stand-in",)),
        Kind(
            "profiled",
            lambda _: {"profiler": "strace", "idle_s": 1},
            lambda _, run: run / "standin.sqlite",
            ("stand-in", "profiler"),
            extra=90,  # the step without the profiler, and the warm-up
        ),
        Kind(
            "network",
            _with_network,
            lambda folder, _: folder / "standin.sqlite",
            (*SERVICES, *NETWORK),
            # if a part of the network is killed the step is kept, so more kills need more steps
            receipts=(20, 30, 15, 25) * 2,
        ),
    )
}
