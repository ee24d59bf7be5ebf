"""The machine: clock, disk, the run folder's place, open files, ports of the stand-in."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workbench.doctor.check import Check
from workbench.errors import EXIT_USAGE
from workbench.loopback import is_loopback
from workbench.settings import Settings

MIN_FREE_BYTES = 1 << 30  # raw strace and massif output of one sweep can be hundreds of megabytes
SPARE_FILES = 128  # descriptors of a generator besides its sockets
MAX_STEP_S = 0.1

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_SYNCHRONISE = "sudo timedatectl set-ntp true"


def checks(settings: Settings) -> list[Check]:
    """Everything about the machine but the steadiness of its clock, for which two readings are needed."""
    found = [synchronised(settings), disk(settings.runs_dir), writable(settings.runs_dir), open_files(settings)]
    if settings.target is None:
        found += ports(settings)
    return found


@dataclass(frozen=True)
class Clocks:
    """One reading of both clocks, in seconds."""

    wall: float
    monotonic: float

    @classmethod
    def now(cls) -> Clocks:
        """Read both."""
        return cls(time.time(), time.monotonic())


def steady_clock(before: Clocks, after: Clocks) -> Check:
    """Whether the wall clock kept pace with the monotonic one.

    Samples are timed on the monotonic clock and receipts are stamped with the wall clock, so a wall clock that is
    stepped during a run makes receipts too old or too new.
    """
    step = (after.wall - before.wall) - (after.monotonic - before.monotonic)
    if abs(step) <= MAX_STEP_S:
        return Check("clock steps", "ok", f"wall and monotonic clock drifted apart by {step * 1e3:.1f} ms")
    found = f"the wall clock was changed by {step:+.1f} s during these checks; receipts carry its time"
    return Check("clock steps", "warning", found, _SYNCHRONISE)


def synchronised(settings: Settings) -> Check:
    """Whether the kernel says that the clock is synchronised, by adjtimex(2) without changing anything. That matters
    if the target is another machine, which compares receipts with its own clock."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError):
        return Check("clock", "ok", "not known on this system")
    state = adjtimex(ctypes.create_string_buffer(512))  # zeros: no mode is set, so it only reads
    if state == _TIME_ERROR:
        if settings.target is None or is_loopback(settings.target):
            return Check("clock", "ok", "not synchronised by NTP, which only a service on another machine would notice")
        found = "not synchronised by NTP; the service is on another machine and may refuse receipts as too old or new"
        return Check("clock", "warning", found, _SYNCHRONISE)
    if state < 0:
        return Check("clock", "ok", f"cannot be checked here ({os.strerror(ctypes.get_errno())})")
    return Check("clock", "ok", "synchronised")


def disk(runs_dir: Path) -> Check:
    """Free space where runs are kept."""
    place = _existing(runs_dir)
    free = shutil.disk_usage(place).free
    found = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free >= MIN_FREE_BYTES:
        return Check("disk", "ok", found)
    return Check("disk", "warning", f"{found}; profiles need room", "workbench sweep --runs-dir DIRECTORY")


def writable(runs_dir: Path) -> Check:
    """Whether run folders can be made."""
    place = _existing(runs_dir)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Check("runs folder", "ok", f"{runs_dir} can be written")
    found = f"{place} is not a folder" if not place.is_dir() else f"no permission to write in {place}"
    return Check("runs folder", "failed", found, "workbench sweep --runs-dir DIRECTORY", EXIT_USAGE)


def open_files(settings: Settings) -> Check:
    """The limit of open files against the requests that may be in flight, one socket each."""
    if sys.platform == "win32":
        return Check("open files", "ok", "this system has no such limit")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(settings.max_in_flight, settings.concurrency or 0) + SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Check("open files", "ok", f"{soft} allowed, {needed} needed at most")
    found = f"{soft} allowed, {needed} needed for the requests in flight"
    raised = hard == resource.RLIM_INFINITY or hard >= needed
    mend = f"ulimit -n {needed}" if raised else f"workbench sweep --max-in-flight {max(1, hard - SPARE_FILES)}"
    return Check("open files", "warning", found, mend)


def ports(settings: Settings) -> list[Check]:
    """The ports that ``workbench standin`` listens on; a sweep's own stand-in takes free ones."""
    wanted = {
        "service_port": settings.service_port,
        "service_metrics_port": settings.service_metrics_port,
        "agent_metrics_port": settings.agent_metrics_port,
        "graph_port": settings.graph_port,
    }
    taken = {name: port for name, port in wanted.items() if port and not _free(settings.host, port)}
    if not taken:
        numbers = ", ".join(str(port) for port in wanted.values())
        return [Check("ports", "ok", f"{numbers} are free for the stand-in")]
    return [
        Check(
            f"port {port}",
            "warning",
            f"in use by {_holder(port)}; `workbench standin` cannot listen there",
            f"workbench standin --{name.replace('_', '-')} 0",
        )
        for name, port in taken.items()
    ]


def _existing(path: Path) -> Path:
    """The nearest ancestor that exists, or the path itself."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as servers do: a port whose last connections are in TIME_WAIT counts as free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def _holder(port: int) -> str:
    """Who listens on a port: name and process id, if this user may see them."""
    try:
        import psutil
    except ImportError:
        return "a process that cannot be looked up without psutil"
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows this to root only
        return "a process that only root can see"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                break  # it ended, or is another user's
    return "a process of another user"
