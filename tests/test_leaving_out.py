"""What takes most of the time of an import and is never used is not imported: three processes a notebook would pay."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workbench.leaving_out import OF_JSONSCHEMA, delayed, left_out

A_CHART = "from workbench.charts.theme import figure; figure('a', 'b', 'c', 'd')._repr_mimebundle_()"
PAPERMILL = """
from workbench.leaving_out import OF_JSONSCHEMA, left_out
with left_out(OF_JSONSCHEMA):
    import papermill, workbench.report.kernel"""


@pytest.mark.parametrize(
    "code",
    [
        "import workbench.report.execute, workbench.report.export",
        PAPERMILL,
        A_CHART,
    ],
)
def test_notebooks_are_read_and_charts_shown_without_the_grammars(code: str) -> None:
    code += f"\nimport sys; print('nbformat' in sys.modules, {OF_JSONSCHEMA!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.split()) == ("", ["True", "False"])


def test_what_is_left_out_can_be_imported_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(ImportError, match="colorsys"), left_out("colorsys"):
        import colorsys
    import colorsys

    with left_out("colorsys"):
        assert sys.modules["colorsys"] is colorsys  # there already: nothing is taken away


def test_numpy_works_without_the_docstrings_of_its_compiled_functions() -> None:
    code = (
        "from workbench.leaving_out import OF_NUMPY, emptied\n"
        "with emptied(OF_NUMPY): import numpy\n"
        "import sys; print(OF_NUMPY in sys.modules, numpy.ndarray.sum.__doc__)\n"
        "print(numpy.arange(4).reshape(2, 2).sum(axis=0))\n"
        "import numpy.ma, numpy.random, pandas; print(numpy.random.default_rng(1).integers(5) >= 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout) == ("", "False None\n[2 4]\nTrue\n")


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


def test_a_module_that_is_there_is_not_delayed() -> None:
    with delayed("sys"):
        import sys as again
    assert again is sys
