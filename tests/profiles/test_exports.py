"""Exports are read back as what they were, where their format can carry it."""

from __future__ import annotations

import json
import marshal
import pstats
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.limited import limited, needs_limits
from tests.profiles.samples import needs_samples, sample
from tests.profiles.stacks import stacks_of
from workbench.errors import ReadError, WorkbenchError
from workbench.profiles.columns import total_
from workbench.profiles.exports.folded import to_folded
from workbench.profiles.exports.pstats import to_pstats, to_stats
from workbench.profiles.exports.speedscope import to_speedscope
from workbench.profiles.exports.tables import read_tables, write_tables
from workbench.profiles.memory import MIB
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_graph, from_stacks
from workbench.profiles.read import read_profile
from workbench.profiles.tree import add_at, grow

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "profiles"
AWKWARD = [
    "plain", "two words", "a;b", "<[u8; 32] as Hash>::hash", "quote\"'", "</script><script>alert(1)</script>", "größe",
    "\U0001f980", "ends 12", "# comment", " leads", "trails ", "line\nbreak", "tab\tbed", "x -3.5", "", "null\0",
]  # fmt: skip
NAME = st.sampled_from(AWKWARD) | st.text(st.characters(codec="utf-8"), max_size=8)
STACKS = st.lists(
    st.tuples(st.lists(NAME, min_size=1, max_size=5), st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))),
    min_size=1,
    max_size=20,
)
METRICS = (Metric("cpu", "ns"), Metric("size", "bytes"))


def profile_of(stacks: list[tuple[list[str], tuple[int, int]]]) -> Profile:
    names = sorted({name for stack, _ in stacks for name in stack})
    numbers = np.asarray([names.index(name) for stack, _ in stacks for name in stack], dtype=np.int64)
    offsets = np.cumsum([0, *(len(stack) for stack, _ in stacks)])
    tree = grow(offsets, numbers)
    costs = add_at(len(tree.parent), tree.node_of, np.asarray([cost for _, cost in stacks], dtype=np.int64))
    return from_stacks(
        "folded",
        "made",
        metrics=METRICS,
        frames=frame_table(names),
        parent=tree.parent,
        frame=tree.frame,
        self_costs=costs,
    )


def graph_of(costs: dict[tuple[str, str], int], own: dict[str, int], unit: str = "count") -> Profile:
    names = list(own)
    functions = frame_table(names).frame()[["function", "raw_function", "file", "object", "crate"]]
    functions["calls"] = pd.array([pd.NA] * len(names), dtype="Int64")
    functions["self_Ir"] = list(own.values())
    pairs = [(names.index(caller), names.index(callee), cost) for (caller, callee), cost in costs.items()]
    edges = pd.DataFrame(pairs, columns=["caller_id", "callee_id", "cost_Ir"])
    edges["calls"] = pd.array([pd.NA] * len(pairs), dtype="Int64")
    return from_graph("callgrind", "made", metrics=[Metric("Ir", unit)], functions=functions, edges=edges)


@settings(deadline=None, max_examples=40)
@given(STACKS)
def test_folded_stacks_come_back(stacks: list[tuple[list[str], tuple[int, int]]]) -> None:
    """What the format cannot carry changes once: the second time nothing changes."""
    profile = profile_of(stacks)
    text = to_folded(profile, "size")
    if not profile.total("size"):
        assert text == ""
        return
    back = read_profile(text.encode(), format="folded")
    assert back.total() == profile.total("size")
    assert len(text.splitlines()) == len(stacks_of(profile, "size"))
    assert sorted(to_folded(read_profile(to_folded(back).encode(), format="folded")).splitlines()) == sorted(
        to_folded(back).splitlines()
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("two words", "two words"),
        ("a;b", "a:b"),
        ("<[u8; 32] as Hash>::hash", "<[u8; 32] as Hash>::hash"),
        ("line\nbreak", "line break"),
        ("ends 12", "ends\u00a012"),
        ("# comment", "#\u00a0comment"),
        ("\U0001f980", "\U0001f980"),
        ("</script>", "</script>"),
    ],
)
def test_names_in_folded_stacks(name: str, written: str) -> None:
    text = to_folded(profile_of([([name, "leaf"], (5, 0))]))
    assert text == f"{written};leaf 5\n"
    assert stacks_of(read_profile(text.encode(), format="folded")) == {(written, "leaf"): 5}


