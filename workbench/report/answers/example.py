"""The example profiles that the project brings along."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import ReadError

EXAMPLES = Path(__file__).resolve().parents[3] / "data" / "profiles"


def example(name: str) -> Path:
    """The committed example profile (or the folder of its sources) of that name. Raises ReadError where the package was
    installed without its clone.
    """
    path = EXAMPLES / name
    if not path.exists():
        raise ReadError("the example is not there", where=str(path), hint="Install from a clone: pip install -e .")
    return path
