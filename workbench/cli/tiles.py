"""The tiles at the top of a report, as the last output of a command that measured or compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.analysis.tiles import Tile


def tile_lines(shown: Any) -> str:
    """The tiles of a run, batch or comparison, after an empty line."""
    from workbench.analysis.tiles import text

    return f"\n{text(_tiles(shown))}"


def tile_facts(shown: Any) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [one.as_dict() for one in _tiles(shown)]


def _tiles(shown: Any) -> Sequence[Tile]:
    """The tiles in its notebook, if it has one: then the profiles are not read a second time."""
    from workbench.report.stored_tiles import stored_tiles

    path: Path | None = getattr(shown, "path", None)
    stored = () if path is None else stored_tiles(path / "notebook.ipynb")
    tiles: Sequence[Tile] = stored or shown.tiles
    return tiles