# one stack of 10,000 frames with long names; and one that ends at each of them
DEEP = "read_profile(b';'.join(b'%092d' % at for at in range(10_000)) + b' 7\\n')"
CHAIN = f"{DEEP}.but(_nodes={DEEP}.nodes.assign(self_samples=1))"


@needs_limits
@pytest.mark.parametrize("format", ["folded", "speedscope"])
def test_deep_recursion_is_written_in_little_memory(format: str) -> None:
    """The joined names of every level would be 4.6 GB."""
    written = limited(f"len(exported({DEEP}, {format!r}))", memory_bytes=1536 * MIB)
    assert 900_000 < int(written) < 2_000_000


@needs_limits
@pytest.mark.parametrize(
    ("format", "said"),
    [("folded", "folded stacks would need more than"), ("speedscope", "for speedscope about 286 MiB")],
)
def test_what_would_not_fit_is_refused(format: str, said: str) -> None:
    """Each of the 10,000 levels has a cost, so a stack."""
    assert said in limited(f"exported({CHAIN}, {format!r})", memory_bytes=1536 * MIB)


def test_fractions_have_no_exponent() -> None:
    fractional = read_profile(b"a;b 0.00000001\na 123456789012345678.5\n", format="folded")
    text = to_folded(fractional)
    assert "e" not in text
    assert stacks_of(read_profile(text.encode(), format="folded")) == stacks_of(fractional)


@settings(deadline=None, max_examples=40)
@given(STACKS)
def test_speedscope_comes_back_with_every_metric(stacks: list[tuple[list[str], tuple[int, int]]]) -> None:
    profile = profile_of(stacks)
    back = read_profile(to_speedscope(profile).encode(), format="speedscope")
    assert back.metrics == profile.metrics
    for metric in METRICS:
        assert stacks_of(back, metric.name) == stacks_of(profile, metric.name)
    assert back.frames.drop(columns="function").equals(profile.frames.drop(columns="function"))


def test_speedscope_files_hold_what_the_schema_asks_for() -> None:
    file = json.loads(to_speedscope(profile_of([(["a", "b"], (3, 4)), (["a"], (0, 2))])))
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert file["shared"] == {"frames": [{"name": "a"}, {"name": "b"}]}
    assert file["profiles"][0] == {
        "type": "sampled", "name": "cpu", "unit": "nanoseconds", "startValue": 0, "endValue": 3,
        "samples": [[0], [0, 1]], "weights": [0, 3],
    }  # fmt: skip
    assert (file["profiles"][1]["unit"], file["profiles"][1]["endValue"]) == ("bytes", 6)


def test_speedscope_needs_a_metric_that_adds_up() -> None:
    tree = grow(np.asarray([0, 1]), np.asarray([0]))
    ratio = from_stacks(
        "folded", "r", metrics=[Metric("ratio", additive=False)], frames=frame_table(["a"]), parent=tree.parent,
        frame=tree.frame, self_costs=np.ones((1, 1)),
    )  # fmt: skip
    with pytest.raises(WorkbenchError, match="no metric"):
        to_speedscope(ratio)


@needs_samples
@pytest.mark.parametrize("name", ["generated__cprofile-py311", "gprof2dot__print1", "hatchet__cprofile-cycle"])
def test_pstats_come_back(name: str) -> None:
    profile = read_profile(sample(f"folded/{name}.pstats"))
    back = read_profile(to_pstats(profile), format="pstats")
    columns = ["function", "file", "line", "calls", "primitive_calls", "self_time", "total_time"]

    def by_name(one: Profile) -> pd.DataFrame:
        table = one.functions[~one.functions["function"].str.startswith("<all: ")]
        return table[columns].sort_values(["file", "line", "function"]).reset_index(drop=True)

    assert by_name(back).equals(by_name(profile))
    assert back.total() == profile.total()
    callers = back.edges[~back.functions["function"].iloc[back.edges["caller_id"]].str.startswith("<all: ").to_numpy()]
    assert sorted(callers["cost_time"]) == sorted(profile.edges["cost_time"])


