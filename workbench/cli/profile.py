"""``workbench profile``: a profiler session from the shell: start, window, status, report, stop, restore."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import keyring
from workbench.cli.options import add_settings, all_but, option_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, result, say, tell
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
"""The folder, in a session's folder of profiles, of the run made of its windows."""


def add_start(parser: OneLineParser) -> None:
    """The arguments of ``workbench profile start``."""
    from workbench.settings import CommandSettings, TargetSettings

    parser.first = ("service_command", "agent_command", "profile", "target", "compose", "health_url", "out", "flags",
                    "json")  # fmt: skip
    parser.epilog = "Without --service and --agent the stand-in is started. After --: the command of another service."
    parser.add_argument("mode", metavar="MODE", help="flamegraph, massif, callgrind, strace or pprofile.")
    parser.add_argument("--compose", type=Path, metavar="FILE", help="Profile the services of this compose file.")
    parser.add_argument("--health-url", metavar="URL", help="URL where the command after -- answers when ready.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="Folder for the profiles (default: a new one).")
    parser.add_argument("--flags", metavar="FLAGS", help="The tool's flags instead of the guide's, in one argument.")
    parser.add_argument("--attach", action="store_true", help="strace: attach to the running service in windows only.")
    _add_session(parser)
    add_settings(parser, CommandSettings, "services by their commands", leave_out=("idle_s", "preflight"))
    add_settings(
        parser,
        TargetSettings,
        "their addresses, where their configuration does not give them",
        leave_out=all_but(TargetSettings, *_ADDRESSES),
    )


def add_window(parser: OneLineParser) -> None:
    """The arguments of ``workbench profile window``."""
    parser.epilog = (
        "After --: what to run inside the window. A workbench command there finds the session's service by itself."
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="Name of the window (letters, digits, . _ -).")
    parser.add_argument("--end", action="store_true", help="End the open window.")
    parser.add_argument("--seconds", type=float, metavar="S", help="End the window after this time.")
    _add_session(parser)


def add_status(parser: OneLineParser) -> None:
    """The arguments of ``workbench profile status``."""
    _add_session(parser)


def add_report(parser: OneLineParser) -> None:
    """The arguments of ``workbench profile report``."""
    parser.add_argument("name", nargs="?", metavar="DIR", help="A folder of profiles (default: that of the session).")
    parser.add_argument(
        "--receipts",
        action="append",
        metavar="NAME=N",
        help="Receipts sent in a window (default: by the runs made inside it). 0: the idle window.",
    )
    _add_session(parser)


def add_stop(parser: OneLineParser) -> None:
    """The arguments of ``workbench profile stop``."""
    parser.add_argument(
        "--stop-timeout-s", type=float, default=None, metavar="S", help="How long the service may take to stop (120)."
    )
    _add_session(parser)


def add_restore(parser: OneLineParser) -> None:
    """The arguments of ``workbench profile restore``."""
    _add_session(parser)


def _add_session(parser: OneLineParser) -> None:
    parser.add_argument("--folder", type=Path, metavar="DIR", help="Where the session is kept (data/profiling).")
    add_json(parser)


Action = Callable[[argparse.Namespace, "SessionFile"], Coroutine[Any, Any, int]]


def _locked(action: Action, options: argparse.Namespace) -> int:
    """Run an action while the session's file is locked: two commands at once would undo each other."""
    from workbench.profilers.open import default_profiling_dir
    from workbench.profilers.state import SessionFile

    file = SessionFile(options.folder or default_profiling_dir())

    async def act() -> int:
        async with file.locked():
            return await action(options, file)

    return asyncio.run(act())


def do_start(options: argparse.Namespace) -> int:
    """Start the service under a profiler."""
    if options.compose is not None and options.command:
        raise SettingsError("--compose and a command exclude each other", where="workbench profile start")
    if options.command and {"service_command", "agent_command"} & set(_given(options)):
        raise SettingsError("--service, --agent and a command after -- exclude each other", where="workbench profile")
    if options.health_url is not None and not options.command:
        raise SettingsError(
            "--health-url belongs to a command of your own, given after --", where="workbench profile start"
        )
    return _locked(_start, options)


def do_window(options: argparse.Namespace) -> int:
    """Begin a window, end it, or cut one around something."""
    where = "workbench profile window"
    if options.end and (options.name or options.command or options.seconds is not None):
        raise SettingsError("--end ends the open window and takes nothing else", where=where)
    if options.seconds is not None and options.command:
        raise SettingsError("--seconds and a command exclude each other", where=where)
    if options.name is None and not options.end:
        raise SettingsError("no name was given", where=where, hint="Give a name for the window, or --end")
    _require_time("--seconds", options.seconds)
    return _locked(_window, options)


def do_status(options: argparse.Namespace) -> int:
    """What runs, and whether it answers."""
    return _locked(_status, options)


def do_report(options: argparse.Namespace) -> int:
    """A run of the session's windows, and its report."""
    return _locked(_report, options)


def do_stop(options: argparse.Namespace) -> int:
    """Stop the service."""
    _require_time("--stop-timeout-s", options.stop_timeout_s)
    return _locked(_stop, options)


def do_restore(options: argparse.Namespace) -> int:
    """Start again what ran before."""
    return _locked(_restore, options)


def _require_time(option: str, value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        raise SettingsError(f"must be a time in seconds, found {value:g}", where=option)


def _flags(text: str) -> tuple[str, ...]:
    """Flags, split as a shell does."""
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

    mode = parse_mode(options.mode)
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
        # a failed start has restored what it stopped, not what an earlier session stopped
        if backend.owes:
            file.write(session, "stopped")
        else:
            file.forget()
        raise
    _follow_changes(session, file, "running")
    file.write(session, "running")
    by_name = options.command or options.compose or _given(options)
    what = ", ".join(backend.services) if by_name else "the stand-in"
    plural = by_name and len(backend.services) > 1
    lines = [f"{what} {'answer' if plural else 'answers'} under {mode}; profiles go to {out}"]
    wait_s = await session.first_report_after_s() if mode == "flamegraph" else 0.0
    if wait_s:
        lines.append(f"The first report comes {wait_s:.0f} s after the start: a shorter run has no profile.")
    lines[1:1] = _address_lines(session)
    facts = {"mode": mode, "services": list(backend.services), "out": str(out), "addresses": _shown_addresses(session)}
    tell(options, {**facts, "first_report_after_s": wait_s or None}, "\n".join(lines))
    return 0


async def _over(file: SessionFile) -> Backend | None:
    """The backend of the previous session, which must be stopped. Raises ToolError if it is not."""
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
        f"the session under {session.mode} was not stopped properly",
        where=str(file.path),
        hint="workbench profile status shows what still runs, workbench profile stop ends it",
    )


async def _window(options: argparse.Namespace, file: SessionFile) -> int:
    session, state = file.read()
    if state != "running":
        raise ToolError(f"the session is {state}", where=str(file.path), hint="workbench profile start MODE")
    _follow_changes(session, file, "running")
    if options.end:
        try:
            _say_windows(options, await session.end())
        finally:
            file.write(session, "running")
        return 0
    await session.begin(options.name)
    file.write(session, "running")
    if options.seconds is None and not options.command:
        words = f"window {options.name} is open; end it with: workbench profile window --end"
        tell(options, {"open": options.name}, words)
        return 0
    try:
        return await _around(session, options)
    finally:
        file.write(session, "running")


async def _around(session: Session, options: argparse.Namespace) -> int:
    """A window around a command, or for some time; Ctrl-C ends it too, and its files are printed."""
    from workbench.profilers.inside import Runs, runs_dir_of
    from workbench.profilers.to_the_end import to_the_end

    runs = Runs.now(runs_dir_of(options.command, os.environ))
    try:
        return await _inside(session, options)
    finally:
        facts = runs.facts() if options.command else {}
        _say_windows(options, await to_the_end(session.end(facts=facts)), facts)


async def _inside(session: Session, options: argparse.Namespace) -> int:
    """Run the command inside the window, or wait; returns the exit code of the command."""
    from workbench.profilers.inside import variables_of
    from workbench.profilers.to_the_end import to_the_end

    if not options.command:
        await asyncio.sleep(options.seconds)
        return 0
    try:
        environment = variables_of(_addresses(session), session.mode, os.environ)
        with keyring.handed_on() as (keys, descriptors):  # the command may be ours, such as `workbench load`
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
    """End a command; Ctrl-C in a terminal has reached it too."""
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
    condition = {} if state == "stopped" else await session.condition()
    addresses = [] if state == "stopped" else _address_lines(session)
    lines = [f"{state}: mode {session.mode}, profiles in {session.out}"]
    lines += [f"  {service}: {wrong or 'runs and answers'}" for service, wrong in condition.items()]
    lines += addresses
    if state != "stopped" and session.open_name is not None:
        lines.append(f"  window {session.open_name} is open")
    lines.append(f"  windows: {', '.join(session.names) or 'none yet'}")
    facts = {
        "state": state,
        "mode": session.mode,
        "out": str(session.out),
        "services": {service: wrong or "runs and answers" for service, wrong in condition.items()},
        "addresses": _shown_addresses(session) if addresses else {},
        "open": session.open_name,
        "windows": list(session.names),
    }
    tell(options, facts, "\n".join(lines))
    return ToolError.exit_code if any(condition.values()) else 0


async def _report(options: argparse.Namespace, file: SessionFile) -> int:
    from workbench.profilers.windows.record import windows_in
    from workbench.report.by_hand import report_windows, windows_costs, windows_text
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
        say(f"Note: window {name} is left out: give --receipts {name}=N to say how many it had.")
    if not options.json:
        result(windows_text(run))
    await report_windows(run)
    page = str(path / "report.html")
    facts = {"run": str(path), "report": page, "mode": mode, "windows": run.manifest["windows"]}
    tell(options, {**facts, "left_out": list(left_out), "costs": windows_costs(run)} if options.json else {}, page)
    return 0


def _receipts(words: list[str]) -> dict[str, int]:
    """``NAME=N`` as numbers by name."""
    found = {}
    for word in words:
        name, _, number = word.rpartition("=")
        if not name or not number.isdigit():
            raise SettingsError(f"expected NAME=N, found {shown(word)}", where="--receipts")
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
        # the process that was starting or stopping it was killed
        file.write(session, "stopped")
        words = "nothing runs; `workbench profile restore` starts again what ran before"
        tell(options, {"stopped": [], "files": []}, words)
        return 0
    _follow_changes(session, file, "stopping")
    file.write(session, "stopping")
    for service, wrong in (await session.condition()).items():
        if wrong:
            say(f"Note: {service} {wrong}.")
    timeout_s = STOP_TIMEOUT_S if options.stop_timeout_s is None else options.stop_timeout_s
    try:
        ended = await session.stop(timeout_s)
    except WorkbenchError:
        file.write(session, "stopping" if backend.running else "stopped")
        raise
    file.write(session, "stopped")
    files = [str(path) for path in sorted(session.out.rglob("*")) if path.is_file()]
    lines = []
    for one in ended:
        code = "" if one.exit_code is None else f", exit code {one.exit_code}"
        how = "was killed: its output may be incomplete" if one.killed else "stopped"
        lines.append(f"{one.service} {how} after {one.seconds:.1f} s{code}")
    stopped = [
        {"service": one.service, "killed": one.killed, "seconds": one.seconds, "exit_code": one.exit_code}
        for one in ended
    ]
    tell(options, {"stopped": stopped, "files": files}, "\n".join([*lines, *files]))
    return ToolError.exit_code if any(one.killed for one in ended) else 0


async def _restore(options: argparse.Namespace, file: SessionFile) -> int:
    session, state = file.read()
    if state != "stopped":
        raise ToolError(f"the session is {state}", where=str(file.path), hint="Stop it first: workbench profile stop")
    before = session.backend.notes
    await session.restore()
    file.forget()
    for note in session.backend.notes[len(before) :]:
        say(f"Note: {note}.")
    words = "what ran before answers again" if session.restored else "nothing ran before, and nothing runs now"
    tell(options, {"restored": bool(session.restored)}, words)
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
    settings = Settings.resolve(labels=labels, profiler=parse_mode(options.mode), compose=options.compose, **given)
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
    """Where the services of a session answer; {} if it is not known."""
    try:
        return session.addresses
    except SettingsError:
        return {}


def _shown_addresses(session: Session) -> dict[str, str]:
    """Where the services answer, without passwords."""
    from workbench.settings.kinds import without_password

    return {name: without_password(url) for name, url in _addresses(session).items()}


def _address_lines(session: Session) -> list[str]:
    return [f"  {option_of(name)} {url}" for name, url in _shown_addresses(session).items()]


def _follow_changes(session: Session, file: SessionFile, state: State) -> None:
    """Update the session's file while services start and stop, so that it is still right if this process is
    killed."""
    session.backend.changed = lambda: file.write(session, state)


def _say_windows(
    options: argparse.Namespace, windows: tuple[Window, ...], inside: Mapping[str, Any] | None = None
) -> None:
    """Print the files of the windows that were cut, and how many receipts were sent in them."""
    notes = list(dict.fromkeys(note for window in windows for note in window.notes))
    files = [str(window.path(what)) for window in windows for what in window.files]
    for note in notes:
        say(f"Note: {note}.")
    sent = [f"{inside['receipts']['sent']:,} receipts were sent inside"] if inside else []
    tell(options, {"files": files, "notes": notes, **(inside or {})}, "\n".join([*files, *sent]))
