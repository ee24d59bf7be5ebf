"""The four answers that are shown first wherever a run is shown: in its report, at the end of the terminal's output, in
notebooks. Pure: made from a run's manifest, figures and findings, so that all places say the same.

1. ``verdict``: the result of the run, and how much of it is a valid measurement.
2. ``limit``: after how many receipts the payer was denied (in a search for capacity: the highest rate that passes).
3. ``cost``: what a receipt costs: time without a profiler, else what the profiler counts.
4. ``next``: what to do next; in a comparison ``change``: what changed.

:func:`run_tiles` makes those of one run. Those of a batch are in :mod:`workbench.batches.tiles`, of a comparison in
:mod:`workbench.compare.tiles`. :func:`text` gives them as lines of a terminal.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench import numbers
from workbench.analysis.badges import MARKS, State, badges_of, worst
from workbench.analysis.figures import AGENT

if TYPE_CHECKING:
    from workbench.analysis.findings import Findings

What = Literal["verdict", "limit", "cost", "next", "change"]
TITLES: Mapping[What, str] = {
    "verdict": "Verdict",
    "limit": "Limit",
    "cost": "Cost of a receipt",
    "next": "What to do next",
    "change": "What changed",
}
NOT_MEASURED = "not measured"
ASK_FOR_COST = "`workbench batch` measures it with each profiler"
_VERDICTS: Mapping[str, State] = {"PASS": "good", "FAIL": "bad", "INVALID": "doubt"}
# a figure of a run -> its unit and meaning
MAIN_COSTS: Mapping[str, tuple[str, str]] = {
    "instructions_per_receipt": ("count", "instructions"),
    "cpu_ns_per_receipt": ("ns", "CPU time"),
    "python_lines_per_receipt": ("count", "lines of Python"),
    "system_calls_per_receipt": ("count", "system calls"),
    "kept_bytes_per_receipt": ("bytes", "of heap kept"),
}
"""The main figure of each profiler."""
COSTS: Mapping[str, tuple[str, str]] = {
    **MAIN_COSTS,
    "cycles_per_receipt": ("count", "estimated cycles"),
    "last_level_misses_per_receipt": ("count", "last-level cache misses"),
    "mispredicted_branches_per_receipt": ("count", "mispredicted branches"),
    "working_in_calls_ns_per_receipt": ("ns", "at work in system calls"),
    "allocated_bytes_per_receipt": ("bytes", "of heap allocated"),
}
_MOST_LINES, _MOST_LETTERS, _WIDTH = 4, 160, 100
_GLUE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Tile:
    """One answer: ``what`` it answers, the ``figure`` with its unit (or a word: PASS, not reached), and ``lines`` that
    explain it, each short and without a full stop. ``state``: good, bad, doubt, or none if nothing is judged. Texts are
    plain: for HTML they must be escaped; commands are between backticks.
    """

    what: What
    figure: str
    lines: tuple[str, ...] = ()
    state: State = "none"

    @property
    def title(self) -> str:
        """What the figure is, as a heading."""
        return TITLES[self.what]

    @property
    def mark(self) -> str:
        """The state as a sign: ✓, ✗ or ◇; "" if nothing is judged."""
        return "" if self.state == "none" else MARKS[self.state]

    @property
    def said(self) -> str:
        """Mark, figure and lines in one paragraph."""
        return f"{self.mark} {self.figure}{': ' if self.lines else ''}{'; '.join(self.lines)}".strip()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what, title, figure, lines, state."""
        return {"title": self.title, **asdict(self), "lines": list(self.lines)}


def text(tiles: Sequence[Tile], width: int = _WIDTH) -> str:
    """The tiles for a terminal: a paragraph each behind its title. Commands are not broken over lines."""
    wide = max((len(tile.title) for tile in tiles), default=0) + 2
    return "\n".join(
        textwrap.fill(
            _unbroken(tile.said),
            width,
            initial_indent=f"{tile.title:{wide}}",
            subsequent_indent=" " * wide,
            break_long_words=False,
            break_on_hyphens=False,
        ).replace(_GLUE, " ")
        for tile in tiles
    )


def _unbroken(said: str) -> str:
    """The text with unbreakable spaces between backticks."""
    return "`".join(part.replace(" ", _GLUE) if at % 2 else part for at, part in enumerate(said.split("`")))


def run_tiles(
    manifest: Mapping[str, Any], figures: Mapping[str, Any], findings: Findings | None = None, *, state: str = ""
) -> tuple[Tile, ...]:
    """The four tiles of a run.

    ``manifest`` is that of its folder; ``figures`` are those of :mod:`workbench.analysis.figures`, costs included;
    ``findings`` are those of its profiles (None: not computed). ``state``: the run's state, if the manifest's is out of
    date (killed while it ran). Under a profiler the cost comes first, because the run was made for it.
    """
    state = state or str(manifest.get("state", "finished"))
    mode = mode_of(manifest)
    tiles = (
        verdict_tile(manifest, figures, state),
        limit_tile(manifest),
        cost_tile(mode, figures),
        next_tile(manifest, findings, state),
    )
    return by_cost_first(tiles) if mode != "none" else tiles


