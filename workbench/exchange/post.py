"""What all requests to a paid route have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Post:
    """A POST of ``body`` to ``url``. Each request adds a receipt of its own as RECEIPT_HEADER.

    Names of ``headers`` are written as Go spells them (``Content-Type``): vegeta sends them as they are given.
    """

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
