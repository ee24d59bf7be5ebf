"""Both files of a report, written from any report and read back: by the workbench, and by pprof."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profilers.sampled import drawn, labelled
from workbench.profilers.sampler.files import ReportFiles
from workbench.profilers.sampler.flamegraph import to_flamegraph
from workbench.profilers.sampler.protobuf import taken_ns, to_protobuf
from workbench.profilers.sampler.report import Function, Report, Stack
from workbench.profiles.read import read_flamegraph, read_pprof

MOMENT = 1_764_116_112_000_000_000  # 2025-11-26 00:15:12 UTC


def report(*stacks: Stack, functions: tuple[Function, ...] = (), frequency: int = 150) -> Report:
    return Report(functions, stacks, frequency, MOMENT - 10**9, 10**9, MOMENT, ("made by a test",))


# names of any kind: XML's special characters, quotes, surrogates, control characters
names = st.text(max_size=20)
plain_names = st.text("abc.<>&\"' λ", min_size=1, max_size=12).filter(lambda name: name.strip() == name)


@st.composite
def reports(draw: st.DrawFn, name: st.SearchStrategy[str] = names) -> Report:
    functions = draw(st.lists(st.builds(Function, name, name, st.integers(0, 2**31)), min_size=1, max_size=8))
    stack = st.builds(
        Stack,
        name.filter(bool),  # no thread is without a name, and the format has no label without a value
        st.one_of(st.just(""), name),
        st.lists(st.integers(0, len(functions) - 1), min_size=1, max_size=10).map(tuple),
        st.integers(1, 2**20),
    )
    return Report(
        tuple(functions),
        tuple(draw(st.lists(stack, max_size=10))),
        draw(st.integers(1, 1000)),
        draw(st.integers(1, 2**62)),
        draw(st.integers(1, 2**62)),
        draw(st.integers(0, 2**62)),
        ("made by a test",),
    )


def as_read(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


@settings(max_examples=50)
@given(reports())
def test_the_protobuf_holds_the_report(made: Report) -> None:
    data = to_protobuf(made)
    profile = read_pprof(data)
    assert [(metric.name, metric.unit) for metric in profile.metrics] == [("samples", "count"), ("cpu", "ns")]
    wanted: Counter[tuple[object, ...]] = Counter()
    for stack in made.stacks:
        path = tuple(as_read(made.functions[number].name) for number in reversed(stack.functions))
        thread = as_read(stack.thread).encode()[:15].decode(errors="ignore")
        wanted[path, thread, as_read(stack.task)] += stack.count
    found: Counter[tuple[object, ...]] = Counter()
    for path, labels, count in labelled(profile):
        found[path, labels.get("thread", ""), labels.get("task", "")] += count
    assert found == wanted
    assert profile.total("cpu") == sum(stack.count * 10**9 // made.frequency for stack in made.stacks)
    assert profile.meta["time_ns"] == made.began_ns
    assert profile.meta["duration_ns"] == made.duration_ns
    assert profile.meta["period"] == 10**9 // made.frequency
    assert taken_ns(data) == made.taken_ns


@settings(max_examples=50)
@given(reports(plain_names))
def test_both_files_give_the_same_tree(made: Report) -> None:
    profile = read_pprof(to_protobuf(made))
    total = profile.total("samples")
    svg = to_flamegraph(made, "any")
    if not total:
        assert svg == ""
        return
    picture = read_flamegraph(svg.encode())
    assert picture.meta["total_samples"] == total
    if min(stack.count for stack in made.stacks) / total >= 0.0001:  # narrower ones are not drawn
        assert picture.total() == total
        wanted: Counter[tuple[str, ...]] = Counter()
        for path, labels, count in labelled(profile):
            wanted[labels["thread"], *path] += count
        assert Counter(svg_stacks(svg)) == wanted


def svg_stacks(svg: str) -> dict[tuple[str, ...], int]:
    """The picture's stacks, by geometry alone: the reader takes ``[u8; 32]`` and the like apart and together."""
    boxes = [
        (int(y), int(start), int(width), title)
        for title, y, start, width in re.findall(
            r'<title>(.*?) \([\d,]+ samples, [\d.]+%\)</title><rect x="[\d.]+%" y="(\d+)" .*?fg:x="(\d+)" fg:w="(\d+)"',
            svg,
        )
    ]
    entities = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}
    found = {}
    for y, start, width, _ in boxes:
        path = [box for box in boxes if box[0] >= y and box[1] <= start and start + width <= box[1] + box[2]]
        own = width - sum(box[2] for box in boxes if box[0] == y - 16 and start <= box[1] < start + width)
        if own:
            words = [title for _, _, _, title in sorted(path, key=lambda box: -box[0])[1:]]
            found[tuple(re.sub("&.*?;", lambda match: entities[match[0]], word) for word in words)] = own
    return found


