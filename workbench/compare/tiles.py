"""The four answers shown first wherever a comparison is shown; see :mod:`workbench.analysis.tiles`. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench import numbers
from workbench.analysis.tiles import NOT_MEASURED, Tile, few, others
from workbench.compare.followed import CAME, WENT
from workbench.compare.loaded import FASTER, SLOWER, UNTOLD
from workbench.compare.metrics import CHEAPER, DEARER
from workbench.compare.told import main_metrics
from workbench.compare.words import change, pair

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.badges import State
    from workbench.compare.comparison import Comparison


def comparison_tiles(found: Comparison) -> tuple[Tile, ...]:
    """The four tiles of a comparison: what costs more or less, what a receipt costs before and after, what
    changed, and the limit. With several later runs, the first line of each is about the one that changed most."""
    return _verdict(found), _cost(found), _change(found), _limit(found)


def _verdict(found: Comparison) -> Tile:
    """How many figures became worse and better, and how reliable that is."""
    metrics, load = main_metrics(found.metrics), found.load
    worse = int((metrics["verdict"] == DEARER).sum())
    better = int((metrics["verdict"] == CHEAPER).sum())
    slower, faster, untold = (load.loc[load["verdict"] == one, "load"].nunique() for one in (SLOWER, FASTER, UNTOLD))
    words = [
        f"{count} {word}"
        for count, word in ((worse, DEARER), (better, CHEAPER), (slower, SLOWER), (faster, FASTER))
        if count
    ]
    lines = []
    if untold:
        words.append("1 load differs" if untold == 1 else f"{untold} loads differ")
        lines.append("no step was repeated, so the noise is not known: `--repeats 3` measures it")
    if len(metrics):
        lines.append(f"of {numbers.counted(len(metrics), 'figure')} of what a receipt costs")
    if load["load"].nunique():
        lines.append(f"response times of {numbers.counted(load['load'].nunique(), 'load')}")
    lines += [f"different {row.what}: {row.before} before, {row.after} after" for row in found.unlike.itertuples()]
    noise = metrics["noise_pct"].max() if len(metrics) else math.nan
    lines += [] if math.isnan(noise) else [f"repeats differ by up to {noise:.2g} %"]
    if not len(metrics) and not len(load):
        return Tile("verdict", "nothing to compare", few([*found.notes[:1], *lines]), "doubt")
    state: State = "bad" if worse or slower else "good" if better or faster else "none"
    if state != "bad" and (len(found.unlike) or untold):
        state = "doubt"
    return Tile("verdict", ", ".join(words) or "no difference found", few(lines), state)


def _cost(found: Comparison) -> Tile:
    """What a receipt costs before and after in each mode, and its median response time in each load."""
    several = len(found.after) > 1
    lines = [_figures(row, several) for row in main_metrics(found.metrics).itertuples()]
    medians = found.load[found.load["decile"] == _HALF]
    lines += [
        f"{row.before_ms:.4g} to {row.after_ms:.4g} ms response time, {change(row.shift_pct)} ({row.load})"
        for row in medians.itertuples()
    ]
    if not lines:
        return Tile("cost", NOT_MEASURED, ("no figure was measured in both runs",), "doubt")
    return Tile("cost", lines[0], few(lines[1:]))


def _figures(row: Any, several: bool) -> str:
    of = f", {row.run}" if several else ""
    return f"{pair(row.before, row.after, row.unit, row.metric)}, {change(row.change_pct)} ({row.mode}{of})"


def _change(found: Comparison) -> Tile:
    """The change that explains most, and how many findings went and came."""
    main: pd.DataFrame = found.findings[~found.findings["folded"].astype(bool)]
    moved = [
        f"{numbers.counted(int(count), 'finding')} {word}"
        for word in (WENT, CAME)
        if (count := (main["state"] == word).sum())
    ]
    if not len(found.causes):
        why = "no change in the program was found that changed the cost of a receipt" if len(found.metrics) else ""
        return Tile("change", "no cause found", few([why, *moved]))
    first = _leading(found.causes, found.metrics)
    sentence, _, rest = str(first["sentence"]).partition(": ")
    more = others(range(len(found.causes) - 1), "other change")
    return Tile("change", sentence, few([rest.partition(". ")[0].removesuffix("."), *more, *moved]))


def _leading(causes: pd.DataFrame, metrics: pd.DataFrame) -> pd.Series:
    """The cause to name: the largest in the same direction as the change of its metric, else the largest."""
    keys = ["run", "service", "mode", "metric"]
    whole = causes.merge(metrics[[*keys, "change_pct"]], on=keys, how="left")
    with_it = (whole["effect"] * whole["change_pct"] > 0).to_numpy()
    return causes.iloc[int(with_it.argmax()) if with_it.any() else 0]


def _limit(found: Comparison) -> Tile:
    rows = found.limit
    if not len(rows):
        return Tile("limit", "not looked for", ("compared only if all sides searched for it",))
    first, *rest = [f"{_count(row.before)} to {_count(row.after)} {row.what}" for row in rows.itertuples()]
    return Tile("limit", first, few(rest))


def _count(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:,.4g}"


_HALF = 0.5
