"""What notebook cells show besides charts. Nothing is computed here: frames and manifests in, escaped HTML
out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.analysis.badges import Badge, State, badges_of, worst
from workbench.analysis.tiles import Tile, text
from workbench.markup import markup, safe
from workbench.report.tables import VERDICT_MARKS, table
from workbench.report.view import View, nothing

if TYPE_CHECKING:
    from workbench.profiles.model import Profile
    from workbench.runs.read import Run

_HTML = Path(__file__).parent / "html"
_VERDICT_STATES: Mapping[str, State] = {"PASS": "good", "FAIL": "bad", "INVALID": "none"}
# used if the page does not define these colours
COLOURS: Mapping[State, str] = {"good": "#007A5A", "bad": "#B34700", "doubt": "#7A5F00", "none": "#5F5F5F"}


def notes(profile: Profile) -> View:
    """What is odd, assumed or dropped in a profile, and the parts of its header that say how it was made."""
    facts = {key: value for key, value in profile.meta.items() if isinstance(value, (str, int, float)) and value != ""}
    said = [str(note) for note in profile.notes]
    return View(
        markup("report/items", items=said, below=safe(_groups_html({"Header": facts}))),
        "\n".join([*(f"- {note}" for note in said), json.dumps(facts, default=str)]),
    )


def tiles(shown: Any) -> View:
    """The four tiles (:mod:`workbench.analysis.tiles`) of a run, search, batch or comparison. A run that was opened
    without its profiles is opened again with them."""
    from workbench.sweep.opened import open_run

    found: Sequence[Tile] = shown.tiles if hasattr(shown, "tiles") else open_run(shown.path).tiles
    style = safe((_HTML / "tiles.css").read_text(encoding="utf-8"))
    facts = {"tiles": [tile.as_dict() for tile in found]}
    return View(markup("report/tiles", tiles=found, style=style), text(found), facts)


def verdict_box(run: Run) -> View:
    """The verdict of a run in words: target, steps measured, prediction, result and reasons."""
    manifest = run.manifest
    verdict = manifest.get("verdict") or {}
    sentences = [
        verdict.get("sentence") or f"The run is {run.state}; there is no verdict.",
        (manifest.get("prediction") or {}).get("sentence"),
        (manifest.get("target") or {}).get("sentence"),
        (manifest.get("calibration") or {}).get("warning"),
        _sentence(manifest.get("beside")),
    ]
    thresholds = [one["sentence"] for one in manifest.get("thresholds") or ()]
    reasons = [reason for reason in verdict.get("reasons") or [] if reason not in thresholds]
    shown = [sentence for sentence in sentences if sentence]
    return _box(_heading(run), badges_of(verdict), shown, [*_missing(run), *thresholds, *reasons])


def _sentence(words: str | None) -> str | None:
    return words and f"{words[0].upper()}{words[1:]}."


def repeats(run: Run) -> View:
    """The figures of steps that were measured several times, combined, a row per size and figure; a sentence if there
    are none."""
    from workbench.analysis.repeats import repeats_table

    found = repeats_table(run.steps)
    if found.empty:
        said = "Each step was measured once. With `--repeats 5` each is measured five times, and figures get intervals."
        return nothing(said)
    headings = {
        "receipts": "Receipts", "figure": "Figure", "repeats": "Valid repeats", "mean": "Mean",
        "low": "95 % sure: from", "high": "to", "lowest": "Lowest", "highest": "Highest", "spread_pct": "Spread, %",
    }  # fmt: skip
    return table(found[found["repeats"] > 0].rename(columns=headings), name="repeats")


def provenance(run: Run) -> View:
    """What was run, on which machine and with which settings, as one small table per group."""
    groups: dict[str, Mapping[str, Any]] = {
        "Run": {key: value for key, value in run.manifest.items() if not isinstance(value, (dict, list))}
    }
    groups |= {
        key.capitalize(): value
        for key, value in run.manifest.items()
        if isinstance(value, Mapping) and value and key not in ("limit", "verdict")
    }
    return View(
        _groups_html(groups),
        "\n".join(f"{title}: {json.dumps(values, default=str)}" for title, values in groups.items()),
    )


def headline_of(run: Run) -> str:
    """The verdict, with a qualification if it is not good in every respect."""
    headline: str = (run.manifest.get("verdict") or {}).get("headline", run.verdict)
    return headline


def _heading(run: Run) -> tuple[str, State]:
    """The verdict with its mark, and its state, which is the worst of its badges."""
    headline = headline_of(run)
    if headline != run.verdict:
        return headline, worst(badges_of(run.manifest["verdict"]))
    return VERDICT_MARKS.get(run.verdict, run.verdict), _VERDICT_STATES.get(run.verdict, "none")


def _missing(run: Run) -> list[str]:
    """The files that are missing from a finished run, in a line."""
    if not run.missing:
        return []
    return [f"Missing from the run's folder, so not shown: {', '.join(run.missing)}."]


def _box(heading: tuple[str, State], badges: Sequence[Badge], sentences: list[str], reasons: list[str]) -> View:
    mark, state = heading
    return View(
        markup(
            "report/verdict",
            mark=mark,
            state=state,
            colours=COLOURS,
            badges=badges,
            sentences=sentences,
            reasons=reasons,
        ),
        "\n".join([mark, *(badge.line for badge in badges), *sentences, *(f"- {reason}" for reason in reasons)]),
    )


def _groups_html(groups: Mapping[str, Mapping[str, Any]]) -> str:
    rows = {
        title: {
            str(key): value if isinstance(value, str) else json.dumps(value, default=str)
            for key, value in values.items()
        }
        for title, values in groups.items()
    }
    return markup("report/facts", groups=rows)
