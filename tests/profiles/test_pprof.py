"""pprof profiles: files of many writers, Go's own tool as the judge, an encoder with every freedom of the format."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.make import profile_of
from tests.profiles.pprof_encoding import Call, Fields, Label, Sample, encode
from tests.profiles.samples import needs_samples, sample
from tests.report.browser import open_offline
from tests.report.conftest import NOTEBOOKS
from workbench.errors import ReadError
from workbench.profiles.exports.pprof import to_pprof
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks
from workbench.profiles.read import read_profile
from workbench.profiles.tree import MAX_DEPTH
from workbench.profiles.views.tags import tag_costs
from workbench.profiles.views.top import top
from workbench.report import run_notebook
from workbench.report.answers.pprof import answer

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "profiles"
CPU = [("samples", "count"), ("cpu", "nanoseconds")]
A, B, C = ((Call(name, f"{name}.go", line),) for name, line in (("app.a", 1), ("app.b", 2), ("app.c", 3)))


def read(data: bytes | Path) -> Profile:
    return read_profile(data, format="pprof")


def stacks(profile: Profile) -> Counter[tuple[Any, ...]]:
    """(stack root first, labels) -> values, by plain loops over the tables."""
    frames = profile.frames
    shown = list(zip(frames["raw_function"], frames["file"], frames["line"], frames["inlined"], strict=True))
    parent, frame = profile.nodes["parent_id"].tolist(), profile.nodes["frame_id"].tolist()
    paths: list[tuple[object, ...]] = []
    for up, number in zip(parent, frame, strict=True):
        paths.append((*(paths[up] if up >= 0 else ()), shown[number]))
    labels: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for number, key, value, unit in profile.tags[["tags_id", "key", "value", "unit"]].itertuples(index=False):
        labels[number].append((key, value, unit))
    found: Counter[tuple[object, ...]] = Counter()
    columns = [f"self_{name}" for name in profile.metric_names]
    if len(profile.samples):
        rows = zip(
            profile.samples["node_id"], profile.samples["tags_id"], profile.samples[columns].to_numpy(), strict=True
        )
    else:
        rows = zip(range(len(paths)), [0] * len(paths), profile.nodes[columns].to_numpy(), strict=True)
    for node, tags, values in rows:
        for name, value in zip(profile.metric_names, values.tolist(), strict=True):
            if value:
                found[paths[node], tuple(sorted(labels[tags])), name] += value
    return found


def expected(types: list[tuple[str, str]], samples: Iterable[Sample]) -> Counter[tuple[object, ...]]:
    """The same from what was encoded."""
    found: Counter[tuple[object, ...]] = Counter()
    for each in samples:
        path = tuple(
            (call.name, call.file, call.line, place < len(location) - 1)
            for location in reversed(each.stack)
            for place, call in reversed(list(enumerate(location)))
        ) or (("[no stack]", "", 0, False),)
        labels = tuple(
            sorted((key, str(value), "" if isinstance(value, str) else unit) for key, value, unit in each.labels)
        )
        for (kind, _), value in zip(types, each.values, strict=True):
            if value:
                found[path, labels, kind] += value
    return Counter({key: value for key, value in found.items() if value})


# the format and its freedoms

calls = st.builds(Call, st.sampled_from("abcdefg"), st.sampled_from(["", "x.go", "y.go"]), st.integers(0, 200))
locations = st.lists(calls, min_size=1, max_size=3).map(tuple)
# one unit a key: a label without unit is given the one of its key
labels: st.SearchStrategy[Label] = st.one_of(
    st.tuples(st.sampled_from(["thread", "kind"]), st.sampled_from(["t1", "t2", "ü"]), st.just("")),
    st.tuples(st.just("bytes"), st.integers(-(2**63), 2**63 - 1).filter(bool), st.just("B")),
)


@st.composite
def profiles(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[Sample]]:
    types = draw(st.sampled_from([CPU, [("delay", "microseconds")], [("a", "count"), ("b", "x"), ("c", "bytes")]]))
    values = st.tuples(*[st.integers(-(2**40), 2**40)] * len(types))
    stack = st.lists(locations, max_size=6).map(tuple)
    rows = draw(st.lists(st.builds(Sample, stack, values, st.lists(labels, max_size=3).map(tuple)), max_size=12))
    return types, rows


@settings(max_examples=80, deadline=None)
@given(profiles(), st.integers(0, 2**32), st.booleans(), st.sampled_from([1, 30]))
def test_every_way_to_write_a_profile_reads_alike(
    made: tuple[list[tuple[str, str]], list[Sample]], seed: int, wild_ids: bool, times: int
) -> None:
    """``times`` makes some of them large enough to be read by arrays, the others are read by hand."""
    types, rows = made[0], made[1] * times
    data = encode(types, rows, seed=seed, wild_ids=wild_ids)
    profile = read(data)
    assert stacks(profile) == expected(types, rows)
    for column, (kind, _) in enumerate(types):
        assert profile.total(kind) == sum(row.values[column] for row in rows)


@settings(max_examples=40, deadline=None)
@given(profiles(), st.integers(0, 2**32), st.booleans())
def test_what_is_exported_reads_back_equal(
    made: tuple[list[tuple[str, str]], list[Sample]], seed: int, compress: bool
) -> None:
    profile = read(encode(made[0], made[1], seed=seed, header=[(9, 5), (10, 7), (12, 9)]))
    again = read(to_pprof(profile, compress=compress))
    assert stacks(again) == stacks(profile)
    assert again.metrics == profile.metrics
    assert again.default_metric == profile.default_metric
    for key in ("time_ns", "duration_ns", "period"):
        assert again.meta[key] == profile.meta[key]


@pytest.mark.slow
def test_a_large_profile_crosses_batches() -> None:
    """More bytes than are taken apart at a time, with packed and unpacked lists and a message larger than a batch."""
    chance = random.Random(3)
    places = [(Call(f"pkg.f{number}", "f.go", number),) for number in range(3000)]
    rows = [
        Sample(tuple(chance.choices(places, k=chance.randint(1, 40))), (1, chance.getrandbits(30)), ())
        for _ in range(5000)
    ]
    rows.append(Sample(tuple(chance.choices(places, k=5_000)), (1, 1), ()))
    data = encode(CPU, rows, seed=8)
    assert len(data) > 1 << 18
    assert stacks(read(data)) == expected(CPU, rows)


def test_a_location_in_a_later_file_position_is_found_and_values_sum_exactly() -> None:
    large = 2**62 - 1
    profile = read(encode(CPU, [Sample((A,), (1, large)), Sample((A, B), (1, large))]))
    assert profile.total("cpu") == 2 * large


def test_metrics_units_and_default() -> None:
    rows = [Sample((A,), (1, 2))]
    assert read(encode(CPU, rows)).default_metric == "cpu"
    assert read(encode(CPU, rows, texts={14: "samples"})).default_metric == "samples"
    assert read(encode(CPU, rows)).metrics == (Metric("samples", "count"), Metric("cpu", "ns"))
    heap = [("alloc_space", "bytes"), ("inuse_space", "bytes"), ("inuse_objects", "count")]
    assert read(encode(heap, [Sample((A,), (1, 2, 3))], texts={14: "space"})).default_metric == "inuse_space"
    odd = read(encode(CPU, rows, texts={14: "nonsense"}))
    assert odd.default_metric == "cpu"
    assert "nonsense" in odd.notes[0].what


def test_header_goes_to_meta() -> None:
    profile = read(
        encode(
            CPU,
            [Sample((A,), (1, 2))],
            header=[(9, 1_700_000_000_250_000_000), (10, 2_000_000_000), (12, 10_000_000)],
            texts={13: "written by a test", 15: "https://example.org", 7: "malloc", 8: "mall"},
        )
    )
    assert profile.meta["start_s"] == 1_700_000_000.25
    assert profile.meta["time_ns"] == 1_700_000_000_250_000_000
    assert profile.meta["duration_ns"] == 2_000_000_000
    assert profile.meta["period"] == 10_000_000
    assert profile.meta["comments"] == ["written by a test"]
    assert profile.meta["doc_url"] == "https://example.org"
    assert (profile.meta["drop_frames"], profile.meta["keep_frames"]) == ("malloc", "mall")


def test_labels_are_told_apart_and_units_follow_pprof() -> None:
    rows = [
        Sample((A,), (1, 1), (("thread", "t", ""),)),
        Sample((A,), (2, 2), (("request", 100, ""), ("thread", "t", ""))),
        Sample((A,), (4, 4), (("thread", "t", ""), ("request", 100, ""))),
        Sample((A,), (8, 8), (("other", 5, ""),)),
        Sample((A,), (16, 16)),
    ]
    profile = read(encode(CPU, rows, seed=4))
    by_labels = {labels: value for (_, labels, name), value in stacks(profile).items() if name == "samples"}
    assert by_labels == {
        (("thread", "t", ""),): 1,
        (("request", "100", "bytes"), ("thread", "t", "")): 6,
        (("other", "5", "other"),): 8,
        (): 16,
    }
    assert profile.tags["number"].dropna().tolist() == [100, 5]


def test_a_stack_deeper_than_the_limit_is_cut_at_the_leaf_and_noted() -> None:
    profile = read(encode(CPU, [Sample((B,) + (A,) * (MAX_DEPTH + 5), (1, 7)), Sample((A, C), (1, 1))]))
    assert len(profile.nodes) == MAX_DEPTH + 2
    assert profile.total("cpu") == 8
    assert [(note.count, note.weight) for note in profile.notes if "cut at the leaf" in note.what] == [(1, 7.0)]


def test_text_that_is_not_utf8_is_escaped_and_noted() -> None:
    data = encode(CPU, [Sample((A,), (1, 1))]).replace(b"app.a", b"a\xff\xfe.a")
    profile = read(data)
    assert profile.frames["raw_function"].tolist() == ["a\\xff\\xfe.a"]
    profile.frames["raw_function"].str.encode("utf-8")
    assert any("UTF-8" in note.what for note in profile.notes)


# frames that a profile asks to be dropped

DEEP = [
    Sample((B, A, C), (1, 10)),
    Sample((A, B, C), (1, 20)),
    Sample(((Call("drop.me"), Call("keep.caller")), C), (1, 40)),
    Sample(((Call("drop.me"),), (Call("drop.me"),)), (1, 80)),
    Sample((A, (Call("drop.me(int)"),), C), (1, 160)),
]


def test_drop_frames_cut_below_wanted_frames_as_pprof_does() -> None:
    profile = read(encode(CPU, DEEP, texts={7: r"drop\..*|app\.a", 8: r"app\.x"}))
    found = {
        tuple(name for name, *_ in path): value for (path, _, kind), value in stacks(profile).items() if kind == "cpu"
    }
    assert found == {
        ("app.c",): 10 + 160,
        ("app.c", "app.b"): 20,
        ("app.c", "keep.caller"): 40,
        ("drop.me", "drop.me"): 80,
    }
    assert [(note.count, note.weight) for note in profile.notes if "drop_frames" in note.what] == [(3, 190.0)]


def test_drop_frames_that_are_no_expression_do_nothing() -> None:
    profile = read(encode(CPU, DEEP, texts={7: "(((", 8: ""}))
    assert profile.total("cpu") == 310
    assert any("not a regular expression" in note.what for note in profile.notes)


# files of other writers


def listed(folder: str) -> list[tuple[str, str]]:
    try:
        rows = [line.split("\t") for line in sample("SOURCES.tsv").read_text().splitlines()[1:]]
    except pytest.skip.Exception:
        return []
    return [
        (row[0], row[5])
        for row in rows
        if row[0].startswith(f"{folder}/") and not row[0].endswith((".string", ".json", ".svg"))
    ]


@needs_samples
@pytest.mark.parametrize(("name", "quirk"), listed("pprof"))
def test_files_of_the_corpus_are_read_or_refused_by_name(name: str, quirk: str) -> None:
    if "legacy" in quirk or "negative test" in quirk:
        with pytest.raises(ReadError, match=r"legacy .* profile") as caught:
            read(sample(name))
        kind = next((word for word in ("heap", "growth", "contention", "thread") if f".{word}" in name), "CPU")
        assert kind in caught.value.what
        assert "pprof -proto" in str(caught.value.hint)
        return
    profile = read(sample(name))
    assert profile.total() > 0
    assert len(profile.functions) > 0


@needs_samples
def test_a_dump_of_pprof_agrees() -> None:
    """Samples, locations and mappings of ``pprof -raw``."""
    text = sample("pprof/pprofutils__raw.out.txt.string").read_text()
    profile = read(sample("pprof/pprofutils__json.in.pprof"))
    head, _, rest = text.partition("\nLocations\n")
    places, _, mappings = rest.partition("\nMappings\n")
    lines: dict[int, list[tuple[str, str, int]]] = {}
    for row in places.splitlines():
        if match := re.match(r" *(\d+): 0x[0-9a-f]+ M=\d+ (.*)", row):
            number = int(match[1])
        found = re.search(r"(?:M=\d+ | {13})(.*) (\S+):(\d+) s=", row)
        assert found
        lines.setdefault(number, []).append((found[1].strip(), found[2], int(found[3])))
    wanted: Counter[tuple[object, ...]] = Counter()
    for row in head.splitlines():
        if match := re.match(r" +(\d+) +(\d+): ([\d ]+)$", row):
            stack = tuple(line for place in reversed(match[3].split()) for line in reversed(lines[int(place)]))
            wanted[stack, "samples"] += int(match[1])
            wanted[stack, "cpu"] += int(match[2])
    got = {(tuple(each[:3] for each in path), kind): value for (path, _, kind), value in stacks(profile).items()}
    assert got == wanted
    assert len(profile.tables["mappings"]) == len([row for row in mappings.splitlines() if row.strip()])


@needs_samples
def test_a_dump_in_json_agrees() -> None:
    dump = json.loads(sample("pprof/pprofutils__json.out.json").read_text())
    profile = read(sample("pprof/pprofutils__json.in.pprof"))
    wanted: Counter[tuple[object, ...]] = Counter()
    for row in dump["Sample"]:
        stack = tuple(
            (line["Function"]["Name"], line["Function"]["Filename"], line["Line"], place < len(location["Line"]) - 1)
            for location in reversed(row["Location"])
            for place, line in reversed(list(enumerate(location["Line"])))
        )
        for kind, value in zip(("samples", "cpu"), row["Value"], strict=True):
            wanted[stack, (), kind] += value
    assert stacks(profile) == wanted
    assert profile.meta["duration_ns"] == dump["DurationNanos"]
    assert profile.meta["time_ns"] // 10**9 == 1610122232


@needs_samples
def test_addresses_without_symbols_are_named_by_object() -> None:
    profile = read(sample("pprof/google-pprof__driver-cppbench.cpu_no_samples_type"))
    assert len(profile.frames) == 109
    assert profile.frames["function"].str.match(r"\S+\+0x[0-9a-f]+$").all()
    assert {"cppbench_server_main", "libc-2.15.so"} <= set(profile.frames["object"])
    assert profile.total() == 7_120_000_000


@needs_samples
def test_an_old_file_of_pprof_rs() -> None:
    profile = read(sample("pprof/pprof-rs__profile.pb"))
    assert profile.meta["dialect"] == "pprof-rs"
    assert profile.total() == 320
    assert (profile.frames["line"] == 0).all()


# pprof-rs

EXAMPLE = EXAMPLES / "demo-profile-3.pb"
needs_examples = pytest.mark.skipif(not EXAMPLE.exists(), reason="the example profiles are not there")


@needs_examples
def test_pprof_rs_has_no_lines_and_says_what_it_cannot_know() -> None:
    profile = read(EXAMPLE)
    assert profile.meta["dialect"] == "pprof-rs"
    assert (profile.frames["line"] == 0).all()
    assert set(profile.tags["key"]) == {"thread"}
    said = " ".join(note.what for note in profile.notes)
    for word in ("undercount", "line numbers are left out", "one name"):
        assert word in said
    pairs = profile.samples[["node_id", "tags_id"]]
    assert len(pairs.drop_duplicates()) == len(pairs) <= profile.meta["samples"]
    assert profile.samples["self_cpu"].sum() == profile.total("cpu")


def rust_sample(depth: int, value: int, leaf: str = "leaf") -> Sample:
    stack = ((Call(leaf, "l.rs", 5),), *((Call(f"f{number}", "f.rs", number),) for number in range(depth - 1)))
    return Sample(stack, (value, value * 6_666_666), (("thread", "worker", ""),))


AT_150_HZ: Fields = [(12, 6_666_666)]


def test_deep_and_unresolved_stacks_of_pprof_rs_are_noted_with_their_weight() -> None:
    rows = [rust_sample(3, 1), rust_sample(140, 2), rust_sample(3, 4, leaf="Unknown")]
    notes = {note.what.split(" ")[0]: note for note in read(encode(CPU, rows, header=AT_150_HZ)).notes}
    assert (notes["stacks"].count, notes["stacks"].weight) == (1, 2 * 6_666_666)
    assert (notes["a"].count, notes["a"].weight) == (1, 4 * 6_666_666)


def test_a_file_with_addresses_or_mappings_is_not_of_pprof_rs() -> None:
    assert read(encode(CPU, [rust_sample(3, 1)], header=AT_150_HZ)).meta["dialect"] == "pprof-rs"
    assert read(encode(CPU, [rust_sample(3, 1)])).meta["dialect"] == ""
    assert read(encode(CPU, [Sample((A,), (1, 1))], header=AT_150_HZ)).meta["dialect"] == ""
    assert read(encode(CPU, [rust_sample(3, 1)], header=AT_150_HZ, wild_ids=True)).meta["dialect"] == ""


@needs_examples
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_flame_graph_of_the_same_report_is_the_same_tree(number: int) -> None:
    flame = read_profile(EXAMPLES / f"demo-flamegraph-{number}.svg", format="flamegraph")
    profile = read(EXAMPLES / f"demo-profile-{number}.pb")
    ours: Counter[tuple[str, ...]] = Counter()
    thread = dict(zip(profile.tags["tags_id"], profile.tags["value"], strict=True))
    paths = {}
    names = profile.frames["raw_function"].tolist()
    for node, (up, frame) in enumerate(zip(profile.nodes["parent_id"], profile.nodes["frame_id"], strict=True)):
        paths[node] = (*paths.get(up, ()), names[frame])
    for node, tags, value in profile.samples[["node_id", "tags_id", "self_samples"]].itertuples(index=False):
        stack = (thread[tags], *paths[node])
        for depth in range(1, len(stack) + 1):
            ours[stack[:depth]] += value
    theirs: Counter[tuple[str, ...]] = Counter()
    drawn = {}
    names = flame.frames["raw_function"].tolist()
    for node, (up, frame, total) in enumerate(
        zip(
            flame.nodes["parent_id"], flame.nodes["frame_id"], flame.nodes[f"total_{flame.default_metric}"], strict=True
        )
    ):
        drawn[node] = (*drawn.get(up, ()), names[frame])
        theirs[drawn[node]] += total
    if all(path[0] == "all" for path in theirs):
        theirs = Counter({path[1:]: total for path, total in theirs.items() if len(path) > 1})
    assert {path: total for path, total in theirs.items() if ours[path] != total} == {}
    missing = {path: total for path, total in ours.items() if path not in theirs}
    assert all(total <= 1 for total in missing.values())


# other formats as pprof


def test_the_object_with_most_of_the_cost_is_the_program_unless_the_file_named_one() -> None:
    made = profile_of([(("b", "a"), 60), (("b",), 40)])
    assert set(made.frames["object"]) == {"libeven", "libodd"}
    heavy = made.frames.set_index("function")["object"]["a"]
    exported = read(to_pprof(made))
    assert exported.tables["mappings"]["file"].iloc[0] == heavy
    light = profile_of([(("b", "a"), 40), (("b",), 60)])
    assert read(to_pprof(light)).tables["mappings"]["file"].iloc[0] != heavy
    for named in (
        light.but(tables={"mappings": exported.tables["mappings"]}),
        light.with_meta(cmd=f"./{heavy} 3"),
    ):
        assert read(to_pprof(named)).tables["mappings"]["file"].iloc[0] == heavy


def test_fractions_and_graphs_are_exported_with_a_word_about_it() -> None:
    frames = frame_table(["a", "b"])
    profile = from_stacks(
        "pstats",
        "made",
        metrics=[Metric("tottime", "s"), Metric("ratio", "per call")],
        frames=frames,
        parent=np.array([-1, 0]),
        frame=np.array([0, 1]),
        self_costs=np.array([[0.25, 1.4], [1e-9, 2.6]]),
    )
    again = read(to_pprof(profile))
    assert again.metrics == (Metric("tottime", "ns"), Metric("ratio", "per call"))
    assert again.nodes["self_tottime"].tolist() == [250_000_000, 1]
    assert again.nodes["self_ratio"].tolist() == [1, 3]
    assert again.meta["comments"] == ["rounded to whole numbers: tottime, ratio"]


# in words, and as a notebook


@needs_examples
def test_the_answer_names_what_is_hottest_and_what_is_not_known() -> None:
    profile = read(EXAMPLE)
    said = repr(answer(profile))
    first = top(profile, n=1).iloc[0]
    assert f"{first['name']} {first['self_pct']:.1f} %" in said
    for word in ("8.20 s of cpu time", "1,230 samples", "too low", "receipt-worker-", "subtract an earlier one"):
        assert word in said
    assert "<" not in re.sub(r"</?(h3|p)>", "", answer(profile).as_html)


def test_costs_by_label_sum_to_the_whole() -> None:
    rows = [
        Sample((A,), (1, 10), (("thread", "one", ""),)),
        Sample((B,), (1, 30), (("thread", "two", ""), ("kind", "x", ""))),
        Sample((B, A), (1, 40), (("kind", "x", ""),)),
        Sample((A, B), (1, 20)),
    ]
    profile = read(encode(CPU, rows))
    assert dict(tag_costs(profile)[["value", "cost"]].itertuples(index=False)) == {"(none)": 60, "two": 30, "one": 10}
    assert dict(tag_costs(profile, "kind", "samples")[["value", "cost"]].itertuples(index=False)) == {
        "x": 2,
        "(none)": 2,
    }
    assert tag_costs(read(encode(CPU, [Sample((A,), (1, 1))]))).empty
    assert "no samples" in repr(answer(read(encode(CPU, []))))


@pytest.mark.browser
@needs_examples
async def test_the_notebook_of_a_window_opens_offline(tmp_path: Path) -> None:
    output, page = tmp_path / "notebook.ipynb", tmp_path / "report.html"
    record = await run_notebook(
        NOTEBOOKS / "pprof.ipynb",
        {"path": str(EXAMPLE), "before": str(EXAMPLES / "demo-profile-2.pb")},
        output,
        page,
        title="CPU time",
        timeout_s=200,
    )
    assert record.ok, f"{record.exception}: {record.message}"
    opened = await open_offline(page)
    assert (opened.requests, opened.complaints) == ([], [])
    assert opened.charts_drawn == opened.charts_wanted > 0
    assert "the window between two reports" in opened.text
    assert "4.37 s of cpu time" in opened.text