def by_cost_first(tiles: Sequence[Tile]) -> tuple[Tile, ...]:
    """The tiles with the cost before the others, which keep their order."""
    return tuple(sorted(tiles, key=lambda tile: tile.what != "cost"))


def mode_of(manifest: Mapping[str, Any]) -> str:
    """The profiler mode of a run: ``none`` without one."""
    settings = manifest.get("settings") or {}
    return str((manifest.get("profiler") or {}).get("mode") or settings.get("profiler") or "none")


def verdict_tile(manifest: Mapping[str, Any], figures: Mapping[str, Any], state: str) -> Tile:
    """The run's verdict, and how many of its steps are valid."""
    verdict = manifest.get("verdict") or {}
    if not verdict:
        return Tile("verdict", *_without_verdict(manifest, figures, state))
    badges = tuple(badge for badge in badges_of(verdict) if badge.what != "limit")
    word = str(verdict.get("verdict"))
    lines = [badge.text for badge in badges] or _valid_steps(figures)
    found = _VERDICTS.get(word, "none")
    if found == "good" and badges and worst(badges) in ("bad", "doubt"):
        found = "doubt"
    return Tile("verdict", word, few(lines), found)


def _without_verdict(manifest: Mapping[str, Any], figures: Mapping[str, Any], state: str) -> tuple[str, Any, State]:
    if "windows" in manifest:
        windows = numbers.counted(len(manifest["windows"]), "window")
        return "by hand", (f"{windows} cut by hand, no thresholds judged",), "none"
    error = manifest.get("error")
    lines = [*([str(error)] if error else []), *_valid_steps(figures)]
    return state, few(lines or ["no verdict before the run ends"]), "bad" if state == "failed" else "doubt"


def _valid_steps(figures: Mapping[str, Any]) -> list[str]:
    steps, valid = figures.get("steps"), figures.get("valid_steps")
    return [f"{valid:,} of {numbers.counted(steps, 'step')} valid"] if steps and valid is not None else []


def limit_tile(manifest: Mapping[str, Any]) -> Tile:
    """After how many receipts the payer was denied, beside what was predicted; of a search for capacity the rate."""
    search = manifest.get("search") or {}
    if search.get("kind") == "capacity":
        return _capacity(search)
    limit, predicted = manifest.get("limit") or {}, (manifest.get("prediction") or {}).get("receipts")
    figure, lines = _observed(limit, bool(manifest.get("toward_limit", True)))
    held = limit.get("held")
    if predicted is not None:
        agrees = "" if held is None else "as predicted" if held else "not as predicted"
        lines.append(f"{agrees} (receipt {predicted:,})" if agrees else f"predicted: receipt {predicted:,}")
    lag = _number(limit.get("denial_lag_receipts"))
    if not math.isnan(lag):
        ms = 1000 * _number(limit.get("denial_lag_s"))
        after = "" if math.isnan(ms) else f" and {ms:,.0f} ms"
        lines.append(f"denied {numbers.counted(round(lag), 'receipt')}{after} after it was crossed")
    state: State = "none" if held is None else "good" if held else "bad"
    return Tile("limit", figure, few(lines), state)


def _observed(limit: Mapping[str, Any], looked_for: bool) -> tuple[str, list[str]]:
    """The observed limit as a figure, and the lines that explain it."""
    low, high, exact = limit.get("observed_low"), limit.get("observed_high"), limit.get("observed_receipts")
    if exact is not None:
        return f"{exact:,} receipts", ["exact: the last of them triggered denial"]
    if high is not None:
        figure = f"{low:,} to {high:,} receipts" if low else f"at most {high:,} receipts"
        return figure, [f"{low:,} were accepted, {high:,} triggered denial" if low else f"{high:,} triggered denial"]
    if limit.get("first_refusal"):
        return "not known", ["the payer was denied, but after how many receipts is unknown"]
    if not looked_for or not limit:
        return "not looked for", []
    return "not reached", [f"{low:,} receipts were accepted" if low else "no step shows how many are accepted"]


def _capacity(search: Mapping[str, Any]) -> Tile:
    bracket = search.get("bracket") or {}
    low, high = bracket.get("low"), bracket.get("high")
    held = f"a trial passes when {search['condition']}" if search.get("condition") else ""
    if not low:
        return Tile("limit", "not found", few(["no rate passed", held]), "doubt")
    sure = f"{100 * bracket.get('confidence', math.nan):.3g} % sure"
    if high is None:
        return Tile("limit", f"at least {numbers.per_second(low)}", few([f"{sure}; no rate failed", held]), "doubt")
    rates = f"{low:,.4g} to {high:,.4g} receipts/s"
    return Tile("limit", rates, few([f"{sure}: half of the trials pass at a rate in this range", held]), "good")


