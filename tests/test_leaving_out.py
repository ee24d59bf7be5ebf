"""What takes most of the time of an import and is never used is not imported: three processes a notebook would pay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.leaving_out import OF_JSONSCHEMA, OF_PAPERMILL, delayed, left_out, untranslated

A_CHART = "from workbench.charts.theme import figure; figure('a', 'b', 'c', 'd')._repr_mimebundle_()"
MASSIF = Path(__file__).parent.parent / "data" / "profiles" / "demo-massif.out"
PAPERMILL = """
from workbench.leaving_out import OF_PAPERMILL, left_out
with left_out(*OF_PAPERMILL):
    import papermill, workbench.report.kernel"""


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("import workbench.report.execute, workbench.report.export", OF_JSONSCHEMA),
        (PAPERMILL, (*OF_PAPERMILL, "numpy")),
        (A_CHART, OF_JSONSCHEMA),
    ],
    ids=["report", "papermill", "chart"],
)
def test_notebooks_are_read_and_charts_shown_without_what_is_left_out(code: str, without: tuple[str, ...]) -> None:
    code += f"\nimport sys; print('nbformat' in sys.modules, set({without!r}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout) == ("", "True set()\n")


def test_the_command_that_has_a_notebook_run_imports_nothing_to_measure_with() -> None:
    code = (
        "import sys, workbench.cli.sweep, workbench.report.sweep_report; print({'aiohttp', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout) == ("", "set()\n")


def test_what_is_left_out_can_be_imported_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(ImportError, match="colorsys"), left_out("colorsys"):
        import colorsys
    import colorsys

    with left_out("colorsys"):
        assert sys.modules["colorsys"] is colorsys  # there already: nothing is taken away


@pytest.mark.parametrize("earlier", ["", ", inspect"])
def test_numpy_works_without_what_its_import_leaves_out(earlier: str) -> None:
    code = (
        f"import sys{earlier}\n"
        "from workbench.leaving_out import LATE_IN_NUMPY, OF_NUMPY, bare_numpy\n"
        "left_out = {*OF_NUMPY, *LATE_IN_NUMPY, 'numpy._typing', 'numpy._utils._inspect', 'inspect'} - {*sys.modules}\n"
        "with bare_numpy(): import numpy\n"
        "print(left_out & {*sys.modules}, numpy.ndarray.sum.__doc__)\n"
        "print(numpy.arange(4).reshape(2, 2).sum(axis=0))\n"
        "import inspect, numpy.ma, numpy.random, numpy.typing, numpy.ctypeslib, pandas, pickle\n"
        "print(numpy.random.default_rng(1).integers(5) >= 0, inspect.cleandoc(' a'), inspect.signature(numpy.mean))\n"
        "print(numpy.typing.NDArray[numpy.int8], numpy.linalg.eigh(numpy.eye(2)).eigenvalues)\n"
        "print(pickle.loads(pickle.dumps(numpy.arange(3))), numpy.arange(3).ctypes.data > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        [
            "set() None",
            "[2 4]",
            "True a (a, axis=None, dtype=None, out=None, keepdims=<no value>, *, where=<no value>)",
            "numpy.ndarray[tuple[typing.Any, ...], numpy.dtype[numpy.int8]] [1. 1.]",
            "[0 1 2] True",
        ],
    )


def test_a_delayed_module_is_imported_when_something_in_it_is_asked_for() -> None:
    code = (
        "import sys\n"
        "from workbench.leaving_out import delayed\n"
        "with delayed('numpy'), delayed('inspect'):\n"
        "    import numpy as np, dataclasses\n"
        "    from workbench.profiles.table import Listed\n"
        "print('numpy._core' in sys.modules, 'ast' in sys.modules)\n"
        "import inspect, numpy\n"
        "print(np.arange(2).sum() + numpy.int64(1), np.float64 is numpy.float64, Listed([3], 'int64').column())\n"
        "print(dataclasses.dataclass(type('A', (), {'__annotations__': {'x': int}})).__doc__, inspect.isclass(int))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["False False", "2 True [3]", "A(x: int) True", ""]


def test_a_process_ends_without_a_last_look_for_garbage_and_imports_without_one() -> None:
    code = (
        "import atexit, gc\n"
        "from workbench.leaving_out import without_collector, without_last_collection\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"
        "with without_collector(): print(gc.isenabled())\n"
        "print(gc.isenabled(), gc.get_freeze_count())\n"
        "for _ in range(2): without_last_collection()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue 0\nTrue\n"


def test_a_module_that_is_there_is_not_delayed() -> None:
    with delayed("sys"):
        import sys as again
    assert again is sys


def test_a_process_that_is_left_has_done_all_that_it_had_to_do() -> None:
    code = (
        "import atexit, threading, time\n"
        "from workbench.leaving_out import leave\n"
        "atexit.register(print, 'registered')\n"
        "go = threading.Event()\n"
        "threading.Thread(target=lambda: (go.wait(), print('a thread'))).start()\n"
        "threading.Thread(target=lambda: go.wait(60), daemon=True).start()\n"
        "print('x' * 200_000)\n"
        "go.set()\n"
        "leave(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == "x" * 200_000 + "\na thread\nregistered\n"


@pytest.mark.parametrize(
    "profiler", [["cProfile", "-o"], ["pprofile", "--format", "callgrind", "--out"]], ids=lambda one: one[0]
)
@pytest.mark.parametrize("called", ["by its script", "as a module"])
def test_a_profiler_that_runs_the_command_writes_what_it_has(tmp_path: Path, profiler: list[str], called: str) -> None:
    script = [str(Path(sys.executable).parent / "workbench")] if called == "by its script" else ["-m", "workbench.cli"]
    out = tmp_path / "profile.out"
    command = [sys.executable, "-m", *profiler, str(out), *script, "read", str(MASSIF)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[:1]) == (0, [f"{MASSIF}: massif, 203 functions"]), done.stderr
    assert out.stat().st_size > 1000


def test_a_process_whose_output_nobody_reads_is_left_without_a_word() -> None:
    code = "import sys; print('unread'); from workbench.leaving_out import leave; sys.stdin.read(); leave(3)"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], env=buffered, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.communicate()[1] == b""
    assert process.returncode == 3


def test_the_words_of_argparse_need_no_translations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gettext", raising=False)
    monkeypatch.delitem(sys.modules, "argparse", raising=False)
    with untranslated():
        import argparse
    assert "gettext" not in sys.modules
    parser = argparse.ArgumentParser(prog="x", exit_on_error=False)
    parser.add_argument("--two", nargs=2)
    assert "show this help message and exit" in parser.format_help()
    with pytest.raises(argparse.ArgumentError, match="expected 2 arguments"):
        parser.parse_args(["--two", "1"])


def test_no_command_looks_for_translations() -> None:
    code = "import sys; from workbench.cli import main; main(['load', '-n', 'x']); print({'gettext'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n"
