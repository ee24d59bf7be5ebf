"""The four answers of a comparison, of the committed example and of a run beside itself."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from workbench.analysis.tiles import Tile
from workbench.compare.comparison import Comparison, compare_sides
from workbench.compare.loaded import UNTOLD
from workbench.report.comparing import asked


@pytest.fixture(scope="module")
def example() -> Comparison:
    return compare_sides(asked("", ""))


def by_what(tiles: tuple[Tile, ...]) -> dict[str, Tile]:
    return {tile.what: tile for tile in tiles}


@pytest.mark.slow
def test_what_became_dearer_and_by_what(example: Comparison) -> None:
    tiles = by_what(example.tiles)
    assert list(tiles) == ["verdict", "cost", "change", "limit"]
    assert tiles["verdict"].figure == "2 dearer"
    assert tiles["verdict"].state == "bad"
    assert tiles["cost"].figure == "17,869 to 18,035 instructions, +0.93 % (callgrind)"
    assert tiles["cost"].lines[0] == "2 to 3 allocations, +50.0 % (callgrind)"
    # the largest cause goes the other way: it does not explain why a receipt became dearer
    assert tiles["change"].figure == "store_receipt now calls free (0 to 1 calls a receipt)"
    assert tiles["change"].lines[0] == "+136 instructions a receipt, +0.76 %"
    assert f"{len(example.causes) - 1} other changes" in tiles["change"].lines
    assert tiles["limit"].figure == "not looked for"


@pytest.mark.slow
def test_the_same_beside_itself_is_no_difference() -> None:
    side = asked("", "")[0]
    tiles = by_what(compare_sides([side, replace(side, name="again")]).tiles)
    assert tiles["verdict"].figure == "no difference found"
    assert tiles["verdict"].state == "none"
    assert tiles["change"].figure == "no cause found"


def test_what_is_not_alike_is_said_and_not_green(example: Comparison) -> None:
    unlike = pd.DataFrame({"run": [example.after[0]], "what": ["rate"], "before": ["100"], "after": ["200"]})
    cheaper = example.metrics.assign(verdict="cheaper")
    tiles = by_what(replace(example, unlike=unlike, metrics=cheaper).tiles)
    assert tiles["verdict"].state == "doubt"
    assert "different rate: 100 before, 200 after" in tiles["verdict"].lines


def test_loads_that_differ_without_repeats_are_no_missing_difference(example: Comparison) -> None:
    load = pd.DataFrame({"load": ["100 receipts", "200 receipts"], "decile": [0.5, 0.5], "verdict": [UNTOLD, UNTOLD],
                         "before_ms": [2.0, 2.0], "after_ms": [32.0, 33.0], "shift_pct": [1500.0, 1550.0]})  # fmt: skip
    tiles = by_what(replace(example, metrics=example.metrics.head(0), load=load).tiles)
    assert tiles["verdict"].figure == "2 loads differ"
    assert tiles["verdict"].state == "doubt"
    assert tiles["verdict"].lines[0] == "no step was repeated, so the noise is not known: `--repeats 3` measures it"
    one = by_what(replace(example, metrics=example.metrics.head(0), load=load.head(1)).tiles)
    assert one["verdict"].figure == "1 load differs"