def cost_tile(mode: str, figures: Mapping[str, Any]) -> Tile:
    """The cost of a receipt: what the profiler counted, or the time it takes without one."""
    costs = cost_lines(figures)
    if costs:
        agents = cost_lines({name.removeprefix(AGENT): value for name, value in _of_agents(figures).items()})
        more = [*costs[1:], *(f"tap-agent: {line}" for line in agents[:1])]
        return Tile("cost", costs[0], few([f"counted by {mode}, background subtracted", *more]))
    if mode != "none":
        return Tile("cost", NOT_MEASURED, (f"no window of {mode} has receipts",), "doubt")
    return plain_cost(figures)


def plain_cost(figures: Mapping[str, Any]) -> Tile:
    """What a receipt costs without a profiler: time."""
    p50 = _number(figures.get("response_p50_ms"))
    if math.isnan(p50):
        return Tile("cost", NOT_MEASURED, ("no valid step without a profiler",))
    p95, rate = _number(figures.get("response_p95_ms")), _number(figures.get("throughput_per_s"))
    lines = ["median response time"]
    lines += [] if math.isnan(p95) else [f"95 % were answered within {numbers.milliseconds(p95)}"]
    lines += [] if math.isnan(rate) else [f"{numbers.per_second(rate)} were accepted"]
    lines.append("CPU and memory need a profiler")
    return Tile("cost", numbers.milliseconds(p50), few(lines))


def cost_lines(figures: Mapping[str, Any]) -> list[str]:
    """The costs among the figures in words, the most asked-for first: ``6.64 M instructions``."""
    known = {name: _number(figures.get(name)) for name in COSTS}
    return [
        f"{numbers.amount(known[name], unit)} {words}"
        for name, (unit, words) in COSTS.items()
        if not math.isnan(known[name])
    ]


def _of_agents(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name.startswith(AGENT)}


def next_tile(manifest: Mapping[str, Any], findings: Findings | None, state: str) -> Tile:
    """What to do next: look at what failed or at the top finding, send more, measure the cost, or compare."""
    verdict = manifest.get("verdict") or {}
    if "windows" not in manifest and state != "finished":
        return Tile("next", "Resume it", (f"{_resumed(manifest)} measures the rest",))
    reasons = [text for reason in verdict.get("reasons") or () if (text := str(reason).strip())]
    if verdict.get("verdict") == "INVALID":
        again = "`workbench calibrate` finds how fast this machine can send"
        return Tile("next", "Measure again", few([*reasons[:2], again]))
    if verdict.get("verdict") == "FAIL":
        return Tile("next", "Look at what failed", few(reasons[:3] + others(reasons[3:], "more reason")))
    if findings is not None and len(findings):
        return finding_tile(findings)
    limit, predicted = manifest.get("limit") or {}, (manifest.get("prediction") or {}).get("receipts")
    mode = mode_of(manifest)
    if mode == "none" and manifest.get("toward_limit", True) and predicted and not limit.get("observed_high"):
        steps = f"`workbench sweep --receipts {predicted},{round(1.25 * predicted)}` reaches the limit"
        return Tile("next", "Send more receipts", (steps, ASK_FOR_COST))
    if mode == "none":
        return Tile("next", "Measure the cost of a receipt", (ASK_FOR_COST, "`workbench compare` compares two runs"))
    return Tile(
        "next", "Compare it", ("nothing was found in the profiles", "`workbench compare RUN OTHER` shows what changed")
    )


def finding_tile(findings: Findings) -> Tile:
    """The most important finding: what to do, what was found, what that saves."""
    first, more = findings.ranked[0], others(findings.ranked[1:], "other finding")
    found = first.sentence.partition(". ")[0].removesuffix(".")
    saved = [] if math.isnan(first.saving_pct) else [f"that saves {numbers.percent(first.saving_pct)} of a receipt"]
    return Tile("next", first.todo.partition(";")[0], few([found, *saved, *more]))


def _resumed(manifest: Mapping[str, Any]) -> str:
    if manifest.get("what") == "find-limit":
        return "`workbench find-limit --resume RUN`"
    return "`workbench sweep --resume RUN`"


def others(left: Sequence[Any], word: str) -> list[str]:
    """The line that says how many more there are; no line if there are none."""
    return [numbers.counted(len(left), word)] if left else []


def few(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines of a tile: at most four that are not empty, long ones cut."""
    return tuple(_cut(line) for line in lines if line)[:_MOST_LINES]


def _cut(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS - 1].rstrip()}…"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
