"""msparser and ms_print judge what our reader of massif's files finds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.profiles.samples import needs_samples, sample
from tests.profiles.test_massif import COUNTS, read
from workbench.profiles.model import Profile


@needs_samples
@pytest.mark.parametrize("number", [0, 1, 2])
def test_msparser_reads_the_same(number: int) -> None:
    theirs = json.loads(sample(f"massif/msparser__massif.out.{number}.json").read_text())
    profile = read(sample(f"massif/msparser__massif.out.{number}"))
    rows = [
        (one["id"], one["time"], one["mem_heap"], one["mem_heap_extra"], one["mem_stack"])
        for one in theirs["snapshots"]
    ]
    assert list(profile.tables["snapshots"][list(COUNTS)].itertuples(index=False, name=None)) == rows
    assert profile.meta["cmd"] == theirs["cmd"]
    assert profile.meta["detailed"] == theirs["detailed_snapshot_indices"]
    for one in theirs["snapshots"]:
        if one["heap_tree"] is not None:
            assert our_tree(profile, one["id"]) == list(their_tree(one["heap_tree"], 0))


def their_tree(node: dict[str, Any], depth: int) -> Any:
    details = node["details"]
    name, file, line = "", "", 0
    if details is not None:
        name, file, line = details["function"], details["file"] or "", details["line"] or 0
    yield depth, node["nbytes"], name, file, line
    for child in node["children"]:
        yield from their_tree(child, depth + 1)


def our_tree(profile: Profile, snapshot: int) -> list[tuple[int, int, str, str, int]]:
    heap = profile.tables["heap_trees"]
    heap = heap[heap["snapshot"] == snapshot]
    frames = profile.frames.iloc[heap["frame_id"].to_numpy()]
    plain = (heap["below_threshold"] | (heap["depth"] == 0)).to_numpy()
    names = frames["raw_function"].where(~plain, "")
    return list(
        zip(heap["depth"], heap["bytes"], names, frames["file"] + frames["object"], frames["line"], strict=True)
    )


Line = tuple[int, str, str, str]
_REPORT_ROW = re.compile(r"^ *(\d+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)$")
_REPORT_NODE = re.compile(r"^((?:[| ] )*->)?(\d+\.\d\d)% \(([\d,]+)B\) (.*)$")


def report_of(text: str) -> tuple[list[list[int]], list[list[Line]]]:
    """ms_print's report: the rows (number, time, total, heap, extra, stacks), and each tree as lines (depth, per cent,
    bytes, text)."""
    rows: list[list[int]] = []
    trees: list[list[Line]] = []
    for line in text.splitlines():
        if match := _REPORT_ROW.match(line):
            rows.append([int(value.replace(",", "")) for value in match.groups()])
        elif match := _REPORT_NODE.match(line):
            depth = len(match[1] or "") // 2
            if not depth:
                trees.append([])
            trees[-1].append((depth, match[2], match[3].replace(",", ""), match[4]))
    return rows, trees


def as_ms_print(profile: Profile, snapshot: int, threshold: float) -> list[Line]:
    """Our tree as ms_print prints it: without what is under its threshold, and without all behind a ``#``."""
    heap, frames = profile.tables["heap_trees"], profile.frames
    heap = heap[heap["snapshot"] == snapshot]
    base = int(heap["node_id"].iloc[0])
    snapshots = profile.tables["snapshots"].set_index("snapshot")
    whole = int(snapshots["total_bytes"][snapshot])
    rows = list(heap.join(frames[["raw_function", "file", "line", "object"]], on="frame_id").itertuples())
    children: dict[int, list[int]] = {}
    for position, row in enumerate(rows):
        children.setdefault(row.parent_id - base if row.parent_id >= 0 else -1, []).append(position)
    out: list[Line] = []

    def per_cent(held: int) -> str:
        return f"{100 * held / whole if whole else 0:05.2f}"

    def shown(position: int) -> bool:
        held = rows[position].bytes
        return position == 0 or threshold == 0 or (whole != 0 and held * 100 / whole >= threshold)

    def print_node(position: int) -> None:
        row = rows[position]
        out.append((row.depth, per_cent(row.bytes), str(row.bytes), text_of(row)))
        small = [child for child in children.get(position, []) if not shown(child)]
        for child in children.get(position, []):
            if shown(child):
                print_node(child)
        if small:
            held = sum(rows[child].bytes for child in small)
            text = f"in {len(small)}+ places, all below ms_print's threshold ({threshold:05.2f}%)"
            out.append((row.depth + 1, per_cent(held), str(held), text))

    def text_of(row: Any) -> str:
        if row.depth == 0:
            return str(row.raw_function)
        if row.below_threshold:
            places = f"{row.places} places, all" if row.places > 1 else "1 place,"
            return f"in {places} below massif's threshold"
        where = f" ({row.file}:{row.line})" if row.file else f" (in {row.object})" if row.object else ""
        return f"0x{row.address:X}: {row.raw_function}{where}"

    print_node(0)
    return [(depth, pct, held, comparable(text)) for depth, pct, held, text in out]


def comparable(text: str) -> str:
    """What both sides can say: ms_print cuts at ``#``; of the threshold, versions write 1.00 and 01.00."""
    text = text.split("#")[0].rstrip().removesuffix(" (in ???)")
    text = re.sub(r"( below massif's threshold) \([\d.]+%\)", r"\1", text)
    return re.sub(r"^(\([^)]*\)) m.*", r"\1", text)


