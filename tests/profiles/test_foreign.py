"""Files of other tools are refused by name, with the command that converts them; profiles never are."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.profiles.corpus import TABLE, names
from tests.profiles.foreign_heads import BPFTRACE, CSV, HEADS, PROMETHEUS
from tests.profiles.samples import SAMPLES, beside, needs_samples
from workbench.errors import ReadError
from workbench.profiles.foreign import foreign
from workbench.profiles.read import FORMATS, read_profile


@pytest.mark.parametrize(("what", "head", "hint"), HEADS)
def test_it_is_named_with_what_to_do(what: str, head: bytes, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_bytes(head)
    with pytest.raises(ReadError) as caught:
        read_profile(path)
    assert what in caught.value.what
    assert caught.value.hint is not None
    # the name stands in the command as a shell takes it
    assert hint.replace("FILE", f"'{path}'") in caught.value.hint


@pytest.mark.parametrize("format", FORMATS)
def test_no_profile_is_taken_for_something_else(format: str) -> None:
    for data in seeds(format):
        assert foreign(data) is None


@needs_samples
def test_no_profile_of_the_corpus_is_taken_for_something_else() -> None:
    assert SAMPLES is not None
    read = {line.split("\t")[0] for line in TABLE.read_text().splitlines() if "\trefused\t" not in line}
    for name, path in names(SAMPLES).items():
        assert name not in read or foreign(path.read_bytes()) is None, name


def test_the_reported_metrics_are_refused() -> None:
    path = beside("reported/metrics.prom")
    with pytest.raises(ReadError, match=r"this is text with metrics of Prometheus, not a profile"):
        read_profile(path)


# Folded stacks that look a little like something else.
@pytest.mark.parametrize(
    "text",
    [
        "MOJO;main 5\n",
        "memray;main 5\n",
        "adcg;main 5\noncg 3\n",
        "tZst;main 5\n",
        "go 1.22 trace;main 5\n",
        "name,count;f 3\nmain,x;g 4\n",
        "# HELP is near\nmain;f 5\n",
        "goroutine 1;main 5\n",
        "main;@[x];f 5\n",
        "<html>;f 5\n"[1:],
    ],
)
def test_stacks_stay_stacks(text: str) -> None:
    assert read_profile(text.encode()).format == "folded"


@pytest.mark.parametrize("data", [PROMETHEUS, BPFTRACE, CSV], ids=["prometheus", "bpftrace", "csv"])
def test_other_line_ends_and_a_mark_at_the_start_change_nothing(data: bytes) -> None:
    expected = foreign(data)
    assert expected is not None
    assert foreign(data.replace(b"\n", b"\r\n")) == expected
    assert foreign(b"\xef\xbb\xbf" + data) == expected


@given(st.binary(max_size=400), st.sampled_from([head for _, head, _ in HEADS]), st.integers(0, 60))
def test_any_bytes_are_told_or_not(data: bytes, head: bytes, keep: int) -> None:
    foreign(head[:keep] + data)
    foreign(data)


def test_a_long_text_is_looked_at_once() -> None:
    """No mark is searched for in a way that takes the square of the length."""
    began = time.process_time()
    for text in (
        b"@[\n" + b"\n" * 60_000,
        b"{" + b" " * 60_000,
        b"-" * 60_000,
        b"@[" + b" a\n" * 20_000,
        b"[" + b"{" * 60_000,
    ):
        assert foreign(text) is None
    # the square would be a minute
    assert time.process_time() - began < 5


def test_folders_are_named(tmp_path: Path) -> None:
    trace, run = tmp_path / "app.trace", tmp_path / "run"
    for folder in (trace, run):
        folder.mkdir()
    (run / "manifest.json").write_text("{}")
    with pytest.raises(ReadError, match=r"Instruments.*xctrace export --input app\.trace.*inferno-collapse-xctrace"):
        read_profile(trace)
    with pytest.raises(ReadError, match=r"the folder of a run.*workbench findings"):
        read_profile(run)
    with pytest.raises(ReadError, match=r"this is a folder"):
        read_profile(tmp_path)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_what_gcc_writes(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-pg", "--coverage", "-o", "a", "a.c"], cwd=tmp_path, check=True)
    subprocess.run(["./a"], cwd=tmp_path, check=True)
    (counts,) = tmp_path.glob("*.gcda")
    for path, said in ((tmp_path / "gmon.out", "gcc -pg"), (counts, "coverage counts"), (tmp_path / "a", "a program")):
        with pytest.raises(ReadError, match=said):
            read_profile(path)


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_what_go_writes(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.19\n")
    (tmp_path / "main.go").write_text(
        'package main\nimport ("os"; "runtime/pprof"; "runtime/trace")\nfunc main() {\n'
        '  f, _ := os.Create("trace"); trace.Start(f); trace.Stop(); f.Close()\n'
        '  g, _ := os.Create("debug2"); pprof.Lookup("goroutine").WriteTo(g, 2); g.Close()\n}\n'
    )
    subprocess.run(["go", "run", "."], cwd=tmp_path, check=True)
    with pytest.raises(ReadError, match=r"an execution trace of Go.*go tool trace -pprof"):
        read_profile(tmp_path / "trace")
    with pytest.raises(ReadError, match="a dump of goroutines"):
        read_profile(tmp_path / "debug2")
