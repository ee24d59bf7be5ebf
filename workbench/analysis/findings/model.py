"""What a finding is, and the ranked list of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from workbench.analysis.findings.code import short
from workbench.card import card

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "repeated work", "growth", "leak", "background", "waiting", "system calls", "cache and branches", "profiler's share"
]
KINDS = get_args(Kind)
_SYMPTOMS = 4
COLUMNS = (
    "rank", "kind", "service", "mode", "subject", "sentence", "per_receipt", "low", "high", "unit", "share_pct",
    "saving_pct", "certainty", "confidence", "todo", "shown", "weight", "folded_into", "id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a finding: an amount per receipt in ``unit`` with its interval of 95 % (NaN: not known)."""

    per_receipt: float
    unit: str
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One result of the measurements that deserves attention.

    ``kind`` and ``subject`` (a function, path or call) name it; ``sentence`` describes it with its figures; ``size`` is
    its amount per receipt, ``share_pct`` this as a share of the whole of ``metric``; ``saving_pct``: the predicted
    saving of the whole in percent (NaN: not predicted). ``certainty`` is how sure it is in words, ``confidence`` as a
    number from 0 to 1. ``todo``: what to do. ``evidence``: the rows it is based on, and ``shown``: the chart or table
    that has them. ``weight`` ranks it: the percentage of a receipt's cost that it concerns. ``folded_into``: the id of
    the finding it is a symptom of; "" if of none. ``names``: functions that stand for the same thing in other modes.
    """

    kind: Kind
    service: str
    mode: str
    subject: str
    sentence: str
    metric: str
    size: Size
    share_pct: float
    saving_pct: float
    certainty: str
    confidence: float
    todo: str
    shown: str
    weight: float
    evidence: pd.DataFrame
    names: tuple[str, ...] = ()
    folded_into: str = ""

    @property
    def id(self) -> str:
        """Identifies the finding in a list."""
        return f"{self.kind}/{self.service}/{self.mode}/{self.subject}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, the rows of the evidence among them; what is not known is None."""
        values = {name: getattr(self, name) for name in self.__slots__ if name not in ("evidence", "size", "names")}
        values |= {**asdict(self.size), "id": self.id, "names": list(self.names)}
        rows = self.evidence.astype(object).where(self.evidence.notna(), None).to_dict("records")
        return {**{name: _plain(value) for name, value in values.items()}, "evidence": rows}


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Findings of a run, or of all runs of a batch, the most important first.

    Iterating gives the findings that are not symptoms; ``folded`` has the symptoms. ``notes``: what could not be
    looked for, in sentences.
    """

    ranked: tuple[Finding, ...] = ()
    folded: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.ranked)

    def __len__(self) -> int:
        return len(self.ranked)

    def of(self, kind: Kind) -> list[Finding]:
        """The findings of one kind, in their order."""
        return [one for one in self.ranked if one.kind == kind]

    def symptoms_of(self, finding: Finding) -> list[Finding]:
        """The symptoms folded into a finding."""
        return [one for one in self.folded if one.folded_into == finding.id]

    @property
    def table(self) -> pd.DataFrame:
        """A row a finding, columns COLUMNS: ``rank`` counts from 1, and is 0 for those that were folded into another
        (``folded_into`` is its id). ``per_receipt``, ``low`` and ``high`` are in ``unit``."""
        import pandas as pd

        ranked = [(rank + 1, one) for rank, one in enumerate(self.ranked)]
        rows = [{**one.as_dict(), "rank": rank} for rank, one in (*ranked, *((0, symptom) for symptom in self.folded))]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "findings": [one.as_dict() for one in self.ranked],
            "folded": [one.as_dict() for one in self.folded],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """One paragraph per finding, as the shell shows it."""
        if not self.ranked:
            return "\n".join(["Nothing was found.", *self.notes])
        lines = []
        for rank, one in enumerate(self.ranked, 1):
            where = f"{one.service}, {one.mode}"
            lines.append(f"{rank}. {one.sentence}")
            lines.append(f"   {one.kind} ({where}); {one.certainty}. {one.todo}")
            lines.append(f"   See: {one.shown}.")
            more = self.symptoms_of(one)
            if more:
                lines.append(f"   {symptoms(more)}")
        return "\n".join([*lines, *self.notes])

    __repr__ = text
    _repr_mimebundle_ = card("findings")


def symptoms(more: Sequence[Finding]) -> str:
    """The symptoms of a finding, in a sentence."""
    said = ", ".join(dict.fromkeys(f"{short(one.subject)} ({one.mode})" for one in more[:_SYMPTOMS]))
    rest = f" and {len(more) - _SYMPTOMS} more" if len(more) > _SYMPTOMS else ""
    return f"Also seen as: {said}{rest}."


def ranked(found: Sequence[Finding], notes: Sequence[str] = ()) -> Findings:
    """The findings ordered by weight times confidence, with the folded ones separate."""
    own = [one for one in found if not one.folded_into]
    ordered = sorted(own, key=lambda one: (-one.weight * one.confidence, one.id))
    return Findings(tuple(ordered), tuple(one for one in found if one.folded_into), tuple(dict.fromkeys(notes)))


def folded(symptom: Finding, cause: Finding) -> Finding:
    """The finding as a symptom of another."""
    return replace(symptom, folded_into=cause.id)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