def assert_as_ms_print(profile: Profile, report: str, threshold: float) -> int:
    rows, trees = report_of(report)
    ours = profile.tables["snapshots"]
    columns = ["snapshot", "time", "total_bytes", "heap_bytes", "heap_extra_bytes", "stacks_bytes"]
    assert ours[columns].to_numpy().tolist() == rows
    assert len(trees) == len(profile.meta["detailed"])
    for number, tree in zip(profile.meta["detailed"], trees, strict=True):
        expected = [(depth, pct, held, comparable(text)) for depth, pct, held, text in tree]
        assert as_ms_print(profile, number, threshold) == expected
    return sum(map(len, trees))


@needs_samples
def test_the_report_of_kate_agrees_line_by_line() -> None:
    profile = read(sample("massif/massif-visualizer__massif.out.kate"))
    report = sample("massif/massif-visualizer__massif.out.kate.print").read_text(errors="replace")
    assert assert_as_ms_print(profile, report, 1.0) > 10_000


PROGRAM = """
#include <stdlib.h>
#include <string.h>
static void *kept[4096];
static int count;
__attribute__((noinline)) static void *leak(int size) { return kept[count++ % 4096] = malloc(size); }
__attribute__((noinline)) static void *deep(int level, int size) {
  char *text = level ? deep(level - 1, size) : leak(size);
  if (text) text[0] = (char)level;
  return text;
}
static inline __attribute__((always_inline)) char *twice(const char *text) { return strdup(text); }
int main(void) {
  volatile char page[20000];
  page[1] = 1;
  for (int round = 0; round < 400; round++) {
    leak(64 + round);
    deep(round % 7, 128);
    char *text = twice("temporary text");
    kept[count++ % 4096] = calloc(3, 40);
    free(text);
  }
  return page[1] - 1;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("gcc", "valgrind", "ms_print"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} is installed")
    folder = tmp_path_factory.mktemp("massif")
    (folder / "app.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-g", "-O1", "-o", "app", "app.c"], cwd=folder, check=True)
    return folder / "app"


@pytest.mark.parametrize(
    "flags",
    [
        ["--time-unit=B", "--detailed-freq=10", "--max-snapshots=100", "--threshold=0.5"],
        ["--stacks=yes", "--detailed-freq=5", "--threshold=0"],
        ["--time-unit=ms"],
        ["--time-unit=i", "--depth=3", "--heap=yes", "--heap-admin=24"],
        ["--pages-as-heap=yes"],
        ["--pages-as-heap=yes", "--time-unit=B", "--stacks=no", "--detailed-freq=1"],
        ["--alloc-fn=leak", "--detailed-freq=3", "--threshold=0"],
        ["--ignore-fn=leak", "--detailed-freq=3", "--threshold=0"],
        ["--heap=no", "--stacks=yes"],
        ["--peak-inaccuracy=0", "--max-snapshots=10", "--detailed-freq=1"],
    ],
    ids=" ".join,
)
def test_ms_print_prints_the_same_of_a_file_made_now(program: Path, tmp_path: Path, flags: list[str]) -> None:
    out = tmp_path / "massif.out"
    command = ["valgrind", "--tool=massif", f"--massif-out-file={out}", *flags, str(program)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    profile = read(out)
    report = subprocess.run(["ms_print", "--threshold=0", str(out)], check=True, capture_output=True, text=True).stdout
    lines = assert_as_ms_print(profile, report, 0.0)
    # a massif that looks at stacks alone has no tree
    assert lines > 10 or ("--heap=no" in flags and not lines)
    assert profile.meta["pages_as_heap"] == ("--pages-as-heap=yes" in flags)
    assert profile.metrics[0].name == ("pages" if "--pages-as-heap=yes" in flags else "heap")
    assert profile.meta["time_unit"] == next((flag[-2:].strip("=") for flag in flags if "time-unit" in flag), "i")
    if flags[0] == "--time-unit=B":
        # 400 rounds of 64 + round, 128 and 120 bytes are kept to the end
        kept = sum(64 + number for number in range(400)) + 400 * (128 + 120)
        assert profile.tables["snapshots"]["heap_bytes"].iloc[-1] == pytest.approx(kept, rel=0.02)
        held = profile.functions.set_index("function")["total_heap"]
        assert held["main"] >= held["leak"] >= held["deep"] > 0
    if flags[0] == "--stacks=yes":
        assert profile.tables["snapshots"]["stacks_bytes"].max() > 20_000


def test_ms_print_prints_the_same_of_an_xtree_file_made_now(program: Path, tmp_path: Path) -> None:
    out = tmp_path / "xtree.ms"
    command = ["valgrind", "--tool=memcheck", "--xtree-memory=full", f"--xtree-memory-file={out}", str(program)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    profile = read(out)
    assert profile.meta["xtree"]
    report = subprocess.run(["ms_print", "--threshold=0", str(out)], check=True, capture_output=True, text=True).stdout
    _, trees = report_of(report)
    # a metric is the top of its tree
    assert [profile.total(name) for name in profile.metric_names] == [int(tree[0][2]) for tree in trees]
    assert sum(map(len, trees)) > 10
    for number, tree in zip(profile.meta["detailed"], trees, strict=True):
        # of the top line we show the metric's name alone
        below = [(depth, pct, held, comparable(text)) for depth, pct, held, text in tree[1:]]
        assert as_ms_print(profile, number, 0.0)[1:] == below