@settings(deadline=None, max_examples=40)
@given(STACKS)
def test_pstats_are_whole_for_any_names(stacks: list[tuple[list[str], tuple[int, int]]]) -> None:
    profile = profile_of(stacks)
    stats = marshal.loads(to_pstats(profile, "size"))
    for primitive, calls, own, cumulative, callers in stats.values():
        assert set(callers) <= set(stats)
        assert all(np.isfinite([primitive, calls, own, cumulative]))
    assert sum(entry[2] for entry in stats.values()) == profile.total("size")
    root = next(iter(stats))
    assert root[2] == "<all: size, 1 s stands for 1 bytes>"
    assert stats[root][3] == profile.total("size")
    assert len(stats) == len(profile.functions) + 1


def test_times_are_seconds_and_a_single_root_needs_no_other() -> None:
    stats = to_stats(profile_of([(["main", "a"], (2_500_000_000, 0)), (["main"], (500_000_000, 0))]))
    assert stats == {
        ("~", 0, "a"): (0, 0, 2.5, 2.5, {("~", 0, "main"): (0, 0, 0.0, 2.5)}),
        ("~", 0, "main"): (0, 0, 0.5, 3.0, {}),
    }


def test_cycles_that_nobody_calls_are_reached_from_the_root() -> None:
    costs = {("ping", "pong"): 3, ("pong", "ping"): 3, ("main", "leaf"): 2}
    stats = to_stats(graph_of(costs, {"ping": 2, "pong": 1, "main": 5, "leaf": 2}))
    root = ("~", 0, "<all: Ir, 1 s stands for 1 count>")
    called = {key[2] for key, entry in stats.items() if root in entry[4]}
    assert called == {"main", "ping"}
    assert stats[root][3] == 7 + 3


def test_functions_of_one_name_stay_apart() -> None:
    profile = profile_of([(["f"], (1, 1))])
    frames = pd.concat([profile.frames] * 3, ignore_index=True)
    frames["raw_function"] = ["f", "f::h1", "f::h2"]
    tree = grow(np.asarray([0, 1, 2, 3]), np.asarray([0, 1, 2]))
    frames["function_id"] = [0, 1, 2]
    three = from_stacks(
        "folded", "x", metrics=[Metric("n")], frames=frames, parent=tree.parent, frame=tree.frame,
        self_costs=np.ones((3, 1), dtype=np.int64),
    )  # fmt: skip
    assert [key[2] for key in to_stats(three)] == ["<all: n, 1 s stands for 1 count>", "f", "f::h1", "f::h2"]


def test_pstats_of_the_standard_library_prints_the_export(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x.pstats").write_bytes(
        to_pstats(read_profile(EXAMPLES / "demo-flamegraph-1.svg", format="flamegraph"))
    )
    pstats.Stats(str(tmp_path / "x.pstats")).sort_stats("cumulative").print_stats(5)
    assert "all: samples, 1 s stands for 1 count" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["demo-flamegraph-1.svg"])
def test_tables_come_back_equal(name: str, tmp_path: Path) -> None:
    profile = read_profile(EXAMPLES / name, format="flamegraph")
    written = write_tables(profile, tmp_path / "deep" / "tables")
    assert sorted(path.name for path in written) == sorted(
        [
            *(f"{table}.parquet" for table in ("functions", "edges", "nodes", "frames", "lines", "samples", "tags")),
            "profile.json",
        ]
    )
    _assert_equal(read_tables(tmp_path / "deep" / "tables"), profile)


def test_tables_of_a_graph_with_own_tables_come_back_equal(tmp_path: Path) -> None:
    plain = graph_of({("a", "b"): 3}, {"a": 1, "b": 3})
    jumps = pd.DataFrame({"from": [1, 2], "note": pd.Series(["x", None], dtype="str")})
    profile = Profile(**{**vars(plain), "tables": {"jumps": jumps}, "meta": {"cmd": "run"}})
    write_tables(profile, tmp_path / "t")
    back = read_tables(tmp_path / "t")
    _assert_equal(back, profile)
    assert back.tables["jumps"].equals(jumps)


def _assert_equal(back: Profile, profile: Profile) -> None:
    for table in ("functions", "edges", "nodes", "frames", "lines", "samples", "tags"):
        pd.testing.assert_frame_equal(
            getattr(back, table), getattr(profile, table), check_dtype=table not in ("lines", "samples", "tags")
        )
    for plain in ("format", "name", "basis", "metrics", "default_metric", "meta", "notes"):
        assert getattr(back, plain) == getattr(profile, plain)


