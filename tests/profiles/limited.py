"""Runs a piece of reading or writing in a child process whose address space is limited."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

needs_limits = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit works on Linux only")

_RUN = """
import resource, sys
from workbench.errors import WorkbenchError
from workbench.profiles.read import read_profile
from workbench.profiles.source import open_source
from workbench.profiles.exports.write import exported
import pandas, pyarrow.compute
resource.setrlimit(resource.RLIMIT_AS, ({memory_bytes}, {memory_bytes}))
try:
    found = {expression}
except WorkbenchError as error:
    found = error
print(found)
"""


def limited(expression: str, *, memory_bytes: int) -> str:
    """What ``expression`` gives in a process of at most ``memory_bytes``, or the WorkbenchError it raises, as text.
    Fails where it raises anything else, or is killed.
    """
    script = _RUN.format(expression=expression, memory_bytes=memory_bytes)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout.strip()
