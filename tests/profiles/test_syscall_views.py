"""The views of a system call log against plain sums over its lines, and the charts, the answer and the notebook."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.browser import PHONE_PX, open_offline
from workbench.charts.syscalls import syscall_latency, syscall_top, thread_time
from workbench.errors import WorkbenchError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.transforms import select, shape
from workbench.profiles.transforms.group import group
from workbench.profiles.views import syscalls
from workbench.report.answers.strace import answer

ROOT = Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "data" / "profiles" / "demo-strace.log")

LOG = """\
10 12:00:00.000000 execve("/bin/service", ["service"], 0x1) = 0 <0.000100>
10 12:00:00.001000 clone3({flags=CLONE_VM|CLONE_THREAD} => {parent_tid=[11]}, 88) = 11 <0.000050>
11 12:00:00.001100 prctl(PR_SET_NAME, "worker") = 0 <0.000001>
11 12:00:00.002000 epoll_wait(3,  <unfinished ...>
10 12:00:00.003000 fsync(4) = 0 <0.400000>
10 12:00:00.500000 fsync(4) = 0 <0.300000>
11 12:00:00.900000 <... epoll_wait resumed>[], 8, -1) = 0 <0.898000>
11 12:00:00.900100 openat(AT_FDCWD, "/x", 0) = -1 ENOENT (No such file or directory) <0.000010>
11 12:00:00.900200 futex(0x1, FUTEX_WAIT, 0, NULL <unfinished ...>
10 12:00:01.000000 exit_group(0) = ?
10 12:00:01.000000 +++ exited with 0 +++
"""


@pytest.fixture(scope="module")
def profile() -> Profile:
    return read_profile(LOG.encode(), format="strace")


@pytest.fixture(scope="module")
def demo() -> Profile:
    return read_profile(DEMO, format="strace")


def test_the_call_table(profile: Profile) -> None:
    table = syscalls.call_table(profile).set_index("syscall")
    assert table.index[:2].tolist() == ["epoll_wait", "fsync"]
    assert table["calls"].to_dict() == {
        "epoll_wait": 1,
        "fsync": 2,
        "execve": 1,
        "clone3": 1,
        "openat": 1,
        "prctl": 1,
        "futex": 0,
        "exit_group": 0,
    }
    assert table["unreturned"].to_dict() | {"futex": 1, "exit_group": 1} == table["unreturned"].to_dict()
    assert table.loc["openat", "errors"] == 1
    assert table.loc["epoll_wait", "waiting_ns"] == table.loc["epoll_wait", "time_ns"] == 898_000_000
    assert table.loc["fsync", ["p50_ns", "p90_ns", "max_ns"]].tolist() == [300_000_000, 400_000_000, 400_000_000]
    assert table["time_pct"].sum() == pytest.approx(100)


def test_percentiles_are_measured_times(demo: Profile) -> None:
    calls = demo.tables["calls"]
    for row in syscalls.call_table(demo).itertuples():
        times = calls.loc[calls["syscall"] == row.syscall, "duration_ns"].dropna().astype("int64")
        if len(times):
            for percent in (50, 90, 99):
                wanted = np.percentile(times, percent, method="inverted_cdf")
                assert getattr(row, f"p{percent}_ns") == wanted, (row.syscall, percent)


def test_by_thread_adds_up(demo: Profile) -> None:
    whole = syscalls.call_table(demo).set_index("syscall")
    parts = syscalls.call_table(demo, by_thread=True)
    assert set(parts["thread"]) == {"receipt-demo", "receipt-worker-"}
    summed = parts.groupby("syscall")[["calls", "errors", "unreturned", "time_ns", "waiting_ns"]].sum()
    pd.testing.assert_frame_equal(summed.sort_index(), whole[summed.columns].sort_index(), check_names=False)


def test_the_thread_table(profile: Profile) -> None:
    service, worker = syscalls.thread_table(profile).to_dict("records")
    assert (service["thread"], service["kind"], worker["thread"], worker["kind"]) == (
        "service",
        "root",
        "worker",
        "thread",
    )
    assert (service["working_ns"], service["waiting_ns"]) == (700_150_000, 0)
    assert (worker["working_ns"], worker["waiting_ns"], worker["open_ns"]) == (11_000, 898_000_000, 99_800_000)
    assert (service["lifetime_ns"], service["outside_ns"]) == (1_000_000_000, 299_850_000)
    assert (worker["process"], worker["parent_pid"], service["exit"]) == (10, 10, "exited with 0")


def test_the_process_tree(profile: Profile) -> None:
    assert syscalls.process_tree(profile)["tree"].tolist() == ["service", "· worker"]


def test_a_tree_of_pids_that_made_each_other_ends() -> None:
    lines = ["1 fork() = 2", "2 fork() = 1", "2 fork() = 3", "3 getpid() = 3"]
    table = syscalls.process_tree(read_profile("\n".join([*lines, ""]).encode(), format="strace"))
    assert sorted(table["pid"]) == [1, 2, 3]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2**53 // 1000), min_size=1, max_size=40))
def test_the_histogram_holds_every_call(times_us: list[int]) -> None:
    lines = [f"1 fsync(3) = 0 <{time // 10**6}.{time % 10**6:06}>" for time in times_us]
    table = syscalls.latency_histogram(read_profile("\n".join([*lines, ""]).encode(), format="strace"), "fsync")
    assert table["working"].sum() == len(times_us)
    assert table["time_ns"].sum() == sum(times_us) * 1000
    for row in table.itertuples():
        inside = [time for time in times_us if row.from_ns <= time * 1000 < row.to_ns]
        assert (row.working, row.time_ns) == (len(inside), sum(inside) * 1000)
    assert (table["from_ns"].iloc[1:].to_numpy() == table["to_ns"].iloc[:-1].to_numpy()).all()


def test_errors_and_slowest(profile: Profile) -> None:
    [row] = syscalls.errors(profile).to_dict("records")
    assert (row["syscall"], row["error"], row["meaning"]) == ("openat", "ENOENT", "No such file or directory")
    assert (row["calls"], row["share_pct"], row["first_line"]) == (1, 100.0, 8)
    assert syscalls.slowest(profile, 2)["line"].tolist() == [4, 5]
    assert syscalls.slowest(profile, 2, "working")["line"].tolist() == [5, 6]


def test_windows_add_up_to_the_log(demo: Profile) -> None:
    begin, end = demo.meta["started_ns"], demo.meta["ended_ns"] + 1
    edges = np.linspace(begin, end, 6).astype("int64").tolist()
    windows = [syscalls.between(demo, low, high) for low, high in pairwise(edges)]
    for metric in demo.metric_names:
        assert sum(window.total(metric) for window in windows) == demo.total(metric)
    assert sum(len(window.tables["calls"]) for window in windows) == len(demo.tables["calls"])
    for window in windows:
        calls = window.tables["calls"]
        assert window.total("calls") == len(calls)
        assert (
            window.frames["function"][window.nodes["frame_id"][calls["node_id"]]].tolist() == calls["syscall"].tolist()
        )
    assert syscalls.between(windows[0], edges[0], edges[1]).total("calls") == windows[0].total("calls")


def test_a_window_says_what_crosses_its_edges(profile: Profile) -> None:
    noon = 12 * 3600 * 10**9
    window = syscalls.between(profile, noon + 400_000_000, noon + 600_000_000)
    assert window.tables["calls"]["line"].tolist() == [6]
    beyond, reaching = window.notes[-2:]
    assert beyond.weight == 200_000_000
    assert reaching.weight == 200_000_000 + 3_000_000


def test_the_timeline_has_every_call_in_its_lane(profile: Profile) -> None:
    lines = profile.tables["timeline"]
    assert lines.columns.tolist() == ["thread", "start_ns", "end_ns", "depth", "frame_id"]
    assert set(lines["thread"]) == {"service · 10", "worker · 11"}
    named = lines.assign(name=profile.frames["function"].to_numpy()[lines["frame_id"]])
    wait = named[named["name"] == "epoll_wait"].iloc[0]
    assert (wait["depth"], wait["end_ns"] - wait["start_ns"]) == (1, 898_000_000)
    above = named[(named["start_ns"] == wait["start_ns"]) & (named["depth"] == 0)]
    assert above["name"].tolist() == ["(waiting)"]
    # the call that was open when the log ended lasts until then
    assert named[named["name"] == "futex"]["end_ns"].tolist() == [profile.meta["ended_ns"]]


def test_spans_of_a_thread_follow_each_other(demo: Profile) -> None:
    lines = demo.tables["timeline"]
    calls = lines[lines["depth"] == lines["depth"].max()]
    assert len(calls) == demo.tables["calls"]["duration_ns"].notna().sum() + demo.tables["calls"]["open"].sum()
    assert (lines["end_ns"] >= lines["start_ns"]).all()
    for _, spans in calls.groupby("thread"):
        assert (spans["start_ns"].to_numpy()[1:] >= spans["end_ns"].to_numpy()[:-1]).all()
    begin, end = demo.meta["started_ns"], demo.meta["ended_ns"]
    window = syscalls.between(demo, begin, (begin + end) // 2)
    inside = window.tables["timeline"]
    assert len(inside[inside["depth"] == 1]) == window.tables["calls"]["duration_ns"].notna().sum()
    assert inside["frame_id"].max() < len(window.frames)
    assert "timeline" not in read_profile(b"1 read(3) = 0 <0.1>\n", format="strace").tables


def test_working_leaves_out_waiting(profile: Profile) -> None:
    part = syscalls.working(profile)
    assert part.total("time") == profile.total("time") - 898_000_000
    assert "(waiting)" not in part.frames["function"].tolist()


TRANSFORMS: dict[str, Callable[[Profile], Profile]] = {
    "focus": lambda profile: select.focus(profile, "^write$"),
    "ignore": lambda profile: select.ignore(profile, "futex"),
    "hide": lambda profile: select.hide(profile, "waiting"),
    "show": lambda profile: select.show(profile, "^(write|fsync|read)$"),
    "show_from": lambda profile: select.show_from(profile, "working"),
    "prune_from": lambda profile: select.prune_from(profile, "working"),
    "invert": shape.invert,
    "trim": lambda profile: shape.trim(profile, 0.1),
    "sorted_by_weight": shape.sorted_by_weight,
    "group": lambda profile: group(profile, "object"),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_calls_are_those_of_the_tree_after_any_transform(demo: Profile, name: str) -> None:
    changed = TRANSFORMS[name](demo)
    table = syscalls.call_table(changed)
    assert table["time_ns"].sum() == changed.total("time")
    assert table["calls"].sum() + table["unreturned"].sum() == changed.total("calls")
    calls = changed.tables["calls"]
    by_node = calls["duration_ns"].fillna(0).astype("int64").groupby(calls["node_id"]).sum()
    by_node = by_node.reindex(changed.nodes.index, fill_value=0)
    assert by_node.tolist() == changed.nodes["self_time"].tolist()
    if name in ("focus", "ignore"):
        wanted = (lambda call: call == "write") if name == "focus" else (lambda call: call != "futex")
        whole = syscalls.call_table(demo)
        kept = whole[whole["syscall"].map(wanted)].drop(columns="time_pct").reset_index(drop=True)
        pd.testing.assert_frame_equal(table.drop(columns="time_pct"), kept)
    threads = syscalls.thread_table(changed)
    assert threads["calls"].sum() == table["calls"].sum()
    # time outside calls is not known where not all calls are there
    assert threads["outside_ns"].isna().all() == (len(calls) < len(demo.tables["calls"]))
    assert syscalls.working(changed).total("time") == table["time_ns"].sum() - table["waiting_ns"].sum()


def test_the_answer_about_some_calls_says_so(demo: Profile) -> None:
    assert "selected calls of" in repr(answer(select.ignore(demo, "futex")))
    assert "selected calls of" not in repr(answer(demo))


def test_a_table_of_c_is_chosen_from() -> None:
    text = (
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        " 75.00    0.300000         100        30         2 read\n"
        " 25.00    0.100000         100        10           write\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        "100.00    0.400000                    40         2 total\n"
    )
    chosen = select.focus(read_profile(text.encode(), format="strace"), "^write$")
    table = syscalls.call_table(chosen)
    assert table["syscall"].tolist() == ["write"]
    assert table["time_pct"].tolist() == [100]


def test_a_table_of_c_has_only_sums() -> None:
    text = (
        b"% time     seconds  usecs/call     calls    errors syscall\n"
        b"------ ----------- ----------- --------- --------- ----------------\n"
        b" 75.00    0.000300         100         3         1 openat\n"
        b" 25.00    0.000100          50         2           read\n"
        b"------ ----------- ----------- --------- --------- ----------------\n"
        b"100.00    0.000400          80         5         1 total\n"
    )
    profile = read_profile(text, format="strace")
    table = syscalls.call_table(profile)
    assert table[["syscall", "calls", "errors", "time_ns"]].to_numpy().tolist() == [
        ["openat", 3, 1, 300_000],
        ["read", 2, 0, 100_000],
    ]
    assert table["mean_ns"].tolist() == [100_000, 50_000]
    assert table["p50_ns"].isna().all()
    assert "Not known" in repr(answer(profile))
    with pytest.raises(WorkbenchError, match="no single system calls"):
        syscalls.thread_table(profile)


def test_unknown_calls_are_refused_by_name(profile: Profile) -> None:
    with pytest.raises(WorkbenchError, match="epoll_wait"):
        syscalls.latency_histogram(profile, "nope")


def test_no_stamps_no_windows() -> None:
    profile = read_profile(b"1 read(3) = 0 <0.1>\n", format="strace")
    with pytest.raises(WorkbenchError, match="-tt"):
        syscalls.between(profile, 0, 1)
    assert syscalls.thread_table(profile)["lifetime_ns"].isna().all()


@pytest.mark.parametrize("draw", [syscall_top, thread_time, syscall_latency])
def test_charts_say_what_they_show(draw: object, profile: Profile) -> None:
    chart = draw(profile)  # type: ignore[operator]
    assert {trace.name for trace in chart.data} == {"working", "waiting"}
    assert chart.layout.meta["caption"]
    assert chart.layout.xaxis.title.text
    assert len({trace.marker.pattern.shape for trace in chart.data}) == 2
    empty = draw(read_profile(b"1 read(3) = 0\n", format="strace"))  # type: ignore[operator]
    assert "-T" in empty.layout.annotations[0].text


def test_bars_hold_the_tables_time(profile: Profile) -> None:
    chart = thread_time(profile)
    drawn = sum(float(np.sum(trace.x)) for trace in chart.data)
    assert drawn == pytest.approx(profile.total("time") / 1e6)


def test_the_answer_follows_its_rule(profile: Profile) -> None:
    assert repr(answer(profile)).startswith("Yes: the busiest thread, service (10), spent 70 %")
    idle = LOG.replace("<0.400000>", "<0.000040>").replace("<0.300000>", "<0.000030>")
    assert repr(answer(read_profile(idle.encode(), format="strace"))).startswith("No: ")
    short = "".join(f"1 12:00:00.{n * 100:06} write(1) = 1 <0.000090>\n" for n in range(500))
    assert repr(answer(read_profile(short.encode(), format="strace"))).startswith("Perhaps: ")
    assert "without" not in repr(answer(profile))
    assert "Not known: " in repr(answer(read_profile(b"1 read(3) = 0\n", format="strace")))


@pytest.mark.browser
async def test_the_notebook_opens_offline(tmp_path: Path) -> None:
    from workbench.report import external_addresses, run_notebook

    output, html = tmp_path / "notebook.ipynb", tmp_path / "report.html"
    record = await run_notebook(
        ROOT / "notebooks" / "strace.ipynb", {"path": DEMO}, output, html, title="System calls", timeout_s=200
    )
    assert record.ok, f"{record.exception}: {record.message}"
    assert external_addresses(html.read_text(encoding="utf-8")) == []
    opened = await open_offline(html, width_px=PHONE_PX)
    assert opened.requests == []
    assert opened.complaints == []
    assert (opened.charts_wanted, opened.charts_drawn) == (3, 3)
    assert "Is there a system-call bottleneck?" in opened.text
    assert "busiest thread" in opened.text