@settings(max_examples=50)
@given(reports())
def test_any_name_makes_a_picture_that_can_be_read(made: Report) -> None:
    if made.stacks:
        assert read_flamegraph(to_flamegraph(made, "a <title> & more").encode()).total() > 0


def example() -> Report:
    functions = (Function("app.Service.pay", "/srv/app.py", 10), Function("app.main", "/srv/app.py", 3))
    functions += (Function("app.<lambda>", "/srv/app.py", 7), Function("app.<lambda>", "/srv/app.py", 8))
    return report(
        Stack("MainThread", "", (0, 1), 300),
        Stack("MainThread", "payer 1", (0, 1), 1200),
        Stack("a thread with a long name", "", (2, 1), 7),
        Stack("a thread with a long name", "", (3, 1), 8),
        functions=functions,
    )


def test_the_dialect_is_that_of_the_rust_sampler() -> None:
    """Raw, no mappings, no addresses, a location a function; but comments, so that lines are trusted."""
    data = to_protobuf(example())
    assert not data.startswith(b"\x1f\x8b")
    profile = read_pprof(data)
    assert "mappings" not in profile.tables
    assert profile.meta["dialect"] == ""
    assert profile.meta["comments"][0] == "made by a test"
    lines = profile.frames[["raw_function", "file", "line"]].itertuples(index=False, name=None)
    assert set(lines) == {(each.name, each.file, each.line) for each in example().functions}
    assert profile.notes == ()
    threads = profile.tags.query("key == 'thread'")["value"]
    assert set(threads) == {"MainThread", "a thread with a"}
    assert profile.meta["period"] == 6_666_666


def test_the_picture_is_written_as_inferno_writes_it() -> None:
    svg = to_flamegraph(example(), "Indexer Service")
    for part in (
        '<svg id="frames" x="10" width="1180" total_samples="1515">',
        "<g><title>all (1,515 samples, 100%)</title>",
        "<g><title>MainThread (1,500 samples, 99.01%)</title>",
        'fg:x="0" fg:w="1500"',
        "<title>app.&lt;lambda&gt; (15 samples, 0.99%)</title>",
    ):
        assert part in svg
    assert 'xmlns:fg="http://github.com/jonhoo/inferno"' in svg


def test_names_and_times_of_the_files(tmp_path: Path) -> None:
    files = ReportFiles(tmp_path / "new" / "folder", "any")
    first, second = files.write(example()), files.write(report())
    assert (first.svg.name, first.pb.name) == (
        "flamegraph-2025-11-26-00_15_12-0.svg",
        "profile-2025-11-26-00_15_12-0.pb",
    )
    assert second.pb.name == "profile-2025-11-26-00_15_12-1.pb"
    assert second.svg.read_bytes() == b""  # nothing was sampled
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 4
    assert drawn(first.svg).total() == 1515


def test_another_process_of_the_same_second_is_not_overwritten(tmp_path: Path) -> None:
    first, second = (ReportFiles(tmp_path, "any").write(example()) for _ in range(2))
    assert first.pb != second.pb
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_pprof_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "profile.pb"
    path.write_bytes(to_protobuf(example()))

    def pprof(*options: str) -> str:
        done = subprocess.run(["go", "tool", "pprof", *options, path], capture_output=True, text=True, check=True)
        return done.stdout

    top = pprof("-top", "-sample_index=samples")
    rows = dict(re.findall(r"^ *(\d+) .*% +(\S+)$", top, re.MULTILINE))
    assert rows == {"1500": "app.Service.pay", "15": "app.<lambda>", "0": "app.main"}
    raw = pprof("-raw")
    assert "PeriodType: cpu nanoseconds\nPeriod: 6666666\n" in raw
    assert re.search(r"^ +1200 8000000000: 1 2 $", raw, re.MULTILINE)
    assert "thread:[MainThread]" in raw
    assert "task:[payer 1]" in raw
    assert "app.Service.pay /srv/app.py:10" in raw
