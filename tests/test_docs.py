"""The documentation: its site is whole and loads nothing from elsewhere, and what it tells people to type works."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli.program import find, parser_of
from workbench.errors import SettingsError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    """The code of one language on a page."""
    return [code for name, code in BLOCK.findall(page.read_text("utf-8")) if name == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each ``workbench`` command on a page."""
    for code in blocks(page, "sh"):
        for line in code.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\|", line):
                words = shlex.split(part, comments=True)
                if words[:1] == ["workbench"] and not {"--version", "--help", "--help-all"} & set(words):
                    # what follows is another program's, or output that a shell takes
                    yield words[
                        : next((at for at, word in enumerate(words) if word in ("--", ">", "|", "&")), len(words))
                    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_they_are_shown_with(page: Path) -> None:
    wrong = []
    for words in commands(page):
        try:
            command, rest = find(words[1:])
            parser_of(command).read(rest)
        except SettingsError as error:
            wrong.append(f"{shlex.join(words)}: {error}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_is_python(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if not re.match(r"\w+:", link):
            path = link.partition("#")[0]
            assert not path or (page.parent / path).exists(), f"{page.name}: {link}"


def test_the_site_is_whole_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert {page.stem for page in pages} >= {page.stem for page in PAGES[1:]}
    listed = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [page.name for page in PAGES[1:] if f" {page.name}" not in listed and f"[{page.name}" not in listed] == []
    loaded = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"https?:|<link\b[^>]*\bhref=\"https?:[^>]*stylesheet"
    )
    for page in pages:
        assert loaded.search(page.read_text("utf-8")) is None, page.name
    reference = (tmp_path / "site" / "reference.html").read_text("utf-8")
    for name in ("read_profile", "sweep", "Session", "Settings"):
        assert f">{name}<" in reference or f".{name}" in reference


def test_the_tutorial_runs_as_it_stands(tmp_path: Path) -> None:
    page = ROOT / "docs" / "tutorial.md"
    shutil.copytree(ROOT / "data" / "profiles", tmp_path / "data" / "profiles")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    script = "set -e\n" + "\n".join(blocks(page, "sh"))
    # what doctor says of this machine is not the tutorial's affair
    script = script.replace("workbench doctor\n", "workbench doctor || true\n")
    # 4: a busy machine spoils latencies
    script = re.sub(r"^workbench sweep .*$", r"\g<0> || [ $? -eq 4 ]", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "observed at receipt 100, as predicted" in done.stderr + done.stdout
    assert (tmp_path / "flame.html").stat().st_size > 100_000
    (first,) = (tmp_path / "data" / "runs").glob("*-first")
    code = "\n".join(blocks(page, "python")).replace("20261130T031701Z-first", first.name)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
