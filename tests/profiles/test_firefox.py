"""Firefox profiler and samply files: the versions of the format, threads, weights, raw profiles, damage."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.firefox_encoding import Encoder, Stack, file, sums, thread
from tests.profiles.stacks import stacks_of
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_firefox, read_profile
from workbench.profiles.tree import MAX_DEPTH

ROWS: list[list[tuple[Stack, float]]] = [
    [(("main", "f"), 1), (("main", "f", "g"), 2), ((), 1), (("main",), 1)],
    [(("start", "f"), 5)],
]
VERSIONS = (24, 55, 56, 57, 58, 60, 66, 70)


def read(document: dict[str, Any]) -> Profile:
    """The profile of a file that has to be recognised."""
    profile = read_profile(json.dumps(document).encode())
    assert profile.format == "firefox"
    return profile


def one_thread(rows: list[tuple[Stack, float]], **more: Any) -> dict[str, Any]:
    """A file of version 55 with one thread."""
    encoder = Encoder()
    made = thread(encoder, rows, **more)
    made.update(encoder.tables())
    made["stringArray"] = encoder.strings
    return {"meta": {"version": 24, "preprocessedProfileVersion": 55, "interval": 1}, "libs": [], "threads": [made]}


@pytest.mark.parametrize("version", VERSIONS)
def test_all_threads_of_all_versions_are_read(version: int) -> None:
    document = file(ROWS, version)
    profile = read(document)
    expected = {("main", "f"): 1, ("main", "f", "g"): 2, ("main",): 1, ("start", "f"): 5}
    assert stacks_of(profile) == expected == sums(document)
    assert profile.metric_names == ("samples",)
    threads = profile.tags[profile.tags["key"] == "thread"]["value"].tolist()
    assert threads == ["main 0", "main 1"]
    assert profile.meta["version"] == version
    assert [str(note) for note in profile.notes] == ["sample without a stack, left out, weight 1 samples"]


def test_gz_and_the_public_function() -> None:
    profile = read_firefox(gzip.compress(json.dumps(file(ROWS)).encode()))
    assert profile.total() == 9


def test_labels_choose_a_thread() -> None:
    profile = read(file(ROWS))
    second = profile.tags.loc[profile.tags["value"] == "main 1", "tags_id"].item()
    assert profile.samples.loc[profile.samples["tags_id"] == second, "self_samples"].sum() == 5
    tags = profile.tags[profile.tags["tags_id"] == second]
    assert dict(zip(tags["key"], tags["value"], strict=True)) == {
        "thread": "main 1", "comm": "main", "process": "app", "pid": "7", "tid": "1",
    }  # fmt: skip


def test_without_weights_each_sample_counts_once() -> None:
    document = one_thread([(("a",), 3), (("b",), 3)], samples={"weight": None})
    assert stacks_of(read(document)) == {("a",): 1, ("b",): 1}


@pytest.mark.parametrize(
    ("kind", "name", "unit"),
    [("samples", "samples", "count"), ("tracing-ms", "time", "ms"), ("bytes", "bytes", "bytes")],
)
def test_weights_are_in_their_unit(kind: str, name: str, unit: str) -> None:
    profile = read(one_thread([(("a",), 2.5), (("a", "b"), -1)], samples={"weightType": kind}))
    assert [(one.name, one.unit) for one in profile.metrics] == [(name, unit)]
    assert stacks_of(profile) == {("a",): 2.5, ("a", "b"): -1}


def test_cpu_time_of_samples_is_a_metric() -> None:
    document = one_thread([(("a",), 1), (("a",), 1), (("b",), 1)], samples={"threadCPUDelta": [99, 250, None]})
    document["meta"]["sampleUnits"] = {"threadCPUDelta": "µs", "time": "ms"}
    profile = read(document)
    assert (profile.metric("cpu").unit, profile.default_metric) == ("us", "samples")
    assert stacks_of(profile, "cpu") == {("a",): 250}


def test_allocations_are_metrics() -> None:
    document = one_thread([(("a",), 1), (("b",), 1)])
    document["threads"][0]["nativeAllocations"] = {"stack": [0, 1, 0], "weight": [100, 7, -40], "time": [0, 1, 2]}
    profile = read(document)
    assert stacks_of(profile, "native_allocations") == {("a",): 60, ("b",): 7}
    assert stacks_of(profile) == {("a",): 1, ("b",): 1}


@pytest.mark.parametrize("deltas", [False, True])
def test_times_make_a_timeline(deltas: bool) -> None:
    rows: list[tuple[Stack, float]] = [(("a", "b"), 1), (("a", "b"), 1), (("a",), 1), ((), 1), (("a",), 1)]
    times = [5.0, 0.5, 0.5, 1.0, 1.0] if deltas else [5.0, 5.5, 6.0, 7.0, 8.0]
    document = one_thread(rows, samples={"time": None, ("timeDeltas" if deltas else "time"): times})
    profile = read(document)
    table = profile.tables["timeline"]
    assert list(table.columns) == ["thread", "start_ns", "end_ns", "depth", "frame_id"]
    names = profile.frames["function"].tolist()
    rows_read = [(row.thread, row.start_ns, row.end_ns, row.depth, names[row.frame_id]) for row in table.itertuples()]
    assert rows_read == [
        ("main 8", 5_000_000, 7_000_000, 0, "a"),
        ("main 8", 5_000_000, 6_000_000, 1, "b"),
        ("main 8", 8_000_000, 9_000_000, 0, "a"),
    ]


def test_a_file_of_sizes_has_no_timeline() -> None:
    assert "timeline" not in read(file(ROWS, sampleUnits={"time": "bytes"})).tables


@pytest.mark.parametrize("version", [55, 70])
def test_names_lines_libraries_and_inlined_frames(version: int) -> None:
    document = file([[(("outer", "app::inl::h0123456789abcdef"), 1)]], version)
    document["libs"] = [{"name": "app", "path": "/srv/app", "debugName": "app.dbg"}]
    tables = document["threads"][0] if version < 60 else document["shared"]
    strings = document["threads"][0]["stringArray"] if version < 60 else document["shared"]["stringArray"]
    strings.append("cargo:github.com-1ecc6299db9ec823:serde-1.0.1:src/lib.rs")
    tables["frameTable"].update(line=[7, 12], inlineDepth=[0, 1])
    if version >= 58:
        tables["sources"] = {"filename": [len(strings) - 1]}
        tables["funcTable"]["source"] = [None, 0]
        tables["frameTable"]["lib"] = [0, 0]
    else:
        tables["funcTable"].update(fileName=[None, len(strings) - 1], resource=[0, 0])
        tables["resourceTable"]["lib"] = [0]
    frames = [(row.function, row.file, row.line, row.object, row.inlined) for row in read(document).frames.itertuples()]
    assert frames == [
        ("outer", "", 7, "/srv/app", False),
        ("app::inl", "/registry/src/github.com-1ecc6299db9ec823/serde-1.0.1/src/lib.rs", 12, "/srv/app", True),
    ]


def test_addresses_for_names_are_noted_with_what_to_do() -> None:
    (note,) = read(one_thread([(("0x1a0", "0x1b0"), 4), (("main",), 1)])).notes
    assert (note.count, note.weight) == (2, 4)
    assert "samply load" in note.what


def test_newer_versions_are_read_with_a_note() -> None:
    profile = read(file(ROWS, 70) | {"meta": {"preprocessedProfileVersion": 71}})
    assert profile.total() == 9
    assert "version 71 of the format is newer" in profile.notes[0].what


def test_markers_are_counted() -> None:
    document = file(ROWS)
    document["threads"][0]["markers"] = {"length": 3, "data": [{"type": "x", "deep": [[1]]}] * 3, "name": [0, 0, 0]}
    assert next((note.count, note.what) for note in read(document).notes) == (3, "markers, left out")


def raw_thread(name: str, rows: list[list[Any]], strings: list[str]) -> dict[str, Any]:
    """A thread as Firefox writes it: main calls everything else."""
    return {
        "name": name,
        "processType": "default",
        "pid": 7,
        "tid": 8,
        "stringTable": strings,
        "frameTable": {"schema": {"location": 0, "line": 4}, "data": [[at] for at in range(len(strings))]},
        "stackTable": {
            "schema": {"prefix": 0, "frame": 1},
            "data": [[None if at == 0 else 0, at] for at in range(len(strings))],
        },
        "samples": {"schema": {"stack": 0, "time": 1, "threadCPUDelta": 3}, "data": rows},
        "markers": {"schema": {}, "data": []},
    }


def test_raw_profiles_with_their_processes() -> None:
    strings = ["(root)", "foo (https://a.org/x.js:12:3)[4]", "0x1010", "Startup::XRE_Main"]
    child = {
        "meta": {"version": 27},
        "libs": [],
        "threads": [raw_thread("Content", [[3, 1.0]], strings)],
        "processes": [],
    }
    document = {
        "meta": {"version": 27, "interval": 1},
        "libs": [{"start": 0x1000, "end": 0x2000, "name": "xul", "path": "/opt/libxul.so"}],
        "threads": [raw_thread("GeckoMain", [[1, 1.0, 0, 5], [2, 2.0, 0, 6], [None, 3.0]], strings)],
        "processes": [child],
    }
    profile = read(document)
    assert stacks_of(profile) == {("(root)", "foo"): 1, ("(root)", "0x10"): 1, ("(root)", "Startup::XRE_Main"): 1}
    frames = {row.function: (row.file, row.line, row.object) for row in profile.frames.itertuples()}
    assert frames["foo"] == ("https://a.org/x.js", 12, "")
    assert frames["0x10"] == ("", 0, "/opt/libxul.so")
    assert stacks_of(profile, "cpu") == {("(root)", "0x10"): 6}
    assert set(profile.tags.loc[profile.tags["key"] == "comm", "value"]) == {"GeckoMain", "Content"}


def test_processes_in_processes_without_end_are_refused() -> None:
    document: dict[str, Any] = {"meta": {"version": 27}, "libs": [], "threads": [], "processes": []}
    for _ in range(20):
        document = {**document, "processes": [document]}
    with pytest.raises(ReadError, match="more processes in processes"):
        read_firefox(json.dumps(document).encode())


def test_runaway_recursion_is_cut_at_the_leaf() -> None:
    depth = MAX_DEPTH + 10
    document = one_thread([(("f",), 3)], samples={"stack": [depth - 1]})
    document["threads"][0]["stackTable"] = {"frame": [0] * depth, "prefix": [None, *range(depth - 1)]}
    profile = read(document)
    assert (len(profile.nodes), profile.total()) == (MAX_DEPTH, 3)
    assert "cut at the leaf" in profile.notes[0].what


def damaged(**changes: Any) -> dict[str, Any]:
    """A file whose one thread has other tables."""
    document = one_thread([(("a", "b"), 1)])
    for name, value in changes.items():
        document["threads"][0][name].update(value)
    return document


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (damaged(samples={"stack": [9]}), "thread 0: sample 0 has stack 9, but there are only 2"),
        (damaged(stackTable={"frame": [0, 7]}), "stack 1 has frame 7, but there are only 2"),
        (damaged(stackTable={"frame": [0, None]}), "stack 1 has frame -1"),
        (damaged(frameTable={"func": [0, 5]}), "frame 1 has function 5, but there are only 2"),
        (damaged(stackTable={"prefix": [1, None]}), "the parent of stack 0 does not come before it"),
        (damaged(stackTable={"prefix": "x"}), "not as the Firefox profiler writes it"),
        (damaged(samples={"weight": [2**63]}), "more than 64 bits"),
        (damaged(samples={"weight": ["1"]}), "not as the Firefox profiler writes it"),
        (file([]), "no samples in it"),
        (file([[]]), "no samples in it"),
        ({"threads": 3, "meta": {"preprocessedProfileVersion": 3}}, "not as the Firefox profiler writes it"),
    ],
)
def test_broken_files_are_refused_by_place(document: dict[str, Any], says: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_firefox(json.dumps(document).encode())
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "data", [b'{"threads": ' + b"[" * 100_000, b"[1]", b"{", b'{"threads": [nan]}', b'{"a": "\xff"}']
)
def test_what_is_no_json_of_it_is_refused(data: bytes) -> None:
    with pytest.raises(ReadError):
        read_firefox(data)


@pytest.mark.slow
@pytest.mark.parametrize("version", [55, 70])
def test_a_file_cut_at_any_byte_keeps_its_whole_threads(version: int) -> None:
    data = json.dumps(file(ROWS, version)).encode()
    begins = [match.start() for match in re.finditer(rb'\{"name": "main"', data)]
    ends = [begins[1] - 2, len(data) - 2]
    for place in range(len(data)):
        whole = sum(end <= place for end in ends)
        try:
            profile = read_firefox(data[:place])
        except ReadError:
            assert not whole, f"cut at {place}"
            continue
        assert profile.total() == [0, 4, 9][whole], f"cut at {place}"
        assert "cut off" in profile.notes[0].what


names = st.sampled_from(["main", "f", "g", "a::b<c>", "ü;x"])
some = st.lists(st.tuples(st.lists(names, max_size=6).map(tuple), st.integers(-5, 50)), min_size=1, max_size=12)


@given(st.lists(some, min_size=1, max_size=4), st.sampled_from(VERSIONS))
def test_sums_are_those_of_the_samples(rows: list[list[tuple[Stack, float]]], version: int) -> None:
    document = file(rows, version)
    profile = read_firefox(json.dumps(document).encode())
    assert stacks_of(profile) == sums(document)
    assert profile.total() == sum(sums(document).values())


@pytest.mark.skipif(shutil.which("samply") is None, reason="samply is not installed, Debian has no package of it")
@pytest.mark.skipif(shutil.which("perf") is None, reason="perf is not installed")
def test_samplys_import_of_a_recording_is_what_perf_script_says(tmp_path: Path) -> None:
    program = "sum(i * i for i in range(3_000_000))"
    recorded, made, said = tmp_path / "perf.data", tmp_path / "out.json.gz", tmp_path / "out.perf"
    record = ["perf", "record", "-q", "-e", "cpu-clock:u", "-g", "-o", recorded, "python3", "-c", program]
    done = subprocess.run(record, capture_output=True, text=True)
    if done.returncode or not recorded.exists():
        pytest.skip(f"perf may not record here: {done.stderr.strip()[:200]}")
    subprocess.run(["samply", "import", recorded, "--save-only", "-o", made], check=True, capture_output=True)
    with said.open("wb") as out:
        subprocess.run(["perf", "script", "-i", recorded], check=True, stdout=out, stderr=subprocess.DEVNULL)
    samply, perf = read_profile(made), read_profile(said)
    assert samply.format == "firefox"
    assert samply.total("samples") == perf.total("samples")
    objects = [
        set(profile.functions.loc[profile.functions["self_samples"] > 0, "object"]) for profile in (samply, perf)
    ]
    assert {Path(name).name for name in objects[1]} - {"[unknown]"} <= {Path(name).name for name in objects[0]}
