"""``workbench profile``: a profiler session from the shell. Thin, one function an action."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import SettingsError, ToolError

if TYPE_CHECKING:
    from workbench.profilers.backends.protocol import Backend
    from workbench.profilers.session import Session
    from workbench.profilers.state import SessionFile
    from workbench.profilers.windows.record import Window

ACTIONS = {
    "start": "start the service under a profiler and wait until it answers",
    "window": "cut a window: begin NAME, end it with --end; or for --seconds; or around a command after --",
    "status": "what runs under which profiler, and whether it answers",
    "stop": "stop the service so that the profiler's output is whole; prints the files",
    "restore": "bring back what ran before, and prove that it answers",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench profile``."""
    parser.add_argument("action", choices=tuple(ACTIONS), metavar="ACTION", help="; ".join(_lines()))
    parser.add_argument(
        "name",
        nargs="?",
        metavar="MODE|NAME",
        help="start: the mode; window: the window's name (letters, digits, . _ -)",
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="Where the session is kept (data/profiling).")
    starting = parser.add_argument_group("start")
    starting.add_argument(
        "--compose",
        type=Path,
        metavar="FILE",
        help="Profile the services of this compose file (without: the stand-in).",
    )
    starting.add_argument(
        "--health-url", metavar="URL", help="Where a command given after -- answers when it is ready."
    )
    starting.add_argument("--out", type=Path, metavar="DIR", help="Where profiles go (a new folder of the session's).")
    starting.add_argument("--flags", metavar="FLAGS", help="The tool's flags in place of the guide's, in one argument.")
    starting.add_argument(
        "--attach", action="store_true", help="strace: attach to the running service in windows only."
    )
    windows = parser.add_argument_group("window")
    windows.add_argument("--end", action="store_true", help="End the open window.")
    windows.add_argument("--seconds", type=float, metavar="S", help="End the window after this time.")
    stopping = parser.add_argument_group("stop")
    stopping.add_argument(
        "--stop-timeout-s", type=float, default=None, metavar="S", help="How long the service may take to stop (120)."
    )
    parser.epilog = "After --: the command of the service (start), or what to run inside the window (window)."


def run(options: argparse.Namespace) -> int:
    """Do one action; the exit code."""
    from workbench.profilers.open import default_profiling_dir
    from workbench.profilers.state import SessionFile

    _require_fitting(options)
    file = SessionFile(options.folder or default_profiling_dir())
    actions = {"start": _start, "window": _window, "status": _status, "stop": _stop, "restore": _restore}

    async def act() -> int:
        async with file.locked():
            return await actions[options.action](options, file)

    return asyncio.run(act())


async def _start(options: argparse.Namespace, file: SessionFile) -> int:
    import shlex

    from workbench.profilers.modes import parse_mode
    from workbench.profilers.open import new_folder
    from workbench.profilers.session import Session

    if options.name is None:
        raise SettingsError("which mode?", where="workbench profile start", hint=f"Give one: {_modes()}")
    mode = parse_mode(options.name)
    before = None
    if file.exists():
        session, state = file.read()
        if state != "stopped" and any(not wrong for wrong in (await session.condition()).values()):
            raise ToolError(
                f"a session under {session.mode} is running already",
                where=str(file.path),
                hint="End it first: workbench profile stop",
            )
        if state != "stopped":
            raise ToolError(
                f"the session under {session.mode} was not stopped in order",
                where=str(file.path),
                hint="workbench profile status says what is left, workbench profile stop ends it",
            )
        before = session.backend
    out = options.out or file.folder / new_folder(mode).name
    out.mkdir(parents=True, exist_ok=True)
    backend = _backend(options, out, before)
    flags = None if options.flags is None else tuple(shlex.split(options.flags))
    standin = not options.command and options.compose is None
    session = Session(mode, backend, out, flags, asks=_takes_requests(options), attach=options.attach)
    file.write(session, "starting")
    _follow_changes(backend, file, session)
    try:
        await session.start()
    except BaseException:
        # a failed start has put everything back
        file.forget()
        raise
    file.write(session, "running")
    what = "the stand-in" if standin else ", ".join(backend.services)
    print(f"{what} answers under {mode}; profiles go to {out}")
    if mode == "flamegraph" and not session.asks:
        from workbench.profilers.windows.flamegraph import first_report_after_s

        print(f"The first report comes {first_report_after_s():.0f} s after the start: a shorter run has no profile.")
    return 0


async def _window(options: argparse.Namespace, file: SessionFile) -> int:
    session, state = file.read()
    if state != "running":
        raise ToolError(f"the session is {state}", where=str(file.path), hint="workbench profile start MODE")
    if options.end:
        try:
            _say_windows(await session.end())
        finally:
            file.write(session, "running")
        return 0
    if options.name is None:
        raise SettingsError("which name?", where="workbench profile window", hint="Give one, or --end")
    await session.begin(options.name)
    file.write(session, "running")
    if options.seconds is None and not options.command:
        print(f"window {options.name} is open; end it with: workbench profile window --end")
        return 0
    code = 0
    try:
        if options.command:
            process = await asyncio.create_subprocess_exec(*options.command)
            code = await process.wait()
        else:
            await asyncio.sleep(options.seconds)
    finally:
        try:
            _say_windows(await asyncio.shield(session.end()))
        finally:
            file.write(session, "running")
    return code


