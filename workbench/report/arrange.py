"""Puts the cells of an executed notebook into the order of a report. Pure: cells in, cells out.

A notebook begins with its parameters and the cell that measures; a report begins with the results. So these cells
go to its end. Outputs without data, and sections that have no others, are left out; the reasons are listed there once.
If the first tile is the cost of a receipt, the sections tagged ``cost`` come before the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.progress import PROGRESS
from workbench.report.figures import PLOTLY_MIME, nothing_in
from workbench.report.notebooks import tags
from workbench.report.quick_nbformat import nbformat
from workbench.report.view import FACTS, NOTHING

OF_COST = "cost"
FIRST = ("Findings", "The runs")
"""These stay before the sections about cost."""
_HEADING = re.compile(r"^## +(.+?) *#*$", re.MULTILINE)
_LOWER = re.compile(r"^#{3,} +(.+?) *#*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the second level with what is below it: markdown cells and code cells that show something."""

    heading: str
    cells: tuple[nbformat.NotebookNode, ...]
    of_cost: bool = False

    @property
    def headings(self) -> tuple[str, ...]:
        """All headings of the second level in it: a cell can have several."""
        return tuple(
            text for cell in self.cells if cell.cell_type == "markdown" for text in _HEADING.findall(cell.source)
        )

    @property
    def code(self) -> str:
        """The code of the section's cells."""
        return _code(self.cells)


@dataclass(frozen=True, slots=True)
class Arranged:
    """``head``: what stands first, ``sections`` in their order, ``made``: the cells that say how it was made,
    ``left_out``: what has no data, with the reason."""

    head: tuple[nbformat.NotebookNode, ...]
    sections: tuple[Section, ...]
    made: tuple[nbformat.NotebookNode, ...]
    left_out: tuple[tuple[str, str], ...] = field(default=())

    @property
    def head_code(self) -> str:
        """The code of the cells of ``head``."""
        return _code(self.head)

    @property
    def says_how(self) -> bool:
        """Whether there is anything to show about how the report was made."""
        return bool(self.made or self.left_out or self.head_code)


def arranged(cells: Sequence[nbformat.NotebookNode]) -> Arranged:
    """The cells of an executed notebook in the order of its report."""
    first = next((at for at, cell in enumerate(cells) if _heading(cell)), len(cells))
    head = [cell for cell in cells[:first] if not _only_made(cell)]
    made = [cell for cell in cells[:first] if _only_made(cell)]
    left_out: list[tuple[str, str]] = []
    sections = [section for part in _parts(cells[first:]) if (section := _section(part, left_out)) is not None]
    if _led_by_cost(head):
        sections.sort(key=lambda one: 0 if one.heading in FIRST else 1 if one.of_cost else 2)
    return Arranged(tuple(head), tuple(sections), tuple(made), _by_reason(left_out))


def changed(node: nbformat.NotebookNode, **parts: Any) -> nbformat.NotebookNode:
    """A copy of a cell or notebook with other ``parts``."""
    copied: nbformat.NotebookNode = nbformat.from_dict({**node, **parts})  # type: ignore[no-untyped-call]
    return copied


def _code(cells: Sequence[nbformat.NotebookNode]) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")


def _heading(cell: nbformat.NotebookNode) -> str:
    """The second-level heading with which a cell begins a section; "" if it begins none."""
    found = _HEADING.search(cell.source) if cell.cell_type == "markdown" else None
    return found[1] if found else ""


def _only_made(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell shows nothing but how the report was made: parameters, code, text printed while it ran."""
    return cell.cell_type == "code" and all(_is_said(output) for output in cell.get("outputs", []))


def _is_said(output: Any) -> bool:
    """Whether an output is text printed while the cell ran, or the progress of a run."""
    return output.output_type == "stream" or PROGRESS in output.get("metadata", {})


def _parts(cells: Sequence[nbformat.NotebookNode]) -> list[list[nbformat.NotebookNode]]:
    parts: list[list[nbformat.NotebookNode]] = []
    for cell in cells:
        if _heading(cell):
            parts.append([])
        parts[-1].append(cell)
    return parts


def _section(part: Sequence[nbformat.NotebookNode], left_out: list[tuple[str, str]]) -> Section | None:
    """The section without outputs that have nothing to show; None if nothing is left. Adds these to ``left_out``."""
    heading = _heading(part[0])
    before = len(left_out)
    shown = [_without_nothing(cell, heading, left_out) for cell in part]
    asked = [cell for cell in shown if cell.cell_type == "code"]
    if len(left_out) > before and not any(cell.outputs for cell in asked):
        left_out[before:] = [(heading, why) for why in dict.fromkeys(why for _, why in left_out[before:])]
        return None
    return Section(heading, tuple(_without_empty_parts(shown)), OF_COST in tags(part[0]))


def _without_nothing(
    cell: nbformat.NotebookNode, heading: str, left_out: list[tuple[str, str]]
) -> nbformat.NotebookNode:
    if cell.cell_type != "code":
        return cell
    kept = []
    for output in cell.get("outputs", []):
        title, why = _nothing(output)
        if why:
            left_out.append((title or heading, why))
        else:
            kept.append(output)
    return changed(cell, outputs=kept)


def _nothing(output: nbformat.NotebookNode) -> tuple[str, str]:
    """Title and reason of an output that has nothing to show; ("", "") for others."""
    spec = output.get("data", {}).get(PLOTLY_MIME)
    if spec is not None:
        return nothing_in(spec)
    return "", str(_facts(output).get(NOTHING, ""))


def _without_empty_parts(cells: Sequence[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The cells, without lower-level headings that have no output below them."""
    kept: list[nbformat.NotebookNode] = []
    for at, cell in enumerate(cells):
        below = []
        for other in cells[at + 1 :]:
            if other.cell_type == "markdown":
                break
            below.append(other)
        lower = at and cell.cell_type == "markdown" and _LOWER.match(cell.source)
        if not (lower and below and not any(one.get("outputs") for one in below)):
            kept.append(cell)
    return kept


def _led_by_cost(head: Sequence[nbformat.NotebookNode]) -> bool:
    outputs = [output for cell in head if cell.cell_type == "code" for output in cell.get("outputs", [])]
    leading = [found[0]["what"] for output in outputs if (found := _facts(output).get("tiles"))]
    return leading[:1] == [OF_COST]


def _facts(output: nbformat.NotebookNode) -> dict[str, Any]:
    facts = output.get("metadata", {}).get(FACTS, {})
    return facts if isinstance(facts, dict) else {}


def _by_reason(left_out: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What was left out, grouped by reason, so that each reason is given once."""
    titles: dict[str, list[str]] = {}
    for title, why in left_out:
        titles.setdefault(why.removesuffix("."), []).append(title)
    return tuple((", ".join(dict.fromkeys(names)), why) for why, names in titles.items())
