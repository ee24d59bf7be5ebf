"""What findings are made from: everything measured of one service in one mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from workbench.analysis.growth import Growth
    from workbench.analysis.leaks import Leaks
    from workbench.profiles.model import Profile


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One service in one mode.

    ``metric``: the main metric of the mode. ``costs``: the table of costs of its steps, background subtracted;
    ``idle``: the rows of its idle window, and ``background``: the rows of
    :func:`workbench.analysis.background.background_table` (both may be empty). ``profile``: that of its largest step,
    in which ``receipts`` were sent (for massif the heap at its end); ``idle_profile``: that of the idle window.
    ``growth`` and ``accumulated``: growth of ``metric`` with the receipts of a step, and with those sent before;
    ``leaks``: for massif. None: not measured.
    """

    service: str
    mode: str
    metric: str
    costs: pd.DataFrame
    idle: pd.DataFrame = field(default_factory=pd.DataFrame)
    background: pd.DataFrame = field(default_factory=pd.DataFrame)
    profile: Profile | None = None
    receipts: int = 0
    idle_profile: Profile | None = None
    growth: Growth | None = None
    accumulated: Growth | None = None
    leaks: Leaks | None = None
