"""What a notebook shows for an object at the end of a cell: verdict and figures, or a flame graph.

All texts go through the templates, which escape them: names in profiles are not trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.errors import WorkbenchError
from workbench.numbers import counted, precise
from workbench.report.display import tiles
from workbench.report.view import View, below, plain_html, sentence

if TYPE_CHECKING:
    from workbench.analysis.findings import Findings
    from workbench.batches.folder import Batch
    from workbench.compare.comparison import Comparison
    from workbench.profiles.model import Profile
    from workbench.runs.read import Run
    from workbench.search.result import FoundLimit
    from workbench.sweep.single import LoadResult

T = TypeVar("T")
MOST_NODES = 3_000
"""Limit of a flame graph in a notebook; ``workbench view`` shows 100,000."""
MOST_METRICS, MOST_NOTES = 4, 3


def _or_why_not(make: Callable[[T], View]) -> Callable[[T], View]:
    """Shows an error as one line: a cell that shows a damaged object must not end in a traceback."""

    @wraps(make)
    def card(shown: T) -> View:
        try:
            return make(shown)
        except WorkbenchError as error:
            return sentence(str(error))

    return card


@_or_why_not
def run(shown: Run) -> View:
    """The four tiles of a run, and where it is."""
    report = shown.path / "report.html"
    said = f"Run {shown.path}, {shown.state}." + (f" Report: {report}" if report.is_file() else "")
    return below(tiles(shown), sentence(said))


@_or_why_not
def load(shown: LoadResult) -> View:
    """The tiles of a load, and its summary."""
    return below(run(shown.run), View(plain_html(shown.text), shown.text))


@_or_why_not
def found_limit(shown: FoundLimit) -> View:
    """The answer of a search."""
    return run(shown.run)


@_or_why_not
def batch(shown: Batch) -> View:
    """The tiles of a batch, and where it is."""
    return below(tiles(shown), sentence(f"Batch {shown.path}."))


@_or_why_not
def comparison(shown: Comparison) -> View:
    """The tiles of a comparison, and what it says in sentences."""
    return below(tiles(shown), View(plain_html(shown.text), shown.text))


@_or_why_not
def findings(shown: Findings) -> View:
    """The findings as a numbered list."""
    from workbench.report.findings import shown as listed

    return listed(shown, {})


@_or_why_not
def profile(shown: Profile) -> View:
    """The totals of a profile, its flame graph, and its first notes."""
    first = [shown.metric(), *(one for one in shown.metrics if one.name != shown.default_metric)]
    said = [f"{precise(shown.total(one.name), one.unit)} of {one.name}" for one in first[:MOST_METRICS]]
    left = len(first) - len(said)
    totals = ", ".join([*said, *([f"and {counted(left, 'metric')} more"] if left else [])])
    head = sentence(f"{shown.name}: {shown.format}, {len(shown.arrays.functions):,} functions; {totals}.")
    return below(head, _flames(shown), *(sentence(f"{note}.") for note in shown.notes[:MOST_NOTES]))


def _flames(shown: Profile) -> View:
    from workbench.charts.flame import flame_graph

    try:
        graph: Any = flame_graph(shown, max_nodes=MOST_NODES, detail=False)
    except WorkbenchError as error:
        return sentence(f"No flame graph: {error}")
    return View(graph._repr_html_(), repr(shown))
