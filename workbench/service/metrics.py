"""Prometheus text to numbers."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from workbench.errors import TargetError
from workbench.service.fetch import get_text

MAX_LINES = 250_000
"""The most lines of a metrics page that are read, of about 1 KB each: an agent with 10,000 payers has about 100,000."""


@dataclass(frozen=True)
class Reading:
    """One sample of a scrape: name, sorted labels, value."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


def parse(text: str) -> list[Reading]:
    """The samples in Prometheus text. Raises ValueError if it is not valid, or has more than MAX_LINES lines."""
    if (lines := text.count("\n")) > MAX_LINES:
        raise ValueError(f"{lines:,} lines, at most {MAX_LINES:,} are read")
    return [
        Reading(sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


async def scrape(url: str, what: str, timeout_s: float | None = None) -> list[Reading]:
    """One scrape of ``url``. Raises TargetError, also if no answer comes within ``timeout_s`` (None: that of
    :mod:`workbench.service.fetch`)."""
    status, text = await get_text(url, what, timeout_s)
    try:
        if status != 200:
            raise ValueError(f"HTTP {status}")
        return parse(text)
    except ValueError as error:
        raise TargetError(f"{what} gave no Prometheus text ({error})", where=url) from None


def total(readings: list[Reading], name: str, **labels: str) -> float | None:
    """The sum of all series of ``name`` with ``labels`` (in any letter case); None if there are none."""
    wanted = {(key, value.lower()) for key, value in labels.items()}
    values = [
        reading.value
        for reading in readings
        if reading.name == name and wanted <= {(key, value.lower()) for key, value in reading.labels}
    ]
    return sum(values) if values else None
