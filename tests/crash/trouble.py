"""One run that meets trouble ten times and is resumed each time: ``python -m tests.crash.trouble full FOLDER``.

``full``: the disk is full (a file system in memory, mounted only for this process, which needs root). ``window``: the
disk is full in windows of a profiled sweep. ``read-only``: the file system of the run's folder becomes read-only.
``typed``: the disk is full in a sweep run as a typed command. ``closed``: the run's folders cannot be written to (root
drops its right to ignore modes). ``suspended``: all processes stand still for ``--seconds``. ``clock``: the clock is
set, by ``faketime``.

Prints messages and remaining files at each moment as JSON lines, which the tests check.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import psutil

import workbench
from tests.crash import checks
from tests.crash.kinds import RECEIPTS, command
from tests.crash.moments import Rows, rows
from workbench.errors import WorkbenchError
from workbench.profilers.session import Session
from workbench.profilers.windows.record import windows_in
from workbench.sweep.record import OnEvent
from workbench.sweep.windows import FOLDER, IDLE, step_of

PLAN = {"receipts": ",".join(map(str, RECEIPTS)), "rate": 60.0, "limit_grt": "5", "pinpoint": False}
# an event, and the step it belongs to (None: any)
MOMENTS: tuple[tuple[str, int | None], ...] = (
    ("predicted", None),
    ("run_resumed", None),
    ("step_started", 0),
    ("progress", 0),
    ("step_finished", 0),
    ("step_started", 1),
    ("progress", 1),
    ("step_finished", 1),
    ("progress", 2),
    ("step_finished", 3),
)
PROFILED = PLAN | {"receipts": "30,40", "profiler": "strace", "paired": False, "warm_up_receipts": 5, "idle_s": 1.0}
IN_WINDOWS: tuple[tuple[str, int | None], ...] = (
    ("step_started", 0),
    ("window_begins", 0),
    ("window_begun", 0),
    ("progress", 0),
    ("window_ends", 0),
    ("window_ended", 0),
    ("window_begun", 1),
    ("window_ends", 1),
    ("idle_window", None),
    ("window_ends", None),
)
CLONE_NEWNS = 0x20000

Trouble = Callable[[Path], Any]
Moment = tuple[str, int | None]
Came = dict[str, Any]


def fill(disk: Path) -> Path:
    """Fill a file system completely; returns the file that fills it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(free(disk) // 2 or 4096))
        except OSError:
            return filler


def free(disk: Path) -> int:
    """The bytes that are free on a file system, in whole blocks of 4 KiB."""
    return shutil.disk_usage(disk).free // 4096 * 4096


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """The disk is full while the block runs."""
    filler = fill(disk)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def closed(disk: Path) -> Iterator[None]:
    """Within the block nothing can be created in the run's folders, and no events appended."""
    paths = [
        path for path in (disk / "run", *(disk / "run").rglob("*")) if path.is_dir() or path.name == "events.jsonl"
    ]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Within the block the run's file system is read-only; open files stay open, as after a disk error."""
    run, aside = str(disk / "run"), tempfile.mkdtemp(dir=disk)
    # made aside and moved over: a file opened for writing between two steps in place would keep it writable
    mount("--bind", run, aside)
    mount("-o", "remount,bind,ro", aside)
    mount("--move", aside, run)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", run], check=True)


def mount(*words: str) -> None:
    """Raises OSError if that is not allowed."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


def own_disk(folder: Path, mib: int = 16) -> None:
    """Mount a file system of so many MiB, which nobody else sees and which goes with this process. Raises OSError if
    that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    # made private first, so that the mount reaches no other namespace
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder))


async def at_each(disk: Path, trouble: Trouble, of: Sequence[Moment], plan: dict[str, Any]) -> AsyncIterator[Came]:
    """The result of each moment: message, exit code, and how many rows could be read meanwhile."""
    run, before = disk / "run", set[tuple[int, int, int]]()
    for kind, place in of:
        yield {"kind": kind, "place": place, **await _once(run, trouble, kind, place, before, plan)}
    done = await workbench.sweep(resume=run)
    receipts = checks.wrong_receipts(run, run / "standin.sqlite", cut_off=trouble is not full)
    planned = tuple(map(int, plan["receipts"].split(",")))
    wrong = [*checks.wrong_rows(run, before, planned), *receipts]
    windows = sorted(window.name for window in windows_in(run / FOLDER))
    costs = len(pd.read_parquet(run / FOLDER / "costs.parquet")) if windows else 0
    left = [str(path) for path in run.rglob("*.tmp")]
    yield {"state": done.state, "wrong": wrong, "left": left, "windows": windows, "costs": costs}