async def _status(options: argparse.Namespace, file: SessionFile) -> int:
    session, state = file.read()
    print(f"{state}: mode {session.mode}, profiles in {session.out}")
    code = 0
    if state != "stopped":
        for service, wrong in (await session.condition()).items():
            print(f"  {service}: {wrong or 'runs and answers'}")
            code = ToolError.exit_code if wrong else code
        if session.open_name is not None:
            print(f"  window {session.open_name} is open")
    print(f"  windows: {', '.join(session.names) or 'none yet'}")
    return code


async def _stop(options: argparse.Namespace, file: SessionFile) -> int:
    from workbench.profilers.backends.protocol import STOP_TIMEOUT_S

    session, state = file.read()
    if state == "stopped":
        raise ToolError(
            "the session is stopped already", where=str(file.path), hint="workbench profile restore ends it"
        )
    _follow_changes(session.backend, file, session)
    timeout_s = STOP_TIMEOUT_S if options.stop_timeout_s is None else options.stop_timeout_s
    try:
        ended = await session.stop(timeout_s)
    finally:
        file.write(session, "stopped")
    for one in ended:
        code = "" if one.exit_code is None else f", exit code {one.exit_code}"
        how = "was killed: its output may not be whole" if one.killed else "stopped"
        print(f"{one.service} {how} after {one.seconds:.1f} s{code}")
    for path in sorted(path for path in session.out.rglob("*") if path.is_file()):
        print(path)
    return ToolError.exit_code if any(one.killed for one in ended) else 0


async def _restore(options: argparse.Namespace, file: SessionFile) -> int:
    session, state = file.read()
    if state != "stopped":
        raise ToolError("the session runs", where=str(file.path), hint="Stop it first: workbench profile stop")
    await session.restore()
    file.forget()
    print("what ran before answers again" if session.restored else "nothing ran before, and nothing runs now")
    return 0


def _backend(options: argparse.Namespace, out: Path, before: Backend | None) -> Backend:
    from workbench.profilers.backends.local import LocalBackend, LocalService
    from workbench.profilers.standin import own_service
    from workbench.settings import StandinSettings

    if options.compose is not None:
        from workbench.profilers.backends.compose import ComposeBackend

        return ComposeBackend(options.compose)
    if options.command:
        service = LocalService(Path(options.command[0]).name, tuple(options.command), options.health_url)
    else:
        service = own_service((), StandinSettings().service_port)
    backend = LocalBackend(service, out, lifeline=False)
    if isinstance(before, LocalBackend):
        backend.inherit(before)
    return backend


def _takes_requests(options: argparse.Namespace) -> bool:
    """Whether the services' sampler is ours, which reports when it is asked. A signal it does not know ends a
    program."""
    if options.compose is not None:
        return False
    return not options.command


def _follow_changes(backend: Backend, file: SessionFile, session: Session) -> None:
    """Keep the file true while services start and stop, so that a kill in between leaves what is needed to go on."""
    from workbench.profilers.backends.local import LocalBackend

    if isinstance(backend, LocalBackend):
        backend.changed = lambda: file.write(session, "starting")


def _say_windows(windows: tuple[Window, ...]) -> None:
    for window in windows:
        for note in window.notes:
            print(f"Note: {note}.", file=sys.stderr)
        for what in window.files:
            print(window.path(what))


def _require_fitting(options: argparse.Namespace) -> None:
    """Raise SettingsError for options of another action."""
    own = {
        "start": ("compose", "health_url", "out", "flags", "attach", "command", "name"),
        "window": ("end", "seconds", "command", "name"),
        "stop": ("stop_timeout_s",),
    }
    for name in (
        "compose",
        "health_url",
        "out",
        "flags",
        "attach",
        "end",
        "seconds",
        "stop_timeout_s",
        "command",
        "name",
    ):
        if getattr(options, name) and name not in own.get(options.action, ()):
            raise SettingsError(
                f"{options.action} takes no {name.replace('_', '-')}",
                where="workbench profile",
                hint="See `workbench profile --help`",
            )
    if options.end and (options.name or options.command or options.seconds is not None):
        raise SettingsError("--end ends the open window and takes nothing else", where="workbench profile window")
    if options.seconds is not None and options.command:
        raise SettingsError("--seconds and a command exclude each other", where="workbench profile window")


def _modes() -> str:
    from workbench.profilers.modes import MODES

    return ", ".join(mode for mode in MODES if mode != "none")


def _lines() -> list[str]:
    return [f"{name}: {what}" for name, what in ACTIONS.items()]
