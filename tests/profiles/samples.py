"""Where the corpus of public profiles lies, if it is there, and the folders ``reported/`` and ``real/`` beside it.

They are not part of this repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(os.environ.get("PROFILE_SAMPLES") or Path(__file__).resolve().parents[3] / "shared" / "samples")
SAMPLES: Path | None = _BESIDE if _BESIDE.is_dir() else None
"""The folder with ``callgrind/``, ``massif/``, ``pprof/`` ... and ``SOURCES.tsv``; None where it is not."""

needs_samples = pytest.mark.skipif(SAMPLES is None, reason="the corpus of public profiles is not beside this project")


def sample(name: str) -> Path:
    """A file of the corpus, ``folder/file``."""
    if SAMPLES is None:
        pytest.skip("the corpus of public profiles is not beside this project")
    return SAMPLES / name


def beside(name: str) -> Path:
    """A file of the folders beside the corpus, ``reported/file`` or ``real/file``."""
    path = _BESIDE.parent / name
    if not path.is_file():
        pytest.skip(f"{name}, beside the corpus of public profiles, is not there")
    return path
