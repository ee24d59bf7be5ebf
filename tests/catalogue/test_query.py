"""Conditions in SQL over the runs: they can ask, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import workbench
from tests.catalogue.made import made, row
from workbench.errors import SettingsError


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    for hour, p50 in enumerate((1.0, 2.0, 3.0)):
        made(
            tmp_path, f"20260101T0{hour}0000Z-run", [row(0, response_p50_ms=p50)], created=f"2026-01-01T0{hour}:00:00Z"
        )
    return tmp_path


@pytest.mark.parametrize(
    ("where", "hours"),
    [
        ("response_p50_ms > 1.5", [2, 1]),
        ("RESPONSE_P50_MS > 1.5 and started < '2026-01-01 02:00'", [1]),
        ("response_p50_ms = (select max(response_p50_ms) from runs)", [2]),
        ("verdict = 'PASS' -- all of them", [2, 1, 0]),
        ("tags = ''", [2, 1, 0]),
        ("response_p99_ms is not null", []),
        ("run like '%T01%'", [1]),
    ],
)
def test_a_condition_chooses_runs(runs_dir: Path, where: str, hours: list[int]) -> None:
    assert [started.hour for started in workbench.runs(where, runs_dir=runs_dir)["started"]] == hours


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("verdit = 'PASS'", "there is no column 'verdit'. Did you mean 'verdict'? There are run, name,"),
        ("response_p95 > 1", "Did you mean 'response_p95_ms'?"),
        ("steps >", "syntax error"),
        ("", "expected one condition"),
        ("steps = 'x'", "Could not convert string 'x' to INT64"),
        ("foo(steps) = 1", "foo does not exist"),
        ("1 = 1); DROP TABLE runs; SELECT (1", "syntax error"),
        ("1 = 1)) ; DROP TABLE runs; SELECT * FROM (SELECT 1 AS number WHERE (1 = 1", "expected one condition"),
    ],
)
def test_a_condition_that_cannot_be_used_is_one_line(runs_dir: Path, where: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"^--where: ") as caught:
        workbench.runs(where, runs_dir=runs_dir)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "where",
    [
        "run in (select content from read_text('FILE'))",
        "run in (select * from 'FILE')",
        "run in (select * from read_csv('FILE'))",
        "run in (select file from glob('FILE*'))",
        "1 = 1)); COPY (SELECT 1) TO 'FILE'; SELECT * FROM (SELECT 1 AS number WHERE (1 = 1",
        "1 = 1)); ATTACH 'FILE' AS other; SELECT * FROM (SELECT 1 AS number WHERE (1 = 1",
        "1 = 1)); SET enable_external_access = true; SELECT * FROM (SELECT 1 AS number WHERE (1 = 1",
        "run in (select * from rows)",  # a variable of Python
    ],
)
def test_a_condition_reaches_no_file_and_no_variable(runs_dir: Path, tmp_path: Path, where: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("run\n20260101T000000Z-run\n")
    with pytest.raises(SettingsError):
        workbench.runs(where.replace("FILE", str(secret)), runs_dir=runs_dir)
    assert secret.read_text() == "run\n20260101T000000Z-run\n"
