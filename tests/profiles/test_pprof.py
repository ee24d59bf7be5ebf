"""pprof profiles: files of many writers, Go's own tool as the judge, an encoder with every freedom of the format."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.make import profile_of
from tests.profiles.pprof_encoding import Call, Fields, Label, Sample, encode, message, tagged, varint
from tests.profiles.samples import needs_samples, sample
from tests.report.browser import open_offline
from tests.report.conftest import NOTEBOOKS
from workbench.errors import ReadError
from workbench.profiles.exports.pprof import to_pprof
from workbench.profiles.model import Metric, Profile, frame_table, from_stacks
from workbench.profiles.read import read_profile
from workbench.profiles.readers.pprof import reader as pprof
from workbench.profiles.source import Source
from workbench.profiles.transforms import select
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


def stacks(profile: Profile) -> Counter[tuple[object, ...]]:
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


# what is refused

WHOLE = encode(
    CPU, [Sample((A, B), (1, 10), (("thread", "t", ""),)), Sample(((A[0], B[0]), C), (2, 20))], header=[(9, 1), (10, 2)]
)


def test_a_file_cut_anywhere_is_an_error_or_a_smaller_profile() -> None:
    refused = 0
    for size in range(1, len(WHOLE)):
        try:
            assert read(WHOLE[:size]).total("samples") <= 3
        except ReadError:
            refused += 1
    assert refused > len(WHOLE) // 2


def strings(*texts: str) -> bytes:
    return b"".join(tagged(6, text.encode()) for text in ("", *texts))


TYPE = tagged(1, message([(1, 1), (2, 2)]))
NAMES = strings("samples", "count", "main", "main.go")
FUNCTION = tagged(5, message([(1, 1), (2, 3), (4, 4)]))
LOCATION = tagged(4, message([(1, 1), (4, message([(1, 1), (2, 9)]))]))
SAMPLE = tagged(2, message([(1, 1), (2, 5)]))


def test_the_hand_made_profile_is_good() -> None:
    profile = read(TYPE + SAMPLE + LOCATION + FUNCTION + NAMES)
    assert stacks(profile) == {((("main", "main.go", 9, False),), (), "samples"): 5}


@pytest.mark.parametrize(
    ("data", "what", "offset_of"),
    [
        (TYPE + NAMES + tagged(2, message([(1, 7), (2, 5)])) + LOCATION + FUNCTION, "location 7", SAMPLE[:1]),
        (TYPE + NAMES + SAMPLE + tagged(4, message([(1, 1), (4, message([(1, 9)]))])), "function 9", None),
        (TYPE + NAMES + SAMPLE + tagged(4, message([(1, 1), (4, message([(2, 9)]))])), "function 0", None),
        (TYPE + NAMES + SAMPLE + LOCATION + tagged(5, message([(1, 1), (2, 77)])), "string 77", None),
        (TYPE + NAMES + SAMPLE + LOCATION + tagged(5, message([(1, 1), (2, -5)])), "string -5", None),
        (TYPE + NAMES + tagged(2, message([(1, 1)])) + LOCATION + FUNCTION, "0 values", None),
        (TYPE + NAMES + tagged(2, message([(1, 1), (2, 1), (2, 1)])) + LOCATION + FUNCTION, "2 values", None),
        (TYPE + NAMES + SAMPLE + LOCATION + LOCATION + FUNCTION, "has id 1", None),
        (TYPE + NAMES + SAMPLE + LOCATION + FUNCTION + FUNCTION, "has id 1", None),
        (TYPE + NAMES + tagged(4, message([(2, 1)])) + FUNCTION, "reserved id 0", None),
        (TYPE + NAMES + varint(3 << 3 | 3), "wire type 3", None),
        (TYPE + NAMES + varint(2 << 3 | 5) + b"abcd", "wire type 5", None),
        (TYPE + NAMES + tagged(2, varint(1 << 3 | 1) + b"12345678"), "wire type 1", None),
        (TYPE + NAMES + tagged(2, b"\x08" + b"\xff" * 11 + b"\x01"), "more than ten bytes", None),
        (TYPE + NAMES + tagged(2, b"\x08\xff"), "cut off", None),
        (TYPE + NAMES + tagged(2, b"\x0a\x50\x01"), "needs 80 bytes", None),
        (TYPE + tagged(6, b"x") + NAMES, 'first string is not ""', None),
        (NAMES + SAMPLE + LOCATION + FUNCTION, "no sample types", None),
        (TYPE + NAMES + LOCATION + FUNCTION + tagged(2, message([(1, 1), (2, 2**62)])) * 3, "more than 64 bits", None),
        ((TYPE + NAMES + tagged(9, 5)) * 2, "several profiles", None),
    ],
)  # fmt: skip
def test_damage_is_named_with_its_byte(data: bytes, what: str, offset_of: bytes | None) -> None:
    with pytest.raises(ReadError, match=re.escape(what)) as caught:
        read(data)
    assert caught.value.hint
    if "sample types" not in what:
        place = re.search(r"byte (\d+)", str(caught.value.where))
        assert place is None or 0 <= int(place[1]) <= len(data)
        assert place is not None or what.startswith("string")


def test_two_gzipped_profiles_in_one_file_are_an_error() -> None:
    one = gzip.compress(TYPE + NAMES + SAMPLE + LOCATION + FUNCTION + tagged(9, 5))
    with pytest.raises(ReadError, match=r"several profiles|has id 1"):
        read(one + one)


def test_few_bytes_cannot_stand_for_endless_frames() -> None:
    lines = tagged(4, message([(1, 1)])) * 9_000
    rows = b"".join(tagged(2, message([(1, 1), (1, 2 + row), (2, 1)])) for row in range(4000))
    others = b"".join(tagged(4, message([(1, 2 + row), (4, message([(1, 1), (2, row)]))])) for row in range(4000))
    data = TYPE + NAMES + FUNCTION + tagged(4, message([(1, 1)]) + lines.replace(b"\x22", b"\x22")) + rows + others
    with pytest.raises(ReadError, match="stand for more than"):
        read(data)


@pytest.mark.parametrize("count", [2_000, 60_000])
def test_fields_that_alternate_endlessly_are_read(count: int) -> None:
    body = b"".join((b"\x08\x01", b"\x9a\x06\x00")[number % 2] for number in range(count))
    profile = read(TYPE + NAMES + tagged(2, body + tagged(2, 3)) + LOCATION + FUNCTION)
    assert profile.total() == 3
    assert len(profile.nodes) == min(count // 2, MAX_DEPTH)


def test_thousands_of_labels_on_a_sample_are_cut_and_noted() -> None:
    label = tagged(3, message([(1, 3), (2, 4)]))
    profile = read(TYPE + NAMES + tagged(2, message([(1, 1), (2, 1)]) + label * 5_000) + LOCATION + FUNCTION)
    assert len(profile.tags) == 1000
    assert [note.count for note in profile.notes if "left out" in note.what] == [4000]


@pytest.mark.parametrize("place", range(3))
def test_a_label_that_says_nothing_leaves_the_others_what_they_are(place: int) -> None:
    each = [tagged(3, message([(1, 3), (2, text)])) for text in (3, 4)]
    each.insert(place, tagged(3, message([(1, 4)])))
    sample = tagged(2, message([(1, 1), (2, 1)]) + b"".join(each))
    profile = read(TYPE + NAMES + sample + LOCATION + FUNCTION)
    assert sorted(zip(profile.tags["key"], profile.tags["value"], strict=True)) == [
        ("main", "main"),
        ("main", "main.go"),
    ]
    (note,) = (note for note in profile.notes if "left out" in note.what)
    assert note.count == 1


def test_other_formats_are_not_taken() -> None:
    others = [b"# callgrind format\nevents: Ir\n", b"desc: --time-unit=B\n", b"a;b;c 1\n", b'{"version":1}', b"hello"]
    others += [b"2345 12:00:00.000000 read(3) = 0 <0.1>\n", b"\0" * 64, b"\xff" * 64, b"2", b"@@@@@@@@@@"]
    for data in others:
        assert pprof.recognise(Source(data, "x")) is None, data


def test_a_profile_is_recognised_by_its_content() -> None:
    for seed in range(20):
        data = encode(CPU, [Sample((A, B), (1, 2))], seed=seed, header=[(9, 3)])
        assert pprof.recognise(Source(data, "x")) == "the fields of profile.proto"


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
    assert any("no regular expression" in note.what for note in profile.notes)


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


# pprof itself as the judge


def go_pprof() -> str:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed, so there is no pprof to compare with")
    found = subprocess.run([go, "tool", "-n", "pprof"], capture_output=True, text=True)
    path = found.stdout.strip()
    if found.returncode or not Path(path).exists():
        pytest.skip("this Go has no pprof tool")
    return path


def table_of(path: Path, profile: Profile, metric: str) -> dict[str, tuple[int, int]]:
    """Flat and cum of each function by ``pprof -top``, in the smallest unit."""
    unit = {"ns": "ns", "bytes": "B"}.get(profile.metric(metric).unit, "minimum")
    out = subprocess.run(
        [go_pprof(), "-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-symbolize=none",
         f"-sample_index={metric}", f"-unit={unit}", str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = re.findall(r"^ *(-?\d+)[a-zA-Z]* +\S+ +\S+ +(-?\d+)[a-zA-Z]* +\S+ +(.*)$", out, re.MULTILINE)
    return {re.sub(r" \((?:partial-)?inline\)$", "", name): (int(flat), int(cum)) for flat, cum, name in rows}


def ours_of(profile: Profile, metric: str) -> dict[str, tuple[int, int]]:
    table = top(profile, metric, by="name")
    return {
        name: (int(own), int(total))
        for name, own, total in table[["name", "self", "total"]].itertuples(index=False)
        if own or total
    }


PROGRAM = """
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

