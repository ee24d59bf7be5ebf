"""The four answers shown first wherever a batch is shown; see :mod:`workbench.analysis.tiles`. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench import numbers
from workbench.analysis.tiles import (
    ASK_FOR_COST,
    MAIN_COSTS,
    NOT_MEASURED,
    Tile,
    few,
    finding_tile,
    limit_tile,
    mode_of,
    others,
)

if TYPE_CHECKING:
    from workbench.analysis.badges import State
    from workbench.analysis.findings import Findings

_NAMED = 2


@dataclass(frozen=True, slots=True)
class RunOfBatch:
    """What the tiles need of one run of a batch: its label, its manifest (empty: not begun), its figures as
    :mod:`workbench.analysis.figures` names them, and the error that it ended with ("": none)."""

    label: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def verdict(self) -> str:
        """PASS, FAIL or INVALID; "" if the run has not finished."""
        return str((self.manifest.get("verdict") or {}).get("verdict", ""))


def batch_tiles(
    runs: Sequence[RunOfBatch], findings: Findings | None = None, left_out: Sequence[str] = ()
) -> tuple[Tile, ...]:
    """The four tiles of a batch: ``runs`` in the plan's order, ``findings`` over all of them (None: not
    searched), the names of the runs ``left_out``. The cost comes first if any run was under a profiler."""
    tiles = (_verdict(runs, left_out), _limit(runs), _cost(runs), _next(runs, findings))
    profiled = any(mode_of(run.manifest) != "none" for run in runs)
    return tuple(sorted(tiles, key=lambda tile: profiled and tile.what != "cost"))


def _verdict(runs: Sequence[RunOfBatch], left_out: Sequence[str]) -> Tile:
    by = {word: [run for run in runs if run.verdict == word] for word in ("PASS", "FAIL", "INVALID", "")}
    word, state = _word(by)
    ended = len(runs) - len(by[""])
    lines = [f"{len(by['PASS']):,} of {numbers.counted(len(runs), 'run')} passed"]
    lines += [f"{_names(by[kind])} {said}" for kind, said in _SAID.items() if by[kind]]
    steps = sum(run.figures.get("steps", 0) for run in runs)
    if ended and steps:
        valid = sum(run.figures.get("valid_steps", 0) for run in runs)
        lines.insert(1, f"{valid:,} of {numbers.counted(steps, 'step')} valid")
    if left_out:
        lines.append(f"left out: {', '.join(left_out)}")
    return Tile("verdict", word, few(lines), state)


_SAID = {"FAIL": "failed", "INVALID": "not valid", "": "not finished"}


def _word(by: Mapping[str, Sequence[RunOfBatch]]) -> tuple[str, State]:
    """The verdict of the batch: the worst of its runs."""
    if by["FAIL"]:
        return "FAIL", "bad"
    if by[""]:
        return "not finished", "bad" if any(run.error for run in by[""]) else "doubt"
    if by["INVALID"]:
        return "INVALID", "doubt"
    return "PASS", "good"


def _limit(runs: Sequence[RunOfBatch]) -> Tile:
    """The limit found by the runs without a profiler."""
    plain = [run for run in runs if mode_of(run.manifest) == "none" and run.manifest.get("limit")]
    if not plain:
        return Tile("limit", "not looked for", ("a run without a profiler looks for it",))
    if len(plain) == 1:
        return limit_tile(plain[0].manifest)
    limits = [run.manifest["limit"] for run in plain]
    exact = [limit["observed_receipts"] for limit in limits if limit.get("observed_receipts") is not None]
    held = [limit.get("held") for limit in limits]
    state: State = "bad" if False in held else "good" if True in held else "none"
    if not exact:
        taken = [limit["observed_low"] for limit in limits if limit.get("observed_low")]
        reached = any(limit.get("observed_high") for limit in limits)
        figure = "not found to the receipt" if reached else "not reached"
        return Tile("limit", figure, few([f"up to {max(taken):,} receipts were accepted" if taken else ""]), state)
    lines = [f"found to the receipt in {len(exact)} of {len(plain)} runs without a profiler"]
    lines += [f"as predicted in {held.count(True)}"] if any(one is not None for one in held) else []
    return Tile("limit", f"{_range(exact)} receipts", few(lines), state)


def _cost(runs: Sequence[RunOfBatch]) -> Tile:
    """What a receipt costs, one line for each mode."""
    lines = [line for name, (unit, words) in MAIN_COSTS.items() if (line := _cost_line(runs, name, unit, words))]
    times = _times(runs)
    if not lines:
        return Tile("cost", *times) if times else Tile("cost", NOT_MEASURED, ("no run has a valid step",), "doubt")
    return Tile("cost", lines[0], few([*([f"{times[0]} (no profiler)"] if times else []), *lines[1:]]))


def _cost_line(runs: Sequence[RunOfBatch], name: str, unit: str, words: str) -> str:
    """A cost in the runs that measured it, from the lowest to the highest if there are several."""
    having = [run for run in runs if isinstance(run.figures.get(name), (int, float))]
    values = [float(run.figures[name]) for run in having]
    if not values:
        return ""
    modes = ", ".join(dict.fromkeys(mode_of(run.manifest) for run in having))
    low, high = numbers.amount(min(values), unit), numbers.amount(max(values), unit)
    return f"{low if low == high else f'{low} to {high}'} {words} ({modes})"


def _times(runs: Sequence[RunOfBatch]) -> tuple[str, tuple[str, ...]] | None:
    plain = [run for run in runs if mode_of(run.manifest) == "none"]
    found = [float(run.figures["response_p50_ms"]) for run in plain if "response_p50_ms" in run.figures]
    if not found:
        return None
    low, high = min(found), max(found)
    figure = numbers.milliseconds(low) if low == high else f"{low:,.2f} to {numbers.milliseconds(high)}"
    said = f"median response time in {numbers.counted(len(found), 'run')}"
    return f"{figure} response time" if any(_counted(run) for run in runs) else figure, (said, ASK_FOR_COST)


def _counted(run: RunOfBatch) -> bool:
    return any(not math.isnan(float(run.figures.get(name, math.nan))) for name in MAIN_COSTS)


def _next(runs: Sequence[RunOfBatch], findings: Findings | None) -> Tile:
    wrong = [run for run in runs if run.error or run.verdict in ("FAIL", "INVALID")]
    if wrong:
        lines = [f"{run.label}: {_why(run)}" for run in wrong[:3]]
        return Tile("next", "Look at what failed", few([*lines, *others(wrong[3:], "more run")]))
    if any(not run.verdict for run in runs):
        return Tile("next", "Resume it", ("`workbench batch --resume BATCH` measures the rest",))
    if findings is not None and len(findings):
        return finding_tile(findings)
    if any(mode_of(run.manifest) != "none" for run in runs):
        return Tile("next", "Compare it", ("`workbench compare BATCH OTHER` shows what changed",))
    return Tile("next", "Measure the cost of a receipt", (ASK_FOR_COST,))


def _why(run: RunOfBatch) -> str:
    verdict = run.manifest.get("verdict") or {}
    return run.error or next(iter(verdict.get("reasons") or ()), "") or str(verdict.get("sentence", ""))


def _names(runs: Sequence[RunOfBatch]) -> str:
    named = ", ".join(run.label for run in runs[:_NAMED])
    return f"{named} and {len(runs) - _NAMED} more" if len(runs) > _NAMED else named


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
