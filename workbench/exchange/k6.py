"""Requests as a script for k6, with the receipts in a file beside it.

In k6's terms a scenario's ``executor`` decides when its ``default`` function is called. For a rate it is
``constant-arrival-rate``, which drops an iteration when no virtual user is free; for a number in
flight it is ``shared-iterations``.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from importlib.resources import files
from typing import Any

from workbench.exchange.post import Post
from workbench.exchange.sending import Sending
from workbench.load.request import RECEIPT_HEADER

_BUSY_S = 0.25
"""The first virtual users are enough for answers that take this long; k6 adds more when it needs them."""

_SHORTEST_US = 1_000_000
"""k6 refuses a shorter scenario. Iterations beyond the last receipt send nothing."""


def script(
    post: Post,
    sending: Sending,
    *,
    data: str,
    concurrency: int = 1,
    max_in_flight: int = 1000,
    timeout_s: float = 10.0,
) -> str:
    """The text of a script that sends the receipts in the file ``data``, one per line, beside it.

    With a rate it sends by the plan of ``sending``, at most ``max_in_flight`` at once; without, ``concurrency`` in
    flight. It waits for the moment of the first receipt, and refuses to run if the receipts are too old.
    """
    request = {
        "url": post.url,
        "body": post.body.decode(),
        "headers": dict(post.headers),
        "timeout": f"{timeout_s:g}s",
    }
    text = files("workbench.exchange").joinpath("k6.js").read_text(encoding="utf-8")
    values = {
        "SENTENCE": sending.sentence(),
        "REQUEST": json.dumps(request, indent=2),
        "START_MS": str(sending.start_ns // 1_000_000),
        "BEGIN_BEFORE_MS": str(sending.begin_before_ns // 1_000_000),
        "DATA": json.dumps(f"./{data}"),
        "OPTIONS": json.dumps({"scenarios": {"receipts": _scenario(sending, concurrency, max_in_flight)}}, indent=2),
        "HEADER": json.dumps(RECEIPT_HEADER),
    }
    return re.sub("@([A-Z0-9_]+)@", lambda word: values[word[1]], text)


def command(name: str) -> str:
    """The command that runs it."""
    return f"k6 run {name}"


def _scenario(sending: Sending, concurrency: int, max_in_flight: int) -> dict[str, Any]:
    if sending.rate_per_s is None:
        return {
            "executor": "shared-iterations",
            "vus": min(concurrency, sending.count),
            "iterations": sending.count,
            "maxDuration": "24h",
        }
    rate = Fraction(sending.rate_per_s).limit_denominator(1000)  # k6 accepts whole numbers per time unit
    # half an interval short, so that it ends after the last iteration and before another
    length_us = max(_SHORTEST_US, round((sending.count - 0.5) / sending.rate_per_s * 1e6))
    return {
        "executor": "constant-arrival-rate",
        "rate": rate.numerator,
        "timeUnit": f"{rate.denominator}s",
        "duration": f"{length_us}us",
        "preAllocatedVUs": max(1, min(max_in_flight, sending.count, max(4, round(sending.rate_per_s * _BUSY_S)))),
        "maxVUs": max(1, min(max_in_flight, sending.count)),
    }
