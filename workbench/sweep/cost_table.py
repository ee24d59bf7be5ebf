"""The costs of a sweep's windows, written to the run folder as the windows are cut: ``profiles/costs.parquet``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.profilers.windows.record import Window
from workbench.runs.atomic import write_parquet
from workbench.runs.read import read_parquet
from workbench.sweep.steps import Step

if TYPE_CHECKING:
    import pandas as pd

COSTS = Path("profiles") / "costs.parquet"


@dataclass(frozen=True, slots=True)
class Sent:
    """Receipts ``sent`` in a step, how many of them were ``accepted`` and ``denied``, and how many were sent ``before``
    the step."""

    sent: int
    accepted: int
    denied: int
    before: int


def keep_costs(run: Path, step: Step, receipts: Sent, windows: tuple[Window, ...]) -> None:
    """Read the windows of a step and add their costs to the run's table.

    The costs of an earlier attempt at the step are replaced. Raises ReadError if a window cannot be read: its raw files
    stay.
    """
    if receipts.sent and windows:
        _keep(run, [costs_of_window(window, step.number, receipts) for window in windows])


def keep_idle_costs(run: Path, windows: tuple[Window, ...]) -> None:
    """Read the idle window of each service and add its costs to the run's table.

    The costs of an earlier idle window of the same service are replaced. Raises ReadError if a window cannot be read:
    its raw files stay.
    """
    if windows:
        _keep(run, [idle_costs_of(window) for window in windows])


def idle_costs_of(window: Window) -> pd.DataFrame:
    """The table of costs of one idle window."""
    from workbench.analysis.costs import idle_costs, idle_heap_costs
    from workbench.analysis.profiler_share import without_profiler
    from workbench.profilers.windows.read import edges, window_profile

    if window.mode == "massif":
        return idle_heap_costs(
            *map(without_profiler, edges(window)), service=window.service, mode=window.mode, seconds=window.seconds
        )
    profile = window_profile(window)
    return idle_costs(profile, service=window.service, mode=window.mode, seconds=window.seconds)


def _keep(run: Path, parts: list[pd.DataFrame]) -> None:
    """Write the tables of windows into the run's table, replacing its rows of the same windows. All functions are kept:
    which ones are too small to show is only known after all steps."""
    import pandas as pd

    from workbench.analysis.costs import as_of_now

    new = pd.concat(parts, ignore_index=True)
    path = run / COSTS
    if path.exists():
        known = as_of_now(read_parquet(path))
        keys = ["service", "mode", "window", "step"]
        again = pd.MultiIndex.from_frame(known[keys]).isin(pd.MultiIndex.from_frame(new[keys].drop_duplicates()))
        new = pd.concat([known[~again], new], ignore_index=True)
    write_parquet(path, new)


def costs_of_window(window: Window, step: int, receipts: Sent) -> pd.DataFrame:
    """The table of costs of one window, see :mod:`workbench.analysis.costs`."""
    from workbench.analysis.costs import heap_costs, window_costs
    from workbench.analysis.profiler_share import without_profiler
    from workbench.profilers.windows.read import edges, window_profile

    if window.mode == "massif":
        costs = partial(heap_costs, *map(without_profiler, edges(window)))
    else:
        costs = partial(window_costs, window_profile(window))
    return costs(
        service=window.service,
        mode=window.mode,
        step=step,
        receipts=receipts.sent,
        receipts_before=receipts.before,
        accepted=receipts.accepted,
        denied=receipts.denied,
        seconds=window.seconds,
    )
