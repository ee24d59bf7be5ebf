"""The network in the background: ``up`` starts it and returns, ``down`` ends it, from any shell.

A keeper process runs the network and holds the folder's lock, which the kernel drops when the keeper dies. So the lock
tells whether the network of the state file runs; process numbers could belong to others by now.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workbench.child import last_line, start, tell
from workbench.errors import RunFolderError, TargetError, ToolError, WorkbenchError
from workbench.network import postgres
from workbench.network.extra import require_extra
from workbench.network.run import LOCK, Network, network
from workbench.runs.atomic import write_json
from workbench.runs.folder import utc_now
from workbench.settings import Settings

FILE = "network.json"
LOG = "network.log"
SCHEMA = 1
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 90.0

_KEEP = b"keep\n"
_NOTHING_UP = "Start one: workbench network up"
_ERRORS: dict[int, type[WorkbenchError]] = {kind.exit_code: kind for kind in (RunFolderError, TargetError, ToolError)}


@dataclass(frozen=True)
class State:
    """The state after ``up``: the network, its keeper's process id, and whether that still runs."""

    network: Network
    keeper: int
    started: str
    runs: bool


async def up(settings: Settings, *, fresh: bool = False) -> Network:
    """Start a network that outlives this process; if this is interrupted or killed before it is ready, nothing is left.

    Raises the same errors as :func:`workbench.network.run.network`.
    """
    require_extra()
    folder = settings.network_folder
    if (state := read(folder)) is not None and state.runs:
        raise RunFolderError(
            f"a network is already running in this folder (process {state.keeper})",
            where=str(folder),
            hint="Use it, or end it: workbench network down",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / LOG).open("wb")
    except OSError as error:
        raise RunFolderError(
            f"cannot be written: {error.strerror}", where=str(folder), hint="Give another with --network-folder"
        ) from None
    with log:
        process = await start("workbench.network", "keeper", errors=log)
    try:
        return await _started(process, settings, fresh)
    except BaseException:
        # if the pipe closes without an order, the keeper ends
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        raise


async def _started(process: Process, settings: Settings, fresh: bool) -> Network:
    log = settings.network_folder / LOG
    # secrets are passed only through this pipe
    order = {"settings": settings.model_dump(mode="json", exclude={"signer_keys", "payers"}), "fresh": fresh}
    try:
        line = await tell(process, json.dumps(order).encode(), READY_TIMEOUT_S)
    except TimeoutError:
        raise ToolError(f"the network was not ready after {READY_TIMEOUT_S:.0f} s", where=str(log)) from None
    if not line:
        code = process.returncode or 0
        if code < 0:
            raise ToolError(f"the network was killed while it started (signal {-code})", where=str(log))
        # its own message, with place and remedy
        raise _ERRORS.get(code, ToolError)(last_line(log))
    if process.stdin is not None:
        process.stdin.write(_KEEP)
        await process.stdin.drain()
    return Network.from_json(json.loads(line))


def keep(line: bytes) -> int:
    """The keeper process: run a network until SIGTERM. ``line``: the order from :func:`up`."""
    order = json.loads(line)
    return asyncio.run(_keep(Settings(**order["settings"]), order["fresh"]))


async def _keep(settings: Settings, fresh: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reader = asyncio.StreamReader()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def watch() -> None:
        if await reader.readline() != _KEEP:
            stop.set()

    watching = asyncio.create_task(watch())
    file = settings.network_folder / FILE
    try:
        starting = asyncio.create_task(_hold(settings, fresh, file, stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not file.exists() and not starting.done():
            starting.cancel()  # it was still starting
        with contextlib.suppress(asyncio.CancelledError):
            await starting
    finally:
        watching.cancel()
        pipe.close()
        file.unlink(missing_ok=True)
    return 0


async def _hold(settings: Settings, fresh: bool, file: Path, stop: asyncio.Event) -> None:
    async with network(settings, fresh=fresh) as running:
        facts = running.to_json()
        write_json(
            file,
            {"schema": SCHEMA, "started": utc_now(), "keeper": os.getpid(), "network": facts},
            hint="{remedy}, then start it again",
            mode=0o600,
        )
        print(json.dumps(facts), flush=True)
        await stop.wait()


def read(folder: Path) -> State | None:
    """The state in the folder; None if nothing was started or it was ended in order.

    Raises RunFolderError if the state file is invalid.
    """
    path = folder / FILE
    try:
        facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"schema {facts['schema']}")
        keeper = int(facts["keeper"])
        return State(Network.from_json(facts["network"]), keeper, facts["started"], _holder(folder / LOCK) == keeper)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"is not the state file of a network: {error}",
            where=str(path),
            hint="Delete it, and stop its processes by hand",
        ) from None


def require(folder: Path) -> State:
    """The running network of the folder. Raises ToolError if none runs."""
    state = read(folder)
    if state is None:
        raise ToolError("no network was started", where=str(folder), hint=_NOTHING_UP)
    if not state.runs:
        raise ToolError("the network has ended: its keeper was killed", where=str(folder), hint=_NOTHING_UP)
    return state


async def down(folder: Path) -> Network:
    """End the network of the folder and what a killed one left; returns that network.

    Raises ToolError if none was started or it does not end.
    """
    state = read(folder)
    if state is None:
        raise ToolError("no network was started", where=str(folder), hint=_NOTHING_UP)
    if state.runs:
        await _end(state.keeper, folder)
    await postgres.end_left_over(state.network.folder / "postgres")
    (folder / FILE).unlink(missing_ok=True)
    return state.network


async def _end(pid: int, folder: Path) -> None:
    """Send SIGTERM to the keeper, and wait for its end."""
    with contextlib.suppress(psutil.NoSuchProcess):
        keeper = psutil.Process(pid)
        keeper.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while keeper.is_running() and keeper.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise ToolError(
                    f"the network (process {pid}) did not end within {STOP_TIMEOUT_S:.0f} s",
                    where=str(folder),
                    hint=f"Its log is {folder / LOG}",
                )
            await asyncio.sleep(0.05)


def _holder(lock: Path) -> int | None:
    """The process that holds the lock; None if none does."""
    try:
        with lock.open("r", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0)
            return None
    except (OSError, ValueError):
        return None
