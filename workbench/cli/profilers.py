"""``workbench profile``: a profiler session from the shell. Thin, one function an action."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import keyring
from workbench.cli.options import option_of
from workbench.errors import SettingsError, ToolError, WorkbenchError
from workbench.masking import shown

if TYPE_CHECKING:
    from workbench.profilers.backends.protocol import Backend
    from workbench.profilers.session import Session
    from workbench.profilers.state import SessionFile, State
    from workbench.profilers.windows.record import Window

COMMAND_STOP_S = 10.0
_ADDRESSES = ("target", "graph_url", "service_metrics_url", "agent_metrics_url")
_COMMANDS = ("service_command", "agent_command", "profile", "database_url", *_ADDRESSES)
REPORT = "report"
"""Of a session's folder of profiles: the run made of its windows."""

ACTIONS = {
    "start": "start the service under a profiler and wait until it answers",
    "window": "cut a window: begin NAME, end it with --end; or for --seconds; or around a command after --",
    "status": "what runs under which profiler, whether it answers, and where",
    "report": "what a receipt costs, from the windows of the session (or of a folder of profiles): text, tables, HTML",
    "stop": "stop the service so that the profiler's output is whole; prints the files",
    "restore": "bring back what ran before, and prove that it answers",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench profile``."""
    parser.add_argument("action", choices=tuple(ACTIONS), metavar="ACTION", help="; ".join(_lines()))
    parser.add_argument(
        "name",
        nargs="?",
        metavar="MODE|NAME|DIR",
        help="start: the mode; window: the window's name (letters, digits, . _ -); report: a folder of profiles",
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
    _add_commands(parser)
    starting.add_argument("--out", type=Path, metavar="DIR", help="Where profiles go (a new folder of the session's).")
    starting.add_argument("--flags", metavar="FLAGS", help="The tool's flags in place of the guide's, in one argument.")
    starting.add_argument(
        "--attach", action="store_true", help="strace: attach to the running service in windows only."
    )
    windows = parser.add_argument_group("window")
    windows.add_argument("--end", action="store_true", help="End the open window.")
    windows.add_argument("--seconds", type=float, metavar="S", help="End the window after this time.")
    reporting = parser.add_argument_group("report")
    reporting.add_argument(
        "--receipts",
        action="append",
        metavar="NAME=N",
        help="How many receipts a window had; without it those of the runs made inside it. 0: its idle window.",
    )
    stopping = parser.add_argument_group("stop")
    stopping.add_argument(
        "--stop-timeout-s", type=float, default=None, metavar="S", help="How long the service may take to stop (120)."
    )
    parser.epilog = (
        "After --: the command of a service (start), or what to run inside the window (window): a workbench command "
        "there finds the session's service by itself."
    )


def _add_commands(parser: argparse.ArgumentParser) -> None:
    """The sweep's options for services by their commands, and where they answer."""
    from workbench.cli.options import add_settings
    from workbench.settings import CommandSettings, TargetSettings

    add_settings(parser, CommandSettings, "start: services by their commands", leave_out=("idle_s", "preflight"))
    others = tuple(name for name in TargetSettings.model_fields if name not in _ADDRESSES)
    add_settings(parser, TargetSettings, "start: where they answer, where they do not say", leave_out=others)


def run(options: argparse.Namespace) -> int:
    """Do one action; the exit code."""
    from workbench.profilers.open import default_profiling_dir
    from workbench.profilers.state import SessionFile

    _require_fitting(options)
    file = SessionFile(options.folder or default_profiling_dir())
    actions = {
        "start": _start,
        "window": _window,
        "status": _status,
        "report": _report,
        "stop": _stop,
        "restore": _restore,
    }

    async def act() -> int:
        async with file.locked():
            return await actions[options.action](options, file)

    return asyncio.run(act())


def _flags(text: str) -> tuple[str, ...]:
    """Flags as a shell takes them apart."""
    import shlex

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise SettingsError(
            f"flags are written as in a shell: {str(error).lower()}, found {shown(text)}", where="--flags"
        ) from None


async def _start(options: argparse.Namespace, file: SessionFile) -> int:
    from workbench.profilers.modes import parse_mode
    from workbench.profilers.open import make_folder, new_folder
    from workbench.profilers.session import Session, check_attach

    if options.name is None:
        raise SettingsError("which mode?", where="workbench profile start", hint=f"Give one: {_modes()}")
    mode = parse_mode(options.name)
    check_attach(mode, options.attach)
    before = await _over(file)
    out = options.out or new_folder(file.folder, mode)
    make_folder(out)
    backend = _backend(options, out)
    if before is not None:
        backend.inherit(before)
    flags = None if options.flags is None else _flags(options.flags)
    session = Session(mode, backend, out, flags, attach=options.attach)
    file.write(session, "starting")
    _follow_changes(session, file, "starting")
    try:
        await session.start()
    except BaseException:
        # a failed start has put back what it has stopped, not what a session before has
        if backend.owes:
            file.write(session, "stopped")
        else:
            file.forget()
        raise
    _follow_changes(session, file, "running")
    file.write(session, "running")
    by_name = options.command or options.compose or _given(options)
    what = ", ".join(backend.services) if by_name else "the stand-in"
    print(
        f"{what} {'answer' if by_name and len(backend.services) > 1 else 'answers'} under {mode}; profiles go to {out}"
    )
    _say_addresses(session)
    if mode == "flamegraph" and (wait_s := await session.first_report_after_s()):
        print(f"The first report comes {wait_s:.0f} s after the start: a shorter run has no profile.")
    return 0


async def _over(file: SessionFile) -> Backend | None:
    """The backend of the session before, which was stopped. Raises ToolError where it was not."""
    if not file.exists():
        return None
    session, state = file.read()
    if state == "stopped":
        return session.backend
    if any(not wrong for wrong in (await session.condition()).values()):
        raise ToolError(
            f"a session under {session.mode} is running already",
            where=str(file.path),
            hint="End it first: workbench profile stop",
        )
    raise ToolError(
        f"the session under {session.mode} was not stopped in order",
        where=str(file.path),
        hint="workbench profile status says what is left, workbench profile stop ends it",
    )


async def _window(options: argparse.Namespace, file: SessionFile) -> int:
    session, state = file.read()
    if state != "running":
        raise ToolError(f"the session is {state}", where=str(file.path), hint="workbench profile start MODE")
    _follow_changes(session, file, "running")
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
    try:
        return await _around(session, options)
    finally:
        file.write(session, "running")


async def _around(session: Session, options: argparse.Namespace) -> int:
    """A window around a command, or some time; it ends also after Ctrl-C, and what there is is said."""
    from workbench.profilers.inside import Runs, runs_dir_of
    from workbench.profilers.to_the_end import to_the_end

    runs = Runs.now(runs_dir_of(options.command, os.environ))
    try:
        return await _inside(session, options)
    finally:
        facts = runs.facts() if options.command else {}
        _say_windows(await to_the_end(session.end(facts=facts)))
        if facts:
            print(f"{facts['receipts']['sent']:,} receipts were sent inside")


async def _inside(session: Session, options: argparse.Namespace) -> int:
    """What a window is around: a command, whose exit code this is, or some time."""
    from workbench.profilers.inside import variables_of
    from workbench.profilers.to_the_end import to_the_end

    if not options.command:
        await asyncio.sleep(options.seconds)
        return 0
    try:
        environment = variables_of(_addresses(session), session.mode, os.environ)
        with keyring.handed_on() as (keys, descriptors):  # it may be ours, such as `workbench load`
            process = await asyncio.create_subprocess_exec(
                *options.command, env={**environment, **keys}, pass_fds=descriptors
            )
    except OSError as error:
        raise ToolError(
            f"cannot be started: {error.strerror}: {options.command[0]}", where="workbench profile window"
        ) from None
    try:
        code = await process.wait()
    except BaseException:
        await to_the_end(_end(process))
        raise
    return code if code >= 0 else 128 - code


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command; from the terminal Ctrl-C has reached it as well."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(COMMAND_STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _status(options: argparse.Namespace, file: SessionFile) -> int:
    session, state = file.read()
    print(f"{state}: mode {session.mode}, profiles in {session.out}")
    code = 0
    if state != "stopped":
        for service, wrong in (await session.condition()).items():
            print(f"  {service}: {wrong or 'runs and answers'}")
            code = ToolError.exit_code if wrong else code
        _say_addresses(session)
        if session.open_name is not None:
            print(f"  window {session.open_name} is open")
    print(f"  windows: {', '.join(session.names) or 'none yet'}")
    return code


async def _report(options: argparse.Namespace, file: SessionFile) -> int:
    from workbench.profilers.windows.record import windows_in
    from workbench.report.by_hand import report_windows, windows_text
    from workbench.sweep.by_hand import run_of_windows

    folder = Path(options.name) if options.name else file.read()[0].out
    path = folder / REPORT
    windows = [window for window in windows_in(folder) if path.resolve() not in window.folder.resolve().parents]
    if not windows:
        raise SettingsError("there is no window", where=str(folder), hint="Cut one: workbench profile window NAME")
    mode = windows[-1].mode
    run, left_out = run_of_windows(
        [window for window in windows if window.mode == mode], path, given=_receipts(options.receipts or [])
    )
    for name in left_out:
        print(f"Note: window {name} is left out: give --receipts {name}=N to say how many it had.", file=sys.stderr)
    print(windows_text(run))
    await report_windows(run)
    print(path / "report.html")
    return 0


def _receipts(words: list[str]) -> dict[str, int]:
    """``NAME=N`` as numbers by name."""
    found = {}
    for word in words:
        name, _, number = word.rpartition("=")
        if not name or not number.isdigit():
            raise SettingsError(f"NAME=N is wanted, found {shown(word)}", where="--receipts")
        found[name] = int(number)
    return found


async def _stop(options: argparse.Namespace, file: SessionFile) -> int:
    from workbench.profilers.backends.protocol import STOP_TIMEOUT_S

    session, state = file.read()
    backend = session.backend
    if state == "stopped":
        raise ToolError(
            "the session is stopped already", where=str(file.path), hint="workbench profile restore ends it"
        )
    if not backend.running:
        # whoever started or stopped it was killed in between
        file.write(session, "stopped")
        print("nothing runs; workbench profile restore brings back what ran before")
        return 0
    _follow_changes(session, file, "stopping")
    file.write(session, "stopping")
    for service, wrong in (await session.condition()).items():
        if wrong:
            print(f"Note: {service} {wrong}.", file=sys.stderr)
    timeout_s = STOP_TIMEOUT_S if options.stop_timeout_s is None else options.stop_timeout_s
    try:
        ended = await session.stop(timeout_s)
    except WorkbenchError:
        file.write(session, "stopping" if backend.running else "stopped")
        raise
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
        raise ToolError(f"the session is {state}", where=str(file.path), hint="Stop it first: workbench profile stop")
    before = session.backend.notes
    await session.restore()
    file.forget()
    for note in session.backend.notes[len(before) :]:
        print(f"Note: {note}.", file=sys.stderr)
    print("what ran before answers again" if session.restored else "nothing ran before, and nothing runs now")
    return 0


def _backend(options: argparse.Namespace, out: Path) -> Backend:
    from workbench.profilers.backends.local import LocalBackend, LocalService
    from workbench.profilers.commands import backend_of, has_commands
    from workbench.profilers.modes import parse_mode
    from workbench.profilers.standin import own_service
    from workbench.settings import Settings

    given = _given(options)
    if options.command:
        known = {"service_url" if name == "target" else name: url for name, url in given.items()}
        command = tuple(options.command)
        service = LocalService(Path(command[0]).name, command, options.health_url, given=known)
        return LocalBackend(service, out, lifeline=False)
    labels = {name: option_of(name) for name in given}
    settings = Settings.resolve(labels=labels, profiler=parse_mode(options.name), compose=options.compose, **given)
    if settings.compose is not None or has_commands(settings) or settings.target is not None:
        return backend_of(settings, out, lifeline=False, replaces=True)
    if not settings.service_port:
        raise SettingsError(
            "a stand-in that outlives the command needs a port of its own, found 0",
            where="service_port",
            hint="Set WORKBENCH_SERVICE_PORT, or leave it out",
        )
    return LocalBackend(own_service((), settings), out, lifeline=False)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of commands and addresses that were given as options."""
    return {name: getattr(options, name) for name in _COMMANDS if hasattr(options, name)}


def _addresses(session: Session) -> dict[str, str]:
    """Where the services of a session answer; {} where it is not known."""
    try:
        return session.addresses
    except SettingsError:
        return {}


def _say_addresses(session: Session) -> None:
    from workbench.settings.kinds import without_password

    for name, url in _addresses(session).items():
        print(f"  {option_of(name)} {without_password(url)}")


def _follow_changes(session: Session, file: SessionFile, state: State) -> None:
    """Keep the file true while services start and stop, so that a kill in between leaves what is needed to go on."""
    session.backend.changed = lambda: file.write(session, state)


def _say_windows(windows: tuple[Window, ...]) -> None:
    for note in dict.fromkeys(note for window in windows for note in window.notes):
        print(f"Note: {note}.", file=sys.stderr)
    for window in windows:
        for what in window.files:
            print(window.path(what))


def _require_fitting(options: argparse.Namespace) -> None:
    """Raise SettingsError for options of another action."""
    own = {
        "start": ("compose", "health_url", "out", "flags", "attach", "command", "name", *_COMMANDS),
        "window": ("end", "seconds", "command", "name"),
        "report": ("receipts", "name"),
        "stop": ("stop_timeout_s",),
    }
    for name in dict.fromkeys(name for names in own.values() for name in names):
        value = getattr(options, name, None)
        given = value is not None and value is not False and value != []
        if given and name not in own.get(options.action, ()):
            raise SettingsError(
                f"{options.action} takes no {option_of(name).removeprefix('--')}",
                where="workbench profile",
                hint="See `workbench profile --help`",
            )
    if options.end and (options.name or options.command or options.seconds is not None):
        raise SettingsError("--end ends the open window and takes nothing else", where="workbench profile window")
    if options.compose is not None and options.command:
        raise SettingsError("--compose and a command exclude each other", where="workbench profile start")
    if options.action == "start" and options.command and {"service_command", "agent_command"} & set(_given(options)):
        raise SettingsError("--service, --agent and a command after -- exclude each other", where="workbench profile")
    if options.health_url is not None and not options.command:
        raise SettingsError(
            "--health-url belongs to a command of your own, given after --", where="workbench profile start"
        )
    for name in ("seconds", "stop_timeout_s"):
        value = getattr(options, name)
        if value is not None and not 0 <= value < math.inf:
            raise SettingsError(f"has to be a time in seconds, found {value:g}", where=f"--{name.replace('_', '-')}")
    if options.seconds is not None and options.command:
        raise SettingsError("--seconds and a command exclude each other", where="workbench profile window")


def _modes() -> str:
    from workbench.profilers.modes import MODES

    return ", ".join(mode for mode in MODES if mode != "none")


def _lines() -> list[str]:
    return [f"{name}: {what}" for name, what in ACTIONS.items()]
