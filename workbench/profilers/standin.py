"""The stand-in as a service to profile: as a child that ends with this process, or independent on fixed ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from workbench.profilers.backends.local import python_argv
from workbench.profilers.backends.service import Known, LocalService
from workbench.profilers.modes import Mode
from workbench.settings import SECRETS, WITH_PASSWORD, Settings
from workbench.standin.child import TOKEN_VARIABLE

NAME = "standin"
"""One process for both services; in containers there are two."""

# a child gets its settings only over standard input, plus the folder for reports
_ARGUMENTS: Mapping[Mode, tuple[str, ...]] = {"flamegraph": ("--profile-dir", "{folder}")}
_PORTS: Mapping[str, str] = {
    "service_url": "service_port",
    "service_metrics_url": "service_metrics_port",
    "agent_metrics_url": "agent_metrics_port",
    "graph_url": "graph_port",
}


def child_service(settings: Settings) -> LocalService:
    """The stand-in with these settings, which are sent over its standard input; keys stay here.

    Port 0 takes a free port at the first start, and the same one at later starts.
    """

    def again(said: Known) -> LocalService:
        ports = {_PORTS[name]: urlsplit(url).port for name, url in said.items() if name in _PORTS}
        return _told(settings.model_copy(update={**ports, "database": Path(said["database"])}))

    return replace(_told(settings), again=again)


def own_service(arguments: tuple[str, ...], settings: Settings) -> LocalService:
    """The stand-in as run by ``workbench standin`` with ``arguments``; it continues when this process ends.

    ``settings``: those that it will have, for its addresses.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  read, not bound
    address = f"[{host}]" if ":" in host else host
    return LocalService(
        name=NAME,
        argv=python_argv("-m", "workbench.cli", "standin", *arguments),
        health_url=f"http://{address}:{settings.service_port}/",
        roles=("service", "agent"),
    )


def standin_settings(settings: Settings, folder: Path) -> Settings:
    """Settings of a stand-in that runs beside others: free ports, database in ``folder``."""
    database = settings.database or folder / "standin.sqlite"
    return settings.model_copy(update={"database": database, "role": "both", **dict.fromkeys(_PORTS.values(), 0)})


def _told(settings: Settings) -> LocalService:
    return LocalService(
        name=NAME,
        argv=python_argv("-m", "workbench.standin", "--child"),
        announces=True,
        # strace logs what is read, not the environment, so a token is passed in the environment
        first_line=settings.model_dump_json(exclude={*SECRETS, *WITH_PASSWORD, "payers"}),
        environment={TOKEN_VARIABLE: settings.free_query_token},
        arguments=_ARGUMENTS,
        roles=("service", "agent"),
    )
