"""Merging and comparing what was recorded apart: headers that speak of all, and functions that are one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.profiles.pprof_encoding import Call, Sample
from tests.profiles.test_pprof_windows import START_NS, snapshot
from workbench.charts.flame.calltree import call_tree
from workbench.charts.flame.calltree import difference as joined
from workbench.errors import WorkbenchError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.combine import difference, merge
from workbench.profiles.transforms.windows import subtract, windows
from workbench.profiles.views.heap import timeline
from workbench.profiles.views.syscalls import call_table
from workbench.report.answers.massif import answer as massif_answer
from workbench.report.answers.pprof import answer

DATA = Path(__file__).resolve().parents[2] / "data" / "profiles"


def report(file: str, count: int, seconds: float, *, start_ns: int = START_NS, thread: bool = True) -> Profile:
    """A report of one function that main calls; with thread names it is one of pprof-rs."""
    stack = ((Call("leaf", file, 3),), (Call("main", "main.rs", 4),))
    labels = (("thread", "worker", ""),) if thread else ()
    return snapshot([Sample(stack, (count, count * 10_000_000), labels)], seconds, start_ns=start_ns)


def test_durations_add_up_and_the_earliest_start_stays() -> None:
    profiles = [report("a.rs", 50, 1, start_ns=START_NS + 10**9), report("a.rs", 100, 2, start_ns=START_NS)]
    merged = merge(profiles)
    assert merged.total("cpu") == 1_500_000_000
    assert merged.meta["duration_ns"] == 3 * 10**9
    assert merged.meta["time_ns"] == START_NS
    assert merged.meta["start_s"] == START_NS / 10**9
    assert "0.50 CPUs were busy" in repr(answer(merged))


def test_a_duration_that_one_does_not_say_is_not_made_up() -> None:
    merged = merge([report("a.rs", 50, 1), report("a.rs", 50, 0)])
    assert "duration_ns" not in merged.meta
    assert "CPUs were busy" not in repr(answer(merged))


def test_windows_merge_to_what_they_are_windows_of() -> None:
    reports = [report("a.rs", count, seconds) for count, seconds in ((10, 1), (30, 2), (60, 4))]
    merged = merge(windows(reports)[1:])
    whole = subtract(reports[2], reports[0])
    assert merged.total("cpu") == whole.total("cpu")
    for key in ("window_start_s", "window_end_s", "duration_ns"):
        assert merged.meta[key] == whole.meta[key]


def test_a_function_of_pprof_rs_is_one_whatever_file_a_report_kept() -> None:
    before, after = report("one.rs", 2, 1), report("two.rs", 5, 2)
    assert after.meta["dialect"] == "pprof-rs"
    changes = difference(before, after, "samples")
    assert changes.functions["state"].tolist() == ["both", "both"]
    assert changes.functions.set_index("name").at["leaf", "change_self"] == 3
    assert (changes.nodes["state"] == "both").all()
    merged = merge([before, after])
    assert sorted(merged.functions["function"]) == ["leaf", "main"]
    assert merged.functions.set_index("function").at["leaf", "self_samples"] == 7


def test_files_of_other_profilers_tell_functions_apart() -> None:
    before = read_profile(b"main;leaf 2\n", format="folded")
    assert difference(before, before).functions["state"].tolist() == ["both", "both"]


def test_tables_of_one_profile_do_not_speak_of_all() -> None:
    log = read_profile(DATA / "demo-strace.log")
    merged = merge([log, log])
    assert merged.total("calls") == 2 * log.total("calls")
    with pytest.raises(WorkbenchError, match="no single system calls"):
        call_table(merged)
    heap = read_profile(DATA / "demo-massif.out")
    both = merge([heap, heap])
    for view in (timeline, massif_answer):
        with pytest.raises(WorkbenchError, match="snapshots"):
            view(both)


def moved(rows: dict[str, int]) -> Profile:
    """A profile of stacks as speedscope has them: ``name@file`` for each frame."""
    names = sorted({frame for stack in rows for frame in stack.split(";")})
    shared = [dict(zip(("name", "file"), name.split("@"), strict=True)) for name in names]
    samples = [[names.index(frame) for frame in stack.split(";")] for stack in rows]
    weights = list(rows.values())
    text = json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "shared": {"frames": shared},
            "profiles": [
                {"type": "sampled", "name": "x", "unit": "none", "startValue": 0, "endValue": sum(weights),
                 "samples": samples, "weights": weights}
            ],
        }
    )  # fmt: skip
    return read_profile(text.encode(), format="speedscope")


def test_a_function_whose_file_moved_is_one_in_table_tree_and_flame_graph() -> None:
    before, after = moved({"main@1/m.c;work@1/w.c": 5, "main@1/m.c": 1}), moved({"main@2/m.c;work@2/w.c": 9})
    changes = difference(before, after)
    assert changes.functions["state"].tolist() == ["both", "both"]
    assert changes.functions["change_self"].tolist() == [4, -1]
    assert (changes.nodes["state"] == "both").all()
    drawn = joined(call_tree(after), call_tree(before))
    assert len(drawn) == len(changes.nodes) == 2
    assert drawn.functions["file"].tolist() == ["2/m.c", "2/w.c"]


def test_two_functions_of_one_name_are_not_taken_for_each_other() -> None:
    before = moved({"main@m.c;init@a.c": 5, "main@m.c;init@b.c": 7})
    after = moved({"main@m.c;init@a.c": 6, "main@m.c;init@c.c": 1, "main@m.c;init@d.c": 2})
    for changes in (difference(before, after), difference(after, before)):
        states = changes.functions[changes.functions["name"] == "init"].set_index("file")["state"]
        assert states["a.c"] == "both"
        assert set(states.drop("a.c")) == {"added", "removed"}
        assert changes.functions["before_self"].sum() == changes.before_sum
        assert changes.functions["after_self"].sum() == changes.after_sum
    assert len(joined(call_tree(after), call_tree(before))) == len(difference(before, after).nodes) == 5
