"""The notebooks of the profiles on legal files that tell less than usual: each cell runs, and the words say what the
file cannot tell.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.profiles.pprof_encoding import message, tagged
from tests.profiles.samples import SAMPLES, needs_samples
from tests.report.browser import open_offline
from tests.report.conftest import NOTEBOOKS
from workbench.errors import ReadError, WorkbenchError
from workbench.profiles.read import read_profile
from workbench.report import run_notebook
from workbench.report.notebooks import read_notebook

pytestmark = pytest.mark.slow

FORMATS = ("massif", "callgrind", "pprof", "strace")
_MASSIF = "desc: --time-unit=i\ncmd: ./x\ntime_unit: i\n"
_XTREE = "desc: xtree.produce_report\ncmd: ./x\ntime_unit: ms\n"
_XTREE_TOP = "n1: {} {}, {}\n n0: {} 0x1: f (a.c:1)\n"


def snapshot(number: int, heap: int, kind: str = "empty", top: str = "(heap allocation functions) malloc") -> str:
    tree = "" if kind == "empty" else f"n1: {heap} {top}\n n0: {heap} 0x1: f (a.c:{number + 1})\n"
    return (
        f"#-----------\nsnapshot={number}\n#-----------\ntime={number}\nmem_heap_B={heap}\nmem_heap_extra_B=0\n"
        f"mem_stacks_B=0\nheap_tree={kind}\n{tree}"
    )


def pprof(types: list[tuple[str, str]], samples: list[tuple[list[int], list[int]]], functions: int = 3) -> bytes:
    """A CPU profile: kinds of values, and samples as locations (leaf first) with values."""
    strings = ["", *dict.fromkeys(text for kind in types for text in kind), "main", "a", "b"]
    out = [tagged(1, message([(1, strings.index(name)), (2, strings.index(unit))])) for name, unit in types]
    out += [
        tagged(2, message([*((1, at) for at in stack), *((2, value) for value in values)])) for stack, values in samples
    ]
    for number, name in enumerate(("main", "a", "b")[:functions], start=1):
        out.append(tagged(4, message([(1, number), (4, message([(1, number)]))])))
        out.append(tagged(5, message([(1, number), (2, strings.index(name))])))
    period = [(1, strings.index(types[-1][0])), (2, strings.index(types[-1][1]))]
    out += [tagged(11, message(period)), tagged(12, 10_000_000), *(tagged(6, text.encode()) for text in strings)]
    return b"".join(out)


CPU = [("samples", "count"), ("cpu", "nanoseconds")]
_TABLE = (
    "% time     seconds  usecs/call     calls    errors syscall\n"
    "------ ----------- ----------- --------- --------- ----------------\n"
    "{}"
    "------ ----------- ----------- --------- --------- ----------------\n"
    "100.00    {}          50        20         2 total\n"
)

# name -> notebook, file, words that some cell says, words that no cell says
ODD: dict[str, tuple[str, str | bytes, list[str], list[str]]] = {
    "no heap tree at all": (
        "massif", _MASSIF + snapshot(0, 0) + snapshot(1, 100),
        ["no snapshot has a heap tree", "Growth needs two snapshots with heap trees, the file has none"], [],
    ),
    "one snapshot": ("massif", _MASSIF + snapshot(0, 0), ["Nothing was allocated", "1 snapshot is in the file"], []),
    "one heap tree": (
        "massif", _MASSIF + snapshot(0, 0) + snapshot(1, 100, "detailed"),
        ["Growth needs two snapshots with heap trees, the file has 1"], [],
    ),
    "no peak": (
        "massif", _MASSIF + snapshot(0, 10, "detailed") + snapshot(1, 100, "detailed") + snapshot(2, 50, "detailed"),
        ["has no heap tree of a peak: growth is shown up to the last heap tree, snapshot 2"], [],
    ),
    "the peak comes first": (
        "massif", _MASSIF + snapshot(0, 10, "peak") + snapshot(1, 5, "detailed"),
        ["Snapshot 0 was chosen as start and as end"], [],
    ),
    "xtree": (
        "massif",
        _XTREE + snapshot(0, 544, "detailed", "currently allocated Bytes (curB), bytes")
        + snapshot(1, 900, "detailed", "total allocated Bytes (totB), bytes"),
        ["xtree", "no snapshots in time"], [],
    ),
    "caches without instructions": (
        "callgrind", "events: Dr D1mr\nfn=main\n1 500 20\n",
        ["Where does Dr go?", "4.00 % of 500 data reads and writes missed the first-level cache"],
        ["The program executed", "estimated cycles are"],
    ),
    "branches without instructions": (
        "callgrind", "events: Bc Bcm\nfn=main\n1 500 20\n",
        ["4.00 % of 500 conditional and indirect branches were mispredicted"], ["The program executed"],
    ),
    "another writer's event": (
        "callgrind", "events: Ticks\nfn=main\n1 5\ncfn=b\ncalls=1 0\n1 7\n\nfn=b\n1 7\n",
        ["Where does Ticks go?", "holds 12 Ticks", "no counts of instructions, caches or branches"],
        ["executed", "--cache-sim", "CPU time"],
    ),
    "a ratio only": (
        "callgrind", "version: 1\ncreator: pprofile\nevents: usphit\nfn=main\n1 5\n",
        ["usphit is a ratio", "No metric of this profile can be summed"], ["100.0 %"],
    ),
    "no cost": ("callgrind", "events: Ir\nfn=main\n1 0\n", ["holds no costs"], []),
    "no function": ("callgrind", "events: Ir\n", ["holds no costs", "The profile has no functions"], []),
    "no line": ("callgrind", "positions: instr\nevents: Ir\nfn=main\n0x1 5\n", ["executed 5", "no source lines"], []),
    "no sample": ("pprof", pprof(CPU, []), ["holds no samples"], []),
    "no sample and no function": (
        "pprof", pprof(CPU, [], 0), ["holds no samples", "The profile has no functions"], [],
    ),
    "only zeros": ("pprof", pprof(CPU, [([2, 1], [0, 0])]), ["holds no samples"], []),
    "more lost than won": (
        "pprof", pprof(CPU, [([2, 1], [-1, -10_000_000]), ([3, 1], [-2, -20_000_000])]),
        ["difference", "-30.000 ms", "fell most"], ["of a sampler", "Most is spent"],
    ),
    "won and lost": (
        "pprof", pprof(CPU, [([2, 1], [5, 50_000_000]), ([3, 1], [-2, -20_000_000])]),
        ["difference", "a by 50.000 ms", "b by -20.000 ms"], ["of a sampler", "Most is spent"],
    ),
    "won as much as lost": (
        "pprof", pprof(CPU, [([2, 1], [5, 50_000_000]), ([3, 1], [-5, -50_000_000])]),
        ["difference", "0 ns"], ["holds no samples"],
    ),
    "a sample without a stack": ("pprof", pprof(CPU, [([], [5, 50_000_000])]), ["[no stack] 100.0 %"], ["a 0.0 %"]),
    "table of sums": (
        "strace",
        _TABLE.format(" 60.00    0.000600          60        10         2 read\n"
                      " 40.00    0.000400          40        10           write\n", "0.001000"),
        ["read has the most time: 60 %", "a table of sums (strace -c)"], [],
    ),
    "table without time": (
        "strace", _TABLE.format("  0.00    0.000000           0        10         2 read\n", "0.000000"),
        ["The table has no times"], ["nan"],
    ),
    "log without times": ("strace", 'read(3, "x", 1) = 1\n+++ exited with 0 +++\n', ["no times of calls"], []),
    "log without calls": (
        "strace", "1 12:00:00.000001 +++ exited with 0 +++\n", ["no call in the log returned"], ["nan"],
    ),
    "call that never returned": (
        "strace", "1 12:00:00.000001 read(3, <unfinished ...>\n", ["no call in the log returned"], [],
    ),
}  # fmt: skip


def outputs(notebook: str, path: Path) -> str:
    """What the cells of a notebook show for a file, as text. Raises what a cell raises."""
    code = [cell.source for cell in read_notebook(NOTEBOOKS / f"{notebook}.ipynb").cells if cell.cell_type == "code"]
    names: dict[str, Any] = {}
    shown: list[str] = []
    for position, source in enumerate(code):
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, notebook, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), notebook, "eval"), names)
            if hasattr(value, "_repr_html_"):
                value._repr_html_()
            shown.append(value.to_json() if hasattr(value, "to_json") else repr(value))
        if position == 0:
            names["path"] = str(path)
    return "\n".join(shown)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ODD)
def test_the_cells_say_what_an_odd_file_cannot_tell(name: str, tmp_path: Path) -> None:
    notebook, content, said, unsaid = ODD[name]
    path = tmp_path / "profile"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    text = outputs(notebook, path)
    for words in said:
        assert words in text
    for words in unsaid:
        assert words not in text


def _of_a_notebook() -> list[str]:
    found: list[str] = []
    if SAMPLES is None:
        return found
    for path in sorted(SAMPLES.glob("*/*")):
        try:
            if read_profile(path).format in FORMATS:
                found.append(path.relative_to(SAMPLES).as_posix())
        except ReadError:
            continue
    return found


@needs_samples
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", _of_a_notebook())
def test_the_cells_run_on_every_public_profile(name: str) -> None:
    assert SAMPLES is not None
    path = SAMPLES / name
    assert outputs(read_profile(path).format, path)


def test_what_was_asked_wrongly_is_still_an_error(tmp_path: Path) -> None:
    path = tmp_path / "massif.out"
    path.write_text(_MASSIF + snapshot(0, 10, "detailed") + snapshot(1, 20, "peak"))
    from workbench.report.answers.massif import growth_table

    profile = read_profile(path, format="massif")
    with pytest.raises(WorkbenchError, match="snapshot 7"):
        growth_table(profile, 7, "peak")
    assert "Snapshot 0 was chosen as start and as end" in growth_table(profile, 0, "first").as_text
    assert growth_table(profile, "0", "").as_text == growth_table(profile, "first", "peak").as_text


@pytest.mark.browser
@pytest.mark.parametrize("name", ["xtree", "no function", "won as much as lost", "table of sums"])
async def test_the_notebooks_run_to_their_end_on_odd_files(name: str, tmp_path: Path) -> None:
    notebook, content, said, _ = ODD[name]
    path, page = tmp_path / "profile", tmp_path / "report.html"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    record = await run_notebook(
        NOTEBOOKS / f"{notebook}.ipynb", {"path": str(path)}, tmp_path / "n.ipynb", page, title=name, timeout_s=200
    )
    assert record.ok, f"{record.exception}: {record.message}"
    opened = await open_offline(page)
    assert (opened.requests, opened.complaints) == ([], [])
    assert opened.charts_drawn == opened.charts_wanted
    for words in said:
        assert words in opened.text
