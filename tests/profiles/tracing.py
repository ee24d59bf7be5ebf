"""Programs in C that strace watches."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def compiled(folder: Path, code: str) -> Path:
    """The program of this code, made in the folder. Skips where there is no compiler, or strace may not trace."""
    if shutil.which("strace") is None or shutil.which("gcc") is None:
        pytest.skip("strace and gcc are needed")
    (folder / "program.c").write_text(code)
    subprocess.run(["gcc", "-w", "-pthread", "-o", "program", "program.c"], cwd=folder, check=True)
    if subprocess.run(["strace", "-o", "try.log", "true"], cwd=folder, check=False).returncode:
        pytest.skip("strace may not trace here")
    return folder / "program"
