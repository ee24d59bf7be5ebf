"""The table of all runs: what is in their folders, older ones and damaged ones too."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench
from tests.catalogue.made import made, row
from workbench.analysis.figures import step_figures
from workbench.catalogue.cache import FILE
from workbench.catalogue.columns import COLUMNS, NAMES
from workbench.catalogue.listing import rows_in
from workbench.errors import RunFolderError
from workbench.runs.folder import MANIFEST


def test_a_run_is_a_row_with_all_columns(tmp_path: Path) -> None:
    path = made(tmp_path, "20260101T100000Z-sweep")
    found = workbench.runs(runs_dir=tmp_path)
    assert tuple(found.columns) == NAMES
    one = found.iloc[0]
    assert (one["run"], one["path"], one["state"], one["verdict"]) == (path.name, str(path), "finished", "PASS")
    assert (one["steps"], one["valid_steps"], one["validity"], one["accepted"]) == (2, 2, "2 of 2", 200)
    assert (one["loop"], one["rate_per_s"], one["limit_receipts"]) == ("open", 200.0, 1000)
    assert one["started"] == pd.Timestamp("2026-01-01T10:00:00")
    assert one["duration_s"] == 60.0
    assert (one["target"], one["service_version"], one["machine"]) == ("stand-in", "2.0.0", "AMD EPYC, 2 cores, Linux")
    assert one["response_p50_ms"] == 1.0
    assert pd.isna(one["instructions_per_receipt"])


def test_the_types_of_the_columns_hold_without_a_run(tmp_path: Path) -> None:
    types = {"text": "str", "number": "float64", "count": "Int64", "time": "datetime64[ms]"}
    found = workbench.runs(runs_dir=tmp_path)
    assert {name: str(kind) for name, kind in found.dtypes.items()} == {c.name: types[c.kind] for c in COLUMNS}


def test_times_are_of_valid_steps_without_a_profiler(tmp_path: Path) -> None:
    rows = [
        row(0, response_p50_ms=1.0),
        row(1, "INVALID", response_p50_ms=90.0),
        row(2, response_p50_ms=3.0),
        row(3, profiler="callgrind", response_p50_ms=70.0),
        row(4, kind="pinpoint", response_p50_ms=50.0),
    ]
    figures = step_figures(vars(one) for one in rows)
    assert (figures["steps"], figures["valid_steps"], figures["sent"]) == (4, 3, 400)
    assert figures["response_p50_ms"] == 2.0
    assert "response_p99_ms" not in figures


def test_runs_that_do_not_keep_their_figures_have_them_read(tmp_path: Path) -> None:
    rows = [row(0, response_p50_ms=1.5), row(1, response_p50_ms=2.5)]
    new = made(tmp_path, "20260101T100000Z-new", rows)
    old = made(tmp_path, "20260101T090000Z-old", rows, kept=False)
    older = made(tmp_path, "20260101T080000Z-older", kept=False)
    table = pd.read_parquet(older / "steps.parquet")
    table.drop(columns=["profiler", "response_p95_ms", "gc_pauses"]).to_parquet(older / "steps.parquet")
    found = workbench.runs(runs_dir=tmp_path).set_index("run")
    same = [name for name in NAMES if name not in ("run", "path")]
    assert found.loc[new.name, same].equals(found.loc[old.name, same])
    assert found.loc[older.name, "response_p50_ms"] == 1.0
    assert pd.isna(found.loc[older.name, "response_p95_ms"])
    assert found["fault"].tolist() == ["", "", ""]


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda run: (run / MANIFEST).unlink(), "it has no manifest.json"),
    "cut off": (lambda run: os.truncate(run / MANIFEST, 100), "manifest.json is not JSON"),
    "empty": (lambda run: (run / MANIFEST).write_text(""), "manifest.json is not JSON"),
    "a list": (lambda run: (run / MANIFEST).write_text("[]"), "manifest.json is not an object"),
    "not text": (lambda run: (run / MANIFEST).write_bytes(b"\xff\xfe{"), "manifest.json is not JSON"),
    "newer": (lambda run: (run / MANIFEST).write_text('{"schema": 7}'), "schema 7, this workbench reads up to 1"),
    "odd state": (lambda run: (run / MANIFEST).write_text('{"state": ["x"]}'), "unknown state ['x']"),
    "a folder": (lambda run: ((run / MANIFEST).unlink(), (run / MANIFEST).mkdir()), "manifest.json cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_listed_with_its_fault(tmp_path: Path, damage: str) -> None:
    made(tmp_path, "20260101T100000Z-well")
    path = made(tmp_path, "20260101T110000Z-ill")
    harm, fault = DAMAGE[damage]
    harm(path)
    ill, well = rows_in(tmp_path)
    assert (ill["run"], ill["state"], well["state"]) == (path.name, "damaged", "finished")
    assert fault in ill["fault"]
    assert ill["started"] == datetime(2026, 1, 1, 11)  # of its name


def test_tables_that_cannot_be_read_are_a_fault_of_their_run_alone(tmp_path: Path) -> None:
    for hour in range(8):
        made(tmp_path, f"20260101T0{hour}0000Z-run", kept=False)
    os.truncate(tmp_path / "20260101T030000Z-run" / "steps.parquet", 500)
    (tmp_path / "20260101T050000Z-run" / "marks.json").write_text("{")
    by_name = {one["run"]: one for one in rows_in(tmp_path)}
    faults = {name: one["fault"] for name, one in by_name.items() if one["fault"]}
    assert set(faults) == {"20260101T030000Z-run", "20260101T050000Z-run"}
    assert "steps.parquet cannot be read" in faults["20260101T030000Z-run"]
    assert "marks.json: cannot be read" in faults["20260101T050000Z-run"]
    assert by_name["20260101T050000Z-run"]["steps"] == 2


def test_only_who_holds_the_lock_is_running(tmp_path: Path) -> None:
    path = made(tmp_path, "20260101T100000Z-run", state="running", kept=False)
    with (path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert rows_in(tmp_path)[0]["state"] == "running"
    (killed,) = rows_in(tmp_path)
    assert killed["state"] == "interrupted"
    assert (
        f"it was killed: no process writes it any more; go on with `workbench sweep --resume {path}`" in killed["fault"]
    )


def test_runs_of_batches_are_listed_and_links_and_other_folders_are_not(tmp_path: Path) -> None:
    runs_dir = tmp_path / "runs"
    batch = runs_dir / "20260101T100000Z-batch"
    made(batch, "20260101T100001Z-none")
    (batch / "batch.json").write_text("{}")
    (runs_dir / "notes").mkdir()
    (runs_dir / "20260101T120000Z-link").symlink_to(made(tmp_path, "elsewhere"))
    assert [(one["run"], one["batch"]) for one in rows_in(runs_dir)] == [("20260101T100001Z-none", batch.name)]
    assert [one["run"] for one in rows_in(batch)] == ["20260101T100001Z-none"]


def test_what_changes_is_seen_although_rows_are_kept(tmp_path: Path) -> None:
    path = made(tmp_path, "20260101T100000Z-run")
    (first,) = rows_in(tmp_path)
    assert (tmp_path / FILE).is_file()
    assert rows_in(tmp_path) == [first]
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**manifest, "name": "SWEEP"}))
    (changed,) = rows_in(tmp_path)
    assert changed["name"] == "SWEEP"
    shutil.rmtree(path)
    assert rows_in(tmp_path) == []


@pytest.mark.parametrize("text", [b"", b"{}", b"nonsense\n{}", b"\xff\xfe"])
def test_a_cache_that_is_damaged_is_as_good_as_none(tmp_path: Path, text: bytes) -> None:
    made(tmp_path, "20260101T100000Z-run")
    rows = rows_in(tmp_path)
    (tmp_path / FILE).write_bytes(text)
    assert rows_in(tmp_path) == rows
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole.replace(b"PASS", b"FAIL"))
    assert rows_in(tmp_path) == rows


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"cannot be listed: No such file or directory\. Say where"):
        workbench.runs(runs_dir=tmp_path / "none")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(("settings", "target", "verdict", "limit", "machine", "created", "error", "figures", "profiler"))


@settings(max_examples=40)
@given(changes=st.dictionaries(KEYS, VALUES, max_size=4))
def test_whatever_a_manifest_holds_there_is_a_row(
    changes: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    runs_dir = tmp_path_factory.mktemp("runs")
    path = made(runs_dir, "20260101T100000Z-run")
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**manifest, **changes}))
    found = workbench.runs("steps >= 0 or steps is null", runs_dir=runs_dir)
    assert found["run"].tolist() == [path.name]
