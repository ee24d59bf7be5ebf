"""What must run around the services of a run: with ``network`` the network of :mod:`workbench.network`, otherwise
nothing.

The facts known after starting it go into the settings, so that all later code is the same.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from workbench.errors import SettingsError, WorkbenchError
from workbench.receipts.address import checksum
from workbench.settings import Settings

if TYPE_CHECKING:
    from workbench.network.run import Network

_FREE_PORTS: Mapping[str, int] = {
    "service_port": 0,
    "service_metrics_port": 0,
    "agent_metrics_port": 0,
    "graph_port": 0,
    "aggregator_port": 0,
}


def check_surroundings(settings: Settings) -> None:
    """Raise SettingsError if no programs are given that need the network, ToolError if its packages are not
    installed."""
    if settings.agent_command is not None and settings.service_command is None:
        raise SettingsError(
            "the agent has a command but the service has none",
            where="agent_command",
            hint="Give --service as well, or --target and --agent-metrics-url of services that run already",
        )
    if not settings.network:
        return
    if settings.service_command is None:
        raise SettingsError(
            "the network needs programs to start, but no command was given",
            where="network",
            hint='Give --service "indexer-service-rs" and --agent "indexer-tap-agent"',
        )
    if settings.compose is not None or settings.target is not None:
        raise SettingsError(
            "the network sets the addresses itself", where="network", hint="Leave --target and --compose out"
        )
    from workbench.network.extra import require_extra

    require_extra()


@dataclass(frozen=True)
class Surroundings:
    """``settings`` for the services; ``require_answering`` raises TargetError naming the part of the network that does
    not answer."""

    settings: Settings
    require_answering: Callable[[], Awaitable[None]]


@asynccontextmanager
async def surroundings(settings: Settings, name: str) -> AsyncIterator[Surroundings]:
    """Within the block, what the services of a run need is running. If a part of it does not answer, an error in the
    block is replaced by one that names this part.

    The network's data are in their own folder in ``network_folder``, named after the run (``name``), so that a resumed
    run finds its database again. They are deleted when the run has finished.
    """
    check_surroundings(settings)
    if not settings.network:
        yield Surroundings(settings, _nothing)
        return
    from workbench.network.look import require_answering
    from workbench.network.run import network

    folder = settings.network_folder / name
    async with network(settings.model_copy(update=_FREE_PORTS), folder) as around:
        try:
            yield Surroundings(with_network(settings, around), partial(require_answering, around))
        except WorkbenchError as error:
            try:
                await require_answering(around)
            except WorkbenchError as cause:
                raise cause from error
            raise
    shutil.rmtree(folder, ignore_errors=True)


async def forget(settings: Settings, name: str) -> None:
    """Delete the network's data of a resumed run that finishes without starting the network: all steps were already
    measured."""
    folder = settings.network_folder / name
    if not settings.network or not folder.is_dir():
        return
    from workbench.network.postgres import end_left_over

    await end_left_over(folder / "postgres")
    shutil.rmtree(folder, ignore_errors=True)


async def _nothing() -> None:
    """Without a network nothing can have stopped."""


def with_network(settings: Settings, around: Network) -> Settings:
    """The settings with commands, addresses, payers and limit of the network.

    A command without a configuration file gets the network's.
    """
    known = around.addresses
    payers = around.payers
    changes: dict[str, Any] = {
        "service_command": _with_config(settings.service_command, around.service_config),
        "agent_command": _with_config(settings.agent_command, around.agent_config),
        "target": known.service_url,
        "graph_url": known.graph_url,
        "service_metrics_url": known.service_metrics_url,
        "agent_metrics_url": known.agent_metrics_url if settings.agent_command else None,
        "database_url": known.database_url,
        "allocation": checksum(around.allocation),
        "limit_hint_grt": settings.limit_grt,
    }
    if not settings.payers:
        changes["payers"] = [checksum(payer.address) for payer in payers]
        changes["signer_keys"] = [SecretStr(payer.key.reveal()) for payer in payers]
    own = {name for name in ("service_command", "agent_command") if _names_config(getattr(settings, name))}
    if "service_command" in own:
        # it has its own configuration file, which sets its address
        for name in ("target", "service_metrics_url", "graph_url", "database_url", "allocation"):
            changes[name] = getattr(settings, name)
    if "agent_command" in own:
        changes["agent_metrics_url"] = settings.agent_metrics_url
    return settings.model_copy(update=changes)


def _names_config(command: str | None) -> bool:
    return command is not None and any(word.partition("=")[0] == "--config" for word in shlex.split(command))


def _with_config(command: str | None, config: Path) -> str | None:
    if command is None or _names_config(command):
        return command
    return f"{command} --config {shlex.quote(str(config))}"
