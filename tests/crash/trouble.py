"""One run that meets trouble ten times, and is gone on with each time: ``python -m tests.crash.trouble full FOLDER``.

``full``: the disk is full (a file system of 16 MB in memory, mounted for this process alone, which root may do).
``closed``: the run's folders cannot be written to (root has no right to pass over modes then).
``suspended``: all its processes stand still for ``--seconds``. ``clock``: the machine's clock is set, by ``faketime``.

Prints what was said and left at each moment as JSON lines; the tests look at these.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

import workbench
from tests.crash import checks
from tests.crash.kinds import RECEIPTS
from tests.crash.moments import Rows, rows
from workbench.errors import WorkbenchError
from workbench.sweep.record import OnEvent

PLAN = {"receipts": ",".join(map(str, RECEIPTS)), "rate": 60.0, "limit_grt": "5", "pinpoint": False}
# an event, and of which of the steps: None is any
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
CLONE_NEWNS = 0x20000

Trouble = Callable[[Path], Any]


def fill(disk: Path) -> Path:
    """Leave no byte free on a file system; the file that takes them."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


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
    """Nothing can be made in the run's folders while the block runs, nor its events be added to."""
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


def own_disk(folder: Path) -> None:
    """Mount a file system of 16 MB, which nobody else sees and which goes with this process. Raises OSError where that
    is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    # made private first: what is mounted here is to reach no other namespace
    for words in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]):
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())


async def ten_times(disk: Path, trouble: Trouble) -> AsyncIterator[dict[str, Any]]:
    """What came of each moment: what was said, with which exit code, how many rows could be read meanwhile."""
    run, before = disk / "run", set[tuple[int, int, int]]()
    for kind, place in MOMENTS:
        yield {"kind": kind, "place": place, **await _once(run, trouble, kind, place, before)}
    done = await workbench.sweep(resume=run)
    receipts = checks.wrong_receipts(run, run / "standin.sqlite", cut_off=trouble is not full)
    wrong = [*checks.wrong_rows(run, before), *receipts]
    yield {"state": done.state, "wrong": wrong, "left": [str(path) for path in run.rglob("*.tmp")]}


async def _once(run: Path, trouble: Trouble, kind: str, place: int | None, before: Rows) -> dict[str, Any]:
    held, facts_of = [], {"met": False, "error": "", "exit_code": 0}

    def on_event(event: str, facts: dict[str, Any]) -> None:
        of = facts.get("step", 0) - _first(run) if place is not None else None
        if not held and event == kind and of == place:
            held.append(trouble(run.parent))
            held[0].__enter__()
            facts_of["met"] = True

    try:
        if (run / "manifest.json").exists():
            await workbench.sweep(resume=run, on_event=on_event)
        else:
            await workbench.sweep(run_dir=run, on_event=on_event, **PLAN)
    except WorkbenchError as error:
        facts_of |= {"error": str(error), "exit_code": error.exit_code}
    opened = workbench.open_run(run)  # while the trouble lasts
    facts_of |= {"state": opened.state, "finished": len(opened.steps), "rows": len(opened.samples)}
    if held:
        held[0].__exit__(None, None, None)
    before |= rows(run)
    return facts_of


def _first(run: Path) -> int:
    manifest = json.loads((run / "manifest.json").read_text())
    return int(manifest["steps_planned"][0]["number"])


async def once_suspended(disk: Path, seconds: float) -> dict[str, Any]:
    """A sweep whose processes all stand still for ``seconds`` in the middle of its second step: by another process,
    since this one stands still with them."""
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

        # slow, so that the step is not over before it stands still
        return await _measured(disk, on_event, rate=10.0)


def suspend(pid: int, seconds: float) -> None:
    """At the end of standard input, stop a process and all below it, but this one, for so long."""
    print("ready", flush=True)
    sys.stdin.read()
    parent = psutil.Process(pid)
    processes = [one for one in (parent, *parent.children(recursive=True)) if one.pid != os.getpid()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)  # the time itself is what they are to miss
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


def main() -> int:
    """Run one kind of trouble in a folder; what came of it as JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.trouble", description=__doc__)
    parser.add_argument("kind", choices=["full", "closed", "suspended", "clock"])
    parser.add_argument("folder", type=Path, help="An empty folder.")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    if options.kind == "full":
        try:
            own_disk(options.folder)
        except OSError as error:
            print(json.dumps({"skipped": f"a small file system cannot be mounted here: {error}"}))
            return 0
    os.chdir(options.folder)
    asyncio.run(_say(options))
    return 0


async def _say(options: argparse.Namespace) -> None:
    if options.kind in ("full", "closed"):
        async for one in ten_times(options.folder, full if options.kind == "full" else closed):
            print(json.dumps(one), flush=True)
    else:
        of = once_suspended if options.kind == "suspended" else once_set
        print(json.dumps(await of(options.folder, options.seconds)))


if __name__ == "__main__":
    sys.exit(main())