var sink [][]byte
var total int

func leaf(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += i % 7
	}
	return sum
}

func recurse(depth, work int) int {
	if depth == 0 {
		return leaf(work)
	}
	return recurse(depth-1, work) + leaf(work/8)
}

func main() {
	runtime.MemProfileRate = 1024
	cpu, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(cpu)
	until := time.Now().Add(1500 * time.Millisecond)
	for time.Now().Before(until) {
		for _, kind := range []string{"deep", "flat"} {
			pprof.Do(context.Background(), pprof.Labels("kind", kind), func(context.Context) {
				total += recurse(len(kind), 20000)
			})
		}
	}
	pprof.StopCPUProfile()
	cpu.Close()
	for i := 0; i < 200; i++ {
		sink = append(sink, []byte(strings.Repeat("x", 64*1024)))
	}
	heap, _ := os.Create(os.Args[2])
	pprof.WriteHeapProfile(heap)
	heap.Close()
}
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Profiles a Go program makes of itself now."""
    go_pprof()
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(PROGRAM)
    subprocess.run(["go", "build", "-o", "program", "main.go"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["./program", "cpu.pb.gz", "heap.pb.gz"], cwd=folder, check=True)
    return {"cpu": folder / "cpu.pb.gz", "heap": folder / "heap.pb.gz"}


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("cpu", "samples"), ("cpu", "cpu"), ("heap", "alloc_objects"), ("heap", "alloc_space"), ("heap", "inuse_space")],
)
def test_flat_and_cum_of_each_function_are_those_of_pprof(kind: str, metric: str, recorded: dict[str, Path]) -> None:
    profile = read(recorded[kind])
    theirs = table_of(recorded[kind], profile, metric)
    assert theirs
    assert ours_of(profile, metric) == theirs


def test_labels_are_those_of_pprof(recorded: dict[str, Path]) -> None:
    out = subprocess.run(
        [go_pprof(), "-traces", "-symbolize=none", "-sample_index=samples", str(recorded["cpu"])],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    theirs: Counter[tuple[str, str]] = Counter()
    for block in re.split(r"^-+\+-+$", out, flags=re.MULTILINE)[1:]:
        label = re.search(r"kind: +(\w+)", block)
        row = re.search(r"^ +(\d+) +(.*)$", block, re.MULTILINE)
        if row:
            leaf = re.sub(r" \((?:partial-)?inline\)$", "", row[2])
            theirs[label[1] if label else "", leaf] += int(row[1])
    profile = read(recorded["cpu"])
    value = dict(zip(profile.tags["tags_id"], profile.tags["value"], strict=True))
    leaf_of = profile.frames["function"].to_numpy()[profile.nodes["frame_id"].to_numpy()]
    ours: Counter[tuple[str, str]] = Counter()
    for node, tags, count in profile.samples[["node_id", "tags_id", "self_samples"]].itertuples(index=False):
        ours[value.get(tags, ""), leaf_of[node]] += count
    assert ours == theirs
    assert {kind for kind, _ in theirs} >= {"deep", "flat"}


@pytest.mark.parametrize("kind", ["cpu", "heap"])
def test_pprof_takes_what_we_export_and_finds_the_same(kind: str, recorded: dict[str, Path], tmp_path: Path) -> None:
    profile = read(recorded[kind])
    path = tmp_path / "exported.pb.gz"
    path.write_bytes(to_pprof(profile))
    for metric in profile.metric_names:
        assert table_of(path, profile, metric) == table_of(recorded[kind], profile, metric)
    raw = subprocess.run([go_pprof(), "-raw", str(path)], capture_output=True, text=True, check=True).stdout
    assert f"{sum(profile.frames['object'] != '') > 0:d}: " in raw.partition("Mappings\n")[2]


def test_pprof_drops_the_same_frames(tmp_path: Path) -> None:
    path = tmp_path / "drop.pb"
    path.write_bytes(encode(CPU, DEEP, texts={7: r"drop\..*|app\.a", 8: r"app\.x"}))
    profile = read(path)
    assert ours_of(profile, "cpu") == table_of(path, profile, "cpu")


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
        replace(light, tables={"mappings": exported.tables["mappings"]}),
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
    for word in ("8.20 s of cpu time", "1,230 ticks", "undercount", "receipt-worker-", "subtract an earlier one"):
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


LABELLED = [
    Sample(
        ((Call(f"crate::{name}(int)", f"prune{place}.rs", 1),), (Call("main", "main.rs", 2),)),
        (place + 1, 10 ** (place + 1)),
        labels,
    )
    for place, (name, labels) in enumerate(
        [
            ("a", (("kind", "deep water", ""), ("bytes", 16 * 1024, "bytes"))),
            ("b", (("kind", "flat", ""), ("bytes", 48 * 1024, "bytes"), ("zone", "deep", ""))),
            ("c", (("kind", "flatter", ""), ("took", 150, "milliseconds"))),
            ("d", (("zone", "north", ""), ("request", 64, ""))),
            ("e", ()),
            ("f", (("kind", "key=flat", ""), ("count", -7, ""), ("bytes", 1, "kilobytes"))),
        ]
    )
]


@pytest.mark.parametrize("option", ["tagfocus", "tagignore"])
@pytest.mark.parametrize(
    "wanted",
    [
        "flat", "^flat$", "kind:flat", "kind=flat", "kind=^flat$", "flat,deep", "kind=flat,deep", "zone=", "other=x",
        "bytes=16kb", "16kb", "16kb:32kb", ":64kb", "32kb:", "bytes=:32kb", "100ms:", "took=1s:", "took=150ms", "150",
        "took=100ms:1s", "64", "64b", "request=64b", "count=-7", ":-1", "1:2kb", "16kB:1MB", "bytes=1024:20000",
        "a.c=x", "kind=key=flat", "north|water", "0.1s",
    ],
)  # fmt: skip
def test_filters_of_labels_are_those_of_pprof(wanted: str, option: str, tmp_path: Path) -> None:
    path = tmp_path / "labelled.pb"
    path.write_bytes(encode(CPU, LABELLED))
    ours = (select.tag_focus if option == "tagfocus" else select.tag_ignore)(read(path), wanted)
    assert ours_of(ours, "samples") == _selected(path, f"-{option}={wanted}")


@pytest.mark.parametrize("pattern", ["prune", "crate::a", r"int", r"c$", "main", "::[bd]$"])
def test_stacks_are_cut_where_pprof_cuts_them(pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "labelled.pb"
    deep = [Sample(((Call("inner(x)", "i.rs", 1),), *sample.stack), sample.values) for sample in LABELLED]
    path.write_bytes(encode(CPU, deep))
    assert ours_of(select.prune_from(read(path), pattern), "samples") == _selected(path, f"-prune_from={pattern}")


def _selected(path: Path, option: str) -> dict[str, tuple[int, int]]:
    """The table of pprof with one more option; empty where that leaves nothing."""
    out = subprocess.run(
        [go_pprof(), "-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-symbolize=none",
         "-sample_index=samples", option, str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    rows = re.findall(r"^ *(-?\d+) +\S+ +\S+ +(-?\d+) +\S+ +(.*)$", out.stdout, re.MULTILINE)
    return {name: (int(flat), int(cum)) for flat, cum, name in rows}
