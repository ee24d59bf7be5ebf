"""Where does CPU time go? In words, from a pprof profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.numbers import range_text
from workbench.profiles.columns import self_
from workbench.profiles.interval import interval, ticks_of
from workbench.profiles.share import whole_of
from workbench.profiles.views.neighbours import hot_path
from workbench.profiles.views.tags import THREAD, tag_costs
from workbench.profiles.views.top import top
from workbench.report.answers.functions import DIFFERENCE, UNITS_OF_TIME_S, changes
from workbench.report.tables import table
from workbench.report.view import View, in_words, sentence

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_TOP = 3


def answer(profile: Profile) -> View:
    """The guide's question answered, and how far the answer can be trusted."""
    name = profile.default_metric
    asked = f"Where does {'CPU time' if name == 'cpu' else name} go?"
    if not profile.functions[self_(name)].any():
        groups: dict[str, Sequence[str]] = {asked: [_nothing(profile)]}
    elif math.isnan(whole_of(profile)):
        groups = {
            asked: changes(profile),
            "How sure is this?": [
                DIFFERENCE,
                *_window(profile),
            ],
        }
    else:
        groups = {
            asked: [_whole(profile), *_functions(profile), *_path(profile)],
            "Which code and which threads?": [*_crates(profile), *_threads(profile)],
            "How sure is this?": _doubts(profile),
        }
    return in_words(groups)


def threads(profile: Profile, rows: int | None = None) -> View:
    """Costs of each thread as a table, or in words why there is none."""
    if THREAD not in set(profile.tags["key"]):
        return sentence("The profile does not say from which threads its samples are.")
    return table(tag_costs(profile).rename(columns={"value": THREAD}), rows)


def _nothing(profile: Profile) -> str:
    """Why there is no answer, and which other metrics the profile has."""
    name = profile.default_metric
    others = [one for one in profile.metric_names if profile.functions[self_(one)].any()]
    if not others:
        return "Not known: the profile holds no samples."
    return f"The profile holds no {name}. It holds {' and '.join(others)}: choose one with metric."


def _whole(profile: Profile) -> str:
    metric = profile.metric()
    total = profile.total()
    seconds = UNITS_OF_TIME_S.get(metric.unit)
    if seconds is None:
        return f"The profile holds {total:,} {metric.unit} of {metric.name}."
    said = f"The profile holds {total * seconds:,.2f} s of {metric.name} time"
    duration_s = profile.meta.get("duration_ns", 0) / 1e9
    if duration_s and metric.name == "cpu":
        return f"{said} in {duration_s:,.2f} s: {total * seconds / duration_s:.2f} CPUs were busy."
    return f"{said}."


def _functions(profile: Profile) -> list[str]:
    own = top(profile, n=_TOP)
    own = own[own["self"] != 0]
    rows = [f"{name} {share:.1f} %" for name, share in zip(own["label"], own["self_pct"], strict=True)]
    return [f"Most is spent in {'; '.join(rows)}, not counting what they call. Together {own['self_pct'].sum():.1f} %."]


def _path(profile: Profile) -> list[str]:
    path = hot_path(profile)
    if path.empty:
        return []
    last = path.iloc[-1]
    return [
        f"The path from the heaviest root, always to the heaviest call, ends after {len(path)} frames in "
        f"{last['label']}, with {last['total_pct']:.1f} % on this path."
    ]


def _crates(profile: Profile) -> list[str]:
    crates = top(profile, n=_TOP, by="crate")
    rows = [
        f"{name or '(unknown)'} {share:.1f} %" for name, share in zip(crates["name"], crates["self_pct"], strict=True)
    ]
    return [f"Own cost by crate or package: {'; '.join(rows)}."]


def _threads(profile: Profile) -> list[str]:
    if THREAD not in set(profile.tags["key"]):
        return []
    costs = tag_costs(profile)
    rows = [f"{name} {share:.1f} %" for name, share in zip(costs["value"], costs["cost_pct"], strict=True)][:_TOP]
    more = f" ({len(costs):,} names in all)" if len(costs) > _TOP else ""
    return [f"By thread name{more}: {'; '.join(rows)}. Threads with the same name are counted together."]


def _doubts(profile: Profile) -> list[str]:
    said = []
    if ticks := ticks_of(profile):
        first = top(profile, n=1)
        low, high = interval(first["self"], whole_of(profile), ticks)
        said.append(
            f"The profile has {ticks:,} samples. From these, the share of {first['label'].iloc[0]} is "
            f"{range_text(low[0], high[0])} (95 % interval)."
        )
    if profile.meta.get("dialect") == "pprof-rs":
        said.append(
            "The sampler drops samples inside the libraries it was told to exclude (libc, pthread and others), so the "
            "total is too low, and the cost of malloc or memcpy is missing from their callers."
        )
    said += _window(profile)
    if profile.meta.get("dialect") == "pprof-rs" and "window_start_s" not in profile.meta:
        said.append(
            "Reports of this sampler count from the start of the process: subtract an earlier one for a window."
        )
    dropped = [str(note) for note in profile.notes if note.weight]
    return said + ([f"Left out or doubtful: {'; '.join(dropped)}."] if dropped else [])


def _window(profile: Profile) -> list[str]:
    if "window_start_s" not in profile.meta:
        return []
    return ["This is the window between two reports, the earlier one subtracted."]
