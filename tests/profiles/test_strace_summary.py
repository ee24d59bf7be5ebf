"""Tables of ``strace -c``: any columns in any order, with and without totals, several, cut, in other languages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.profiles.samples import beside
from tests.profiles.test_strace_waiting import program as program  # a fixture
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.strace.summary import ERRORS, NAME
from workbench.profiles.views.syscalls import call_table
from workbench.report.answers.strace import answer

RULE = "------ ----------- ----------- --------- --------- ----------------\n"
HEADER = "% time     seconds  usecs/call     calls    errors syscall\n" + RULE
ROWS = (
    " 75.00    0.300000       10000        30         2 read\n"
    " 25.00    0.100000       10000        10           write\n"
)
TOTAL = RULE + "100.00    0.400000                    40         2 total\n"


def rows(text: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in profile(text).tables["summary"].drop(columns="node_id").to_numpy().tolist()]


def profile(text: str) -> Profile:
    return read_profile(text.encode())


def said(text: str) -> str:
    return " ".join(note.what for note in profile(text).notes)


def test_the_reported_table() -> None:
    found = read_profile(beside("reported/summary-columns.txt"))
    assert (found.format, found.total("calls"), found.total("time"), found.total("errors")) == (
        "strace",
        16,
        450_000,
        2,
    )
    assert found.notes == ()
    table = call_table(found)
    assert table["syscall"].tolist() == ["write", "openat", "close"]
    assert table["mean_ns"].tolist() == [30_000, 25_000, 25_000]


def test_blank_errors_and_totals_of_older_versions() -> None:
    assert rows(HEADER + ROWS + TOTAL) == [("read", 30, 2, 0.3), ("write", 10, 0, 0.1)]
    assert said(HEADER + ROWS + TOTAL) == ""
    assert "total says 40" in said(HEADER + ROWS.replace("30  ", "31  ") + TOTAL)


def test_a_decimal_comma() -> None:
    assert rows((HEADER + ROWS + TOTAL).replace(".", ",")) == rows(HEADER + ROWS + TOTAL)


def test_behind_the_output_of_the_program_and_in_another_mode() -> None:
    text = "hello\n" * 20_000 + "System call usage summary for 64 bit mode:\n" + HEADER + ROWS + TOTAL
    both = text + "System call usage summary for 32 bit mode:\n" + HEADER + ROWS + TOTAL
    assert profile(HEADER + ROWS + TOTAL + HEADER + ROWS + TOTAL).total("calls") == 80
    assert "2 tables were added up" in said(HEADER + ROWS + TOTAL + HEADER + ROWS + TOTAL)
    assert profile(text).total("calls") == 40
    assert "not strace's" in said(text)
    assert read_profile(both[both.index("System") :].encode()).total("calls") == 80


def test_what_a_table_does_not_have() -> None:
    only_calls = "syscall              calls\n---------------- ---------\nread                   3\n"
    found = profile(only_calls)
    assert found.metric_names == ("calls",)
    assert "no line of totals" in said(only_calls)
    assert "Not known" in repr(answer(found))
    each = "usecs/call     calls syscall\n----------- --------- ----------------\n         10        30 read\n"
    assert profile(each).total("time") == 300_000
    assert "cuts to whole microseconds" in said(each)
    nameless = (
        "    calls    errors\n--------- ---------\n        3         1\n        4          \n        7         1\n"
    )
    assert "no names of calls" in said(nameless)
    shares = "% time syscall\n------ ----------------\n100.00 read\n"
    with pytest.raises(ReadError, match="no time, calls or errors") as refused:
        profile(shares)
    assert "-U name,time-total" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["calls\n\n", "seconds calls\n---\nthese are words\n", "name calls\n------ -----\na 1\n"]
)
def test_other_texts_are_no_tables(text: str) -> None:
    with pytest.raises(ReadError):
        read_profile(text.encode(), format="strace")


COLUMNS = [
    "name,calls,errors,time-total",
    "errors,calls,name",
    "name,time-total,errors",
    "calls,time-avg,name,errors",
    "max-time,min-time,name,time,errors,count,total-time",
    "time-percent,total-time,name,error,calls",
]


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("sort", ["calls", "name", "time-total"])
def test_any_columns_in_any_order_say_what_the_usual_ones_say(program: Path, columns: str, sort: str) -> None:
    usual = table_of(program, "-c", "-w")
    chosen = table_of(program, "-c", "-w", "-S", sort, "-U", columns)
    wanted = usual.tables["summary"].set_index(NAME)
    found = chosen.tables["summary"].set_index(NAME)
    # how often threads wait for each other differs from run to run
    same = [name for name in wanted.index if name not in {"futex", "restart_syscall", "recvfrom"}]
    for column in {"calls", ERRORS} & set(found.columns):
        assert found.loc[same, column].to_dict() == wanted.loc[same, column].to_dict()
    assert not [note for note in chosen.notes if "total" in note.what or "left out" in note.what]


def table_of(program: Path, *flags: str) -> Profile:
    table = program.with_name("table")
    subprocess.run(["strace", "-f", "-o", str(table), *flags, str(program)], check=True, capture_output=True)
    return read_profile(table)
