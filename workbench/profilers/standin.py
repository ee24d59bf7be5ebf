"""The stand-in as a service to profile: as a child that ends with this process, or on its own on fixed ports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workbench.errors import ToolError
from workbench.profilers.backends.local import LocalBackend, LocalService, python_argv
from workbench.profilers.modes import Mode
from workbench.settings import SECRETS, Settings
from workbench.standin.child import TOKEN_VARIABLE
from workbench.standin.endpoints import Endpoints

NAME = "standin"
"""One process that plays both services; in containers they are two."""

# Python's own allocator takes memory in arenas, which would be all that massif sees.
_VARIABLES: Mapping[Mode, Mapping[str, str]] = {"massif": {"PYTHONMALLOC": "malloc"}}
_ARGUMENTS: Mapping[Mode, tuple[str, ...]] = {"flamegraph": ("--profile-dir", "{folder}")}
_PORTS = ("service_port", "service_metrics_port", "agent_metrics_port", "graph_port")


def child_service(settings: Settings) -> LocalService:
    """The stand-in with these settings, told over its standard input; keys stay here.

    Port 0 takes free ones: :func:`endpoints` says which, :func:`pinned` keeps them for further starts.
    """
    return LocalService(
        name=NAME,
        argv=python_argv("-m", "workbench.standin", "--child"),
        ready=lambda output: _endpoints_line(output) is not None,
        # strace writes down what is read, not the environment: a token goes by that
        first_line=settings.model_dump_json(exclude={*SECRETS, "payers"}),
        environment={TOKEN_VARIABLE: settings.free_query_token},
        variables=_VARIABLES,
        arguments=_ARGUMENTS,
    )


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
        variables=_VARIABLES,
        arguments=_ARGUMENTS,
    )


def endpoints(backend: LocalBackend) -> Endpoints:
    """Where a started stand-in answers. Raises ToolError where it has not said so."""
    line = _endpoints_line(backend.output())
    if line is None:
        raise ToolError("has not said where it answers", where=NAME, hint="See its service.log")
    return Endpoints.from_json(line)


def pinned(settings: Settings, known: Endpoints) -> Settings:
    """The settings with the ports a stand-in got, so that it is found again after a restart."""
    urls = (known.service_url, known.service_metrics_url, known.agent_metrics_url, known.graph_url)
    ports = {name: int(url.rsplit(":", 1)[1].split("/", 1)[0]) for name, url in zip(_PORTS, urls, strict=True) if url}
    return settings.model_copy(update={**ports, "database": Path(known.database)})


def _endpoints_line(output: str) -> str | None:
    """The line a stand-in says when it answers, among those of a tool."""
    for line in output.splitlines():
        if line.startswith('{"service_url"') and line.endswith("}"):
            return line
    return None
