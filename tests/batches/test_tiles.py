"""The four answers of a batch: the worst verdict, the limit of the plain runs, a cost for each mode."""

from __future__ import annotations

from typing import Any

from tests.analysis.test_tiles import finding
from workbench.analysis.findings import Findings
from workbench.analysis.tiles import Tile
from workbench.batches.tiles import RunOfBatch, batch_tiles

LIMIT = {"observed_receipts": 1000, "observed_low": 999, "observed_high": 1000, "held": True}


def run(label: str, mode: str = "none", verdict: str = "PASS", **more: Any) -> RunOfBatch:
    said = {"verdict": verdict, "reasons": [] if verdict == "PASS" else [f"{label} went wrong"]} if verdict else {}
    known = {
        "state": "finished",
        "profiler": {"mode": mode},
        "verdict": said,
        "limit": LIMIT,
        "prediction": {"receipts": 1000},
    }
    return RunOfBatch(label, known, {"steps": 2, "valid_steps": 2, **more})


def by_what(tiles: tuple[Tile, ...]) -> dict[str, Tile]:
    return {tile.what: tile for tile in tiles}


def test_once_a_mode_each_mode_has_its_cost() -> None:
    runs = [
        run("none", response_p50_ms=2.2),
        run("massif", "massif", kept_bytes_per_receipt=836.0),
        run("callgrind", "callgrind", instructions_per_receipt=1.7e6, cycles_per_receipt=2.3e6),
    ]
    tiles = batch_tiles(runs, Findings((finding(),)), ["strace"])
    assert [tile.what for tile in tiles] == ["cost", "verdict", "limit", "next"]
    cost, verdict, limit, following = tiles
    assert cost.figure == "1.7 M instructions (callgrind)"
    assert cost.lines == ("2.20 ms response time (no profiler)", "836 bytes of heap kept (massif)")
    assert (verdict.figure, verdict.state) == ("PASS", "good")
    assert verdict.lines == ("3 of 3 runs passed", "6 of 6 steps valid", "left out: strace")
    assert limit.figure == "1,000 receipts"
    assert following.figure == "Do it once and pass the result on"


def test_a_grid_without_profilers_gives_ranges() -> None:
    runs = [run("rate 100", response_p50_ms=2.0), run("rate 200", response_p50_ms=3.5)]
    tiles = by_what(batch_tiles(runs))
    assert next(iter(tiles)) == "verdict"
    assert tiles["cost"].figure == "2.00 to 3.50 ms"
    assert tiles["limit"].figure == "1,000 receipts"
    assert tiles["limit"].lines == ("found to the receipt in 2 of 2 runs without a profiler", "as predicted in 2")


def test_the_worst_run_is_the_verdict_and_what_to_look_at() -> None:
    failed, unfinished = run("rate 200", verdict="FAIL"), RunOfBatch("rate 400", error="the service did not answer")
    tiles = by_what(batch_tiles([run("rate 100"), failed, unfinished]))
    assert (tiles["verdict"].figure, tiles["verdict"].state) == ("FAIL", "bad")
    assert tiles["verdict"].lines[0] == "1 of 3 runs passed"
    assert tiles["next"].lines == ("rate 200: rate 200 went wrong", "rate 400: the service did not answer")


def test_a_batch_that_was_cut_off_says_how_to_go_on() -> None:
    tiles = by_what(batch_tiles([run("rate 100"), RunOfBatch("rate 200")]))
    assert (tiles["verdict"].figure, tiles["verdict"].state) == ("not finished", "doubt")
    assert "--resume" in tiles["next"].lines[0]
    assert by_what(batch_tiles([RunOfBatch("a")]))["cost"].figure == "not measured"
