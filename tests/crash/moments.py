"""When to kill a process: when a run has a number of rows, or its report a number of cells, according to its files."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.crash.family import APART, COMMAND, KERNEL, NOTEBOOK, WORKER
from workbench.load.samples import COLUMNS, DONE

Rows = set[tuple[int, int, int]]
"""Rows identified by step, index in the step's plan, and time of sending, which together are unique."""

CELLS = 14
REPORT_SHARE = 0.5
IN_ROWS = (COMMAND, APART, NOTEBOOK, KERNEL, WORKER)
"""The roles that are killed in every kind of sweep while rows are written."""

IN_REPORT = (COMMAND, NOTEBOOK, KERNEL)
_SENT = COLUMNS.index("sent_ns")


@dataclass(frozen=True)
class Moment:
    """``role``: the role to kill. ``place``: from 0 to 1, of the remaining rows or of the report's cells."""

    role: str
    place: float
    report: bool = False


def moments(kind: str, roles: Sequence[str], seed: int, kills: int) -> list[Moment]:
    """The moments of a case: ``kills`` while rows are written, and in half of the cases one while the report is made.

    Whom they are of is even: all ``roles`` in a random order, then all in another, is one long row, of which the
    cases take a piece each.
    """
    first = (seed - 1) * kills
    whom = [_whom(kind, roles, number) for number in range(first, first + kills)]
    chance = random.Random(f"{kind} {seed} moments")
    # so that all fit into the run, although a cut-off step begins again
    found = [Moment(role, min(0.9, 2 * chance.random() / (kills - n + 1))) for n, role in enumerate(whom)]
    if chance.random() < REPORT_SHARE:
        found.append(Moment(chance.choice(IN_REPORT), chance.random(), report=True))
    return found


def _whom(kind: str, roles: Sequence[str], number: int) -> str:
    turn, place = divmod(number, len(roles))
    order = list(roles)
    random.Random(f"{kind} {turn} whom").shuffle(order)
    return order[place]


def rows(run: Path) -> Rows:
    """All rows in a run's folder: of finished, cut-off and running steps."""
    found: Rows = set()
    for path in [*run.glob("samples/step-*.parquet"), *run.glob("interrupted/step-*.parquet")]:
        found |= set(stored_rows(path))
    for path in run.glob("*/step-*.live"):
        with contextlib.suppress(FileNotFoundError):  # it was converted to Parquet meanwhile
            live = _live(path)
            step = int(path.stem.split("-")[1])
            measured = np.flatnonzero(live[:, DONE])
            found |= {(step, int(index), int(live[index, _SENT])) for index in measured}
    return found


def stored_rows(path: Path) -> list[tuple[int, int, int]]:
    """The rows of one Parquet file; none if it was moved meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        table = pq.read_table(path, columns=["step", "index", "sent_ns"])
        return list(zip(*(table[name].to_pylist() for name in ("step", "index", "sent_ns")), strict=True))
    return []


def count(run: Path) -> int:
    """How many rows a run has written in finished steps and the one that runs."""
    finished = live = 0
    with contextlib.suppress(FileNotFoundError, pa.ArrowInvalid):
        finished = sum(pq.read_metadata(path).num_rows for path in run.glob("samples/step-*.parquet"))
        live = sum(int(np.count_nonzero(_live(path)[:, DONE])) for path in run.glob("samples/step-*.live"))
    return finished + live


def run_in(runs: Path) -> Path | None:
    """The only run in the folder, once it has begun."""
    return next((path.parent for path in runs.glob("*/events.jsonl")), None)


def wait(moment: Moment, runs: Path, planned: int, runs_on: Callable[[], bool]) -> bool:
    """Wait until the moment has come; False if it can no longer come."""
    at = None
    while runs_on():
        run = run_in(runs)
        if run is not None:
            if moment.report:
                if _cells(run) >= 1 + int(moment.place * CELLS):
                    return True
            else:
                there = count(run)
                if at is None:
                    at = there + 1 + int(moment.place * max(0, planned - there - 1))
                if there >= at and is_writing(run):
                    return True
                if state(run) == "finished":
                    return False
        time.sleep(0.03)
    return False


def is_writing(run: Path) -> bool:
    """Whether a step's rows are being written and some exist."""
    with contextlib.suppress(FileNotFoundError):
        return any(np.count_nonzero(_live(path)[:, DONE]) for path in run.glob("samples/step-*.live"))
    return False


def _live(path: Path) -> np.ndarray:
    flat = np.fromfile(path, np.int64)
    return flat[: len(flat) // len(COLUMNS) * len(COLUMNS)].reshape(-1, len(COLUMNS))


def state(run: Path) -> str:
    """The state in a run's manifest."""
    with contextlib.suppress(FileNotFoundError):
        return str(json.loads((run / "manifest.json").read_text())["state"])
    return ""


def _cells(run: Path) -> int:
    """How many cells of the running notebook have been run, once the run has been measured."""
    if state(run) != "finished":
        return 0
    for path in run.glob(".notebook.*.running.ipynb"):
        with contextlib.suppress(ValueError, FileNotFoundError):  # it is being written
            cells = json.loads(path.read_text())["cells"]
            return sum(1 for cell in cells if cell.get("execution_count"))
    return 0
