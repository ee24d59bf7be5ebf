"""The result of a search. Everything is read from its run folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.card import card
from workbench.sweep.opened import SweepRun

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.tiles import Tile


@dataclass(frozen=True)
class FoundLimit:
    """The answer of a search, and the run folder that has its trials."""

    run: SweepRun

    @property
    def search(self) -> dict[str, Any]:
        """``kind`` (sender or capacity), ``budget`` and ``spent`` (trials, receipts, GRT); for a capacity
        also ``condition``, ``trials`` and ``bracket``."""
        found: dict[str, Any] = self.run.manifest.get("search") or {}
        return found

    @property
    def receipts(self) -> int | None:
        """The sender limit: the number of the receipt that triggers denial; None if it was not found exactly."""
        if self.search.get("kind") != "sender":
            return None
        found: int | None = (self.run.manifest.get("limit") or {}).get("observed_receipts")
        return found

    @property
    def rates(self) -> tuple[float, float | None] | None:
        """The capacity's bracket in receipts a second; the upper end is None if no rate failed. None for a search for
        the sender limit."""
        bracket = self.search.get("bracket")
        return None if bracket is None else (bracket["low"], bracket["high"])

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial: ``step``, ``receipts``, ``accepted``, ``denied``, ``verdict``, ``reason``; for a sender
        limit ``denied_after_settle`` and ``counted``; for a capacity ``rate_per_s``, ``throughput_per_s``,
        ``response_p95_ms``, ``outcome`` (pass, fail, invalid) and ``why``."""
        import pandas as pd

        steps = self.run.steps
        shared = ["step", "receipts", "accepted", "denied", "verdict", "reason"]
        if self.search.get("kind") != "capacity":
            return steps.reindex(columns=[*shared, "denied_after_settle", "counted"])
        tried = pd.DataFrame(self.search.get("trials", []), columns=["step", "rate_per_s", "outcome", "why"])
        figures = steps.reindex(columns=[*shared, "throughput_per_s", "response_p95_ms"])
        return figures.merge(tried, on="step", how="inner")

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return str((self.run.manifest.get("verdict") or {}).get("sentence", ""))

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The four answers shown first wherever the search is shown: see :mod:`workbench.analysis.tiles`."""
        return self.run.tiles

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        return self.run.exit_code

    _repr_mimebundle_ = card("found_limit")

    def __repr__(self) -> str:
        return f"{self.run.verdict}: {self.sentence}"
