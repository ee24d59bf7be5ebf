"""Makes a running session from what the user gives (nothing, a command, a compose file)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack, cast

from workbench.errors import RunFolderError, SettingsError
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.backends.protocol import STOP_TIMEOUT_S, Backend
from workbench.profilers.commands import backend_of, has_commands
from workbench.profilers.modes import Mode, parse_mode
from workbench.profilers.session import Session, check_attach, profiling_session
from workbench.profilers.standin import child_service, standin_settings
from workbench.settings import Settings, default_runs_dir
from workbench.settings.parameters import ServiceParameters
from workbench.settings.signature import OF_A_SERVICE, with_settings

Service = LocalService | Sequence[str] | Backend | None


@with_settings(only=OF_A_SERVICE)
@asynccontextmanager
async def profiling(
    mode: str,
    *,
    service: Service = None,
    compose: str | Path | None = None,
    health_url: str | None = None,
    out: str | Path | None = None,
    flags: Sequence[str] | None = None,
    attach: bool = False,
    stop_timeout_s: float = STOP_TIMEOUT_S,
    **settings: Unpack[ServiceParameters],
) -> AsyncIterator[Session]:
    """Profile a service while the block runs.

    >>> async with workbench.profiling("callgrind", out="profiles") as session:   # doctest: +SKIP
    ...     async with session.window("step-001") as cut:
    ...         await workbench.load(num_receipts=100, **session.addresses)
    ...     profile = cut.profiles[0]

    ``mode``: one of the guide's, or pprofile. ``service``: None takes the programs that ``settings`` (fields of
    :class:`workbench.Settings`) name by ``service_command``, ``agent_command`` and ``profile``, and without those the
    stand-in, on free ports; otherwise a command line (with the ``health_url`` of its health check) or a
    :class:`~workbench.profilers.backends.local.LocalService`. ``compose`` names a compose file instead, whose
    indexer-service and tap-agent are recreated. ``out`` takes ``<service>/<mode>/<window>.*`` (a new folder of
    ``data/profiling``). ``flags`` replace the guide's. ``attach`` (strace): trace the running service only in windows.

    The services answer when the block begins. At its end, in any case, they are stopped so that all files are complete,
    and what ran before is restored. Raises SettingsError, TargetError or ToolError.
    """
    chosen = parse_mode(mode)
    if compose is not None and (service is not None or settings):
        raise SettingsError(
            "a compose file and a service or its settings were given", where="compose", hint="Give one of them"
        )
    if service is not None and settings:
        raise SettingsError(
            f"{', '.join(settings)} are settings of the stand-in, but a service was given", where="profiling"
        )
    check_attach(chosen, attach)
    if out is None:
        folder = new_folder(default_profiling_dir(), chosen)
    else:
        folder = Path(out)
        make_folder(folder)
    if compose is not None:
        from workbench.profilers.backends.compose import ComposeBackend

        backend: Backend = ComposeBackend(Path(compose))
    elif service is None:
        resolved = Settings.resolve(**cast(dict[str, Any], settings)).model_copy(
            update={"profiler": chosen, "compose": None}
        )
        backend = backend_of(resolved, folder) if has_commands(resolved) else _standin(resolved, folder)
    else:
        backend = _of_service(service, health_url, folder)
    async with profiling_session(
        chosen, backend, folder, flags=flags, attach=attach, stop_timeout_s=stop_timeout_s
    ) as session:
        yield session


def _of_service(service: LocalService | Sequence[str] | Backend, health_url: str | None, folder: Path) -> Backend:
    if isinstance(service, LocalService):
        return LocalBackend(service, folder)
    if isinstance(service, Sequence):
        return LocalBackend(LocalService(Path(service[0]).name, tuple(service), health_url), folder)
    return service


def _standin(settings: Settings, folder: Path) -> LocalBackend:
    return LocalBackend(child_service(standin_settings(settings, folder)), folder)


def new_folder(parent: Path, mode: Mode) -> Path:
    """Make a new folder ``<UTC time>-<mode>`` in ``parent``; never one that exists."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    base = parent / f"{stamp}-{mode}"
    path, number = base, 1
    make_folder(parent)
    while True:
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
            path = base.with_name(f"{base.name}-{number}")


def make_folder(path: Path) -> None:
    """Make a folder if missing. Raises RunFolderError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot make the folder: {error.strerror}", where=str(path), hint="Give another one"
        ) from None


def default_profiling_dir() -> Path:
    """``data/profiling`` of the project, beside ``data/runs``."""
    return default_runs_dir().parent / "profiling"
