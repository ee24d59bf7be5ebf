"""The badges of a run: receipts, limit, validity and thresholds, each judged by itself.

A limit that was predicted correctly does not make the latencies valid. So the badges are shown beside each other, and a
run is green only if all of them are: "PASS" with "1 of 5 steps valid" is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workbench.analysis.step_row import StepRow
from workbench.thresholds.judge import Judged

State = Literal["good", "bad", "doubt", "none"]
MARKS: dict[str, str] = {"good": "✓", "bad": "✗", "doubt": "◇", "none": "–"}
_WORST: tuple[State, ...] = ("bad", "doubt", "good", "none")


@dataclass(frozen=True, slots=True)
class Badge:
    """One judgement: of ``what`` (receipts, limit, validity, thresholds), ``state`` and a few words.

    ``state``: good; bad; doubt (a part could not be measured); none (there was nothing to judge).
    """

    what: str
    state: State
    text: str

    @property
    def line(self) -> str:
        """Mark and words."""
        return f"{MARKS[self.state]} {self.text}"


def badges(rows: Sequence[StepRow], held: bool | None, judged: Sequence[Judged] = ()) -> tuple[Badge, ...]:
    """The badges of a run with these rows; ``held``: whether the limit was as predicted (None: not known)."""
    failed = sum(bool(row.failure) for row in rows)
    found: list[Badge] = [
        Badge("receipts", "bad", f"receipts failed in {failed} {'step' if failed == 1 else 'steps'}")
        if failed
        else Badge("receipts", "good", "no receipt failed"),
        {
            True: Badge("limit", "good", "limit as predicted"),
            False: Badge("limit", "bad", "limit not as predicted"),
            None: Badge("limit", "none", "limit not tested"),
        }[held],
        _validity([row for row in rows if row.kind == "step"]),
    ]
    if judged:
        found.append(_thresholds(judged))
    return tuple(found)


def headline(verdict: str, found: Sequence[Badge]) -> str:
    """The verdict in one word, followed by the badges that are not green."""
    beside = [badge.line for badge in found if badge.state in ("bad", "doubt")]
    return verdict if verdict != "PASS" or not beside else f"{verdict}, but {', '.join(beside)}"


def stored(found: Sequence[Badge]) -> list[dict[str, Any]]:
    """Badges in the form that a manifest stores."""
    return [asdict(badge) for badge in found]


def badges_of(verdict: Mapping[str, Any]) -> tuple[Badge, ...]:
    """The badges stored in a manifest's verdict; none in runs of earlier releases."""
    return tuple(Badge(**one) for one in verdict.get("badges") or ())


def worst(found: Sequence[Badge]) -> State:
    """The worst state of the badges, which is the state of the run."""
    states = {badge.state for badge in found}
    return next((state for state in _WORST if state in states), "none")


def _validity(steps: Sequence[StepRow]) -> Badge:
    valid = sum(row.verdict != "INVALID" for row in steps)
    text = f"{valid} of {len(steps)} {'step' if len(steps) == 1 else 'steps'} valid"
    state: State = "none" if not steps else "good" if valid == len(steps) else "doubt" if valid else "bad"
    return Badge("validity", state, text)


def _thresholds(judged: Sequence[Judged]) -> Badge:
    exceeded, silent = (sum(one.verdict == verdict for one in judged) for verdict in ("FAIL", "UNMEASURED"))
    count = f"{len(judged)} {'threshold' if len(judged) == 1 else 'thresholds'}"
    said = [f"{exceeded} of {count} exceeded"] if exceeded else []
    said += [f"{silent} not measured" if said else f"{silent} of {count} not measured"] if silent else []
    return Badge("thresholds", "bad" if said else "good", ", ".join(said) or f"{count} held")
