"""Requests as vegeta's JSON targets: one object a line, the body as base64, headers as lists.

The format is described in vegeta's ``lib/targets.go`` (NewJSONTargeter) and ``lib/target.schema.json``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

from workbench.exchange.post import Post
from workbench.load.request import RECEIPT_HEADER

_MARK = "@"  # does not occur in base64


def targets(post: Post, receipts: Iterable[str]) -> Iterator[str]:
    """A line for each receipt, with its end of line."""
    target = {
        "method": "POST",
        "url": post.url,
        "body": base64.b64encode(post.body).decode(),
        "header": {**{name: [value] for name, value in post.headers.items()}, RECEIPT_HEADER: [_MARK]},
    }
    before, after = json.dumps(target, separators=(",", ":")).rsplit(json.dumps(_MARK), 1)
    for receipt in receipts:  # base64 needs no escape
        yield f'{before}"{receipt}"{after}\n'


def command(targets: str, count: int, rate_per_s: float | None, concurrency: int) -> str:
    """How vegeta sends each of the ``count`` targets in the file ``targets`` once. Without ``-lazy`` it would begin
    again at the first one if its time is not over after the last."""
    if rate_per_s is None:
        pace = f"-rate=0 -workers={concurrency} -max-workers={concurrency}"
    else:
        pace = f"-rate={_rate(rate_per_s)} -duration={count / rate_per_s:g}s"
    return f"vegeta attack -format=json -lazy {pace} -targets={targets} | vegeta report"


def _rate(rate_per_s: float) -> str:
    """A rate in vegeta's form: a whole number per duration, which is written as in Go."""
    if rate_per_s == int(rate_per_s):
        return f"{int(rate_per_s)}/s"
    return f"1/{1e9 / rate_per_s:.0f}ns"
