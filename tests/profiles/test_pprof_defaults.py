"""Which sample type of a pprof profile is shown first, and costs below zero."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.profiles.pprof_encoding import Call, Sample, encode
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile

A, B = ((Call(name, f"{name}.go", 1),) for name in ("app.a", "app.b"))
TYPES = [("samples", "count"), ("cpu", "nanoseconds"), ("lock_time", "nanoseconds")]


def read(*values: tuple[int, ...], default: str = "") -> Profile:
    rows = [Sample((A,) if place % 2 else (A, B), value) for place, value in enumerate(values)]
    return read_profile(encode(TYPES[: len(values[0])], rows, texts={14: default} if default else {}))


def test_a_type_that_is_zero_everywhere_is_not_shown_first_and_that_is_said() -> None:
    profile = read((1, 60, 0), (1, 40, 0))
    assert profile.default_metric == "cpu"
    assert profile.total() == 100
    assert "lock_time, which pprof shows, is 0 in every sample: cpu is shown first" in map(str, profile.notes)


def test_the_same_where_the_profile_names_that_type() -> None:
    assert read((1, 0, 0), default="cpu").default_metric == "samples"


def test_values_that_cancel_are_values() -> None:
    assert read((1, 5, -7), (1, 5, 7)).default_metric == "lock_time"


def test_a_profile_without_any_value_keeps_pprofs_choice() -> None:
    profile = read((0, 0), (0, 0))
    assert profile.default_metric == "cpu"
    assert not any("is 0 in every sample" in str(note) for note in profile.notes)


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: its pprof is the oracle")
def test_negative_costs_are_those_of_pprof(tmp_path: Path) -> None:
    path = tmp_path / "delta.pb"
    path.write_bytes(encode([("inuse_space", "bytes")], [Sample((A,), (-12_000_000,)), Sample((B, A), (500,))]))
    command = ["go", "tool", "pprof", "-top", "-symbolize=none", "-unit=B", "-nodefraction=0", path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    theirs = {line.split()[-1]: (line.split()[0], line.split()[3]) for line in said if "app." in line}
    functions = read_profile(path).functions
    ours = {
        row.function: (f"{row.self_inuse_space}B" if row.self_inuse_space else "0", f"{row.total_inuse_space}B")
        for row in functions.itertuples()
    }
    assert ours == theirs


def test_functions_without_a_name_are_one_row_an_object() -> None:
    profile = read_profile(encode([("cpu", "nanoseconds")], [Sample(((Call("", "", 0),),), (3,))]))
    assert profile.top()["name"].tolist() == ["(no name)"]
