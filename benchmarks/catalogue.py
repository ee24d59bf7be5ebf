"""How long `workbench runs` takes for a thousand run folders, each time as a whole process.

A real run is made, and its folder copied with changed manifests: other times, names, versions of the service and
figures. ``new`` runs have their figures in the manifest; for ``old`` ones, made by earlier releases, they are read from
the tables. ``cold``: no cache of rows, ``warm``: the second time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import workbench
from benchmarks.harness import WORKBENCH, arguments, interleave, run_process, table, write
from workbench.catalogue.cache import FILE

TARGET_S = 1.0
_CHANGED_AT = 0.6  # of the runs are before the service became slower
_SLOWER = 1.2
_BEGIN = datetime(2026, 1, 1)
_WHERE = "verdict = 'PASS' and response_p50_ms > (select median(response_p50_ms) from runs)"


def real_run(folder: Path) -> Path:
    """A sweep of the stand-in with two steps."""
    run = asyncio.run(workbench.sweep(receipts="40,80", rate=200.0, pinpoint=False, runs_dir=str(folder)))
    return run.path


def copied(run: Path, runs_dir: Path, count: int, *, old: bool = False) -> Path:
    """``count`` folders like that of ``run``, its tables and pages linked, with manifests of their own."""
    manifest = json.loads((run / "manifest.json").read_text())
    scatter = random.Random(1)
    for number in range(count):
        began = _BEGIN + timedelta(hours=number)
        path = runs_dir / f"{began:%Y%m%dT%H%M%SZ}-sweep"
        shutil.copytree(run, path, copy_function=os.link)
        (path / "manifest.json").unlink()
        (path / "manifest.json").write_text(json.dumps(_changed(manifest, number / count, began, scatter, old)))
    return runs_dir


def _changed(
    manifest: dict[str, Any], part: float, began: datetime, scatter: random.Random, old: bool
) -> dict[str, Any]:
    """The manifest of a run that began at another time, of the version of the service there was then."""
    slower = part >= _CHANGED_AT
    figures = {name: value * scatter.gauss(1, 0.02) for name, value in manifest["figures"].items() if "_ms" in name}
    figures = {name: value * (_SLOWER if slower else 1) for name, value in figures.items()}
    changed = manifest | {
        "created": f"{began.isoformat(timespec='milliseconds')}Z",
        "target": manifest["target"] | {"service_version": "2.1.0" if slower else "2.0.0"},
        "figures": manifest["figures"] | figures,
    }
    return {name: value for name, value in changed.items() if not (old and name == "figures")}


def _measured(runs_dir: Path, cold: bool, arguments: list[str]) -> dict[str, float]:
    if cold:
        (runs_dir / FILE).unlink(missing_ok=True)
    done = run_process([WORKBENCH, "runs", *arguments, "--runs-dir", str(runs_dir)])
    return {"wall_s": done.elapsed_s, "cpu_s": done.cpu_s}


def main() -> int:
    """Measure, print, write; 1 if a list took over a second of CPU time (the first list of old runs may)."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="run folders")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workbench-catalogue-") as folder:
        run = real_run(Path(folder) / "real")
        new = copied(run, Path(folder) / "new", options.runs)
        old = copied(run, Path(folder) / "old", options.runs, old=True)
        rivals: dict[str, Callable[[], dict[str, float]]] = {
            "new, cold": partial(_measured, new, True, []),
            "new, warm": partial(_measured, new, False, []),
            "new, warm, --where": partial(_measured, new, False, ["--where", _WHERE]),
            "new, cold, --where": partial(_measured, new, True, ["--where", _WHERE]),
            "old, cold": partial(_measured, old, True, []),
            "old, warm": partial(_measured, old, False, []),
            "new, history": partial(_measured, new, False, ["history", "response_p50_ms"]),
        }
        rivals["old, warm"]()
        figures = interleave(rivals, options.rounds)
        print(table(figures))
        print(run_process([WORKBENCH, "runs", "history", "response_p50_ms", "--runs-dir", str(new)]).output)
    lists = [f for f in figures if f.quantity == "cpu_s" and f.rival not in ("old, cold", "new, history")]
    missed = [f for f in lists if f.minimum >= TARGET_S]
    for figure in missed:
        print(f"{figure.rival}: {figure.minimum:.2f} s, target under {TARGET_S:g} s")
    write(options.out, "catalogue", figures, runs=options.runs)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
