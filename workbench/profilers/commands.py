"""Makes a backend from settings: a service and an agent by their commands, the stand-in, or a compose file."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from workbench.errors import SettingsError
from workbench.profilers.backends.local import LocalBackend
from workbench.profilers.backends.protocol import Backend
from workbench.profilers.backends.service import Known, LocalService, configuration_of
from workbench.profilers.standin import child_service, standin_settings
from workbench.service.configuration import Role, secrets_of
from workbench.settings import Settings
from workbench.settings.kinds import apart

OPTIONS: Mapping[Role, str] = {"service": "--service", "agent": "--agent"}

_INTERPRETER = re.compile(r"(?:python|pypy)[0-9.]*")
# which program gives each address; the database and subgraph are the same for both
_OF_ROLE: Mapping[Role, tuple[str, ...]] = {
    "service": ("service_url", "service_metrics_url", "graph_url", "database_url", "database"),
    "agent": ("agent_metrics_url", "graph_url", "database_url", "database"),
}


def has_commands(settings: Settings) -> bool:
    """Whether the settings have a command for a service or an agent."""
    return settings.service_command is not None or settings.agent_command is not None


def backend_of(settings: Settings, out: Path, *, lifeline: bool = True, replaces: bool = False) -> Backend:
    """The backend that the settings name, not yet started: containers of a compose file, programs by their commands,
    otherwise the stand-in (with its database in ``out.parent`` by default). Profiles and logs go to ``out``.

    ``lifeline``: local programs end with this process. ``replaces``: processes that listen on their ports are stopped
    and later restarted; otherwise a taken port is an error. Raises SettingsError for an invalid command, a program to
    profile without a command, a configuration that cannot be read, or an address without a command to start.
    """
    if settings.compose is not None:
        from workbench.profilers.backends.compose import ComposeBackend

        if has_commands(settings):
            raise SettingsError("a compose file and a command were given", where="--compose", hint="Give one of them")
        return ComposeBackend(settings.compose)
    if has_commands(settings):
        services = services_of(settings)
        return LocalBackend(
            services, out, profiled=profiled_names(settings, services), lifeline=lifeline, replaces=replaces
        )
    if settings.target is not None:
        raise SettingsError(
            f"a running service ({settings.target}) cannot be put under a profiler",
            where="--target",
            hint="Give the command that starts it with --service, or its compose file with --compose",
        )
    return LocalBackend(child_service(standin_settings(settings, out.parent)), out, lifeline=lifeline)


def services_of(settings: Settings) -> tuple[LocalService, ...]:
    """The programs that have a command, service before agent."""
    commands: dict[Role, str | None] = {"service": settings.service_command, "agent": settings.agent_command}
    found = [_service(text, role, settings) for role, text in commands.items() if text is not None]
    if len(found) == 2 and found[0].name == found[1].name:
        found = [replace(service, name=f"{service.name}-{service.roles[0]}") for service in found]
    return tuple(found)


def profiled_names(settings: Settings, services: tuple[LocalService, ...]) -> tuple[str, ...]:
    """The names of the programs that ``settings.profile`` puts under the tool. Raises SettingsError if a profiler is
    wanted for a program without a command."""
    wanted: tuple[Role, ...] = ("service", "agent") if settings.profile == "both" else (settings.profile,)
    by_role = {service.roles[0]: service.name for service in services}
    missing = [role for role in wanted if role not in by_role]
    if missing and settings.profiler != "none":
        raise SettingsError(
            f"there is no command for the {missing[0]}, which should be profiled",
            where="--profile",
            hint=f"Give one with {OPTIONS[missing[0]]}, or profile the other one: --profile {next(iter(by_role))}",
        )
    return tuple(by_role[role] for role in wanted if role in by_role) or tuple(by_role.values())


def service_of_words(
    words: tuple[str, ...], role: Role, *, given: Known | None = None, where: str = "command"
) -> LocalService:
    """A service from the words of its command, with variables (``RUST_LOG=info``) before it as in a shell.

    Its name is that of its file; for a Python program that of the script or module. It runs in the current folder. Its
    addresses come from ``given``, otherwise from its output, otherwise from the file after its ``--config``.
    """
    variables, argv = apart(words)
    if not argv:
        raise SettingsError(f"expected a command, found only variables: {', '.join(variables)}", where=where)
    folder = Path.cwd()
    environment = {**os.environ, **variables}
    configured, secrets = configuration_of(argv, role, folder, environment)
    known = {name: url for name, url in (given or {}).items() if name in _OF_ROLE[role]}
    own = "service_url" if role == "service" else "agent_metrics_url"
    taken = {**configured, **known}
    return LocalService(
        name=name_of(argv),
        argv=argv,
        announces=own not in taken,
        environment=variables,
        folder=folder,
        roles=(role,),
        given=known,
        configured=configured,
        listens=tuple(taken[name] for name in ("service_metrics_url",) if role == "service" and name in taken),
        secrets=tuple(dict.fromkeys((*secrets, *secrets_of({}, environment)))),
    )


def name_of(argv: tuple[str, ...]) -> str:
    """A short name for a command: that of its file, or of the script or module that a Python interpreter runs."""
    name = PurePath(argv[0]).name
    if _INTERPRETER.fullmatch(name):
        words = [word for word in argv[1:] if not word.startswith("-")]
        if words and "-c" not in argv:
            return PurePath(words[0]).stem if words[0].endswith(".py") else PurePath(words[0]).name
    return name


def _service(text: str, role: Role, settings: Settings) -> LocalService:
    given = {
        "service_url": settings.target,
        "service_metrics_url": settings.service_metrics_url,
        "agent_metrics_url": settings.agent_metrics_url,
        "graph_url": settings.graph_url,
        "database_url": settings.database_url,
    }
    known = {name: url for name, url in given.items() if url is not None}
    return service_of_words(tuple(shlex.split(text)), role, given=known, where=OPTIONS[role])
