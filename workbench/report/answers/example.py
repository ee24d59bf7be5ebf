"""The example profiles that the project brings along."""

from __future__ import annotations

from pathlib import Path

from workbench.settings import default_runs_dir


def example(name: str) -> Path:
    """The committed example profile of that name, beside the project's runs: ``data/profiles/<name>``."""
    return default_runs_dir().parent / "profiles" / name
