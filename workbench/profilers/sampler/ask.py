"""The control side: ask a service in another process for a report, and wait until both files are there."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from workbench.errors import ToolError
from workbench.profilers.sampler.files import Snapshot, key_of, snapshot_of
from workbench.profilers.sampler.protobuf import taken_ns

_PAUSE_S = 0.01


def request_snapshot(pid: int, folder: str | os.PathLike[str], timeout: float = 30.0) -> Snapshot:
    """Ask the sampler of process ``pid`` (SIGUSR2) for a report into its ``folder``, and return the files.

    The report includes everything up to the call. Raises ToolError if the process is gone or does not handle SIGUSR2
    (then the signal is not sent, since its default would kill the process), and after ``timeout`` seconds.
    """
    _check_takes_requests(pid)
    asked_ns = time.time_ns()
    try:
        os.kill(pid, signal.SIGUSR2)
    except (ProcessLookupError, PermissionError) as error:
        raise ToolError(f"could not be asked for a profile: {error.strerror}", where=f"process {pid}") from None
    return wait_for_snapshot(folder, asked_ns, timeout, pid=pid)


def wait_for_snapshot(
    folder: str | os.PathLike[str], asked_ns: int, timeout: float = 30.0, *, pid: int | None = None
) -> Snapshot:
    """The first report in ``folder`` that was taken at ``asked_ns`` (ns since 1970) or later, once it is complete.

    For services that are asked in another way, for example by a signal inside a container. Raises ToolError after
    ``timeout`` seconds, or if process ``pid`` ended without a report.
    """
    place = Path(folder)
    deadline = time.monotonic() + timeout
    old: set[str] = set()
    while True:
        # checked before the folder is read: a process that ends writes a last report
        ended = pid is not None and not _runs(pid)
        found = taken_since(place, asked_ns, old)
        if found is not None:
            return found
        if ended:
            raise ToolError("ended before it wrote the requested profile", where=f"process {pid}")
        if time.monotonic() > deadline:
            raise ToolError(
                f"no profile came within {timeout:g} s",
                where=str(place),
                hint="Check that the service's sampler writes here, and the service's log",
            )
        time.sleep(_PAUSE_S)


def taken_since(folder: Path, asked_ns: int, old: set[str]) -> Snapshot | None:
    """The earliest report that was taken at ``asked_ns`` or later. Older reports, and those without a time (of other
    samplers), are added to ``old`` (time and number) and not read again."""
    found: list[tuple[int, Snapshot]] = []
    for path in folder.glob("profile-*.pb"):
        key = key_of(path.name)
        if key is None or key in old:
            continue
        # renamed into place when complete, and after the picture
        taken = taken_ns(path.read_bytes())
        if taken is None or taken < asked_ns:
            old.add(key)
        else:
            found.append((taken, snapshot_of(folder, key)))
    return min(found, key=lambda each: each[0])[1] if found else None


def _check_takes_requests(pid: int) -> None:
    status = _status(pid)
    if not status:
        what = "this process does not exist" if sys.platform == "linux" else "requesting a profile needs Linux"
        raise ToolError(what, where=f"process {pid}")
    caught = int(status["SigCgt"], 16)
    if not caught >> (signal.SIGUSR2 - 1) & 1:
        raise ToolError(
            "has no sampler that answers requests (it does not catch SIGUSR2)",
            where=f"process {pid}",
            hint="Call setup_profiling in the main thread of the service",
        )


def _runs(pid: int) -> bool:
    return _status(pid).get("State", "Z")[0] not in "ZX"


def _status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status; empty if the process does not exist."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
