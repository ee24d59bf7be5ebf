"""What ``workbench load --json`` prints: the row of its one step, for scripts.

Each key, its unit and meaning is in docs/exchange.md; a test compares them. Keys may be added. Removing a key, or
changing its meaning, raises SCHEMA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SCHEMA = 1


def load_json(summary: Mapping[str, Any], run: Path, tiles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of a load, from :attr:`workbench.sweep.single.LoadResult.summary`, with the tiles and the folder of
    its run."""
    return {"schema": SCHEMA, **summary, "tiles": list(tiles), "run": str(run)}
