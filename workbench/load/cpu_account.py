"""Who used the machine's CPU time, from the kernel's files under /proc (Linux only).

Formats: proc(5), ``/proc/stat`` and ``/proc/PID/stat``; cgroup v2's ``cpu.stat`` (kernel, admin-guide/cgroup-v2).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CpuAccount:
    """CPU seconds since the machine's start. ``busy_s``: used by all processes; ``wanted_s``: the same with interrupts
    and steal; ``stolen_s``: given to others by the hypervisor; ``own_s`` and ``services_s``: used by a process and by
    the services, each with their children."""

    busy_s: float
    wanted_s: float
    stolen_s: float
    cores: int
    own_s: float
    services_s: float


def cpu_account(proc: Path, own: int, services: Sequence[int]) -> CpuAccount | None:
    """The account now; None if the kernel has no credible one."""
    try:
        stat = (proc / "stat").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    machine = parse_stat(stat, _ticks_per_s())
    processes = _processes(proc)
    if machine is None or own not in processes:
        return None
    busy_s, wanted_s, stolen_s, cores = machine
    mine = tree(processes, (own,))
    theirs = tree(processes, services) - mine
    ticks = {pid: cpu for pid, (_, cpu) in processes.items()}
    own_s, services_s = (sum(ticks[pid] for pid in pids) / _ticks_per_s() for pids in (mine, theirs))
    return CpuAccount(busy_s, wanted_s, stolen_s, cores, own_s, services_s)


def parse_stat(text: str, ticks_per_s: int) -> tuple[float, float, float, int] | None:
    """CPU seconds of processes, wanted and stolen, and the number of cores, from ``/proc/stat``; None if it cannot be
    parsed or is all 0 (some sandboxes).

    Time in interrupts belongs to no process, in ``/proc/PID/stat`` neither.
    """
    lines = text.splitlines()
    numbers = lines[0].split()[1:] if lines and lines[0].startswith("cpu ") else []
    if len(numbers) < 8 or not all(number.isdigit() for number in numbers):
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(number) for number in numbers[:8])
    busy = user + nice + system
    if not busy:
        return None
    cores = sum(line.startswith("cpu") for line in lines) - 1
    wanted = busy + irq + softirq + steal
    return busy / ticks_per_s, wanted / ticks_per_s, steal / ticks_per_s, max(1, cores)


def parse_pid_stat(text: str) -> tuple[int, int]:
    """Parent and CPU ticks of a process from ``/proc/PID/stat``, including its ended children.

    Raises ValueError or IndexError if it cannot be parsed. The name, in brackets, may contain anything.
    """
    fields = text[text.rindex(")") + 1 :].split()
    return int(fields[1]), sum(int(field) for field in fields[11:15])


def tree(processes: Mapping[int, tuple[int, int]], roots: Sequence[int]) -> set[int]:
    """``roots`` and their descendants among ``processes`` (process to parent and ticks)."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [root for root in roots if root in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def throttled_ms(proc: Path, groups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Milliseconds for which the CPU limit of our control group (version 2) stopped it; None without a limit or such a
    group."""
    try:
        line = (proc / "self" / "cgroup").read_text(encoding="utf-8")
        path = next(part.partition("::")[2] for part in line.splitlines() if part.startswith("0::"))
        stat = (groups / path.lstrip("/") / "cpu.stat").read_text(encoding="ascii")
    except (OSError, StopIteration, UnicodeDecodeError):
        return None
    for entry in stat.splitlines():
        name, _, value = entry.partition(" ")
        if name == "throttled_usec" and value.strip().isdigit():
            return int(value) / 1e3
    return None


def _processes(proc: Path) -> dict[int, tuple[int, int]]:
    """Parent and CPU ticks of each process."""
    found = {}
    for name in os.listdir(proc):
        if name.isdigit():
            try:
                found[int(name)] = parse_pid_stat((proc / name / "stat").read_text(errors="replace"))
            except (OSError, ValueError, IndexError):
                continue  # the process ended meanwhile
    return found


def _ticks_per_s() -> int:
    return os.sysconf("SC_CLK_TCK")
