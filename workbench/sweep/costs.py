"""What the windows of a sweep cost, kept in the run folder as they are cut: ``profiles/costs.parquet``."""

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
    """Receipts ``sent`` in a step, of them ``accepted`` and ``denied``, and those sent to the service ``before``."""

    sent: int
    accepted: int
    denied: int
    before: int


def keep_costs(run: Path, step: Step, receipts: Sent, windows: tuple[Window, ...]) -> None:
    """Read the windows of a step and add what they cost to the run's table.

    The costs of an earlier attempt at the step are replaced. Raises ReadError where a window cannot be read: its raw
    files stay.
    """
    import pandas as pd

    if not receipts.sent or not windows:
        return
    # whole: which places are small is only known when all steps are there
    parts = [costs_of_window(window, step.number, receipts) for window in windows]
    path = run / COSTS
    if path.exists():
        known = read_parquet(path)
        parts.insert(0, known[known["step"] != step.number])
    write_parquet(path, pd.concat(parts, ignore_index=True))


def costs_of_window(window: Window, step: int, receipts: Sent) -> pd.DataFrame:
    """The table of costs of one window, see :mod:`workbench.analysis.costs`."""
    from workbench.analysis.costs import heap_costs, window_costs
    from workbench.profilers.windows.read import edges, window_profile

    if window.mode == "massif":
        costs = partial(heap_costs, *edges(window))
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
    )


def keep_idle_costs(run: Path, windows: tuple[Window, ...]) -> None:
    """Add what the window without a receipt cost to the run's table."""
