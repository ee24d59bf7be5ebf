"""A local service: the command that starts it, and how to check that it answers."""

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
"""Some fields of :class:`workbench.service.addresses.Addresses`."""


@dataclass(frozen=True)
class LocalService:
    """A command to profile.

    ``roles``: which of the two programs it is, or both. It is ready when ``health_url`` answers 200; or, with
    ``announces``, when it has printed its addresses (see :mod:`workbench.profilers.backends.said`); or when ``ready``
    returns True for its output so far. ``first_line`` is written to its standard input. ``environment`` is added to
    this process's own; ``arguments`` are added in a mode (the sampler's folder).

    Addresses ``given`` by the user win over printed ones, and those over ``configured`` ones. ``listens``: further
    URLs whose ports it uses. ``again``: the command for later starts, with the addresses of the first. ``secrets`` are
    never shown.
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
        """What another process needs to check and restart it, without environment variables and passwords.
        :meth:`from_json` reads its configuration file again."""
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
            # if its file is missing or has changed, the other known facts must be enough
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
    """Addresses and secrets from the file after ``--config`` in a command; ({}, ()) if there is none or it does not
    belong to indexer-rs. Raises SettingsError for a TOML file that cannot be read."""
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
    """The environment variables that are used by the file after ``--config`` in a command."""
    given = config_path(argv)
    if given is None:
        return frozenset()
    try:
        return variables_of(((folder or Path.cwd()) / given).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return frozenset()


def merged(services: Sequence[tuple[LocalService, Known]]) -> Known:
    """The addresses of services that belong together: given ones before printed ones, and those before configured
    ones."""
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
    """Addresses from the known facts. Raises SettingsError if the service's is missing."""
    if "service_url" not in known:
        raise SettingsError("the service's address is not known", where=where, hint="Give its address with --target")
    return Addresses(**known)
