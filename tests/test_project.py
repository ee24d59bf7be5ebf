"""The project's own files: dependencies in step, imports that go down only, sizes, the Makefile, CI's skips."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

import workbench
from workbench import report

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "workbench"

# From the ground up; rooms of one line know nothing of each other.
ORDER: tuple[tuple[str, ...], ...] = (
    ("hints",),
    ("leaving_out", "markup", "numbers", "patterns", "scripts"),
    ("masking", "callable_room", "card", "terminal"),
    ("errors",),
    ("progress",),
    ("child", "keyring", "loopback", "ports", "private", "ramp", "stats", "thresholds"),
    ("profilers.sampler",),  # a room inside a room: it runs in services, the stand-in among them
    ("receipts",),
    ("settings",),
    ("load", "nullserver", "standin", "profiles"),
    ("service", "runs"),
    ("network", "calibration"),
    ("analysis", "profilers"),
    ("compare",),
    ("sweep",),
    ("catalogue",),
    ("batches",),
    ("sides",),
    ("search",),
    ("charts", "exchange"),
    ("report",),
    ("widgets", "doctor"),
    ("cli",),
)
# what begins or ends an element of HTML; <br> is all that plotly's labels know of it
TAG = re.compile(r"</?(?:a|body|code|div|h\d|head|html|iframe|li|meta|ol|p|pre|s\w+|t\w+|ul)\b")
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}

HEAVY = (
    "pandas",
    "plotly",
    "pyarrow",
    "aiohttp",
    "jupyter_client",
    "IPython",
    "nbconvert",
    "papermill",
    "scipy",
    "numpy",
    "ipywidgets",
    "anywidget",
)


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_version_is_said_once_or_alike() -> None:
    assert "version" in project().get("dynamic", ()) or project()["version"] == workbench.__version__


# environment.yml

CONDA_NAMES = {"duckdb": "python-duckdb", "prometheus-client": "prometheus_client"}
CONDA_ONLY = {"python", "pip"}
PIP_ONLY = {"pprofile"}  # conda-forge has only an old one


def environment() -> tuple[dict[str, SpecifierSet], list[str]]:
    """The conda packages of environment.yml with their ranges, and its pip lines."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda: dict[str, SpecifierSet] = {}
    for line in listed:
        if isinstance(line, str):
            spec = MatchSpec(line, strict=True)
            conda[str(spec.name.normalized)] = SpecifierSet(str(spec.version or ""))
    (pip,) = (line["pip"] for line in listed if isinstance(line, dict))
    return conda, pip


def test_environment_yml_is_in_step_with_pyproject() -> None:
    wanted: dict[str, SpecifierSet] = {
        canonicalize_name(requirement.name): requirement.specifier
        for requirement in map(Requirement, project()["dependencies"])
    }
    conda, pip = environment()
    assert conda.pop("python") == SpecifierSet(project()["requires-python"])
    assert pip[-1] == "-e ."
    from_pip = {canonicalize_name(r.name): r.specifier for r in map(Requirement, pip[:-1])}
    assert set(from_pip) == PIP_ONLY

    expected = {CONDA_NAMES.get(name, name): wanted[name] for name in wanted if name not in PIP_ONLY}
    assert {name: conda[name] for name in conda if name not in CONDA_ONLY} == expected
    assert from_pip == {name: wanted[name] for name in PIP_ONLY}


def test_environment_yml_keeps_to_conda_forge() -> None:
    assert yaml.safe_load((ROOT / "environment.yml").read_text())["channels"] == ["conda-forge", "nodefaults"]


# imports


def room_of(module: str) -> str:
    """The room of a module, ``workbench.load`` or below: ``load``."""
    parts = module.split(".")[1:]
    return inner if (inner := ".".join(parts[:2])) in LEVEL else parts[0]


