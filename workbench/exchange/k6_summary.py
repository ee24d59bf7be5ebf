"""A step in the form of k6's summary (``k6 run --summary-export``), for programs that read those already.

Durations are milliseconds, rates are per second of the step. k6 has one clock, from the sending, so
``http_req_duration`` is the service time, of all requests as in k6; ``vus`` are requests in flight, read once per
second. Figures that k6 does not have are under ``indexer_workbench``. Metrics that were not measured are left out, as
k6 leaves out those without samples: ``http_req_blocked``, ``http_req_connecting``, ``http_req_sending`` (it is part of
``http_req_waiting``), ``http_req_tls_handshaking``, ``data_sent``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workbench.load.histogram import Histogram, Values, order_statistics
from workbench.load.outcome import Outcome

if TYPE_CHECKING:
    import pandas as pd

Mask = npt.NDArray[np.bool_]

COLUMNS = ("sent_ns", "first_byte_ns", "done_ns", "status", "outcome", "bytes_in")
"""The columns of the samples that are read."""
SCHEMA = 1
CHECK = "receipt accepted"
NS_PER_MS = 1e6

Frames = Callable[[], Iterable["pd.DataFrame"]]


def summary(
    frames: Frames, row: Mapping[str, Any], *, run: str, in_flight: Sequence[int], users: int
) -> dict[str, Any]:
    """The summary of one step.

    ``frames()`` gives its samples, with COLUMNS, in parts, as often as it is called. ``row`` is its row in
    ``steps.parquet``. ``in_flight``: requests in flight at the end of each second; ``users``: the most possible.
    """
    counted = _Counts.of(frames())
    seconds = float(row["duration_s"])
    metrics: dict[str, Any] = {
        "http_reqs": _counter(counted.sent, seconds),
        "http_req_duration": _trend(frames, _service, _all),
        "http_req_duration{expected_response:true}": _trend(frames, _service, _expected),
        "http_req_waiting": _trend(frames, _waiting, _answered),
        "http_req_receiving": _trend(frames, _receiving, _answered),
        "http_req_failed": _rate(counted.sent - counted.expected, counted.expected),
        "iterations": _counter(counted.sent, seconds),
        "iteration_duration": _trend(frames, _service, _all),
        "checks": _rate(counted.accepted, counted.sent - counted.accepted),
        "data_received": _counter(counted.bytes_in, seconds),
        "vus": {"value": in_flight[-1], "min": min(in_flight), "max": max(in_flight)} if in_flight else None,
        "vus_max": {"value": users, "min": users, "max": users},
    }
    if dropped := int(row["offered"]) - counted.sent:
        metrics["dropped_iterations"] = _counter(dropped, seconds)
    return {
        "metrics": {name: metric for name, metric in metrics.items() if metric},
        "root_group": _root(counted.accepted, counted.sent - counted.accepted),
        "indexer_workbench": _own(row, run),
    }


class _Counts:
    """How many requests were sent, had a status that k6 expects (200 to 399), and were accepted."""

    def __init__(self) -> None:
        self.sent = self.expected = self.accepted = self.bytes_in = 0

    @classmethod
    def of(cls, frames: Iterable[pd.DataFrame]) -> _Counts:
        counts = cls()
        for frame in frames:
            counts.sent += len(frame)
            counts.expected += int(_expected(frame).sum())
            counts.accepted += int((frame["outcome"] == Outcome.OK.value).sum())
            counts.bytes_in += int(frame["bytes_in"].sum())
        return counts


def _column(frame: pd.DataFrame, name: str) -> Values:
    column: Values = frame[name].to_numpy()
    return column


def _service(frame: pd.DataFrame) -> Values:
    return _column(frame, "done_ns") - _column(frame, "sent_ns")


def _waiting(frame: pd.DataFrame) -> Values:
    return _column(frame, "first_byte_ns") - _column(frame, "sent_ns")


def _receiving(frame: pd.DataFrame) -> Values:
    return _column(frame, "done_ns") - _column(frame, "first_byte_ns")


def _all(frame: pd.DataFrame) -> Mask:
    return np.ones(len(frame), dtype=bool)


def _expected(frame: pd.DataFrame) -> Mask:
    status = _column(frame, "status")
    return (status >= 200) & (status < 400)


def _answered(frame: pd.DataFrame) -> Mask:
    return _column(frame, "first_byte_ns") > 0


def _trend(
    frames: Frames, clock: Callable[[pd.DataFrame], Values], which: Callable[[pd.DataFrame], Mask]
) -> dict[str, float] | None:
    """Average, extremes and percentiles of one duration, interpolated between the two nearest values as k6 does; None
    if there is no value."""

    def values() -> Iterator[Values]:
        for frame in frames():
            yield clock(frame)[which(frame)]

    histogram = Histogram.of(values())
    count = histogram.total
    if not count:
        return None
    total = sum(float(part.sum()) for part in values())
    places = {"med": 0.5 * (count - 1), "p(90)": 0.9 * (count - 1), "p(95)": 0.95 * (count - 1)}
    ranks = sorted({rank for place in places.values() for rank in (int(np.floor(place)), int(np.ceil(place)))})
    known = dict(zip(ranks, order_statistics(values, ranks, histogram), strict=True))

    def at(place: float) -> float:
        below, above = known[int(np.floor(place))], known[int(np.ceil(place))]
        return (below + (above - below) * (place % 1)) / NS_PER_MS

    return {
        "avg": total / count / NS_PER_MS,
        "min": histogram.minimum / NS_PER_MS,
        "med": at(places["med"]),
        "max": histogram.maximum / NS_PER_MS,
        "p(90)": at(places["p(90)"]),
        "p(95)": at(places["p(95)"]),
    }


def _counter(count: int, seconds: float) -> dict[str, float]:
    return {"count": count, "rate": count / seconds if seconds else 0.0}


def _rate(passes: int, fails: int) -> dict[str, float]:
    both = passes + fails
    return {"passes": passes, "fails": fails, "value": passes / both if both else 0.0}


def _root(passes: int, fails: int) -> dict[str, Any]:
    path = f"::{CHECK}"
    check = {"name": CHECK, "path": path, "id": _id(path), "passes": passes, "fails": fails}
    return {"name": "", "path": "", "id": _id(""), "groups": {}, "checks": {CHECK: check}}


def _id(path: str) -> str:
    """k6's id of a check or group."""
    return hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()


def _own(row: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Figures that k6 does not have: the verdict, the loop, and the two other clocks in ms."""
    names = ("p50", "p90", "p95", "p99", "max")
    return {
        "schema": SCHEMA,
        "run": run,
        "step": int(row["step"]),
        "verdict": row["verdict"],
        "reason": row["reason"],
        "loop": row["loop"],
        "offered": int(row["offered"]),
        "denied": int(row["denied"]),
        "response_ms": {name: row[f"response_{name}_ms"] for name in names},
        "lag_ms": {name: row[f"lag_{name}_ms"] for name in ("p50", "p99", "max")},
    }
