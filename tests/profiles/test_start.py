"""What ``workbench read`` imports: a small file is read faster than pandas is imported."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.fuzz.damage import damaged
from tests.fuzz.seeds import seeds
from workbench.profiles.exports.write import exported
from workbench.profiles.read import FORMATS, may_be, read_profile
from workbench.profiles.readers.massif import kernel
from workbench.profiles.source import Source

EXAMPLES = Path(__file__).parents[2] / "data" / "profiles"
# each takes as long to import as a small file to read, or longer
HEAVY = ("pandas", "pydantic", "asyncio", "psutil", "plotly")
FILES = {
    "callgrind": "demo-callgrind.out",
    "massif": "demo-massif.out",
    "strace": "demo-strace.log",
    "pprof": "demo-profile-1.pb",
    "flamegraph": "demo-flamegraph-1.svg",
}
MADE = ("folded", "speedscope", "pstats")
READERS = ["workbench", "profiles", "readers"]
# runs the command, then says which heavy modules are there, and which readers import pandas when they are imported
CODE = f"""
import sys
from workbench.cli import main
code = main(sys.argv[1:])
heavy = sorted(set({HEAVY!r}) & set(sys.modules))
readers = sorted(n for n, m in sys.modules.items() if n.startswith("workbench.profiles.readers") and hasattr(m, "pd"))
import json
print(json.dumps([code, heavy, readers]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small file of each format."""
    folder = tmp_path_factory.mktemp("small")
    found = {name: EXAMPLES / file for name, file in FILES.items()}
    profile = read_profile(EXAMPLES / FILES["pprof"])
    found["dhat"], found["jemalloc"] = Path(__file__).parent / "files" / "dhat-rs.json", folder / "demo.heap"
    found["jemalloc"].write_bytes(seeds("jemalloc")[0])
    for name in MADE:
        found[name] = folder / f"demo.{name}"
        found[name].write_bytes(exported(profile, name))
    return found


def heavy_after(*arguments: str) -> list[str]:
    """What the command imported of HEAVY; the test is skipped where a reader still imports pandas by itself."""
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=True)
    code, heavy, readers = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    if readers:
        pytest.skip(f"imported with pandas: {', '.join(readers)}")
    found: list[str] = heavy
    return found


@pytest.mark.parametrize(
    "name",
    ["callgrind", "massif", "strace", "pprof", "flamegraph", "folded", "speedscope", "pstats", "dhat", "jemalloc"],
)
def test_reading_a_file_on_the_command_line_needs_no_pandas(files: dict[str, Path], name: str) -> None:
    assert heavy_after("read", str(files[name])) == []


@pytest.mark.skipif(kernel._kernel is None, reason="installed without a C compiler")
@pytest.mark.parametrize("options", [[], ["--json"], ["--top", "3", "--sort", "total"]], ids=str)
def test_a_massif_file_is_read_without_numpy(files: dict[str, Path], options: list[str]) -> None:
    unused = ("numpy._core", "pathlib", "inspect", "traceback", "threading", "datetime", "workbench.profiles.tree")
    unused += ("argparse", "contextvars", "dataclasses", "gettext", "locale", "math", "resource", "typing")
    # argparse reads options, if there are any
    unused = tuple(name for name in unused if not options or name != "argparse")
    # the modules are those of a process of its own, and json, by which they are told, is imported after them
    told = "import builtins, sys; by = builtins.compile; compiled = []\n"
    told += "builtins.compile = lambda text, *more, **named: compiled.append(text) or by(text, *more, **named)\n"
    told += "from workbench.cli import main; code = main(sys.argv[1:]); there = [*sys.modules]; import json"
    told += "; print(json.dumps([code, there, compiled]), file=sys.stderr)"
    command = [sys.executable, "-c", told, "read", str(files["massif"]), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, modules, compiled = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    # annotations that are text: a NamedTuple compiles them, and compiling the first text takes a millisecond
    assert compiled == [] or "--json" in options
    # workbench.runs, which writes JSON, has some of them
    assert sorted(set(modules) & {*(unused if "--json" not in options else unused[:1])}) == []


@pytest.mark.parametrize(
    "options",
    [
        ["--json"],
        ["--focus", "core"],
        ["--hide", "core", "--metric", "samples"],
        ["--by", "crate"],
        ["--by", "file", "--sort", "total"],
        ["--by", "name", "--top", "3"],
    ],
    ids=" ".join,
)
def test_nor_does_any_way_to_show_the_table(files: dict[str, Path], options: list[str]) -> None:
    assert heavy_after("read", str(files["flamegraph"]), *options) == []


def test_the_reader_whose_mark_a_file_begins_with_is_asked_first(files: dict[str, Path]) -> None:
    assert set(files) <= set(FORMATS)
    for name in ("callgrind", "massif", "pstats", "flamegraph", "strace", "dhat", "jemalloc"):
        code = f"""
import sys
from workbench.profiles.read import recognise
from workbench.profiles.source import open_source
name, _ = recognise(open_source({str(files[name])!r}))
asked = sorted({{part[3] for part in (m.split(".") for m in sys.modules) if part[:3] == {READERS!r} and part[3:]}})
print(name, *asked)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        told, *asked = done.stdout.split()
        # a label in a picture is taken apart as one of folded stacks
        assert (told, set(asked) - {"folded"}) == (name, {name})


def test_a_folded_file_does_not_import_readers_that_cannot_take_it(files: dict[str, Path]) -> None:
    code = f"""
import sys
from workbench.profiles.read import recognise
from workbench.profiles.source import open_source
print(recognise(open_source({str(files["folded"])!r}))[0])
print(*sorted({{part[3] for part in (m.split(".") for m in sys.modules) if part[:3] == {READERS!r} and part[3:]}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told, asked = done.stdout.splitlines()
    assert told == "folded"
    assert not {"callgrind", "massif", "jemalloc", "speedscope", "firefox", "dhat", "flamegraph", "pstats"} & set(
        asked.split()
    )


@pytest.mark.parametrize("format", FORMATS)
def test_no_reader_is_passed_over_that_would_take_a_file(format: str) -> None:
    reader = import_module(f"workbench.profiles.readers.{format}")
    chance, starts = random.Random(format), seeds(format)
    inputs = [*starts, *(damaged(starts, chance, format) for _ in range(300))]
    taken = [data for data in inputs if reader.recognise(Source(data, format)) is not None]
    assert taken
    for data in taken:
        assert may_be(format, data), data[:200]