def test_csv_is_for_spreadsheets(tmp_path: Path) -> None:
    profile = profile_of([([name, "leaf"], (number, 1)) for number, name in enumerate(AWKWARD) if "\0" not in name])
    write_tables(profile, tmp_path / "csv", "csv")
    back = pd.read_csv(tmp_path / "csv" / "functions.csv", keep_default_na=False)
    assert back["raw_function"].tolist() == profile.functions["raw_function"].tolist()
    assert back[total_("cpu")].tolist() == profile.functions[total_("cpu")].tolist()
    with pytest.raises(ReadError, match="This version reads version"):
        read_tables(tmp_path / "csv")


def test_tables_overwrite_nothing_and_say_what_is_wrong(tmp_path: Path) -> None:
    profile = profile_of([(["a"], (1, 1))])
    (tmp_path / "there").mkdir()
    with pytest.raises(WorkbenchError, match="already exists"):
        write_tables(profile, tmp_path / "there")
    with pytest.raises(WorkbenchError, match="not as 'xml'"):
        write_tables(profile, tmp_path / "new", "xml")  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match="cannot be written"):
        write_tables(profile, tmp_path / "file" / "new")
    with pytest.raises(ReadError, match="not tables of a profile"):
        read_tables(tmp_path / "nowhere")
    write_tables(profile, tmp_path / "cut")
    (tmp_path / "cut" / "nodes.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReadError, match="damaged"):
        read_tables(tmp_path / "cut")


COUNTS = st.integers(0, 2**50)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), COUNTS), min_size=1, max_size=6),
    st.sampled_from(["count", "bytes", "Ticks"]),
)
def test_pstats_of_any_size_come_back(stacks: list[tuple[list[str], int]], unit: str) -> None:
    """Where 1 s stands for a unit that is no time, that unit is read: thousands of millions of it are no centuries."""
    profile = profile_of([(stack, (0, cost)) for stack, cost in stacks])
    profile = Profile(**{**vars(profile), "metrics": (Metric("size", unit),), "default_metric": "size"})
    back = read_profile(to_pstats(profile))
    assert back.format == "pstats"
    assert [(metric.name, metric.unit) for metric in back.metrics] == [("size", unit)]
    for table, columns in (("functions", ["function", "self_size", "total_size"]), ("edges", ["cost_size"])):
        ours, theirs = (getattr(one, table)[columns].sort_values(columns, ignore_index=True) for one in (profile, back))
        pd.testing.assert_frame_equal(ours, theirs)


def test_pstats_of_more_time_than_nanoseconds_hold_are_seconds() -> None:
    main, leaf = ("f", 1, "main"), ("f", 2, "leaf")
    stats: dict[object, object] = {main: (1, 1, 0.5, 3e10, {}), leaf: (1, 1, 3e10, 3e10, {main: (1, 1, 3e10, 3e10)})}
    profile = read_profile(marshal.dumps(stats))
    assert (profile.metrics[0].unit, profile.total()) == ("s", 3e10 + 0.5)
    assert "too long" in str(profile.notes[0])
    assert profile.edges["cost_time"].tolist() == [3e10]


@pytest.mark.parametrize(
    "name",
    ["speedscope", '"profiles" "frames"', "<svg xmlns", "\nevents: Ir\nfn=a\n", "\ndesc: a\ncmd: b\n", "a;b 1\n"],
)
def test_what_functions_are_called_does_not_decide_the_format(name: str) -> None:
    stats = {("~", 0, name): (1, 1, 1.0, 1.0, {}), (f"{name}.py", 1, "f"): (1, 1, 1.0, 1.0, {})}
    for version in range(marshal.version + 1):
        assert read_profile(marshal.dumps(stats, version)).format == "pstats"
    text = to_speedscope(profile_of([([name, "f"], (1, 1))]))
    assert read_profile(text.encode()).format == "speedscope"
    assert read_profile(json.dumps(json.loads(text), indent=4).encode()).format == "speedscope"


def test_threads_that_were_started_are_called_by_the_root_too() -> None:
    """callgrind counts what a started thread costs for the thread, not for the call that started it."""
    profile = read_profile(EXAMPLES / "demo-callgrind.out")
    stats = to_stats(profile)
    root = next(iter(stats))
    assert root[2].startswith("<all: Ir")
    assert stats[root][3] == pytest.approx(profile.total(), rel=0.01)
    called = {key[2]: entry[4][root][3] for key, entry in stats.items() if root in entry[4]}
    assert called["clone"] > 0.5 * profile.total()
