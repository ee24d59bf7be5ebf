"""The stand-in as a service to profile: as a child that ends with this process, or on its own on fixed ports."""

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
"""One process that plays both services; in containers they are two."""

# what is told over standard input is all the settings a child has, its folder for reports comes on top
_ARGUMENTS: Mapping[Mode, tuple[str, ...]] = {"flamegraph": ("--profile-dir", "{folder}")}
_PORTS: Mapping[str, str] = {
    "service_url": "service_port",
    "service_metrics_url": "service_metrics_port",
    "agent_metrics_url": "agent_metrics_port",
    "graph_url": "graph_port",
}


def child_service(settings: Settings) -> LocalService:
    """The stand-in with these settings, told over its standard input; keys stay here.

    Port 0 takes free ones at the first start, and the same ones at further starts.
    """

    def again(said: Known) -> LocalService:
        ports = {_PORTS[name]: urlsplit(url).port for name, url in said.items() if name in _PORTS}
        return _told(settings.model_copy(update={**ports, "database": Path(said["database"])}))

    return replace(_told(settings), again=again)


def own_service(arguments: tuple[str, ...], settings: Settings) -> LocalService:
    """The stand-in as ``workbench standin`` with ``arguments`` runs it: it goes on when this process ends.

    ``settings`` are those it will find as well; they say where it answers.
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
    """The settings of a stand-in that runs beside others: free ports, its database in ``folder``."""
    database = settings.database or folder / "standin.sqlite"
    return settings.model_copy(update={"database": database, "role": "both", **dict.fromkeys(_PORTS.values(), 0)})


def _told(settings: Settings) -> LocalService:
    return LocalService(
        name=NAME,
        argv=python_argv("-m", "workbench.standin", "--child"),
        announces=True,
        # strace writes down what is read, not the environment: a token goes by that
        first_line=settings.model_dump_json(exclude={*SECRETS, *WITH_PASSWORD, "payers"}),
        environment={TOKEN_VARIABLE: settings.free_query_token},
        arguments=_ARGUMENTS,
        roles=("service", "agent"),
    )
