"""The row of one run folder. Every folder gets a row: what cannot be read is stated in its ``fault``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from workbench.catalogue.columns import COLUMNS, NAMES
from workbench.catalogue.marks import read_marks
from workbench.errors import WorkbenchError
from workbench.ramp import is_ramp
from workbench.runs.folder import MANIFEST, SCHEMA, RunFolder
from workbench.runs.shape import STATES
from workbench.sweep.defaults import DEFAULT_RATE, PROFILED_IN_FLIGHT

DAMAGED, RUNNING, FINISHED = "damaged", "running", "finished"
_KINDS = {column.name: column.kind for column in COLUMNS}

Row = dict[str, Any]
Manifest = Mapping[str, Any]


def manifest_of(run: Path) -> tuple[Manifest, str]:
    """The manifest in a folder, and what is wrong with it ("": nothing). Older schemas are read as they are."""
    try:
        manifest = msgspec.json.decode((run / MANIFEST).read_bytes())
    except FileNotFoundError:
        return {}, f"it has no {MANIFEST}"
    except OSError as error:
        return {}, f"{MANIFEST} cannot be read: {error.strerror}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {}, f"{MANIFEST} is not JSON: {error}"
    if not isinstance(manifest, dict):
        return {}, f"{MANIFEST} is not an object"
    schema = manifest.get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        return {}, f"{MANIFEST} has schema {schema}, this workbench reads up to {SCHEMA}"
    if manifest.get("state", FINISHED) not in STATES:
        return {}, f"{MANIFEST} has the unknown state {manifest['state']!r}"
    return manifest, ""


def row_of(run: Path, batch: str, manifest: Manifest, fault: str, figures: Mapping[str, Any]) -> Row:
    """The row of the run in a folder, with all columns; None: not known.

    ``fault`` is what is wrong with its manifest, ``figures`` are those of its steps and costs.
    """
    row: Row = dict.fromkeys(NAMES)
    row.update({column.name: "" for column in COLUMNS if column.kind == "text"})
    row.update(run=run.name, batch=batch, path=str(run))
    if fault:
        return row | {"state": DAMAGED, "fault": fault, "started": _time(_stamp(run.name))}
    settings = part(manifest, "settings")
    row.update(_of_manifest(run, manifest), **_of_settings(settings), **_of_limit(manifest))
    row.update({name: value for name, value in figures.items() if name in NAMES})
    state, row["fault"] = _state(run, manifest)
    row.update(state=state, target=_target(manifest, settings))
    if row["steps"] is not None and row["valid_steps"] is not None:
        row["validity"] = f"{row['valid_steps']} of {row['steps']}"
    try:
        marks = read_marks(run)
        row.update(tags=",".join(marks.tags), note=marks.note)
    except WorkbenchError as error:
        row["fault"] = str(error)
    return {name: _typed(name, value) for name, value in row.items()}


def with_fault(row: Row, fault: str) -> Row:
    """The row with one more fault."""
    return row | {"fault": "; ".join(filter(None, (row["fault"], fault)))}


def _of_manifest(run: Path, manifest: Manifest) -> Row:
    verdict, machine = part(manifest, "verdict"), part(manifest, "machine")
    begun, ended = _time(manifest.get("created")), _time(manifest.get("finished"))
    system = (machine.get("processor"), f"{machine.get('usable_cores')} cores", machine.get("system"))
    kind = "sweep" if manifest.get("toward_limit", True) else "load"
    return {
        "name": manifest.get("name"),
        "started": begun or _time(_stamp(run.name)),
        "duration_s": _between(begun, ended),
        "kind": "windows" if "windows" in manifest else kind,
        "verdict": verdict.get("verdict"),
        "sentence": verdict.get("sentence"),
        "service_version": part(manifest, "target").get("service_version"),
        "workbench_version": part(manifest, "versions").get("indexer-workbench"),
        "machine": ", ".join(map(str, filter(None, system))) if machine else "",
        "profiler": part(manifest, "profiler").get("mode", "none"),
    }


def _of_settings(settings: Mapping[str, Any]) -> Row:
    """The settings that have columns, the loop in words."""
    names = ("receipts", "mode", "value_grt", "service_command", "agent_command")
    row: Row = {name: settings.get(name) for name in names}
    rate, concurrency, arrivals = (settings.get(name) for name in ("rate", "concurrency", "arrivals"))
    if not settings:
        return row
    if concurrency is None and rate is None and not is_ramp(str(arrivals)):
        profiled = settings.get("profiler", "none") != "none"
        rate, concurrency = (None, PROFILED_IN_FLIGHT) if profiled else (DEFAULT_RATE, None)
    loop = "closed" if concurrency is not None else "open" if rate is not None else "ramp"
    return {**row, "loop": loop, "rate_per_s": rate, "concurrency": concurrency}


def _of_limit(manifest: Manifest) -> Row:
    limit, prediction = part(manifest, "limit"), part(manifest, "prediction")
    return {
        "limit_receipts": limit.get("observed_receipts"),
        "predicted_receipts": prediction.get("receipts"),
        "denial_lag_receipts": limit.get("denial_lag_receipts"),
        "denial_lag_s": limit.get("denial_lag_s"),
    }


def _state(run: Path, manifest: Manifest) -> tuple[str, str]:
    """The state, and what ended the run."""
    said = str(manifest.get("state", FINISHED))
    state = RunFolder(run).state_now(said)
    if state == RUNNING:
        return state, ""
    if said == RUNNING:
        return state, f"it was killed: no process writes it any more; go on with `{RunFolder(run).next_command()}`"
    return state, str(manifest.get("error") or "")


def _target(manifest: Manifest, settings: Mapping[str, Any]) -> str:
    target = part(manifest, "target")
    if target.get("is_standin"):
        return "stand-in"
    command = settings.get("service_command")
    return str(command or settings.get("compose") or settings.get("target") or target.get("url") or "")


def part(manifest: Manifest, name: str) -> Mapping[str, Any]:
    """An object of a manifest; empty if it has none of that name."""
    found = manifest.get(name)
    return found if isinstance(found, dict) else {}


def _stamp(name: str) -> str:
    """The time in the name of a run folder, ``20260101T000000Z-name``."""
    return name.partition("-")[0]


def _time(text: Any) -> datetime | None:
    """A time in UTC without time zone; None if the text is not a time."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (found if found.tzinfo is None else found.astimezone(UTC)).replace(tzinfo=None)


def _between(begun: datetime | None, ended: datetime | None) -> float | None:
    return (ended - begun).total_seconds() if begun and ended else None


def _typed(name: str, value: Any) -> Any:
    """The value in the type of its column; None if it cannot be converted."""
    kind = _KINDS[name]
    if kind == "text":
        return "" if value is None else str(value)
    if kind == "time":
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return round(number) if kind == "count" else number
