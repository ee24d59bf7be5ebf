"""Settings that can be changed while the stand-in runs: failures, delays, the backend's latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.settings import StandinSettings

StoreMode = Literal["ok", "slow", "lost", "failing", "gone"]


@dataclass
class Switches:
    """Read at every request, so that a test or a panel can change them at any time.

    ``retry_s``: the interval for checking a denied payer again. ``graph_indexed``: graph-node's ``graph-indexed``
    header, if any. The others are the settings of the same name.
    """

    backend_down: bool
    backend_latency: str
    store: StoreMode
    store_delay_ms: float
    reset_share: float
    agent_delay_ms: float
    retry_s: float = 30.0
    graph_indexed: str | None = None

    @classmethod
    def of(cls, settings: StandinSettings) -> Switches:
        """The initial switches from the settings."""
        return cls(
            backend_down=settings.backend_down,
            backend_latency=settings.backend_latency,
            store=settings.store,
            store_delay_ms=settings.store_delay_ms,
            reset_share=settings.reset_share,
            agent_delay_ms=settings.agent_delay_ms,
        )
