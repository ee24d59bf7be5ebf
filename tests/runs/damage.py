"""Every damage to a run folder, made and not written out by hand, and what looks at a folder as the report does.

``python -m tests.runs.damage RUN`` tries all of them on copies of a finished run and exits with 1 where one ends in
anything but tables or an error that names the file; the tests take some of them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import workbench
from workbench import charts, report
from workbench.errors import WorkbenchError

Damage = Callable[[Path], object]
# what nobody reads of a finished run
UNREAD = ("report.html", "notebook.ipynb", "plan.parquet", "events.jsonl", ".lock")
ODD: tuple[Any, ...] = (None, 7, "x", [1], {"a": 1}, True)


def damages(run: Path) -> Iterator[tuple[str, Damage]]:
    """What can be done to a run folder, by name: to each file, each column of each table, each key of the manifest."""
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run)
        if not path.is_file() or path.name in UNREAD or path.name.startswith("standin.sqlite") or "logs" in name.parts:
            continue
        yield f"remove {name}", lambda copy, name=name: (copy / name).unlink()
        yield f"truncate {name}", partial(_truncate, name)
        yield f"empty {name}", lambda copy, name=name: (copy / name).write_bytes(b"")
        yield f"folder {name}", partial(_folder, name)
        yield f"text {name}", lambda copy, name=name: (copy / name).write_text("hello\n")
        if path.suffix == ".parquet":
            yield f"no rows {name}", partial(_table, name, lambda table: table.iloc[:0])
            for column in pd.read_parquet(path):
                yield f"without {column} {name}", partial(_table, name, lambda t, c=column: t.drop(columns=c))
                yield f"text in {column} {name}", partial(_table, name, lambda t, c=column: t.assign(**{c: "x"}))
                yield f"numbers in {column} {name}", partial(_table, name, lambda t, c=column: t.assign(**{c: 7}))
    manifest = json.loads((run / "manifest.json").read_text())
    for key, value in manifest.items():
        yield f"without {key}", partial(_key, lambda m, k=key: m.pop(k))
        for odd in ODD:
            yield f"{key} = {odd!r}", partial(_key, lambda m, k=key, o=odd: m.update({k: o}))
        for inner in value if isinstance(value, dict) else ():
            yield f"without {key}.{inner}", partial(_key, lambda m, k=key, i=inner: m[k].pop(i))


def look(path: Path) -> None:
    """Open a run and show what its report shows. Raises what that raises."""
    run = workbench.open_run(path)
    manifest = run.manifest
    shown = [report.verdict_box(run), report.provenance(run), report.steps_table(run.steps)]
    assert all(view._repr_html_() for view in shown)
    if run.state != "finished":
        return
    charts.limit(run.steps, manifest.get("prediction") or {}, manifest.get("limit") or {})
    charts.outcomes(run.outcomes, run.steps)
    charts.throughput_by_step(run.steps)
    charts.latency_by_step(run.steps)
    charts.latency_distribution(run.histograms, run.steps)
    charts.rates_over_time(run.series, run.steps)
    charts.response_over_time(run.series, run.steps)
    charts.lag_by_step(run.steps)
    charts.lag_over_time(run.series, run.steps)
    charts.resources(run.watch)


def came_of(run: Path, copy: Path, damage: Damage) -> str:
    """What came of looking at a damaged copy: "" for tables, else the error. Raises AssertionError for an error that
    does not name a file of the folder, and whatever is no error of ours."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    damage(copy)
    try:
        look(copy)
    except WorkbenchError as error:
        if str(copy) not in str(error):
            raise AssertionError(f"names no file: {error}") from error
        return str(error)
    return ""


def _truncate(name: Path, copy: Path) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])


def _folder(name: Path, copy: Path) -> None:
    (copy / name).unlink()
    (copy / name).mkdir()


def _table(name: Path, change: Callable[[pd.DataFrame], pd.DataFrame], copy: Path) -> None:
    change(pd.read_parquet(copy / name)).to_parquet(copy / name, index=False)


def _key(change: Callable[[dict[str, Any]], object], copy: Path) -> None:
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def main(run: Path) -> int:
    """All damages; prints those that end in anything else, and how many were tried."""
    tried = refused = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, damage in damages(run):
            tried += 1
            try:
                refused += bool(came_of(run, Path(folder) / run.name, damage))
            except Exception as error:
                wrong += 1
                print(f"{name}: {type(error).__name__}: {str(error)[:120]}")
    print(f"{tried:,} damages: {tried - refused - wrong:,} shown, {refused:,} refused by file, {wrong:,} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
