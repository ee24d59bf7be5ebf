"""The callgrind reader beside callgrind_annotate, the files' own totals, and the rules of the format."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.profiles.samples import SAMPLES, needs_samples
from workbench.errors import ReadError
from workbench.profiles.exports.callgrind import to_callgrind
from workbench.profiles.model import Profile
from workbench.profiles.read import read_callgrind
from workbench.profiles.readers.callgrind.scan import PIECE_BYTES

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = r"""
#include <pthread.h>
#include <stdlib.h>
static inline __attribute__((always_inline)) int inlined(int x) { return x * 31 + 7; }
__attribute__((noinline)) int leaf(int x) { int s = 0; for (int i = 0; i < 40; i++) s += inlined(x + i) % 5; return s; }
__attribute__((noinline)) int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
__attribute__((noinline)) int odd(int n);
__attribute__((noinline)) int even(int n) { return n == 0 ? leaf(3) : odd(n - 1); }
__attribute__((noinline)) int odd(int n) { return n == 0 ? leaf(4) : even(n - 1); }
void *work(void *unused) { (void)unused; return (void *)(long)(leaf(5) + fib(8)); }
int main(int argc, char **argv) {
  (void)argv;
  pthread_t thread;
  pthread_create(&thread, 0, work, 0);
  pthread_join(thread, 0);
  return (fib(10) + even(7) + leaf(argc)) & 1;
}
"""
SERVICE = (
    "--cache-sim=yes", "--branch-sim=yes", "--collect-jumps=yes", "--collect-systime=yes", "--collect-bus=yes",
    "--dump-instr=yes", "--dump-line=yes", "--compress-strings=no",
)  # fmt: skip
VARIANTS = {
    "service": SERVICE,
    "plain": (),
    "caches": ("--cache-sim=yes", "--dump-instr=no"),
    "uncompressed": ("--compress-strings=no", "--compress-pos=no", "--branch-sim=yes"),
    "callers": ("--separate-callers=2", "--separate-recs=3"),
}
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "valgrind", "callgrind_annotate"))), reason="gcc and valgrind are not installed"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "demo.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-g", "-O1", "-pthread", "-o", "demo", "demo.c"], cwd=folder, check=True)
    return folder / "demo"


def run(program: Path, *flags: str) -> Path:
    output = program.parent / f"out{abs(hash(flags))}"
    if not output.exists():
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={output}", *flags, str(program)]
        subprocess.run(command, cwd=program.parent, check=False, capture_output=True)
    return output


def annotated(path: Path, event: str) -> dict[str, int]:
    """Self cost of each function by callgrind_annotate, summed over the files it splits one over."""
    out = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=100", f"--sort={event}", f"--show={event}", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[str, int] = defaultdict(int)
    for cost, name in re.findall(r"^\s*([\d,]+)(?: \([ \d.]+%\))?\s+\S*?:(.+?)(?: \[[^\]]*\])?$", out, re.MULTILINE):
        found[name] += int(cost.replace(",", ""))
    return found


def own(profile: Profile, event: str) -> dict[str, int]:
    costs = profile.functions.groupby("raw_function")[f"self_{event}"].sum()
    return {str(name): int(cost) for name, cost in costs.items() if cost}


@needs_tools
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_function_and_event_is_that_of_callgrind_annotate(variant: str, program: Path) -> None:
    path = run(program, *VARIANTS[variant])
    profile = read_callgrind(path)
    assert profile.metric_names[0] == "Ir"
    for event in profile.metric_names:
        theirs = {name: cost for name, cost in annotated(path, event).items() if cost}
        # callgrind_annotate shows the first of several events that sum to nothing as it shows any other
        assert own(profile, event) == theirs, event


@needs_tools
def test_recursion_cycles_and_threads(program: Path) -> None:
    profile = read_callgrind(run(program))
    whole = profile.total("Ir")
    functions = profile.functions
    assert functions["total_Ir"].max() <= whole
    # from the second level of recursion on, callgrind writes even'2 and odd'2, which call each other
    cycle = functions[functions["raw_function"].isin(["even'2", "odd'2"])]
    assert len(cycle) == 2
    assert cycle["cycle"].nunique() == 1
    assert cycle["cycle"].min() >= 0
    nodes = profile.nodes
    assert nodes.loc[nodes["parent_id"] < 0, "total_Ir"].sum() == pytest.approx(whole, rel=1e-6)
    # the thread's work is there, though the caller of its clone accounts for almost nothing
    assert functions.loc[functions["function"] == "work", "total_Ir"].iloc[0] > 0


@needs_tools
def test_threads_in_one_file_sum_to_the_same_functions(program: Path) -> None:
    apart = run(program, "--separate-threads=yes", "--combine-dumps=yes")
    profile = read_callgrind(apart)
    together = read_callgrind(run(program))
    assert len(profile.tables["parts"]) >= 2
    for name in ("leaf", "inlined", "main"):
        assert own(profile, "Ir").get(name) == own(together, "Ir").get(name)


@needs_tools
@pytest.mark.parametrize("variant", ["service", "plain"])
def test_what_is_written_is_read_back(variant: str, program: Path, tmp_path: Path) -> None:
    profile = read_callgrind(run(program, *VARIANTS[variant]))
    written = tmp_path / "written"
    written.write_bytes(to_callgrind(profile))
    again = read_callgrind(written)
    for event in profile.metric_names:
        assert own(again, event) == own(profile, event)
    assert again.edges["cost_Ir"].sum() == profile.edges["cost_Ir"].sum()
    assert again.edges["calls"].sum() == profile.edges["calls"].sum()
    assert {name: cost for name, cost in annotated(written, "Ir").items() if cost} == own(profile, "Ir")


TOTALS = re.compile(rb"^totals:\s*([\d ]+)$", re.MULTILINE)


@needs_samples
@pytest.mark.parametrize("path", sorted((SAMPLES or Path()).glob("callgrind/*")), ids=lambda path: path.name)
def test_self_costs_sum_to_the_totals_of_the_file(path: Path) -> None:
    said = TOTALS.findall(path.read_bytes())
    if not said or b"version: 2" in path.read_bytes():
        return
    profile = read_callgrind(path)
    sums = [sum(column) for column in zip(*(map(int, line.split()) for line in said), strict=False)]
    found = [profile.total(name) for name in profile.metric_names][: len(sums)]
    # files made by hand for tests of others may contradict themselves: then that is said
    assert found == sums or any("total" in note.what for note in profile.notes)


def costs(text: str) -> dict[str, int]:
    return own(read_callgrind(text.encode()), "Ir")


def test_the_rules_of_the_format() -> None:
    # names: one table for functions, defined once, looked up after, in later parts too
    assert costs("events: Ir\nfn=(1) a\n1 2\nfn=(2) b\n1 3\nfn=(1)\n2 4\n") == {"a": 6, "b": 3}
    assert costs("events: Ir\nfn=(1) a\n1 2\n\npart: 2\nevents: Ir\nfn=(1)\n1 5\n") == {"a": 7}
    # positions: relative to the line before; missing costs are 0; the line after calls= is no self cost
    relative = read_callgrind(
        b"positions: line\nevents: Ir Dr\nfl=x.c\nfn=a\n10 1\n+5 2 7\n-3 4\n* 1\ncfn=b\ncalls=2 1\n+1 9\n"
    )
    assert dict(relative.lines[["line", "self_Ir"]].itertuples(index=False))[12] == 5
    assert own(relative, "Ir") == {"a": 8}
    assert relative.edges[["calls", "cost_Ir"]].values.tolist() == [[2, 9]]
    # blank lines and comments are nowhere in the way
    apart = read_callgrind(
        b"events: Ir\nfn=a\n\n1 2\n\n2 3\n# no\n\n\ncfn=b\n\ncalls=2 1\n \n# no\n3 9\n\njump=1 2\n\n4 7\n"
    )
    assert own(apart, "Ir") == {"a": 5}
    assert apart.edges[["calls", "cost_Ir"]].values.tolist() == [[2, 9]]
    assert apart.functions["function"].tolist() == ["a", "b"]
    # jumps cost nothing, CRLF and comments do not matter, a hash inside a name is part of it
    assert costs("events: Ir\r\nfn=a{closure#0}\r\n1 2\r\njump=3 +4\r\n* \r\n# no\r\n2 5\r\n") == {"a{closure#0}": 7}
    # a literal name that begins with a bracket
    assert costs("events: Ir\nfn=(below main)\n1 2\n") == {"(below main)": 2}


def test_a_file_of_many_chunks_sums_to_the_same_as_its_parts() -> None:
    once = (ROOT / "data" / "profiles" / "demo-callgrind.out").read_bytes()
    times = 2 * PIECE_BYTES // len(once) + 2
    one, many = read_callgrind(once), read_callgrind(once * times)
    assert len(many.tables["parts"]) == times
    for table, of_one, of_many in (
        ("functions", one.functions, many.functions),
        ("edges", one.edges, many.edges),
        ("lines", one.lines, many.lines),
    ):
        costs = [name for name in of_one if name.startswith(("self_", "cost_", "called_")) or name == "calls"]
        assert (of_many[costs] == of_one[costs] * times).all(axis=None), table
        assert (
            of_many.drop(columns=costs)
            .filter(regex="^(?!total)")
            .equals(of_one.drop(columns=costs).filter(regex="^(?!total)"))
        ), table


@pytest.mark.slow
def test_source_lines_are_left_out_where_there_are_too_many_and_then_it_is_said() -> None:
    header = f"events: {' '.join(f'E{number}' for number in range(64))}\nfn=a\n"
    again = read_callgrind((header + "1 1\n2 1\n" * 200_000).encode())
    assert again.lines[["line", "self_E0"]].values.tolist() == [[1, 200_000], [2, 200_000]]
    assert again.notes == ()
    many = read_callgrind((header + "+1 1\n" * 300_000).encode())
    assert len(many.lines) == 0
    assert [note.count for note in many.notes if "too much memory" in note.what] == [300_000]
    assert many.total("E0") == 300_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\nevents: Ir\nfn=a\n1 2\n", "version"),
        ("events: Ir\nfn=a\n1 99999999999999999999\n", ":3"),
        ("events: Ir\nfn=a\n1 9223372036854775807\n2 9223372036854775807\n", "Ir|more than"),
        ("digraph {\n}\n", "DOT"),
        ("positions: instr line\nevents: Ir\nfn=a\n0x1 1 2\n6d7x\n", ":5: .*6d7x.* is not a position"),
        ("positions: instr line\nevents: Ir\nfn=a\n0x1 1 2\n+1 * 1x\n", ":5: .*1x.* is not a cost"),
        # found by fuzzing
        (f"events: Time_({'9' * 400}ns)\nfn=a\n1 2\n", "add up to more than"),
        (f"positions: {'x' * 9000}\nevents: Ir\nfn=a\n1 2\n", "^.{0,200}$"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str) -> None:
    with pytest.raises(ReadError, match=said):
        read_callgrind(text.encode())


@pytest.mark.parametrize("cost", ["*", "+7"])
def test_a_relative_cost_is_refused_for_what_it_is(cost: str) -> None:
    """Only positions can be relative (valgrind's manual, callgrind-format: Subposition Compression). Speedscope has a
    sample with relative costs; what they are relative to, the line before or the call before, nobody defines."""
    with pytest.raises(ReadError, match=r":4: the cost .* is relative to an earlier one.*Only positions"):
        read_callgrind(f"events: Ir\nfn=a\n1 5\n2 {cost}\n".encode())
