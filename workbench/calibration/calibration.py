"""The result of a calibration, as plain data and as text. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workbench.load.interference import OTHER_CORE_SHARE
from workbench.numbers import UNKNOWN

Limit = Literal["generator", "null server", "not reached"]
"""What limited the rate. ``not reached``: the search was cut short, or its highest rate passed."""


@dataclass(frozen=True)
class Offer:
    """The rate that ``processes`` generators send in time.

    ``rate_per_s``: the highest rate that passed in most of its trials, 0 if none did; if ``complete`` is False, the
    search was cut short and the rate may be higher. ``lag_p50_ms``, ``lag_p99_ms`` and ``cpu_us`` (CPU of the
    generators per request) are those at that rate; ``closed_per_s`` is the rate of a closed loop, ``closed_cpu_us`` its
    CPU per request. ``limited_by`` and ``why`` say what failed above it. ``other_cores``: the cores that other
    processes used; an idle machine may send more. ``made``: when, ISO 8601 in UTC. NaN: nothing was sent.
    """

    processes: int
    rate_per_s: float
    complete: bool
    lag_p50_ms: float
    lag_p99_ms: float
    cpu_us: float
    closed_per_s: float
    closed_cpu_us: float
    limited_by: Limit
    why: str
    trials: int
    other_cores: float
    made: str

    @property
    def rate(self) -> str:
        """The rate in words."""
        if not self.rate_per_s:
            return "none"
        return f"{'' if self.complete else 'at least '}{self.rate_per_s:,.0f}/s"

    @property
    def disturbed(self) -> bool:
        """Whether other processes used so much CPU that the machine may send more when idle."""
        return self.other_cores >= OTHER_CORE_SHARE


@dataclass(frozen=True)
class Timers:
    """How late an otherwise idle process wakes from a sleep of 1 ms, in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class Calibration:
    """The rates of a machine: a rate counts as sent in time when its lag's p99 is at most ``lag_p99_limit_ms`` and the
    step valid.

    ``identity``: what it is valid for, see :mod:`workbench.calibration.identity`; ``seconds``: the length of a trial.
    """

    identity: dict[str, Any]
    lag_p99_limit_ms: float
    seconds: float
    timers: Timers
    offers: tuple[Offer, ...]

    def offer(self, processes: int) -> Offer | None:
        """The result for this number of processes; None if not tried."""
        return next((offer for offer in self.offers if offer.processes == processes), None)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """The inverse of to_json; null is NaN. Raises KeyError, TypeError or ValueError for other data."""
        offers = tuple(Offer(**_with_nan(offer)) for offer in data["offers"])
        return cls(
            identity=dict(data["identity"]),
            lag_p99_limit_ms=float(data["lag_p99_limit_ms"]),
            seconds=float(data["seconds"]),
            timers=Timers(**_with_nan(data["timers"])),
            offers=offers,
        )

    @property
    def text(self) -> str:
        """The results as a table, one line for each number of processes."""
        rows = [
            ("Processes", "Rate sent in time", "Lag p50", "Lag p99", "CPU/request", "Closed loop", "Limited by"),
            *map(_row, self.offers),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        reasons = [f"{count(offer.processes)}: {offer.why}" for offer in self.offers if offer.why]
        disturbed = max((offer.other_cores for offer in self.offers if offer.disturbed), default=0.0)
        if disturbed:
            reasons.append(f"Other processes used {disturbed:.1f} cores meanwhile: calibrate again on an idle machine.")
        timers = self.timers
        return "\n".join(
            [
                *lines,
                "",
                *reasons,
                f"In time means: lag p99 at most {self.lag_p99_limit_ms:g} ms, sent within 1 % of the rate, the "
                "step valid.",
                f"A sleep of 1 ms ends {timers.p50_ms:.2f} ms late (p50), {timers.p99_ms:.2f} ms (p99), "
                f"{timers.max_ms:.2f} ms at most.",
            ]
        )


def _row(offer: Offer) -> tuple[str, ...]:
    return (
        str(offer.processes),
        offer.rate,
        _figure(offer.lag_p50_ms, ".2f", " ms"),
        _figure(offer.lag_p99_ms, ".2f", " ms"),
        _figure(offer.cpu_us, ".0f", " µs"),
        _figure(offer.closed_per_s, ",.0f", "/s"),
        offer.limited_by,
    )


def _figure(value: float, form: str, unit: str) -> str:
    return UNKNOWN if math.isnan(value) else f"{value:{form}}{unit}"


def count(processes: int) -> str:
    """A number of processes in words."""
    return "1 process" if processes == 1 else f"{processes} processes"


def _with_nan(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with NaN in place of null, since JSON has no NaN."""
    return {name: float("nan") if value is None else value for name, value in data.items()}
