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
    """Versions of Python and of the packages that take part in a measurement."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def machine() -> dict[str, Any]:
    """What a figure depends on: processor, cores, memory, system, and how busy it was at the start."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "executable": os.path.basename(sys.executable),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
