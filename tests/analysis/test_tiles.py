"""The four answers of a run: each has a figure, in every state that a run can be in."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.badges import Badge, stored
from workbench.analysis.findings import Finding, Findings, Size
from workbench.analysis.tiles import Tile, run_tiles, text

LIMIT = {"observed_receipts": 1000, "observed_low": 999, "observed_high": 1000, "exact": True, "held": True}
PREDICTED = {"receipts": 1000}
TIMES = {"steps": 2, "valid_steps": 2, "response_p50_ms": 2.52, "response_p95_ms": 8.3, "throughput_per_s": 398.02}


def manifest(verdict: str = "PASS", **more: Any) -> dict[str, Any]:
    badges = [Badge("receipts", "good", "no receipt failed"), Badge("validity", "good", "2 of 2 steps valid")]
    said = {"verdict": verdict, "badges": stored(badges), "reasons": [] if verdict == "PASS" else ["step 2 is late"]}
    return {"state": "finished", "verdict": said, "limit": LIMIT, "prediction": PREDICTED, **more}


def by_what(tiles: tuple[Tile, ...]) -> dict[str, Tile]:
    return {tile.what: tile for tile in tiles}


def finding(**changes: Any) -> Finding:
    known: dict[str, Any] = {
        "kind": "repeated work", "service": "service", "mode": "callgrind", "subject": "recover",
        "sentence": "recover is called twice a receipt: 951,037 instructions. By a and b.", "metric": "Ir",
        "size": Size(951_037, "count"), "share_pct": 55.9, "saving_pct": 27.9, "certainty": "exact", "confidence": 1.0,
        "todo": "Do it once and pass the result on; or make it cheaper", "shown": "table", "weight": 27.9,
        "evidence": pd.DataFrame(),
    }  # fmt: skip
    return Finding(**{**known, **changes})


def test_a_run_without_a_profiler() -> None:
    tiles = run_tiles(manifest(), TIMES)
    assert [tile.what for tile in tiles] == ["verdict", "limit", "cost", "next"]
    verdict, limit, cost, following = tiles
    assert (verdict.figure, verdict.state) == ("PASS", "good")
    assert verdict.lines == ("no receipt failed", "2 of 2 steps valid")
    assert (limit.figure, limit.state) == ("1,000 receipts", "good")
    assert "as predicted (receipt 1,000)" in limit.lines
    assert cost.figure == "2.52 ms"
    assert "95 % were answered within 8.30 ms" in cost.lines
    assert following.figure == "Measure the cost of a receipt"


def test_under_a_profiler_the_cost_comes_first() -> None:
    figures = {
        "instructions_per_receipt": 6_636_000.0,
        "cycles_per_receipt": 9.1e6,
        "agent_instructions_per_receipt": 2e5,
    }
    tiles = run_tiles(manifest(profiler={"mode": "callgrind"}), figures, Findings((finding(), finding())))
    assert [tile.what for tile in tiles] == ["cost", "verdict", "limit", "next"]
    assert tiles[0].figure == "6.64 M instructions"
    assert tiles[0].lines == (
        "counted by callgrind, background subtracted",
        "9.1 M estimated cycles",
        "tap-agent: 200,000 instructions",
    )
    assert tiles[3].figure == "Do it once and pass the result on"
    assert tiles[3].lines == (
        "recover is called twice a receipt: 951,037 instructions",
        "that saves 27.9 % of a receipt",
        "1 other finding",
    )


def test_a_profiler_that_saw_no_receipt_is_told_apart_from_no_profiler() -> None:
    cost = by_what(run_tiles(manifest(profiler={"mode": "massif"}), {}))["cost"]
    assert (cost.figure, cost.state) == ("not measured", "doubt")
    assert "massif" in cost.lines[0]


@pytest.mark.parametrize(
    ("limit", "looked_for", "figure", "line"),
    [
        ({"observed_low": 9, "observed_high": 12}, True, "9 to 12 receipts", "9 were accepted, 12 triggered denial"),
        ({"observed_low": 0, "observed_high": 1000}, True, "at most 1,000 receipts", "1,000 triggered denial"),
        ({"observed_low": 100, "held": None}, True, "not reached", "100 receipts were accepted"),
        ({"observed_low": 100}, False, "not looked for", "predicted: receipt 1,000"),
        ({"first_refusal": {"step": 1}}, False, "not known", "predicted: receipt 1,000"),
        ({**LIMIT, "held": False}, True, "1,000 receipts", "not as predicted (receipt 1,000)"),
    ],
)  # fmt: skip
def test_what_is_known_of_the_limit(limit: dict[str, Any], looked_for: bool, figure: str, line: str) -> None:
    found = by_what(run_tiles(manifest(limit=limit, toward_limit=looked_for), TIMES))["limit"]
    assert found.figure == figure
    assert line in found.lines
    assert found.state == {True: "good", False: "bad", None: "none"}[limit.get("held")]


def test_a_capacity_is_a_rate() -> None:
    bracket = {"low": 1200.0, "high": 1320.0, "confidence": 0.95}
    search = {"kind": "capacity", "condition": "no receipt is refused", "bracket": bracket}
    found = by_what(run_tiles(manifest(search=search), TIMES))["limit"]
    assert found.figure == "1,200 to 1,320 receipts/s"
    assert "95 % sure" in found.lines[0]
    assert found.lines[1] == "a trial passes when no receipt is refused"
    open_ended = {**search, "bracket": {**bracket, "high": None}}
    assert by_what(run_tiles(manifest(search=open_ended), TIMES))["limit"].figure == "at least 1,200/s"
    assert by_what(run_tiles(manifest(search={**search, "bracket": None}), {}))["limit"].figure == "not found"


@pytest.mark.parametrize(
    ("verdict", "figure", "line"),
    [("FAIL", "Look at what failed", "step 2 is late"), ("INVALID", "Measure again", "`workbench calibrate`")],
)
def test_what_to_do_after_a_run_that_did_not_pass(verdict: str, figure: str, line: str) -> None:
    tiles = by_what(run_tiles(manifest(verdict), TIMES, Findings((finding(),))))
    assert tiles["next"].figure == figure
    assert any(line in one for one in tiles["next"].lines)
    assert tiles["verdict"].state == {"FAIL": "bad", "INVALID": "doubt"}[verdict]


def test_pass_with_steps_that_are_not_valid_is_not_green() -> None:
    badges = [Badge("validity", "doubt", "1 of 5 steps valid")]
    known = {**manifest(), "verdict": {"verdict": "PASS", "badges": stored(badges)}}
    assert by_what(run_tiles(known, TIMES))["verdict"].state == "doubt"


def test_a_limit_that_was_not_reached_says_how_to_reach_it() -> None:
    tiles = by_what(run_tiles(manifest(limit={"observed_low": 100}, toward_limit=True), TIMES))
    assert tiles["next"].lines[0] == "`workbench sweep --receipts 1000,1250` reaches the limit"


def test_a_run_that_was_killed_says_how_to_go_on() -> None:
    tiles = by_what(
        run_tiles({"state": "running", "prediction": PREDICTED}, {"steps": 3, "valid_steps": 2}, state="interrupted")
    )
    assert tiles["verdict"].figure == "interrupted"
    assert tiles["verdict"].lines == ("2 of 3 steps valid",)
    assert "`workbench sweep --resume RUN`" in tiles["next"].lines[0]
    search = by_what(run_tiles({"state": "interrupted", "what": "find-limit"}, {}))
    assert "`workbench find-limit --resume RUN`" in search["next"].lines[0]


def test_windows_by_hand_have_no_verdict() -> None:
    known = {"state": "finished", "windows": {"step-1": "a", "step-2": "b"}, "profiler": {"mode": "callgrind"}}
    tiles = by_what(run_tiles(known, {"instructions_per_receipt": 1.7e6}))
    assert tiles["verdict"].figure == "by hand"
    assert tiles["verdict"].lines == ("2 windows cut by hand, no thresholds judged",)
    assert tiles["limit"].figure == "not looked for"
    assert tiles["next"].figure == "Compare it"


def test_the_terminal_says_the_same_and_breaks_no_command() -> None:
    tiles = run_tiles(manifest(limit={"observed_low": 100}), TIMES)
    shown = text(tiles, width=40)
    assert max(map(len, shown.splitlines())) < 80
    together = " ".join(shown.split())
    for tile in tiles:
        assert f"{tile.title} {tile.mark} {tile.figure}".replace("  ", " ") in together
        assert all(line in together for line in tile.lines)
    assert "`workbench sweep --receipts 1000,1250`" in shown


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300)
numbers = st.none() | st.integers(0, 10**9)


@given(
    verdict=st.sampled_from(["PASS", "FAIL", "INVALID", ""]),
    state=st.sampled_from(["finished", "running", "failed", "interrupted", "new"]),
    reasons=st.lists(words, max_size=6),
    limit=st.fixed_dictionaries(
        {
            "observed_receipts": numbers, "observed_low": numbers, "observed_high": numbers,
            "held": st.sampled_from([True, False, None]), "denial_lag_receipts": st.floats(),
        }
    ) | st.none(),
    figures=st.dictionaries(st.sampled_from([*TIMES, "instructions_per_receipt"]), st.floats(0, 1e12)),
    mode=st.sampled_from(["none", "callgrind", "strace"]),
)  # fmt: skip
def test_every_run_has_four_short_answers(
    verdict: str, state: str, reasons: list[str], limit: dict[str, Any] | None, figures: dict[str, Any], mode: str
) -> None:
    if limit and not math.isfinite(limit["denial_lag_receipts"]):
        limit["denial_lag_receipts"] = math.nan
    counts = {name: int(figures[name]) for name in ("steps", "valid_steps") if name in figures}
    said = {"verdict": verdict, "reasons": reasons} if verdict else {}
    known = {"state": state, "verdict": said, "limit": limit, "profiler": {"mode": mode}}
    tiles = run_tiles(known, {**figures, **counts})
    assert sorted(tile.what for tile in tiles) == ["cost", "limit", "next", "verdict"]
    for tile in tiles:
        assert tile.figure
        assert len(tile.lines) <= 4
        assert all(line and len(line) <= 160 and "\n" not in line for line in tile.lines)
        assert tile.as_dict()["title"] == tile.title
