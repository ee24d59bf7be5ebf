"""DHAT's files: real ones of Valgrind and of the crate, against sums made apart and the viewer's own; cuts; damage."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ReadError
from workbench.profiles.read import read_dhat, read_profile

RUST = Path(__file__).parent / "files" / "dhat-rs.json"
VIEWERS = ("/usr/libexec/valgrind/dh_view.js", "/usr/lib/valgrind/dh_view.js", "/usr/local/libexec/valgrind/dh_view.js")
PROGRAM = """
#include <stdlib.h>
#include <string.h>
#include <valgrind/dhat.h>
static inline __attribute__((always_inline)) char *inner(size_t n) { char *p = malloc(n); memset(p, 1, n); return p; }
__attribute__((noinline)) char *grab(size_t n) { return inner(n); }
__attribute__((noinline)) void hold(int k) { for (int i = 0; i < k; i++) grab(10 + i % 3); }
__attribute__((noinline)) void drop(int k) {
  for (int i = 0; i < k; i++) {
    volatile char *p = grab(500);
    for (int j = 0; j < 250; j++) p[j];
    DHAT_AD_HOC_EVENT(7);
    free((void *)p);
  }
}
int main(int count, char **words) {
  hold(10); drop(20); free(grab(3000));
  char *volatile zeros = calloc(9, 7);
  strncpy(zeros, words[0], 60);
  free(zeros);
  return 0;
}
"""
KEYS = {
    "total_bytes": "tb", "total_blocks": "tbk", "gmax_bytes": "gb", "gmax_blocks": "gbk", "end_bytes": "eb",
    "end_blocks": "ebk", "lifetimes": "tl", "max_bytes": "mb", "max_blocks": "mbk", "read_bytes": "rb",
    "written_bytes": "wb", "total_units": "tb", "total_events": "tbk",
}  # fmt: skip
# What the viewer adds up at its root, by the name of the field there.
VIEWED = {
    "total_bytes": "_totalBytes", "total_blocks": "_totalBlocks", "lifetimes": "_totalLifetimes",
    "gmax_bytes": "_atTGmaxBytes", "gmax_blocks": "_atTGmaxBlocks", "end_bytes": "_atTEndBytes",
    "end_blocks": "_atTEndBlocks", "read_bytes": "_readsBytes", "written_bytes": "_writesBytes",
    "total_units": "_totalBytes", "total_events": "_totalBlocks",
}  # fmt: skip
OWN = {"malloc", "calloc", "strncpy", "memcpy", "mempcpy", "memmove", "memcpy@GLIBC_2.2.5"}
# The viewer is a page's script: it gets a document that takes everything and shows nothing.
VIEW = """
const fs = require("fs"), vm = require("vm");
const page = { get: (t, key) => (key === Symbol.toPrimitive ? () => "" : any), set: () => true, apply: () => any };
const any = new Proxy(function () {}, page);
const context = vm.createContext({ document: any, window: any, performance, URLSearchParams, console });
vm.runInContext(fs.readFileSync(process.argv[2], "utf8"), context);
context.text = fs.readFileSync(process.argv[3], "utf8");
vm.runInContext(`
  gData = JSON.parse(text);
  gSelect = { childNodes: gSelectData.map(() => ({})), selectedIndex: 0 };
  buildTree();
  root = JSON.stringify(gRoot, (key, value) => (key === "_kids" ? undefined : value));
`, context);
console.log(context.root);
"""

needs_dhat = pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "valgrind"))), reason="gcc and valgrind are not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What DHAT writes of one program, in each of its modes."""
    folder = tmp_path_factory.mktemp("dhat")
    (folder / "app.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-g", "-O1", "-o", "app", "app.c"], cwd=folder, check=True)
    for mode in ("heap", "copy", "ad-hoc"):
        command = ["valgrind", "-q", "--tool=dhat", f"--mode={mode}", f"--dhat-out-file={mode}.json", "./app"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def frame_name(text: str) -> str:
    """The function a text of the frame table names, taken apart in another way than the reader does."""
    return re.sub(r" \((?:in )?[^()]*\)$", "", text.partition(": ")[2])


def sums(path: Path, metric: str) -> tuple[int, dict[str, int]]:
    """The sum over all program points, and for each function over those that have it in their stack."""
    data = json.loads(path.read_text())
    total, functions = 0, Counter[str]()
    for point in data["pps"]:
        total += point[KEYS[metric]]
        for name in {frame_name(data["ftbl"][frame]) for frame in point["fs"]}:
            functions[name] += point[KEYS[metric]]
    return total, dict(functions)


@needs_dhat
@pytest.mark.parametrize("mode", ["heap", "copy", "ad-hoc"])
def test_every_function_costs_what_its_program_points_add_up_to(folder: Path, mode: str) -> None:
    profile = read_profile(folder / f"{mode}.json")
    assert profile.format == "dhat"
    assert profile.meta["mode"] == mode
    assert len(profile.metrics) == (11 if mode == "heap" else 2)
    for metric in profile.metric_names:
        total, functions = sums(folder / f"{mode}.json", metric)
        assert profile.total(metric) == total
        rows = profile.top(metric, by="name")
        ours = dict(zip(rows["name"], rows["total"], strict=True))
        assert total or metric in ("read_bytes", "end_bytes")
        # the allocator's and the copier's own frames are left out
        assert {name: cost for name, cost in functions.items() if name not in OWN and cost} == {
            name: cost for name, cost in ours.items() if cost
        }


@needs_dhat
def test_the_program_shows_what_it_does(folder: Path) -> None:
    profile = read_dhat(folder / "heap.json")
    own = {row.name: row.self for row in profile.top("total_bytes").itertuples()}
    assert own == {"inner": 109 + 20 * 500 + 3000, "main": 63, "grab": 0, "hold": 0, "drop": 0}
    assert profile.total("end_bytes") == 109
    assert profile.total("gmax_bytes") == 109 + 3000
    assert [metric.name for metric in profile.metrics if not metric.additive] == ["max_bytes", "max_blocks"]
    frames = profile.frames
    assert set(frames.loc[frames["inlined"], "function"]) == {"inner"}
    assert set(frames["file"]) == {"app.c"}
    events = read_dhat(folder / "ad-hoc.json")
    assert (events.total("total_units"), events.total("total_events")) == (20 * 7, 20)
    assert events.metric("total_units").unit == "units"


@needs_dhat
def test_accesses_are_kept_by_byte(folder: Path) -> None:
    profile = read_profile(folder / "heap.json")
    accesses, points = profile.tables["accesses"], profile.tables["points"]
    (point,) = points.index[points["total_bytes"] == 20 * 500]
    ours = accesses[accesses["point"] == point]
    assert ours["size_bytes"].sum() == 500
    # each byte was written once a block, and the first half read once
    assert (ours["size_bytes"] * ours["accesses"]).sum() == points["read_bytes"][point] + points["written_bytes"][point]
    assert ours["first_byte"].tolist() == [0, 250]
    assert ours["accesses"].tolist() == [40, 20]


@needs_dhat
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("mode", ["heap", "copy", "ad-hoc", "rust"])
def test_the_viewer_adds_up_the_same(folder: Path, mode: str) -> None:
    viewer = next((path for path in VIEWERS if Path(path).exists()), None)
    assert viewer is not None, "valgrind is there without its viewer"
    (folder / "view.js").write_text(VIEW)
    path = RUST if mode == "rust" else folder / f"{mode}.json"
    done = subprocess.run(["node", folder / "view.js", viewer, path], capture_output=True, text=True, check=True)
    root = json.loads(done.stdout)
    profile = read_profile(path)
    for metric in profile.metrics:
        if metric.additive:
            assert profile.total(metric.name) == root[VIEWED[metric.name]]


def test_a_file_of_the_crate() -> None:
    """It said itself: 194,175 bytes in 552 blocks, as many at t-gmax, 7,425 bytes in 51 blocks at t-end."""
    profile = read_profile(RUST)
    assert profile.meta["mode"] == "rust-heap"
    said = {"total_bytes": 194_175, "total_blocks": 552, "gmax_bytes": 194_175, "end_bytes": 7_425, "end_blocks": 51}
    assert {name: profile.total(name) for name in said} == said
    assert profile.metric("lifetimes").unit == "us"
    assert "read_bytes" not in profile.metric_names
    places = profile.top("total_bytes", by="function", sort="total").set_index("name")
    assert places.loc["dr::hold", "total"] == 194_175
    assert places.loc["dr::hold", "file"] == "dr/src/main.rs"
    assert set(profile.frames.loc[profile.frames["function"] == "dr::hold", "line"]) == {3}
    inlined = profile.frames.set_index("function")["inlined"]
    assert inlined["dr::hold::{closure}"]
    assert not inlined["dr::main"].any()


def test_the_first_version_says_the_same_with_other_keys() -> None:
    """Valgrind 3.15 and 3.16 wrote it: the same counts, no mode, no units."""
    new = json.loads(RUST.read_text())
    old_keys = {"tl": "tli", "eb": "fb", "ebk": "fbk"}
    points = [{old_keys.get(key, key): value for key, value in one.items()} | {"rb": 5, "wb": 6} for one in new["pps"]]
    old = {"dhatFileVersion": 1, "cmd": "x", "pid": 1, "mi": 7, "ei": 9, "aps": points, "ftbl": new["ftbl"]}
    one, two = read_profile(json.dumps(old).encode()), read_profile(RUST)
    for metric in two.metric_names:
        assert one.total(metric) == two.total(metric)
    assert one.total("read_bytes") == 5 * len(points)
    assert one.metric("lifetimes").unit == "instrs"
    assert (one.meta["version"], one.meta["time_end"], one.meta["time_gmax"]) == (1, 9, 7)


@pytest.mark.slow
def test_a_file_cut_at_any_byte_is_read_or_said_to_be_cut() -> None:
    """The frame table is at the end: without it no cost has a name."""
    data = RUST.read_bytes()
    table = data.index(b'"ftbl"')
    whole = read_profile(data)
    read = 0
    for end in [
        *range(25, table, 11),
        *range(table, table + 400),
        *range(table + 400, len(data.rstrip()), 7),
        len(data) - 2,
    ]:
        if end <= table + len(b'"ftbl": '):
            with pytest.raises(ReadError, match="was cut off before its frame table"):
                read_profile(data[:end], format="dhat")
            continue
        profile = read_profile(data[:end])
        assert any("cut off" in note.what for note in profile.notes)
        assert [profile.total(name) for name in profile.metric_names] == [
            whole.total(name) for name in whole.metric_names
        ]
        read += 1
    assert read > 500


def changed(**fields: Any) -> bytes:
    """The crate's file with other fields."""
    return json.dumps(json.loads(RUST.read_text()) | fields).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (changed(dhatFileVersion=3), r"dhatFileVersion is 3; 1 and 2 are known"),
        (changed(pps={}), "no list of program points, pps"),
        (changed(ftbl=[1]), "no frame table"),
        (changed(pps=[{"tb": 1}]), "program point 0 has no whole number 'tbk'"),
        (changed(pps=[7]), "program point 0 is not an object"),
        (
            changed(bklt=False, pps=[{"tb": 1, "tbk": 1, "fs": [99]}]),
            "program point 0 uses frame 99, the frame table has",
        ),
        (changed(bklt=False, pps=[{"tb": 1, "tbk": 1, "fs": [-1]}]), "below 0"),
        (changed(bklt=False, pps=[{"tb": 1, "tbk": 1, "fs": "1"}]), "no list of frames"),
        (changed(bklt=False, pps=[{"tb": 2**63, "tbk": 1, "fs": [1]}]), "64 bits"),
        (changed(bklt=False, pps=[{"tb": True, "tbk": 1, "fs": [1]}]), "whole number 'tb'"),
        (changed(bklt=False, pps=[{"tb": 1, "tbk": 1, "fs": [1], "acc": [-3, -3]}]), "acc of program point 0"),
        (RUST.read_bytes().replace(b'"tb": 6225', b'"tb": NaN'), "damaged JSON: NaN"),
        (RUST.read_bytes().replace(b'"tb": 6225', b'"tb" 6225'), r"<bytes>:16: damaged JSON"),
        (RUST.read_bytes().replace(b'"tb": 6225', b'"tb": ' + b"9" * 5000), "damaged JSON"),
    ],
)
def test_what_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ReadError, match=said):
        read_profile(data)


