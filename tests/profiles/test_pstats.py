"""pstats files: of cProfile on this Python and of others, of the old profile module, and bytes from no friend."""

from __future__ import annotations

import cProfile
import marshal
import profile as old_profile
import pstats
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.samples import needs_samples, sample
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.pstats.marshal import Pairs, load
from workbench.profiles.source import Source

MAIN, LEAF = ("app.py", 1, "main"), ("app.py", 5, "leaf")


def read(stats: Any, version: int = marshal.version) -> Profile:
    data = stats if isinstance(stats, bytes) else marshal.dumps(stats, version)
    return read_profile(data, format="pstats")


def row(profile: Profile, function: str) -> Any:
    return profile.functions.set_index("function").loc[function]


def work(depth: int) -> int:
    return depth if depth == 0 else work(depth - 1) + sum(range(10))


@needs_samples
@pytest.mark.parametrize(
    "name",
    ["generated__cprofile-py311", "gprof2dot__memtrail", "gprof2dot__print1", "hatchet__cprofile-cycle"],
)
def test_public_files_are_what_pstats_reads(name: str) -> None:
    path = sample(f"folded/{name}.pstats")
    profile = read_profile(path)
    assert profile.format == "pstats"
    _same_as_pstats(profile, pstats.Stats(str(path)))


@needs_samples
def test_a_file_of_python_2_is_read() -> None:
    profile = read_profile(sample("folded/hatchet__cprofile-cycle-py2.pstats"))
    assert profile.total() == 2_361_709_000
    assert row(profile, "recursive")["calls"] > row(profile, "recursive")["primitive_calls"]
    assert row(profile, "end")["file"].endswith("/hatchet/util/profiler.py")


def _same_as_pstats(profile: Profile, stats: Any) -> None:
    assert profile.functions["calls"].sum() == stats.total_calls
    assert profile.functions["primitive_calls"].sum() == stats.prim_calls
    assert profile.total() == pytest.approx(stats.total_tt * 1e9, abs=len(stats.stats))
    keys = list(stats.stats)
    for key, (primitive, calls, own, cumulative, callers) in stats.stats.items():
        place = keys.index(key)
        ours = profile.functions.loc[place]
        assert (ours["function"], ours["line"], ours["file"] or "~") == (key[2], key[1], key[0])
        assert (ours["primitive_calls"], ours["calls"]) == (primitive, calls)
        assert (ours["self_time"], ours["total_time"]) == (round(own * 1e9), round(cumulative * 1e9))
        edges = profile.edges[profile.edges["callee_id"] == place].set_index("caller_id")
        assert len(edges) == len(callers)
        for caller, entry in callers.items():
            edge = edges.loc[keys.index(caller)]
            assert (edge["calls"], edge["primitive_calls"], edge["cost_time"]) == (
                entry[0],
                entry[1],
                round(entry[3] * 1e9),
            )


def test_this_pythons_cprofile_is_read(tmp_path: Path) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(work, 5)
    profiler.dump_stats(tmp_path / "out.pstats")
    profile = read_profile(tmp_path / "out.pstats")
    assert profile.format == "pstats"
    assert (row(profile, "work")["calls"], row(profile, "work")["primitive_calls"]) == (6, 1)
    _same_as_pstats(profile, pstats.Stats(str(tmp_path / "out.pstats")))


def test_the_old_profile_module_is_read_with_time_split_by_calls(tmp_path: Path) -> None:
    profiler = old_profile.Profile()
    profiler.runcall(work, 3)
    profiler.dump_stats(tmp_path / "out.pstats")
    profile = read_profile(tmp_path / "out.pstats")
    assert row(profile, "work")["calls"] == 4
    assert any("the old profile module" in note.what for note in profile.notes)


def test_time_is_split_by_calls_where_callers_have_only_these() -> None:
    stats = {
        MAIN: (1, 1, 1.0, 5.0, {}),
        ("app.py", 3, "other"): (1, 1, 0.0, 1.0, {}),
        LEAF: (4, 4, 4.0, 4.0, {MAIN: 3, ("app.py", 3, "other"): 1}),
    }
    assert read(stats).edges["cost_time"].tolist() == [3_000_000_000, 1_000_000_000]


@pytest.mark.parametrize("version", range(marshal.version + 1))
def test_every_version_of_marshal_is_read_alike(version: int) -> None:
    name = "größe\U0001f980"
    stats = {MAIN: (1, 2, 0.5, 1.5, {}), ("app.py", 5, name): (1, 3, 1, 1.0, {MAIN: (3, 1, 0.25, 1.0)})}
    profile = read(stats, version)
    assert profile.functions["function"].tolist() == ["main", name]
    assert profile.functions["self_time"].tolist() == [500_000_000, 1_000_000_000]
    assert profile.edges[["caller_id", "callee_id", "calls", "cost_time"]].to_numpy().tolist() == [
        [0, 1, 3, 1_000_000_000]
    ]


