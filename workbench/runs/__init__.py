"""Run folders: made, locked, written as the run goes, read again. Knows nothing of how a run was made.

Callable: ``workbench.runs()`` is the table of all runs (:func:`workbench.catalogue.listing.runs`)."""

from workbench.callable_room import make_callable

make_callable(__name__, "workbench.catalogue.listing", "runs")
