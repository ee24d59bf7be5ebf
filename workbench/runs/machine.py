"""The machine and the versions a run was made with."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

_PACKAGES = (
    "indexer-workbench",
    "aiohttp",
    "uvloop",
    "coincurve",
    "safe-pysha3",
    "protobuf",
    "numpy",
    "pandas",
    "pyarrow",
    "papermill",
    "plotly",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages used in a measurement."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def machine() -> dict[str, Any]:
    """Facts that figures depend on: processor, cores (and those this process may use), memory, system, the virtual
    machine (empty: none or unknown), and load at the start."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True),
        "usable_cores": _usable_cores(),
        "hypervisor": _hypervisor(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "executable": os.path.basename(sys.executable),
    }


def _usable_cores() -> float | None:
    """Cores that this process may run on, or the CPU limit of its container if that is lower (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count(logical=True)
    words = _first_line("/sys/fs/cgroup/cpu.max").split()  # of the container: it sees its own group as the root
    if allowed is None or len(words) != 2 or not words[0].isdigit():
        return allowed
    return min(allowed, round(int(words[0]) / int(words[1]), 2))


def _hypervisor() -> str:
    """Vendor and product as the firmware names them, where the processor says that it is virtual."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            virtual = any("hypervisor" in line.split() for line in file if line.startswith("flags"))
    except OSError:
        return ""  # not Linux
    if not virtual:
        return ""
    names = (_first_line(f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    return " ".join(filter(None, names)) or "unknown"


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