def test_paths_that_are_not_text_are_shown_escaped() -> None:
    profile = read_profile(RUST.read_bytes().replace(b"dr/src/main.rs:3:89", b"dr/\xff/main.rs:3:89"))
    assert "dr/\\xff/main.rs" in set(profile.frames["file"])
    assert any("not UTF-8" in note.what for note in profile.notes)


def test_units_that_a_program_made_up() -> None:
    points = [{"tb": 3, "tbk": 1, "fs": [1]}]
    plain = changed(mode="ad-hoc", bklt=False, bu="a b", bsu="request", bksu="request", pps=points)
    assert read_profile(plain).metric_names == ("total_bytes", "total_blocks")
    assert read_profile(plain.replace(b'"bksu": "request"', b'"bksu": "calls"')).metric_names == (
        "total_request",
        "total_calls",
    )


points = st.lists(
    st.fixed_dictionaries(
        {"tb": st.integers(0, 2**40), "tbk": st.integers(0, 2**40), "fs": st.lists(st.integers(0, 4), max_size=6)}
    ),
    max_size=8,
)


@given(points)
def test_totals_of_any_points(made: list[dict[str, Any]]) -> None:
    frames = [
        "[root]",
        "0x1: a (x.c:1)",
        "0x2: b (x.c:2)",
        "0x3: malloc (in /l/vgpreload_dhat-amd64-linux.so)",
        "0x3: c",
    ]
    profile = read_profile(changed(bklt=False, pps=made, ftbl=frames))
    assert profile.total("total_bytes") == sum(point["tb"] for point in made)
    rows = profile.top("total_bytes", by="name")
    ours = dict(zip(rows["name"], rows["total"], strict=True))
    for number, name in ((1, "a"), (2, "b"), (4, "c")):
        assert ours.get(name, 0) == sum(point["tb"] for point in made if number in point["fs"])


def test_deep_json_is_refused_where_a_library_raised_the_limit_of_recursion() -> None:
    code = """
import sys
sys.setrecursionlimit(100_000)
from workbench.errors import ReadError
from workbench.profiles.read import read_dhat
try:
    read_dhat(b'{"dhatFileVersion":2,"pps":' + b"[" * 90_000)
except ReadError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.returncode
    assert "nested too deeply" in done.stdout
