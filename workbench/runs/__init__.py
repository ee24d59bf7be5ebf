"""Run folders: create, lock, write during the run, read. Independent of how a run is made.

Callable: ``workbench.runs()`` is the table of all runs (:func:`workbench.catalogue.listing.runs`)."""

from workbench.callable_room import make_callable

make_callable(__name__, "workbench.catalogue.listing", "runs")