def imported_rooms(source: str) -> Iterator[tuple[int, str]]:
    """Line and room of each import of the package's own modules, those inside functions included."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "(relative)"
        elif isinstance(node, ast.ImportFrom) and node.module == "workbench":
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbench."):
            yield node.lineno, room_of(str(node.module))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "workbench":
                    yield node.lineno, room_of(alias.name + ".")


def upward(room: str, source: str) -> list[str]:
    """What in a module of ``room`` is imported from its own level or above it."""
    return [
        f"line {line} imports {other or 'workbench'}"
        for line, other in imported_rooms(source)
        if other != room and not LEVEL.get(other, len(ORDER)) < LEVEL[room]
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from workbench.errors import ToolError", []),
        ("from workbench.load.plan import OpenPlan", []),  # its own room
        ("def f():\n    from workbench.sweep import run", ["line 2 imports sweep"]),
        ("import workbench.standin.server", ["line 1 imports standin"]),  # beside it
        ("from workbench.profilers.sampler import setup_profiling", []),
        ("from workbench.profilers.modes import MODES", ["line 1 imports profilers"]),
        ("from workbench import charts, receipts", ["line 1 imports charts"]),
        ("from . import plan", ["line 1 imports (relative)"]),
        ("import workbench", ["line 1 imports workbench"]),
        ("from workbench import Run", ["line 1 imports Run"]),
    ],
)
def test_the_import_check_sees(source: str, found: list[str]) -> None:
    assert upward("load", source) == found


@cache
def parsed(source: str) -> ast.Module:
    """The syntax of a file, which several tests look through."""
    return ast.parse(source)


def test_imports_go_down_only() -> None:
    problems = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if room == "__init__":  # the public names, all imported at first use
            continue
        assert room in LEVEL, f"{path.relative_to(ROOT)}: the room {room!r} has no place in ORDER"
        problems += [f"{path.relative_to(ROOT)}: {what}" for what in upward(room, path.read_text())]
    assert problems == []


def modules(package: Path) -> dict[str, str]:
    """The source of each module of a package, of a compiled one its stub, by the module's name."""
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path.read_text()
        for path in (*package.rglob("*.pyi"), *package.rglob("*.py"))
    }


