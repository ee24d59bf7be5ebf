"""The file that keeps calibrations: ``calibration.json`` in the folder of the runs.

It is not in the user's home, because the folder of the runs is writable, ignored by git, and holds what was measured
with the calibration. Runs of a batch look in the folder above theirs. Several machines may share the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from workbench.calibration.calibration import Calibration
from workbench.calibration.identity import difference, same_machine
from workbench.errors import RunFolderError, of_system
from workbench.runs.atomic import write_json

FILE = "calibration.json"
SCHEMA = 1
MAX_AGE = timedelta(days=90)
_HINT = "Choose a folder you may write to with --runs-dir"


@dataclass(frozen=True)
class Known:
    """What is known about a machine before sending: its ``calibration``, or why an existing one is not used
    (``why_not``); neither if there is none."""

    calibration: Calibration | None = None
    why_not: str = ""


def known(runs_dir: Path, identity: Mapping[str, Any], now: datetime | None = None) -> Known:
    """The calibration valid for ``identity`` at ``now``. A damaged file is a ``why_not``, not an error."""
    path = next((place / FILE for place in (runs_dir, runs_dir.parent) if (place / FILE).is_file()), None)
    if path is None:
        return Known()
    try:
        found = _read(path)
    except RunFolderError as error:
        return Known(why_not=str(error))
    reasons = []
    for calibration in found:
        why = difference(calibration.identity, identity) or _old(calibration, now or datetime.now(UTC))
        if not why:
            return Known(calibration)
        reasons.append(why)
    return Known(why_not=reasons[-1] if reasons else "")


def keep(runs_dir: Path, calibration: Calibration) -> Path:
    """Store a calibration in place of an earlier one of this machine; returns the path.

    Earlier offers for other numbers of processes are kept if they were found with the same software and limit. Raises
    RunFolderError if the file cannot be written, or holds something else.
    """
    path = runs_dir / FILE
    earlier = _read(path) if path.is_file() else []
    for one in earlier:
        if one.identity == calibration.identity and one.lag_p99_limit_ms == calibration.lag_p99_limit_ms:
            others = [offer for offer in one.offers if calibration.offer(offer.processes) is None]
            offers = sorted((*calibration.offers, *others), key=lambda offer: offer.processes)
            calibration = replace(calibration, offers=tuple(offers))
    kept = [one for one in earlier if not same_machine(one.identity, calibration.identity)]
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot be made: {error.strerror}", where=str(runs_dir), hint=_HINT) from None
    facts = {"schema": SCHEMA, "calibrations": [one.to_json() for one in (*kept, calibration)]}
    write_json(path, facts, hint=_HINT)
    return path


def _read(path: Path) -> list[Calibration]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"its schema is {facts['schema']}")
        return [Calibration.from_json(one) for one in facts["calibrations"]]
    except OSError as error:
        raise of_system(RunFolderError, "cannot be read", error, path) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"cannot be read as calibrations: {error}",
            where=str(path),
            hint="Delete it, then run `workbench calibrate`",
        ) from None


def _old(calibration: Calibration, now: datetime) -> str:
    made = max((offer.made for offer in calibration.offers), default="")
    try:
        age = now - datetime.fromisoformat(made)
    except (ValueError, TypeError):
        return "it has no date"
    return f"it is {age.days} days old" if age > MAX_AGE else ""
