"""A local service: the command that starts it, and how it is known that it answers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import SettingsError, ToolError
from workbench.keyring import COMMAND_HINT, refuse
from workbench.masking import shown
from workbench.profilers.modes import Mode
from workbench.service.addresses import Addresses
from workbench.service.configuration import (
    Role,
    config_path,
    known_addresses,
    parse_configuration,
    secrets_of,
    variables_of,
)
from workbench.settings.kinds import without_password

Known = Mapping[str, str]
"""Some of the fields of :class:`workbench.service.addresses.Addresses`."""


@dataclass(frozen=True)
class LocalService:
    """A command to profile.

    ``roles`` say which of the two programs it is, or both. ``health_url`` answers 200 when it is ready; ``announces``
    instead: it prints where it answers once it does (see :mod:`workbench.profilers.backends.said`); ``ready`` instead
    takes what it has printed so far and returns True once it says so. ``first_line`` is written to its standard input.
    ``environment`` comes on top of this process's own; ``arguments`` are added in a mode (the sampler's folder).

    ``given`` are addresses the user has given, which win over what it says, and that over its configuration,
    ``configured``. ``listens`` are further URLs it takes for itself. ``again`` is the command for further starts, on
    the addresses of the first. ``secrets`` are shown nowhere.
    """

    name: str
    argv: tuple[str, ...]
    health_url: str | None = None
    announces: bool = False
    ready: Callable[[str], bool] | None = field(default=None, compare=False)
    first_line: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    arguments: Mapping[Mode, tuple[str, ...]] = field(default_factory=dict)
    folder: Path | None = None
    roles: tuple[Role, ...] = ()
    given: Known = field(default_factory=dict, repr=False)
    configured: Known = field(default_factory=dict, repr=False)
    listens: tuple[str, ...] = ()
    again: Callable[[Known], LocalService] | None = field(default=None, compare=False, repr=False)
    secrets: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        for word in self.argv:
            refuse(word, f"command of {self.name}", COMMAND_HINT)
        if not self.argv:
            raise ToolError("no command was given", where=self.name, hint="Give the service's command line")
        if self.name in ("", ".", "..") or "/" in self.name or "\0" in self.name:
            raise ToolError(
                f"{shown(self.name)} cannot be the name of a service",
                where="service",
                hint="Its profiles go into a folder of that name: give one without slashes",
            )

    def to_json(self) -> dict[str, Any]:
        """What another process needs to look at it and start it again: no variables of the environment and no
        passwords. :meth:`from_json` takes its configuration from its file anew."""
        return {
            "service": self.name,
            "argv": list(self.argv),
            "health_url": self.health_url,
            "announces": self.announces,
            "arguments": {mode: list(values) for mode, values in self.arguments.items()},
            "folder": None if self.folder is None else str(self.folder),
            "roles": list(self.roles),
            "given": {name: value for name, value in self.given.items() if without_password(value) == value},
            "configured": bool(self.configured),
            "listens": list(self.listens),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> LocalService:
        """The service that :meth:`to_json` described."""
        argv, roles = tuple(facts["argv"]), tuple(facts["roles"])
        folder = None if facts["folder"] is None else Path(facts["folder"])
        configured: Known = {}
        secrets: tuple[str, ...] = ()
        if facts["configured"]:
            # where its file is gone or was changed meanwhile, what is known otherwise has to do
            with contextlib.suppress(SettingsError):
                configured, secrets = configuration_of(argv, roles[0], folder, os.environ)
        return cls(
            facts["service"],
            argv,
            facts["health_url"],
            announces=facts["announces"],
            arguments={mode: tuple(values) for mode, values in facts["arguments"].items()},
            folder=folder,
            roles=roles,
            given=facts["given"],
            configured=configured,
            listens=tuple(facts["listens"]),
            secrets=secrets,
        )


def configuration_of(
    argv: tuple[str, ...], role: Role, folder: Path | None, environment: Mapping[str, str]
) -> tuple[Known, tuple[str, ...]]:
    """Addresses and secrets by the file after ``--config`` in a command; ({}, ()) where there is none, or it is not of
    indexer-rs. Raises SettingsError for a TOML file that cannot be read."""
    given = config_path(argv)
    if given is None:
        return {}, ()
    path = (folder or Path.cwd()) / given
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(
            f"cannot read the configuration: {error.strerror}", where=str(path), hint="Name another after --config"
        ) from None
    except UnicodeDecodeError:
        return {}, ()
    if path.suffix != ".toml" and "[" not in text:
        return {}, ()
    configuration = parse_configuration(text, role, environment, str(path))
    return known_addresses(configuration, role), secrets_of(configuration, environment)


def asked_for(argv: tuple[str, ...], folder: Path | None) -> frozenset[str]:
    """The variables that the file after ``--config`` in a command takes from the environment."""
    given = config_path(argv)
    if given is None:
        return frozenset()
    try:
        return variables_of(((folder or Path.cwd()) / given).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return frozenset()


def merged(services: Sequence[tuple[LocalService, Known]]) -> Known:
    """The addresses of services that belong together, each with what it has said: what was given wins over what was
    said, and that over configuration."""
    found: dict[str, str] = {}
    for source in (
        *(service.given for service, _ in services),
        *(said for _, said in services),
        *(service.configured for service, _ in services),
    ):
        for name, value in source.items():
            found.setdefault(name, value)
    return found


def as_addresses(known: Known, where: str) -> Addresses:
    """Addresses of what is known. Raises SettingsError where the service's is not."""
    if "service_url" not in known:
        raise SettingsError(
            "it is not known where the service answers", where=where, hint="Give its address with --target"
        )
    return Addresses(**known)
