"""Indexer Workbench: load-test and profile The Graph's indexer-service and tap-agent as one experiment.

>>> import workbench
>>> run = await workbench.sweep(receipts="250,500,750,1000,1250")   # doctest: +SKIP
>>> run.steps                                                        # doctest: +SKIP

Importing this package is cheap: pandas, aiohttp and the rest are imported when a name is first used.
"""

from __future__ import annotations

from importlib import import_module

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from workbench.catalogue.history import history
    from workbench.catalogue.listing import runs
    from workbench.compare.comparison import Comparison
    from workbench.profilers.open import profiling
    from workbench.profiles.model import Profile
    from workbench.profiles.read import (
        read_callgrind,
        read_dhat,
        read_firefox,
        read_flamegraph,
        read_folded,
        read_jemalloc,
        read_massif,
        read_perf_script,
        read_pprof,
        read_profile,
        read_pstats,
        read_speedscope,
        read_strace,
    )
    from workbench.report.batch import batch
    from workbench.runs.read import Run
    from workbench.search.result import FoundLimit
    from workbench.search.run import find_limit
    from workbench.settings import Settings
    from workbench.sides.read import compare
    from workbench.sweep.opened import open_run
    from workbench.sweep.run import sweep
    from workbench.sweep.single import LoadResult, load
    from workbench.widgets.findings_view import FindingsView
    from workbench.widgets.load_panel import LoadPanel
    from workbench.widgets.profile_explorer import ProfileExplorer
    from workbench.widgets.profiler_panel import ProfilerPanel
    from workbench.widgets.run_browser import RunBrowser

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "FindingsView",
    "FoundLimit",
    "LoadPanel",
    "LoadResult",
    "Profile",
    "ProfileExplorer",
    "ProfilerPanel",
    "Run",
    "RunBrowser",
    "Settings",
    "batch",
    "compare",
    "find_limit",
    "history",
    "load",
    "open_run",
    "profiling",
    "read_callgrind",
    "read_dhat",
    "read_firefox",
    "read_flamegraph",
    "read_folded",
    "read_jemalloc",
    "read_massif",
    "read_perf_script",
    "read_pprof",
    "read_profile",
    "read_pstats",
    "read_speedscope",
    "read_strace",
    "runs",
    "sweep",
]

_HOMES = {
    "Comparison": "workbench.compare.comparison",
    "FindingsView": "workbench.widgets.findings_view",
    "FoundLimit": "workbench.search.result",
    "find_limit": "workbench.search.run",
    "LoadPanel": "workbench.widgets.load_panel",
    "LoadResult": "workbench.sweep.single",
    "Profile": "workbench.profiles.model",
    "ProfileExplorer": "workbench.widgets.profile_explorer",
    "ProfilerPanel": "workbench.widgets.profiler_panel",
    "Run": "workbench.runs.read",
    "RunBrowser": "workbench.widgets.run_browser",
    "Settings": "workbench.settings",
    "batch": "workbench.report.batch",
    "history": "workbench.catalogue.history",
    "open_run": "workbench.sweep.opened",
    "profiling": "workbench.profilers.open",
    "read_callgrind": "workbench.profiles.read",
    "read_dhat": "workbench.profiles.read",
    "read_firefox": "workbench.profiles.read",
    "read_flamegraph": "workbench.profiles.read",
    "read_folded": "workbench.profiles.read",
    "read_jemalloc": "workbench.profiles.read",
    "read_massif": "workbench.profiles.read",
    "read_perf_script": "workbench.profiles.read",
    "read_pprof": "workbench.profiles.read",
    "read_profile": "workbench.profiles.read",
    "read_pstats": "workbench.profiles.read",
    "read_speedscope": "workbench.profiles.read",
    "read_strace": "workbench.profiles.read",
}
_ROOMS = ("compare", "load", "runs", "sweep")  # packages that can be called, see workbench.callable_room


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"workbench.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext workbench`` calls: the magics of :mod:`workbench.widgets.magics`."""
    import_module("workbench.widgets.magics").register(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
