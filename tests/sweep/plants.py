"""A stand-in with faults planted into it, for profilers to find."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "planted"


@dataclass(frozen=True)
class Plants:
    """``scan``: turns of a loop a receipt for each receipt of its payer so far; ``leak``: bytes a receipt; ``calls``:
    extra system calls a receipt; ``repeat``: turns of a loop that is gone through three times a receipt; ``thread``:
    turns of a loop that a thread goes through fifty times a second."""

    scan: int = 0
    leak: int = 0
    calls: int = 0
    repeat: int = 0
    thread: int = 0

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables a stand-in is planted by; skips where there is no compiler."""
        return {
            "PYTHONPATH": str(HERE),
            "PLANTS_LIBRARY": str(_library(folder)),
            "PLANT_SCAN": str(self.scan),
            "PLANT_LEAK": str(self.leak),
            "PLANT_CALLS": str(self.calls),
            "PLANT_REPEAT": str(self.repeat),
            "PLANT_THREAD": str(self.thread),
        }


def _library(folder: Path) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    library = folder / "libplants.so"
    subprocess.run(
        [compiler, "-g", "-O1", "-fPIC", "-shared", "-pthread", "-o", library, HERE / "plants.c"], check=True
    )
    return library
