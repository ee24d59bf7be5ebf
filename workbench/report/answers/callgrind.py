"""Where do the instructions go, and are caches or branches the bottleneck? In words, from a callgrind profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_
from workbench.profiles.share import whole_of
from workbench.profiles.views.derived import FORMULAS, derived
from workbench.profiles.views.lines import source_lines
from workbench.profiles.views.neighbours import hot_path
from workbench.profiles.views.top import top
from workbench.report.answers.functions import DIFFERENCE, changes
from workbench.report.tables import table
from workbench.report.view import View, in_words, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workbench.profiles.model import Profile

_TOP = 3
_INSTRUCTIONS = "Ir"
_CYCLES = "CEst"
# misses below this part of the estimated cycles are not the first place to look
_SMALL_PART = 0.1


def answer(profile: Profile) -> View:
    """The guide's questions answered, and how far the answers can be trusted."""
    profile = derived(profile)
    metric = profile.metric()
    asked = "Where does CPU time go?" if metric.name in (_INSTRUCTIONS, _CYCLES) else f"Where does {metric.name} go?"
    if not metric.additive:
        return in_words({asked: [f"Not known: {metric.name} is a ratio, and ratios have no sum."]})
    if not profile.functions[self_(metric.name)].any():
        return in_words({asked: ["Not known: the profile holds no costs."]})
    if math.isnan(whole_of(profile)):
        return in_words({asked: changes(profile), "How sure is this?": [DIFFERENCE]})
    return in_words(
        {
            asked: _functions(profile),
            "Are caches the bottleneck?": _caches(profile),
            "Are branches the bottleneck?": _branches(profile),
            "What does the kernel cost?": _kernel(profile),
            "How sure is this?": _doubts(profile),
        }
    )


def misses(profile: Profile, rows: int | None = None) -> View:
    """Functions by estimated cycles, with their misses and the share of their cycles that misses take; a sentence if
    caches and branches were not simulated."""
    profile = derived(profile)
    names = profile.metric_names
    events = [name for name in (_INSTRUCTIONS, "L1m", "LLm", "Bm") if name in names]
    functions = profile.functions
    if _INSTRUCTIONS not in names:
        if not events:
            return sentence(f"The profile has no cache or branch events, only {', '.join(names)}.")
        # without instructions there are no cycles either, only misses
        shown = functions[["function", "crate", *map(self_, events)]].set_axis(["name", "crate", *events], axis=1)
        return table(shown.sort_values(events[0], ascending=False, kind="stable"), rows)
    if _CYCLES not in names:
        return sentence("Neither caches nor branches were simulated: valgrind needs --cache-sim=yes --branch-sim=yes.")
    shown = functions[["function", "crate", self_(_CYCLES), *map(self_, events)]].copy()
    shown.columns = ["name", "crate", "cycles", *events]
    shown["stalled_pct"] = 100.0 * (1 - shown[_INSTRUCTIONS] / shown["cycles"].where(shown["cycles"] > 0))
    return table(shown.sort_values("cycles", ascending=False, kind="stable"), rows)


def source(profile: Profile, function: str, roots: Mapping[str, str | Path], rows: int | None = None) -> View:
    """The lines of a function with their costs and, if it exists, the source; a sentence if there are none."""
    try:
        return table(source_lines(profile, function, roots=roots), rows)
    except WorkbenchError as error:
        return sentence(f"{error.what}. {error.hint or ''}".strip())


def _functions(profile: Profile) -> list[str]:
    metric = profile.metric()
    own = top(profile, n=_TOP)
    own = own[own["self"] != 0]
    rows = "; ".join(f"{name} {share:.1f} %" for name, share in zip(own["label"], own["self_pct"], strict=True))
    crates = top(profile, n=_TOP, by="crate")
    crates = crates[crates["self"] != 0]
    by_crate = "; ".join(
        f"{name or '(unknown)'} {share:.1f} %" for name, share in zip(crates["name"], crates["self_pct"], strict=True)
    )
    path = hot_path(profile)
    whole = f"The program executed {profile.total():,} {metric.description or metric.name}."
    if metric.name != _INSTRUCTIONS:
        unit = "" if metric.unit == "count" else f"{metric.unit} of "
        described = f" ({metric.description})" if metric.description else ""
        whole = f"The profile holds {profile.total():,} {unit}{metric.name}{described}."
    sentences = [
        f"{whole} Most are in {rows}, not counting what these call: together {own['self_pct'].sum():.1f} %.",
        f"Own cost by crate or module: {by_crate}.",
    ]
    if len(path):
        last = path.iloc[-1]
        guess = "" if path["exact"].all() else " (stacks estimated from calls)"
        sentences.append(
            f"The heaviest path ends after {len(path)} frames in {last['label']}, "
            f"with {last['total_pct']:.1f} %{guess}."
        )
    return sentences


