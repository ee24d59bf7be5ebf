"""How a program under test was started and built: its RUST_LOG, its configuration, its binary.

The facts come from the command that starts it, or from the kernel if this user may read the process. Only what is
needed is taken from environment and configuration, because both hold keys.
"""

from __future__ import annotations

import mmap
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench.errors import SettingsError
from workbench.loopback import is_loopback
from workbench.service.configuration import config_path, parse_configuration, value_at
from workbench.settings.kinds import apart, to_wei

DEFAULT_MAX_VALUE_WEI = 10**15  # 0.001 GRT: service.tap.max_receipt_value_grt of the release's default_values.toml
_LEVELS = {"off": 0, "error": 1, "warn": 2, "info": 3, "debug": 4, "trace": 5}
_DEBUG = 4
# Names that the linker keeps, and the path in its panic messages, which survives stripping too.
_PPROF = re.compile(rb"ProfilerGuardBuilder|/pprof-\d+\.\d+\.\d+/src/")


@dataclass(frozen=True)
class Program:
    """A program by name, with its command's words, environment, folder, and file; None if not known."""

    name: str
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    folder: Path | None = None
    executable: Path | None = None

    @property
    def rust_log(self) -> str | None:
        """Its RUST_LOG; None if there is none, or if the environment cannot be read."""
        return None if self.environment is None else self.environment.get("RUST_LOG")


def of_command(name: str, command: str) -> Program:
    """The program that ``command`` will start from here. Its environment is this process's, overridden by the variables
    before the command."""
    variables, words = apart(shlex.split(command))
    environment = {**os.environ, **variables}
    found = shutil.which(words[0], path=environment.get("PATH")) if words else None
    return Program(name, words, environment, Path.cwd(), None if found is None else Path(found).resolve())


def of_process(name: str, pid: int) -> Program:
    """The program that runs as ``pid``, as far as this user may read it."""
    import psutil

    def ask(what: str) -> Any:
        try:
            return getattr(process, what)()
        except (psutil.Error, OSError):
            return None

    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return Program(name)
    folder, executable = ask("cwd"), ask("exe")
    return Program(
        name,
        tuple(ask("cmdline") or ()),
        ask("environ"),
        Path(folder) if folder else None,
        Path(executable) if executable else None,
    )


def listening_at(url: str) -> int | None:
    """The process of this machine that listens at ``url``; None if it is on another machine or cannot be found."""
    import psutil

    if not is_loopback(url):
        return None
    port = urlsplit(url).port
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return int(connection.pid)
    return None


def loud(rust_log: str) -> str | None:
    """The first directive of a RUST_LOG that logs at debug or trace; None if there is none.

    The format is that of tracing's EnvFilter: ``level``, ``target``, ``target[span]=level``, separated by commas; a
    target without a level logs all its levels; levels are words in any letter case, or 0 to 5.
    """
    for directive in rust_log.split(","):
        text = directive.strip()
        _, equals, level = text.rpartition("=")
        if text and _level(level, bare=not equals) >= _DEBUG:
            return text
    return None


def _level(text: str, *, bare: bool) -> int:
    word = text.strip().lower()
    if word.isdigit():
        return int(word)
    return _LEVELS.get(word, _LEVELS["trace"] if bare else 0)


@dataclass(frozen=True)
class ServiceConfig:
    """The service's configuration of receipts and queries. ``free_query_token`` is a secret."""

    path: Path
    max_value_wei: int
    query_url: str | None
    free_query_token: str | None = field(repr=False)


def service_config(program: Program) -> ServiceConfig | None:
    """The configuration that the service was given with ``--config``; None if there is none that can be read."""
    given = config_path(program.words)
    if given is None or (program.folder is None and not Path(given).is_absolute()):
        return None
    path = (program.folder or Path()) / given
    try:
        text = path.read_text(encoding="utf-8")
        configuration = parse_configuration(text, "service", program.environment or {}, str(path))
    except (OSError, UnicodeDecodeError, SettingsError):
        return None  # the service itself reports what is wrong with it
    if not configuration:
        return None  # a file of another program
    maximum = value_at(configuration, "service", "tap", "max_receipt_value_grt")
    return ServiceConfig(
        path=path,
        max_value_wei=DEFAULT_MAX_VALUE_WEI if maximum is None else _wei(maximum),
        query_url=_text(value_at(configuration, "graph_node", "query_url"), "/"),
        free_query_token=_text(value_at(configuration, "service", "free_query_auth_token")),
    )


def _text(value: Any, ending: str = "") -> str | None:
    return value.removesuffix(ending) if isinstance(value, str) and value else None


def _wei(grt: Any) -> int:
    try:
        return to_wei(Decimal(str(grt)))
    except (InvalidOperation, ValueError):
        return DEFAULT_MAX_VALUE_WEI


def built_with_profiling(executable: Path) -> bool:
    """Whether a binary contains the in-process sampler (pprof-rs), which the cargo feature ``profiling`` adds."""
    try:
        with executable.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data[:4] == b"\x7fELF" and _PPROF.search(data) is not None
    except (OSError, ValueError):
        return False
