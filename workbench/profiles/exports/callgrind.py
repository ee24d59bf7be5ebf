"""Callgrind's format, for KCachegrind and callgrind_annotate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import cost_
from workbench.profiles.exports.signs import not_negative
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile
from workbench.profiles.readers.callgrind.header import Event, metric_of
from workbench.profiles.tree import add_at, columns_of, costs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Costs are whole numbers: a metric with fractions is written in a smaller unit.
_FINER = {"s": ("ns", 1e9), "ms": ("ns", 1e6), "us": ("ns", 1e3)}
_NO_NAME = "???"


def to_callgrind(profile: Profile) -> bytes:
    """The profile as a callgrind file: functions with their self costs by source line (line 0 without lines), and the
    calls between them. Read again, functions, edges and self costs per line are the same.

    Calls are at line 0, since a profile does not tell which line makes which call. Seconds with fractions are written
    as ns, other fractions are rounded. Stacks become the graph of their calls, with recursion counted once.

    Raises WorkbenchError for a difference of profiles: see :mod:`workbench.profiles.exports.signs`.
    """
    names = profile.metric_names
    units = [_written(metric, profile) for metric in profile.metrics]
    factor = np.asarray([factor for _, factor in units], dtype=np.float64)
    own = _whole(costs_of(profile.functions, names), factor, profile)
    calls = _whole(columns_of(profile.edges, [cost_(name) for name in names]), factor, profile)
    lines = profile.lines
    by_line = _whole(costs_of(lines, names) if len(lines) else np.zeros((0, len(names)), np.int64), factor, profile)
    head = ["# callgrind format", "version: 1", "creator: indexer-workbench"]
    head += [f"cmd: {_plain(str(profile.meta.get('cmd', profile.name)))}", "part: 1", "positions: line"]
    head += [_event_line(metric) for metric, _ in units if _event_line(metric)]
    totals = " ".join(map(str, own.sum(axis=0).tolist()))
    head += ["events: " + " ".join(metric.name for metric, _ in units), f"summary: {totals}", ""]
    body = _blocks(profile, own, calls, by_line)
    return "\n".join([*head, *body, f"totals: {totals}", ""]).encode("utf-8", "backslashreplace")


def _blocks(
    profile: Profile, own: NDArray[np.int64], calls: NDArray[np.int64], by_line: NDArray[np.int64]
) -> Iterator[str]:
    """The lines of each function: its self costs, then its calls."""
    functions, edges, lines = profile.functions, profile.edges, profile.lines
    count = len(functions)
    function = lines["function_id"].to_numpy(dtype=np.int64)
    # cost without a line is at line 0; lines that do not fit their function are left out
    rest = own - add_at(count, function, by_line) if len(lines) else own
    unfit = np.any(rest < 0, axis=1, keepdims=True)[:, 0]
    rest = np.where(unfit[:, None], own, rest)
    line_rows = _rows_of(count, np.where(unfit[function], count, function))
    call_rows = _rows_of(count, edges["caller_id"].to_numpy(dtype=np.int64))
    callee = edges["callee_id"].tolist()
    times = edges["calls"].to_numpy(dtype=np.int64, na_value=0).tolist()
    line_file, line_number = lines["file"].tolist(), lines["line"].tolist()
    objects, files = functions["object"].tolist(), functions["file"].tolist()
    raw = functions["raw_function"].tolist()
    tables: tuple[dict[str, int], ...] = ({}, {}, {})

    def named(table: int, name: str) -> str:
        text = _plain(name) or _NO_NAME
        known = tables[table]
        if text in known:
            return f"({known[text]})"
        known[text] = len(known) + 1
        return f"({known[text]}) {text}"

    for here in range(count):
        yield f"ob={named(0, objects[here])}"
        yield f"fl={named(1, files[here])}"
        yield f"fn={named(2, raw[here])}"
        if rest[here].any():
            yield _costs(0, rest[here])
        file = files[here]
        for row in line_rows(here):
            if line_file[row] != file:
                file = line_file[row]
                yield f"{'fe' if file == files[here] else 'fi'}={named(1, file)}"
            yield _costs(line_number[row], by_line[row])
        for row in call_rows(here):
            called = callee[row]
            yield f"cob={named(0, objects[called])}"
            yield f"cfi={named(1, files[called])}"
            yield f"cfn={named(2, raw[called])}"
            yield f"calls={times[row]} 0"
            yield _costs(0, calls[row])
        yield ""


def _rows_of(count: int, function: NDArray[np.int64]) -> Any:
    """Returns a function that gives the rows of one function in a table."""
    order = np.argsort(function, kind="stable")
    bounds = np.searchsorted(function[order], np.arange(count + 1)).tolist()
    rows = order.tolist()
    return lambda here: rows[bounds[here] : bounds[here + 1]]


def _costs(line: int, costs: NDArray[np.int64]) -> str:
    return f"{line} " + " ".join(map(str, costs.tolist()))


def _written(metric: Metric, profile: Profile) -> tuple[Metric, float]:
    """The metric as written, and the factor for its values."""
    name = "_".join(metric.name.split()) or "cost"
    if metric_of(name, None)[1] != 1:
        # values are in the metric's unit, not in that of its name: Time_(10ns)
        name = re.sub(r"\([^()]*\)$", f"({metric.unit})", name)
    if profile.self_costs(metric.name).dtype.kind == "f" and metric.unit in _FINER:
        unit, factor = _FINER[metric.unit]
        return Metric(name, unit, metric.description, metric.additive), factor
    return Metric(name, metric.unit, metric.description, metric.additive), 1.0


def _event_line(metric: Metric) -> str:
    """The ``event:`` line with the metric's long name and its unit in brackets."""
    text = _plain(metric.description)
    if metric_of(metric.name, Event("", text))[0].unit != metric.unit:
        text = f"{text} ({metric.unit})".strip()
    return f"event: {metric.name} : {text}" if text else ""


def _whole(costs: NDArray[Any], factor: NDArray[np.float64], profile: Profile) -> NDArray[np.int64]:
    if costs.dtype.kind == "f":
        costs = np.rint(costs * factor).astype(np.int64)
    return not_negative(profile, costs, profile.metric_names, "callgrind")


def _plain(name: str) -> str:
    """A name on one line, without blanks around it."""
    return " ".join(name.split("\n")).replace("\r", " ").strip()
