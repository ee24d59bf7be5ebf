"""The example profiles in the repository."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import ReadError

EXAMPLES = Path(__file__).resolve().parents[3] / "data" / "profiles"


def example(name: str) -> Path:
    """The path of the committed example profile (or its folder of sources) with that name. Raises ReadError if the
    package was not installed from a clone.
    """
    path = EXAMPLES / name
    if not path.exists():
        raise ReadError("the example is missing", where=str(path), hint="Install from a clone: pip install -e .")
    return path