def imported(tree: ast.AST, known: Mapping[str, str]) -> Iterator[str]:
    """The known modules that are imported when this runs, inside functions too. What is imported for type checkers
    only, under ``if TYPE_CHECKING``, is left out: it ties nothing that runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported(ast.Module(node.orelse, []), known)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in known else str(node.module) for name in inner if node.module in known)
        else:
            yield from imported(node, known)


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules of which each imports the one before it, the first again at the end; empty where there are none."""
    graph = {name: set(imported(parsed(text), sources)) - {name} for name, text in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


@pytest.mark.parametrize(
    ("one", "found"),
    [
        ("from p.two import f", ["p.one", "p.two"]),
        ("def f():\n    from p import two", ["p.one", "p.two"]),
        ("import p.two", ["p.one", "p.two"]),
        ("if TYPE_CHECKING:\n    from p.two import f\nelse:\n    from p.two import g", ["p.one", "p.two"]),
        ("if TYPE_CHECKING:\n    from p.two import f", []),
        ("from p import three", []),
    ],
)
def test_the_circle_check_sees(one: str, found: list[str]) -> None:
    circular = circle({"p": "", "p.one": one, "p.two": "from p.one import x", "p.three": ""})
    assert set(circular) == set(found)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle(modules(PACKAGE)) == []


@pytest.mark.parametrize(
    "module",
    ["workbench", "workbench.errors", "workbench.receipts.v2", "workbench.cli", "workbench.profilers.sampler"],
)
def test_import_is_cheap(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.split()) == ("", [])


# sizes

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 60
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def too_long(name: str, text: str) -> Iterator[str]:
    """The file and the functions in it that are over the limits, and by what."""
    lines = len(text.splitlines())
    if lines > MOST_LINES_OF_A_FILE:
        yield f"{name} has {lines} lines: split it by what it is about"
    for node in ast.walk(parsed(text)):
        if isinstance(node, FUNCTIONS) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > MOST_LINES_OF_A_FUNCTION:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines: give a part of it a name of its own"


def test_no_html_is_put_together_by_f_strings() -> None:
    """HTML comes of templates, which escape what goes into them (``workbench/markup.py``)."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr) and any(
                isinstance(part, ast.Constant) and TAG.search(str(part.value)) for part in node.values
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize("folder", ["workbench", "tests"])
def test_files_and_functions_stay_short(folder: str) -> None:
    sources = [path for path in (ROOT / folder).rglob("*.py") if not path.stem.endswith("_pb2")]
    assert len(sources) > 50
    names = ((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in sources)
    assert [found for name, text in names for found in too_long(name, text)] == []


def test_what_is_too_long_is_named() -> None:
    function = "async def slow():\n" + "    pass\n" * MOST_LINES_OF_A_FUNCTION
    (found,) = too_long("a.py", function)
    assert found.startswith("a.py:1: slow has 61 lines")
    whole, *functions = too_long("a.py", function * 10)
    assert whole.startswith("a.py has 610 lines")
    assert len(functions) == 10
    assert list(too_long("a.py", "x = 1\n" * MOST_LINES_OF_A_FILE)) == []


# Makefile

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # the tests run under `make test` themselves, and a make within a make is told so by these
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={**outer, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@needs_make
def test_make_names_the_python_it_cannot_use(tmp_path: Path) -> None:
    old = script(tmp_path / "python3.9", '[ "$1" = --version ] && echo "Python 3.9.1" || exit 1')
    done = make("sweep", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"Python 3.11 to 3.13 is needed, and {old} is Python 3.9.1." in done.stderr
    assert not (tmp_path / "venv").exists()


@needs_make
def test_second_make_sweep_only_runs_the_sweep(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    script(venv / "bin" / "python", "echo installed something; exit 1")
    script(venv / "bin" / "workbench", 'echo "$VIRTUAL_ENV$PYTHONPATH" "$@"; echo report.html')
    (venv / ".installed-run").touch()
    elsewhere = {"VIRTUAL_ENV": "/elsewhere", "PYTHONPATH": "/elsewhere"}
    done = make("sweep", f"VENV={venv}", "SWEEP_ARGS=--rate 200", **elsewhere)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (
        0,
        [" batch --profiled-receipts 100,130,160,190 --rate 200", "report.html"],
        "",
    )


@needs_make
def test_changed_dependencies_are_installed_again(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    script(venv / "bin" / "python", 'echo "$@" >> ' + str(tmp_path / "calls"))
    script(venv / "bin" / "workbench", "echo report.html")
    (venv / ".installed-run").touch()
    os.utime(venv / ".installed-run", (0, 0))
    for _ in range(2):
        assert make("sweep", f"VENV={venv}").stdout == "report.html\n"
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert re.search(r"-m pip .*install .*-e \.$", call)


@needs_make
def test_clean_removes_nothing_but_a_virtualenv(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    done = make("-n", "clean", f"VENV={tmp_path}")
    first = done.stdout.splitlines()[0]
    subprocess.run(["sh", "-c", first], check=True)
    assert (tmp_path / "mine").exists()
    (tmp_path / "pyvenv.cfg").touch()
    subprocess.run(["sh", "-c", first], check=True)
    assert not tmp_path.exists()


# CI

SKIPPING = """
import pytest

def test_runs(): pass
def test_no_tool(): pytest.skip("valgrind is not installed")
@pytest.mark.skipif(True, reason="needs strace")
def test_no_other_tool(): pass
@pytest.mark.skipif(True, reason="needs macOS")
def test_may_skip(): pass
@pytest.mark.xfail
def test_expected(): assert False
"""


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", {"passed": 1, "failed": 1, "error": 1, "skipped": 1}), ("", {"passed": 1, "skipped": 3})],
)
def test_ci_fails_where_a_tool_is_missing(tmp_path: Path, ci: str, outcome: dict[str, int]) -> None:
    shutil.copy(ROOT / "tests" / "ci_skips.py", tmp_path)
    (tmp_path / "conftest.py").write_text("from ci_skips import pytest_make_collect_report, pytest_runtest_makereport")
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    counted = {
        word.rstrip("s") if word == "errors" else word: int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", last)
    }
    assert {word: n for word, n in counted.items() if word != "xfailed"} == outcome, done.stdout
    assert (done.returncode != 0) is bool(ci)


def test_no_lazy_name_is_also_a_module() -> None:
    """Importing a module puts it into its package under its own name: a function of that name would be gone."""
    for package in (workbench, report):
        folder = Path(package.__file__ or "").parent
        modules = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}
        rooms = {"compare", "load", "runs", "sweep"} if package is workbench else set()  # packages that can be called
        assert not (set(package.__all__) - rooms) & modules
