"""What has to run around the services of a run: with ``network`` the network of :mod:`workbench.network`, else nothing.

What is learnt by starting it goes into the settings, so that everything after it is the same code.
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
    """Raise SettingsError where there are no programs to put the network around, ToolError where its packages are not
    installed."""
    if settings.agent_command is not None and settings.service_command is None:
        raise SettingsError(
            "the agent has a command, the service has none",
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
    """``settings`` as the services find them; ``require_answering`` raises TargetError naming the part of the network
    that does not answer."""

    settings: Settings
    require_answering: Callable[[], Awaitable[None]]


@asynccontextmanager
async def surroundings(settings: Settings, name: str) -> AsyncIterator[Surroundings]:
    """What the services of a run need, running while the block does. An error in the block that comes of a part that
    does not answer is told as that.

    The network's data are in a folder of ``network_folder`` of its own (``name``, the run's): a run that is gone on
    with finds its database again. They are deleted when the run has ended well: what it found is in the run's folder.
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
    """Delete the network's data of a run that ends well without it: all steps were there, and what was killed in the
    last of them had ended it badly."""
    folder = settings.network_folder / name
    if not settings.network or not folder.is_dir():
        return
    from workbench.network.postgres import end_left_over

    await end_left_over(folder / "postgres")
    shutil.rmtree(folder, ignore_errors=True)


async def _nothing() -> None:
    """There is nothing around the services that could be gone."""


def with_network(settings: Settings, around: Network) -> Settings:
    """The settings with commands, addresses, payers and limit as the network has them.

    A command that names no configuration file gets the network's.
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
        # it runs by a file of its own: where it answers is not ours to say
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
