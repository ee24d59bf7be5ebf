"""Callgrind's format as others write it: what they do differently is read as they mean it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.profiles.samples import beside
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_callgrind, read_profile

XDEBUG = """version: 1
creator: xdebug 3.2.0 (PHP 8.2.0)
cmd: {cmd}
part: 1
positions: line

events: Time_(10ns) Memory_(bytes)

fl=(1) {cmd}
fn=(1) {name}
2 70 {memory}

summary: 70 {memory}

"""
NEW_FILE = "\n==== NEW PROFILING FILE ==============================================\n"


def own(profile: Profile, event: str) -> dict[str, int]:
    costs = profile.functions.groupby("raw_function")[f"self_{event}"].sum()
    return {str(name): int(cost) for name, cost in costs.items()}


def test_appended_profiles_of_xdebug_are_parts_with_numbers_of_their_own() -> None:
    first = XDEBUG.format(cmd="/a.php", name="one", memory=8)
    second = XDEBUG.format(cmd="/b.php", name="two", memory=16)
    profile = read_profile((NEW_FILE + first + NEW_FILE + second).encode())
    assert own(profile, "Time_(10ns)") == {"one": 700, "two": 700}
    assert sorted(profile.functions["file"]) == ["/a.php", "/b.php"]
    assert len(profile.tables["parts"]) == 2
    assert not any("defined again" in note.what for note in profile.notes)
    # a number that two functions of one file have is another matter
    again = read_profile((first + "fn=(1) other\n3 1 1\n").encode())
    assert any("defined again" in note.what for note in again.notes)


def test_a_function_that_gave_memory_back_cost_less_than_nothing() -> None:
    signed = read_profile(XDEBUG.format(cmd="/a.php", name="one", memory=-48).encode())
    assert own(signed, "Memory_(bytes)") == {"one": -48}
    unsigned = read_profile(XDEBUG.format(cmd="/a.php", name="one", memory=2**64 - 48).encode())
    assert own(unsigned, "Memory_(bytes)") == {"one": -48}
    assert any("without a sign" in note.what for note in unsigned.notes)


@pytest.mark.parametrize("version", ["0.9.6", "0.9", "1", "1.0"])
def test_older_versions_are_read(version: str) -> None:
    text = (
        f"version: {version}\ncmd: /a.php\npart: 1\n\nevents: Time\n\nfl=php:internal\nfn=php::strlen\n330 4294967299\n"
    )
    profile = read_profile(
        (text + "\nfl=/a.php\nfn={main}\n\nsummary: 1200\n\n0 90\ncfn=php::strlen\ncalls=1 0 0\n330 3\n").encode()
    )
    assert own(profile, "Time") == {"php::strlen": 2**32 + 3, "{main}": 90}
    assert profile.edges["cost_Time"].tolist() == [3]


def test_another_version_is_refused() -> None:
    with pytest.raises(ReadError, match=r"version '2\.1' of the format"):
        read_profile(b"version: 2.1\nevents: Ir\nfn=a\n1 2\n")


def test_a_difference_of_cachegrind_has_costs_below_zero() -> None:
    profile = read_profile(
        b"desc: Files compared:   a; b\ncmd: a; b\nevents: Ir\nfl=p.c\nfn=fib\n5 -450\nfn=walk\n7 30\nsummary: -420\n"
    )
    assert own(profile, "Ir") == {"fib": -450, "walk": 30}
    assert profile.lines["self_Ir"].tolist() == [-450, 30]
    assert profile.meta["summary"] == {"Ir": -420}


@pytest.mark.skipif(not all(map(shutil.which, ("valgrind", "cg_diff", "cg_merge", "true"))), reason="no valgrind")
def test_what_cg_diff_and_cg_merge_write(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file, argument in zip(files, ("--version", "--help"), strict=True):
        command = ["valgrind", "-q", "--tool=cachegrind", f"--cachegrind-out-file={file}", "true", argument]
        subprocess.run(command, check=False, capture_output=True)
    totals = [read_profile(file).total("Ir") for file in files]
    difference = subprocess.run(["cg_diff", *files], capture_output=True, check=True).stdout
    assert read_profile(difference).total("Ir") == totals[1] - totals[0]
    subprocess.run(["cg_merge", "-o", tmp_path / "sum", *files], check=True, capture_output=True)
    assert read_profile(tmp_path / "sum").total("Ir") == sum(totals)


def test_functions_that_were_only_named_are_not_there() -> None:
    # yappi writes all names first; the file of the last one would be that of them all
    text = "creator: Yappi\nevents: Ticks\n\nfl=(1) a.py\nfl=(2) b.py\n\nfn=(1) f a.py:1\nfn=(2) g b.py:1\n\n"
    text += "fl=(1)\nfn=(1)\n1 10\ncfl=(2)\ncfn=(2)\ncalls=3 0\n0 5\n\nfl=(2)\nfn=(2)\n1 5\n"
    profile = read_profile(text.encode())
    named = sorted(profile.functions[["function", "file"]].values.tolist())
    assert named == [["f a.py:1", "a.py"], ["g b.py:1", "b.py"]]
    assert profile.edges[["calls", "cost_Ticks"]].values.tolist() == [[3, 5]]


def test_lines_may_be_as_long_as_they_are() -> None:
    name = "f" * 1_000_000
    profile = read_profile(f"cmd: {'x' * 1_000_000}\nevents: Ir\nfn={name}\n1 2\n{' ' * 1_000_000}3 4\n".encode())
    assert profile.functions["raw_function"].tolist() == [name]
    assert profile.total("Ir") == 6


def test_an_empty_file_of_separate_threads_names_the_others(tmp_path: Path) -> None:
    base = tmp_path / "callgrind.out.7"
    base.touch()
    with pytest.raises(ReadError, match="read those that end in -01"):
        read_profile(base)
    for name in ("callgrind.out.7-01", "callgrind.out.7.1-02", "callgrind.out.77-01"):
        (tmp_path / name).write_text("events: Ir\nfn=a\n1 2\n")
    with pytest.raises(ReadError, match=r"read callgrind\.out\.7-01 and callgrind\.out\.7\.1-02$"):
        read_profile(base)
    assert read_callgrind(tmp_path / "callgrind.out.7-01").total("Ir") == 2


def test_a_folder_says_which_of_its_files_to_read(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="contains no file that could be read"):
        read_profile(tmp_path)
    for number in range(7):
        (tmp_path / f"profile-{number}").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "empty").touch()
    with pytest.raises(ReadError, match=r"profile-\d, profile-\d, profile-\d, profile-\d, profile-\d and 2 more"):
        read_profile(tmp_path)


RIGHT = {
    "callgrind-cut.out": {"main": 10},
    "cg_diff.out": {"fib": -450, "walk": 30},
    "cg-suffix-after.out": {"run_loop'2": 100, "work": 1000},
    "cg-suffix-before.out": {"run_loop": 100, "work": 1000},
    "xdebug-append.out": {"one": 700, "{main}": 700},
    "xdebug20-version096.out": {"php::strlen": 4_293_967_303, "{main}": 90},
}


@pytest.mark.parametrize("name", RIGHT)
def test_files_that_were_read_wrong(name: str) -> None:
    profile = read_profile(beside(f"reported/{name}"))
    costs = own(profile, profile.metric_names[0])
    assert {function: cost for function, cost in costs.items() if cost} == RIGHT[name]
