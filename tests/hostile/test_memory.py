"""What a profile takes while it is read is bounded, whatever is in it. docs/faults.md names these tests.

Each file would take several times the bound; it is read within it or refused, in a process whose address space is
limited. The table of larger files: ``python -m tests.hostile``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.hostile.files import KINDS, bomb, head_of, sparse
from tests.hostile.measured import Job, Measured, measured
from workbench.cli import main
from workbench.errors import ReadError
from workbench.profiles.memory import MIB, VARIABLE, reading, require
from workbench.profiles.read import FORMATS, read_folded, read_profile
from workbench.settings import Settings

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits work on Linux only")

FILE_BYTES = 2 * MIB
MEMORY_BYTES = 24 * MIB
# What is worked on at a time (a chunk, a table) comes on top of a bound as small as this.
SLACK_BYTES = 80 * MIB
ADDRESS_BYTES = 512 * MIB
ZEROS_BYTES = 2 * MIB  # less than the eighth of the bound that a file may have
SIZES = ("sparse", "bomb")
ALL = (*(f"{format}-{kind}" for format, kind, _ in KINDS), *(f"{format}-zeros" for format in FORMATS), *SIZES)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    """What became of each hostile file, all made and read once."""
    folder = tmp_path_factory.mktemp("hostile")
    for format, kind, make in KINDS:
        (folder / f"{format}-{kind}").write_bytes(make(FILE_BYTES))
    for format in FORMATS:
        sparse(folder / f"{format}-zeros", head_of(format), ZEROS_BYTES)
    sparse(folder / "sparse", head_of("folded"), 1 << 36)
    bomb(folder / "bomb", head_of("folded"), b"a", 32 * MIB)
    formats = {name: format if dash else "" for name in ALL for format, dash, _ in (name.partition("-"),)}
    jobs = [Job(str(folder / name), formats[name], MEMORY_BYTES, ADDRESS_BYTES) for name in ALL]
    return dict(zip(ALL, measured(jobs), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_a_hostile_profile_is_read_within_the_bound_or_refused(answers: dict[str, Measured], name: str) -> None:
    found = answers[name]
    assert found.said.startswith(("read", "refused: ")), found.said
    assert found.peak_bytes < MEMORY_BYTES + SLACK_BYTES, found
    if name in SIZES:
        assert "3 MiB, an eighth of the 24 MiB of memory that reading may take" in found.said
        assert "--memory-mib" in found.said


def test_what_is_refused_names_file_size_and_what_to_do(answers: dict[str, Measured]) -> None:
    said = answers["folded-names"].said
    assert "folded-names: the profile would take about " in said
    more = "raise the limit: --memory-mib, WORKBENCH_MEMORY_MIB (memory_bytes)"
    assert f"the limit is 24. Profile a shorter window, or {more}" in said


def test_the_bound_is_of_one_reading() -> None:
    require(1 << 30, name="none is being read")
    with reading("one", 100 * MIB):
        require(50 * MIB)
        with pytest.raises(
            ReadError, match=r"^one: the profile would take about \d+ MiB of memory, but the limit is 100"
        ):
            require(200 * MIB)
    require(200 * MIB, name="another")


def test_a_person_lets_it_take_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.folded"
    path.write_bytes(b"".join(b"a;f%x 1\n" % number for number in range(30_000)))
    assert main(["read", str(path), "--memory-mib", "16"]) == 2
    assert "but the limit is 16. Profile a shorter window" in capsys.readouterr().err
    assert main(["read", str(path), "--memory-mib", "512"]) == 0
    with pytest.raises(ReadError, match="the limit is 16"):
        read_profile(path, memory_bytes=16 * MIB)


def test_a_variable_bounds_what_is_read_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.folded"
    path.write_bytes(b"".join(b"a;f%x 1\n" % number for number in range(30_000)))
    monkeypatch.setenv(VARIABLE, "16")
    with pytest.raises(ReadError, match="the limit is 16"):
        read_folded(path)
    assert read_folded(path, memory_bytes=512 * MIB).total() == 30_000
    assert main(["compare", str(path), str(path)]) == 2
    assert main(["read", str(path), "--memory-mib", "512"]) == 0
    Settings.resolve()  # a variable of the workbench, not a setting of a run


@pytest.mark.parametrize("given", ["0", "-1", "much", "1e3", "1048577", "9" * 5000, "²"])
def test_a_variable_that_is_no_number_of_mib(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.folded"
    path.write_bytes(b"a;b 1\n")
    monkeypatch.setenv(VARIABLE, given)
    assert main(["read", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"WORKBENCH_MEMORY_MIB: 1 to 1,048,576 MiB is allowed, found {given[:40]!r}. Correct or unset it" in said
