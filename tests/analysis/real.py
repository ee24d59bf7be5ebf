"""Profiles of the real programs, beside the checkout where they are at hand; tests that need them are skipped
elsewhere."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.profilers.tools.strace_log import mark_of
from workbench.profilers.windows.record import Window, read_window

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "real"


def real(name: str) -> Path:
    """The path of one of them."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"{name} of the recordings of the real programs is not beside the checkout")
    return path


def strace_windows(folder: Path) -> dict[str, Window]:
    """The windows under strace by name, in a folder with their log. Its paths were replaced by others of the same
    length, so it has another mark."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "strace.log"
    log.write_bytes(gzip.decompress(real("service.strace.log.gz").read_bytes()))
    found = {}
    for path in sorted(FOLDER.glob("service-*.strace.window.json")):
        window = read_window(path)
        mark = mark_of(log, window.facts["log_mark"]["bytes"])
        window = replace(window, folder=folder, facts={**window.facts, "log_mark": mark})
        window.write()
        found[window.name] = window
    return found