def _caches(profile: Profile) -> list[str]:
    names = profile.metric_names
    if "L1m" not in names:
        return ["Caches were not simulated: valgrind needs --cache-sim=yes."] if _INSTRUCTIONS in names else []
    reads = sum(profile.total(name) for name in ("Dr", "Dw") if name in names)
    missed = sum(profile.total(name) for name in ("D1mr", "D1mw") if name in names)
    said = []
    if reads:
        said.append(f"{100 * missed / reads:.2f} % of {reads:,} data reads and writes missed the first-level cache.")
    return [*said, *_part(profile, ("L1m", "LLm"), "cache misses")]


def _branches(profile: Profile) -> list[str]:
    names = profile.metric_names
    if "Bm" not in names:
        return ["Branches were not simulated: valgrind needs --branch-sim=yes."] if _INSTRUCTIONS in names else []
    taken = sum(profile.total(name) for name in ("Bc", "Bi") if name in names)
    said = []
    if taken:
        share = 100 * profile.total("Bm") / taken
        said.append(f"{share:.2f} % of {taken:,} conditional and indirect branches were mispredicted.")
    return [*said, *_part(profile, ("Bm",), "mispredicted branches")]


def _part(profile: Profile, events: Sequence[str], what: str) -> list[str]:
    """The share of the estimated cycles that a kind of miss takes, and the function with most of them."""
    events = [event for event in events if event in profile.metric_names]
    if not {_CYCLES, _INSTRUCTIONS} <= set(profile.metric_names):
        return [said for said in (_worst(profile, events[-1]),) if said]
    weights = FORMULAS[_CYCLES][1]
    cycles = sum(
        profile.total(event) * weights[event]
        for miss in events
        for event in FORMULAS[miss][1]
        if event in profile.metric_names
    )
    part = cycles / profile.total(_CYCLES) if profile.total(_CYCLES) else 0.0
    verdict = "not the first place to look" if part < _SMALL_PART else "worth looking at"
    said = f"By KCachegrind's weights {what} are {100 * part:.0f} % of the estimated cycles: {verdict}."
    return [f"{said} {_worst(profile, events[-1])}".rstrip()]


def _worst(profile: Profile, event: str) -> str:
    """The function with the largest count of an event; "" if all are 0."""
    worst = top(profile, event, 1)
    if worst.empty or not worst["self"].iloc[0]:
        return ""
    return f"{worst['name'].iloc[0]} has {worst['self_pct'].iloc[0]:.0f} % of {event}."


def _kernel(profile: Profile) -> list[str]:
    if "sysCount" not in profile.metric_names:
        return []
    calls = profile.total("sysCount")
    timed = profile.metric("sysTime") if "sysTime" in profile.metric_names else None
    said = f"{calls:,} system calls"
    if timed is not None:
        said += f" took {profile.total('sysTime'):,} {timed.unit} (elapsed, waiting included)"
    return [f"{said}. A strace log shows which calls and why."]


def _doubts(profile: Profile) -> list[str]:
    names = profile.metric_names
    if _INSTRUCTIONS in names:
        said = [
            "Counts are exact for the run that was recorded; caches and branch predictor are a model of a simple "
            "machine, and cycles are a rule of thumb.",
            "The cost of an inlined function is part of the function it is inlined into. Calls that cost nothing are "
            "not in the file.",
        ]
    elif "L1m" in names or "Bm" in names:
        said = ["Instructions were not counted, so the share of the cycles that misses take is not known."]
    else:
        said = [
            f"The file has no counts of instructions, caches or branches, only of other events: {', '.join(names)}."
        ]
    return said + [f"{text[0].upper()}{text[1:]}." for text in map(str, profile.tree_notes())]
