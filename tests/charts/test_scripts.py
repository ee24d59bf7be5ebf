"""The scripts of pages: their unit tests, run by node, and how their modules become one script."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from workbench.charts.crate_colours import DARK, LIGHT, crate_colour, tint_number
from workbench.scripts import joined_script

TESTS = Path(__file__).parent / "js"
PROJECT = Path(__file__).resolve().parents[2]
SCRIPTS = PROJECT / "workbench" / "charts" / "flame" / "js"
ENTRIES = ("charts/flame/main", "report/page", "report/charts")


def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    return program


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.test.js")), ids=lambda file: file.name)
def test_units(file: Path) -> None:
    run = subprocess.run([node(), "--test", str(file)], capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("entry", ENTRIES)
def test_modules_are_joined_into_one_script(entry: str, tmp_path: Path) -> None:
    script = joined_script(entry)
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert "</script" not in script.lower()
    names = Counter(re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE))
    assert [name for name, count in names.items() if count > 1] == []
    functions = re.findall(r"^(?:async )?function (\w+)", script, re.MULTILINE)
    assert len(functions) == len(set(functions)) > 3  # though several modules import the same one
    joined = tmp_path / "joined.js"
    joined.write_text(script, encoding="utf-8")
    run = subprocess.run([node(), "--check", str(joined)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_crates_have_the_same_colours_in_python_and_in_the_browser() -> None:
    palette = (SCRIPTS / "palette.js").read_text(encoding="utf-8")
    assert re.findall(r'"(#[0-9a-f]{6})"', palette) == [*LIGHT, *DARK]
    names = ["tokio", "core", "k256", "näme", "", "net/http", "🦀"]
    code = (
        f"import {{ tintNumber }} from {str(SCRIPTS / 'palette.js')!r};\nconsole.log({names!r}.map(tintNumber).join())"
    )
    run = subprocess.run(
        [node(), "--input-type=module", "--eval", code], capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    assert run.stdout.strip() == ",".join(str(tint_number(name)) for name in names), run.stderr


def test_a_crate_has_the_same_colour_in_every_run() -> None:
    assert [tint_number(name) for name in ("tokio", "core", "k256")] == [12, 8, 9]
    assert crate_colour("tokio") == LIGHT[12]
    assert crate_colour("tokio", dark=True) == DARK[12]
    assert crate_colour("") not in LIGHT


@pytest.mark.parametrize(("colours", "ink"), [(LIGHT, "#1a1a1a"), (DARK, "#f2f2f2")], ids=["light", "dark"])
def test_text_can_be_read_on_every_colour(colours: tuple[str, ...], ink: str) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in colours:
        low, high = sorted((luminance(colour), luminance(ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour
    assert len(set(colours)) == len(colours) == 32
