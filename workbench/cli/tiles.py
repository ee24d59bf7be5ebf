"""The last lines of a command that measured or compared: the tiles that its report begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tile_lines(shown: Any) -> str:
    """The tiles of a run, batch or comparison, after an empty line. If a notebook was made of it, they are those
    that stand in it: the profiles are not read a second time."""
    from workbench.analysis.tiles import text
    from workbench.report.stored_tiles import stored_tiles

    path: Path | None = getattr(shown, "path", None)
    tiles = () if path is None else stored_tiles(path / "notebook.ipynb")
    return f"\n{text(tiles or shown.tiles)}"
