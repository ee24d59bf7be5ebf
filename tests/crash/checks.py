"""Checks for a run that was killed and resumed: its rows, files and report."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import workbench
from tests.crash.kinds import RECEIPTS
from tests.crash.moments import Rows, stored_rows
from workbench.report import external_addresses

UNSURE = ("timeout", "reset", "cancelled", "too_large")  # the answer does not tell whether they were stored
ALLOWED = re.compile(r"runs|tmp|home|network|standin\.(toml|sqlite(-wal|-shm)?)")


def wrong_rows(run: Path, before: Rows, receipts: tuple[int, ...] = RECEIPTS) -> Iterator[str]:
    """What is lost, doubled or not as planned. ``before``: the rows in the folder at each kill; ``receipts``: those of
    the plan."""
    opened = workbench.open_run(run)
    if opened.state != "finished":
        yield f"the run is {opened.state}"
        return
    samples, steps = opened.samples, opened.steps
    planned = {step["number"]: step["receipts"] for step in opened.manifest["steps_planned"]}
    if tuple(planned.values()) != receipts:
        yield f"the plan is {planned}"
    sent = samples.groupby("step").size().to_dict()
    if wrong := {step: sent.get(step) for step, receipts in planned.items() if sent.get(step) != receipts}:
        yield f"steps have {wrong} rows, planned are {planned}"
    if sorted(steps["step"]) != sorted(sent) or not set(planned) <= set(sent):
        yield f"there are rows of the steps {sorted(steps['step'])}, samples of {sorted(sent)}"
    told = opened.series.groupby("step")["sent"].sum().to_dict()
    if told != sent:
        yield f"the series has {told} receipts, the samples {sent}"
    for step, part in samples.groupby("step"):
        if sorted(part["index"]) != list(range(len(part))):
            yield f"step {step} does not have each of its rows once"
    files = [*run.glob("samples/*.parquet"), *run.glob("interrupted/*.parquet")]
    rows = Counter(row for path in files for row in stored_rows(path))
    if doubled := [row for row, times in rows.items() if times > 1]:
        yield f"{len(doubled)} rows are duplicates"
    if lost := before - set(rows):
        yield f"{len(lost)} rows are lost, of the steps {sorted({row[0] for row in lost})}"


def wrong_receipts(run: Path, database: Path, *, cut_off: bool = True) -> Iterator[str]:
    """Differences between rows and stored receipts. A receipt of a cut-off step may have been stored without an answer,
    once per attempt; all others must be stored as often as they were accepted.

    ``cut_off`` False: the service may have lost those of cut-off steps. On a full disk it still answers with success,
    like the real one.
    """
    samples = workbench.open_run(run).samples
    parts = [pd.read_parquet(path) for path in run.glob("interrupted/*.parquet") if cut_off]
    answered, unsure = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for part in [samples, *parts]:
        outcomes = part["outcome"].astype(str)
        answered.update(_keys(part[outcomes == "ok"]))
        unsure.update(_keys(part[outcomes.isin(UNSURE)]))
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT payer, nonce FROM tap_horizon_receipts").fetchall()
    stored = Counter((f"0x{payer.lower().removeprefix('0x')}", int(nonce)) for payer, nonce in rows)
    attempts = _attempts(run)
    finished = set(samples["payer"].astype(str).str.lower())
    if lost := answered - stored:
        yield f"{sum(lost.values())} receipts were accepted but are not stored"
    more = Counter(payer for payer, _ in (stored - answered - unsure).elements())
    if unknown := {payer: n for payer, n in more.items() if payer in finished or payer not in attempts}:
        yield f"receipts are stored but have no row: {unknown}"
    if again := [key for key, times in stored.items() if times > attempts.get(key[0], 0)]:
        yield f"{len(again)} receipts are stored more often than they were sent"


def _keys(part: pd.DataFrame) -> Iterator[tuple[str, int]]:
    return zip(part["payer"].astype(str).str.lower(), map(int, part["nonce"]), strict=True)


def _attempts(run: Path) -> Counter[str]:
    """How many steps each payer was given to."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines() if line.endswith("}")]
    return Counter(event["payer"].lower() for event in events if event["kind"] == "step_started")


def wrong_report(run: Path) -> Iterator[str]:
    """What is wrong with the report of a finished run."""
    page = run / "report.html"
    text = page.read_text() if page.is_file() else ""
    if not text.rstrip().endswith("</html>") or "plotly" not in text.lower():
        yield "there is no complete report"
    elif external_addresses(text):
        yield "the report makes network requests"
    record = workbench.open_run(run).manifest.get("notebook", {})
    if record.get("status") != "ok" or record.get("cells_executed") != record.get("cells"):
        yield f"the notebook's record is {record}"


def left_files(folder: Path) -> Iterator[str]:
    """Files left over in a case's folder beside its results: temporary files, locks, pipes, sockets."""
    for path in folder.iterdir():
        if not ALLOWED.fullmatch(path.name):
            yield str(path)
    yield from map(str, (folder / "network").glob("*"))
    own = folder / "tmp" / f"indexer-workbench-{os.getuid()}"
    for path in (folder / "tmp").rglob("*"):
        if path != own and not (path.parent == own and path.suffix == ".lock"):
            yield str(path)
    for path in (folder / "runs").rglob("*"):
        kind = path.lstat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            yield f"{path}, which is not a regular file"
        elif path.suffix in (".live", ".tmp") or (path.name.startswith(".") and path.name != ".lock"):
            yield str(path)
