"""Runs notebooks and exports them as offline HTML. Nothing is measured or computed here.

``parameters`` reads and checks a notebook's parameters, ``execute`` runs it in a ``child`` process and keeps a
``record`` of how that ended, ``export`` makes one self-contained page with its ``figures``, in the order set by
``arrange``. ``view``, ``tables`` and ``display`` make what notebook cells show, from the templates in ``html/``.
``sweep_report`` does all of this for a sweep.

Names are imported when first used: a kernel that only shows tables does not wait for nbformat.
"""

from __future__ import annotations

from importlib import import_module

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from workbench.report.comparing import comparison_table, comparison_words, difference_flames
    from workbench.report.display import notes, provenance, repeats, tiles, verdict_box
    from workbench.report.execute import run_notebook
    from workbench.report.export import export_html, external_addresses
    from workbench.report.limits import knee, search_spending, search_trials
    from workbench.report.page import profile_page
    from workbench.report.parameters import Parameter, check_parameters, read_parameters
    from workbench.report.profiled_run import receipt_cost
    from workbench.report.record import NotebookRecord
    from workbench.report.snakeviz import snakeviz_frame
    from workbench.report.summary import batch_summary
    from workbench.report.tables import steps_table, table
    from workbench.report.view import View
    from workbench.report.what_was_given import given

__all__ = [
    "NotebookRecord",
    "Parameter",
    "View",
    "batch_summary",
    "check_parameters",
    "comparison_table",
    "comparison_words",
    "difference_flames",
    "export_html",
    "external_addresses",
    "given",
    "knee",
    "notes",
    "profile_page",
    "provenance",
    "read_parameters",
    "receipt_cost",
    "repeats",
    "run_notebook",
    "search_spending",
    "search_trials",
    "snakeviz_frame",
    "steps_table",
    "table",
    "tiles",
    "verdict_box",
]

_HOMES = {
    "NotebookRecord": "record",
    "Parameter": "parameters",
    "View": "view",
    "batch_summary": "summary",
    "check_parameters": "parameters",
    "comparison_table": "comparing",
    "comparison_words": "comparing",
    "difference_flames": "comparing",
    "export_html": "export",
    "external_addresses": "export",
    "given": "what_was_given",
    "knee": "limits",
    "notes": "display",
    "profile_page": "page",
    "provenance": "display",
    "read_parameters": "parameters",
    "receipt_cost": "profiled_run",
    "repeats": "display",
    "run_notebook": "execute",
    "search_spending": "limits",
    "search_trials": "limits",
    "snakeviz_frame": "snakeviz",
    "steps_table": "tables",
    "table": "tables",
    "tiles": "display",
    "verdict_box": "display",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"workbench.report.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'workbench.report' has no attribute {name!r}")