def test_the_samplers_mark_is_known() -> None:
    profile = read({("__sampled__",): True, MAIN: (1, 1, 0.5, 0.5, {})})
    assert profile.meta["sampled"] is True
    assert len(profile.functions) == 1


def test_lambdas_of_one_file_stay_apart() -> None:
    profile = read({("a.py", line, "<lambda>"): (1, 1, 0.5, 0.5, {}) for line in (1, 2)})
    assert profile.functions["raw_function"].tolist() == ["<lambda>:1", "<lambda>:2"]


def test_a_caller_without_an_entry_is_noted() -> None:
    profile = read({LEAF: (1, 1, 0.5, 0.5, {MAIN: (1, 1, 0.5, 0.5)})})
    assert profile.edges.empty
    assert "caller that has no entry of its own" in str(profile.notes[0])


@pytest.mark.parametrize(
    ("stats", "says"),
    [
        ({}, "without any call"),
        (["x"], "no profile"),
        ({1: 2}, "a key is not (file, line, name)"),
        ({("a", "b", "c"): (1, 1, 1.0, 1.0, {})}, "a key is not (file, line, name)"),
        ({MAIN: (1, 1, 1.0)}, "app.py:1(main) is not (calls"),
        ({MAIN: (1, 1, float("nan"), 1.0, {})}, "has an invalid time"),
        ({MAIN: (1, 1, 1e300, 1.0, {})}, "has an invalid time, or one too large"),
        ({MAIN: (1.5, 1, 1.0, 1.0, {})}, "an invalid number of calls"),
        ({MAIN: (1, 2**63, 1.0, 1.0, {})}, "an invalid number of calls"),
        ({MAIN: (1, 2**70, 1.0, 1.0, {})}, "more than 64 bits"),
        ({MAIN: (1, 1, 1.0, 1.0, {MAIN: "x"})}, "as a caller is neither"),
        ({MAIN: (1, 1, 1.0, 1.0, {MAIN: (1, 2)})}, "as a caller is neither"),
        ({MAIN: (1, 2**62, 1.0, 1.0, {}), LEAF: (1, 2**62, 1.0, 1.0, {})}, "add up to more than 64 bits"),
        ({MAIN: compile("1", "x", "eval")}, "a code object, which no profile has"),
        ({MAIN: {1, 2}}, "a set"),
        ({MAIN: ((((((((((1,),),),),),),),),),)}, "nests deeper"),
        (b"{)\x03i", "is cut off"),
        (b"{(\xff\xff\xff\x7f", "2147483647 items"),
        (b"{r\x05\0\0\0", "refers to value 5"),
        (b"{\xfe", "type code"),
        (b"0", "ends where a value should be"),
    ],
)
def test_other_data_is_refused_by_name(stats: Any, says: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(stats)
    assert says in str(caught.value)


def test_every_truncation_is_refused() -> None:
    data = marshal.dumps({MAIN: (1, 1, 0.5, 1.5, {}), LEAF: (1, 1, 1.0, 1.0, {MAIN: (1, 1, 1.0, 1.0)})})
    for end in range(1, len(data)):
        with pytest.raises(ReadError):
            read(data[:end])


def test_references_cannot_blow_few_bytes_up() -> None:
    """A caller dict of 2,000 entries, and 2,000 functions that refer to it: 4 million calls out of 100 kB."""

    def short(text: bytes) -> bytes:
        return b"z" + bytes([len(text)]) + text

    def number(value: int) -> bytes:
        return b"i" + struct.pack("<i", value)

    def key(place: int) -> bytes:
        return b")\x03" + short(b"f") + number(place) + short(b"n")

    callers = b"\xfb" + b"".join(key(place) + number(1) for place in range(2000)) + b"0"
    entry = b")\x05" + number(1) * 4
    first = key(0) + entry + callers
    others = b"".join(key(place) + entry + b"r" + struct.pack("<i", 0) for place in range(1, 2000))
    with pytest.raises(ReadError, match="references expand it"):
        read(b"{" + first + others + b"0")


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=20)
PAIRS = st.dictionaries(SCALARS, SCALARS | st.tuples(SCALARS, SCALARS), max_size=3)
VALUES = SCALARS | st.tuples(SCALARS, PAIRS) | st.dictionaries(SCALARS, st.tuples(PAIRS, SCALARS), max_size=3)


def plain(value: Any) -> Any:
    """Pairs as dicts again."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value.items}
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@given(VALUES, st.integers(0, marshal.version))
def test_plain_data_is_loaded_as_marshal_loads_it(value: Any, version: int) -> None:
    data = marshal.dumps(value, version)
    assert plain(load(Source(data, "x"))) == marshal.loads(data)
