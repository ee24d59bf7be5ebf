"""Findings as notebooks show them: a numbered list at the top of each report, each with a link to its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.markup import markup, safe
from workbench.report.tables import table
from workbench.report.view import View, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.analysis.findings import Finding, Findings

NOTHING = "Nothing was found in the profiles."
# the section of a report in which a kind of finding has its evidence; a batch has others
RUN_SECTIONS = {
    "repeated work": "What does a receipt cost?",
    "growth": "How does that grow with the load?",
    "leak": "How does that grow with the load?",
    "background": "What does the idle service cost?",
    "profiler's share": "Where, step by step",
}
BATCH_SECTIONS = {
    "repeated work": "What does a receipt cost, and where?",
    "growth": "How does it grow with the load?",
    "leak": "How does it grow with the load?",
    "background": "The questions",
    "profiler's share": "Step by step",
}
PROFILED_SECTIONS = {**BATCH_SECTIONS, "background": "What does the idle service cost?"}
_OTHERS = "repeated work"


@dataclass(frozen=True, slots=True)
class _Item:
    """One finding in words: what was found, in a sentence first; what to do; how sure it is and where its evidence
    is."""

    found: str
    more: str
    todo: str
    about: str
    shown: str
    section: str
    anchor: str
    rows: Any


def shown(findings: Findings, sections: Mapping[str, str]) -> View:
    """The findings as a numbered list. ``sections``: for each kind, the heading above its evidence."""
    if not len(findings):
        return sentence(" ".join((NOTHING, *findings.notes)))
    items = [_item(one, findings, sections) for one in findings]
    return View(markup("report/findings", items=items, notes=findings.notes), findings.text())


def anchor(heading: str) -> str:
    """The id of a heading in the page: nbconvert uses its text with hyphens for blanks."""
    return heading.replace(" ", "-")


def _item(one: Finding, findings: Findings, sections: Mapping[str, str]) -> _Item:
    from workbench.analysis.findings.model import symptoms

    more: Sequence[Finding] = findings.symptoms_of(one)
    about = f"{one.kind.capitalize()} ({one.service}, {one.mode}); {one.certainty}."
    first, _, rest = one.sentence.partition(". ")
    section = sections.get(one.kind, sections[_OTHERS])
    return _Item(
        found=first.removesuffix("."),
        more=rest,
        todo=one.todo,
        about=f"{about} {symptoms(more)}" if more else about,
        shown=one.shown,
        section=section,
        anchor=anchor(section),
        rows=safe(table(one.evidence, 10, name=f"evidence of {one.subject}").as_html),
    )