async def _once(run: Path, trouble: Trouble, kind: str, place: int | None, before: Rows, plan: dict[str, Any]) -> Came:
    held, facts_of = list[Any](), Came(met=False, error="", exit_code=0)

    def on_event(event: str, facts: dict[str, Any]) -> None:
        of = facts["step"] - _first(run) if "step" in facts and place is not None else None
        if place is None and event.startswith("window") and "step" in facts:
            return  # of a step, but the idle window is meant
        if not held and event == kind and of == place:
            held.append(trouble(run.parent))
            held[0].__enter__()
            facts_of["met"] = True

    try:
        with windows_told(on_event):
            if (run / "manifest.json").exists():
                await workbench.sweep(resume=run, on_event=on_event)
            else:
                await workbench.sweep(run_dir=run, on_event=on_event, **plan)
    except WorkbenchError as error:
        facts_of |= {"error": str(error), "exit_code": error.exit_code}
    opened = workbench.open_run(run)  # during the trouble
    facts_of |= {"state": opened.state, "finished": len(opened.steps), "rows": len(opened.samples)}
    if held:
        held[0].__exit__(None, None, None)
    before |= rows(run)
    return facts_of


@contextmanager
def windows_told(on_event: OnEvent) -> Iterator[None]:
    """Calls ``on_event`` when a window begins, has begun, ends and has ended, since a sweep has no events for that."""

    def told(work: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
        async def wrapper(session: Session, *arguments: Any, **named: Any) -> Any:
            window = arguments[0] if before == "window_begins" else session.open_name
            facts = {"step": step_of(window)} if window != IDLE else {}
            on_event(before, facts)
            result = await work(session, *arguments, **named)
            on_event(after, facts)
            return result

        return wrapper

    with (
        patch.object(Session, "begin", told(Session.begin, "window_begins", "window_begun")),
        patch.object(Session, "end", told(Session.end, "window_ends", "window_ended")),
    ):
        yield


def typed_when_full(disk: Path) -> Came:
    """A sweep as a typed command, through its notebook, whose disk is full after the first step; then the printed
    command that resumes it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    how: dict[str, Any] = {"env": os.environ | {"PATH": path}, "cwd": disk, "text": True}
    words = command({**PLAN, "runs_dir": str(disk / "runs")})
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **how) as process:
        while not list(disk.glob("runs/*/steps.parquet")) and process.poll() is None:
            time.sleep(0.05)
        with full(disk):
            said = process.communicate()[1]
            (run,) = disk.glob("runs/*")
            opened = workbench.open_run(run)
            came = {"state": opened.state, "rows": len(opened.samples), "finished": len(opened.steps)}
    (hint,) = re.findall(r"`(workbench [^`]+)`", said.strip().splitlines()[-1])
    again = subprocess.run(shlex.split(hint), capture_output=True, check=False, **how)
    wrong = [again.stderr] if again.returncode not in (0, 4) else [*checks.wrong_report(run)]
    wrong = wrong or [*checks.wrong_rows(run, set())]
    wrong = wrong or [*checks.wrong_receipts(run, run / "standin.sqlite", cut_off=False)]
    ended = {"exit_code_then": again.returncode, "wrong": wrong, "left": [str(path) for path in run.rglob(".*.*")]}
    return {**came, "exit_code": process.returncode, "error": said.strip().splitlines()[-1], "said": said, **ended}


def _first(run: Path) -> int:
    manifest = json.loads((run / "manifest.json").read_text())
    return int(manifest["steps_planned"][0]["number"])


async def once_suspended(disk: Path, seconds: float) -> dict[str, Any]:
    """A sweep whose processes all stand still for ``seconds`` in the middle of its second step: done by another
    process, since this one stands still too."""
    code = "import sys; from tests.crash import trouble; trouble.suspend(int(sys.argv[1]), float(sys.argv[2]))"
    words = [sys.executable, "-c", code, str(os.getpid()), str(seconds)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        words, start_new_session=True, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdout.readline()  # it is ready

        def on_event(event: str, facts: dict[str, Any]) -> None:
            assert one.stdin is not None
            second = event == "progress" and facts["step"] == _first(disk / "run") + 1
            if second and facts["done"] and not one.stdin.closed:
                one.stdin.close()

        # slow, so that the step is still running when it is stopped
        return await _measured(disk, on_event, rate=10.0)


def suspend(pid: int, seconds: float) -> None:
    """When standard input closes, stop a process and its descendants, except this one, for that long."""
    print("ready", flush=True)
    sys.stdin.read()
    parent = psutil.Process(pid)
    processes = [one for one in (parent, *parent.children(recursive=True)) if one.pid != os.getpid()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)  # this is the time that they must miss
    for process in processes:
        process.send_signal(signal.SIGCONT)


async def once_set(disk: Path, seconds: float) -> dict[str, Any]:
    """A sweep in whose second step the clock is set forward by ``seconds``, and in whose third it is set back."""
    clock, first = Path(os.environ["FAKETIME_TIMESTAMP_FILE"]), None

    def on_event(event: str, facts: dict[str, Any]) -> None:
        nonlocal first
        if event == "progress" and facts["done"]:
            first = _first(disk / "run") if first is None else first
            if facts["step"] in (first + 1, first + 2):
                clock.write_text(f"{seconds if facts['step'] == first + 1 else -seconds:+g}\n")

    return await _measured(disk, on_event, rate=10.0)


async def _measured(disk: Path, on_event: OnEvent, **changes: Any) -> dict[str, Any]:
    run = disk / "run"
    began = time.monotonic()
    done = await workbench.sweep(run_dir=run, on_event=on_event, **{**PLAN, **changes})
    steps = done.steps
    times = done.series.sort_values("step")["t_s"]
    return {
        "state": done.state,
        "verdict": done.verdict,
        "seconds": time.monotonic() - began,
        "wrong": [*checks.wrong_rows(run, set()), *checks.wrong_receipts(run, run / "standin.sqlite")],
        "duration_s": steps["duration_s"].tolist(),
        "verdicts": steps["verdict"].tolist(),
        "reasons": steps["reason"].tolist(),
        "outcomes": done.outcomes.to_dict("records"),
        "times_go_on": bool(times.is_monotonic_increasing and done.watch["t_s"].is_monotonic_increasing),
        "lasted_s": float(times.max()),
    }


KINDS: dict[str, tuple[Trouble, tuple[Moment, ...], dict[str, Any]]] = {
    "full": (full, MOMENTS, PLAN),
    "window": (full, IN_WINDOWS, PROFILED),
    "read-only": (read_only, MOMENTS, PLAN),
    "closed": (closed, MOMENTS, PLAN),
}


def main() -> int:
    """Run one kind of trouble in a folder; prints the results as JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.trouble", description=__doc__)
    parser.add_argument("kind", choices=[*KINDS, "typed", "suspended", "clock"])
    parser.add_argument("folder", type=Path, help="An empty folder.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", type=int, nargs="+", help="Only these of the ten moments, counted from 1.")
    options = parser.parse_args()
    if options.kind not in ("closed", "suspended", "clock"):
        try:
            own_disk(options.folder, 96 if options.kind in ("window", "typed") else 16)  # a window wants 64 MiB
        except OSError as error:
            print(json.dumps({"skipped": f"a small file system cannot be mounted here: {error}"}))
            return 0
    os.chdir(options.folder)
    if options.kind == "typed":
        print(json.dumps(typed_when_full(options.folder)))
    else:
        asyncio.run(_say(options))
    return 0


async def _say(options: argparse.Namespace) -> None:
    if options.kind in KINDS:
        trouble, moments, plan = KINDS[options.kind]
        chosen = [moments[number - 1] for number in options.only or range(1, len(moments) + 1)]
        async for one in at_each(options.folder, trouble, chosen, plan):
            print(json.dumps(one), flush=True)
    else:
        of = once_suspended if options.kind == "suspended" else once_set
        print(json.dumps(await of(options.folder, options.seconds)))


if __name__ == "__main__":
    sys.exit(main())
