"""``%load_ext workbench``: a cell of load under a profiler, findings, and the command line, from a notebook.

``%%profile MODE`` the cell runs in a profile window of a service under a profiler ``%findings RUN`` the findings of a
run or a batch ``%workbench ...`` any command of the ``workbench`` command line
"""

from __future__ import annotations

import ast
import asyncio
import contextvars
import inspect
import os
import shlex
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.errors import SettingsError, WorkbenchError
from workbench.masking import masked, shown
from workbench.profilers.inside import variables_of
from workbench.profilers.modes import parse_mode
from workbench.widgets.command import run_command

if TYPE_CHECKING:
    from workbench.profilers.session import Cut

T = TypeVar("T")
WINDOW = "cell"
_USAGE = "%%profile MODE [name=value ...], for example: %%profile callgrind service_command=./indexer-service"


def register(shell: Any) -> None:
    """Register the magics in a shell, for ``%load_ext workbench``."""
    shell.register_magic_function(_profile_of(shell), "cell", "profile")
    shell.register_magic_function(_findings, "line", "findings")
    shell.register_magic_function(_workbench_of(shell), "line", "workbench")


def _profile_of(shell: Any) -> Callable[[str, str], None]:
    def profile(line: str, cell: str) -> None:
        """Run the cell in a profile window of a service under a profiler.

        ``%%profile callgrind`` profiles the stand-in; settings follow as name=value, for example service_command=... In
        the cell ``session`` is the profiler's session, and loads go to its service: ``await
        workbench.load(num_receipts=100)``. Afterwards ``profiles`` has a profile for each service, ``profile`` is the
        first.
        """
        _saying(lambda: _profiled(shell, line, cell))

    return profile


def _profiled(shell: Any, line: str, cell: str) -> None:
    from IPython.display import display

    mode, settings = parsed(line)
    cut = _apart(lambda: _in_window(shell.user_ns, mode, settings, cell))
    profiles = cut.profiles
    shell.user_ns.update(profiles=profiles, profile=profiles[0] if profiles else None)
    for window in cut.windows:
        for note in window.notes:
            print(f"Note: {masked(note)}.")
        print(f"{window.service}: {window.folder}")
    if profiles:
        from workbench.charts.flame.graph import flame_graph

        display(flame_graph(profiles[0]))  # type: ignore[no-untyped-call]


async def _in_window(names: dict[str, Any], mode: str, settings: Mapping[str, Any], cell: str) -> Cut:
    """Run the text of a cell with ``names``, in a window of a session made for it."""
    from workbench.profilers.open import profiling

    async with profiling(mode, **settings) as session:
        names["session"] = session
        with _environment(variables_of(session.addresses, parse_mode(mode), os.environ)):
            async with session.window(WINDOW) as cut:
                await run_cell(cell, names)
    return cut


async def run_cell(cell: str, names: dict[str, Any]) -> None:
    """Run Python text, which may use ``await`` at top level, with ``names`` as globals."""
    code = compile(cell, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)  # noqa: S307 - the cell of whoever types it
    if inspect.isawaitable(result):
        await result


def parsed(line: str) -> tuple[str, dict[str, str]]:
    """The mode and the settings of a ``%%profile`` line. Raises SettingsError that shows the correct form."""
    words = _words(line, "%%profile")
    if not words or "=" in words[0]:
        raise SettingsError("which mode?", where="%%profile", hint=f"Write {_USAGE}")
    settings = {}
    for word in words[1:]:
        name, sign, value = word.partition("=")
        if not sign or not name.isidentifier():
            raise SettingsError(f"expected name=value, found {shown(word)}", where="%%profile", hint=f"Write {_USAGE}")
        settings[name] = value
    return parse_mode(words[0]), settings


def _findings(line: str) -> Any:
    """Show the findings of a run or a batch: ``%findings RUN``, its folder, its name, or the end of its name."""
    return _saying(lambda: _findings_of(line))


def _findings_of(line: str) -> Any:
    from workbench.catalogue.named import run_named
    from workbench.settings import Settings
    from workbench.widgets.findings_view import FindingsView

    words = _words(line, "%findings")
    if len(words) != 1:
        raise SettingsError(f"expected one run, found {len(words)}", where="%findings", hint="Write %findings RUN")
    path = Path(words[0])
    return FindingsView(path if path.is_dir() else run_named(words[0], Settings.resolve().runs_dir))


def _workbench_of(shell: Any) -> Callable[[str], None]:
    def workbench(line: str) -> None:
        """Run a command of the ``workbench`` command line: ``%workbench doctor``, ``%workbench load -n 100``."""
        _saying(lambda: _commanded(shell, line))

    return workbench


def _commanded(shell: Any, line: str) -> None:
    words = _words(line, "%workbench")
    code = _apart(lambda: run_command(words, print))
    shell.user_ns["_exit_code"] = code
    if code:
        print(f"workbench ended with exit code {code}")


def _words(line: str, where: str) -> Sequence[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise SettingsError(f"must be written as in a shell: {error}, found {shown(line)}", where=where) from None


def _saying(act: Callable[[], T]) -> T | None:
    """The result of ``act``; our errors are shown in one line, as in the shell, without a traceback."""
    try:
        return act()
    except WorkbenchError as error:
        from IPython.core.error import UsageError

        raise UsageError(str(error)) from None


def _apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of ``work``, run on a separate loop in a thread: a magic cannot wait on the kernel's running loop.

    An interrupt cancels it, waits until it has ended in order, and is then raised.
    """
    outcome: Future[T] = Future()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = []

    async def whole() -> T:
        running.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await work()

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(whole()))
        except BaseException as error:
            outcome.set_exception(error)

    # output printed in the thread belongs to the running cell
    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()
    interrupted = False
    while not outcome.done():
        try:
            outcome.exception()
        except KeyboardInterrupt:
            interrupted = True
            for loop, task in running:
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)
    if interrupted:
        raise KeyboardInterrupt
    return outcome.result()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables within the block, unless they are already set."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
