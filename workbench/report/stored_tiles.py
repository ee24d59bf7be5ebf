"""The tiles that an executed notebook shows, read again from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from workbench.analysis.tiles import Tile
from workbench.report.view import FACTS


def stored_tiles(notebook: Path) -> tuple[Tile, ...]:
    """The tiles in the outputs of a notebook; none if it does not exist, has none, or cannot be read."""
    try:
        cells = msgspec.json.decode(notebook.read_bytes())["cells"]
        found: list[Any] = next((facts["tiles"] for facts in _facts(cells) if facts.get("tiles")), [])
        return tuple(Tile(one["what"], one["figure"], tuple(one["lines"]), one["state"]) for one in found)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return ()


def _facts(cells: Any) -> Iterator[Any]:
    for cell in cells:
        for output in cell.get("outputs", ()):
            yield output.get("metadata", {}).get(FACTS, {})
