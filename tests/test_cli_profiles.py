"""The commands about profiles, run as a user runs them."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile

EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "profiles"
FOLDED = "main;serve;check 60\nmain;serve;store 30\nmain;idle 10\n"


@pytest.fixture
def folded(tmp_path: Path) -> Path:
    path = tmp_path / "stacks.txt"
    path.write_text(FOLDED)
    return path


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_read_says_total_and_top(folded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(folded), "--top", "2"]) == 0
    out = printed(capsys)
    assert "folded, 5 functions" in out
    assert "2 rows hold 90.0 % of the total" in out
    assert [line.split()[-1] for line in out.splitlines() if "." in line and line.strip()[0].isdigit()][:2] == [
        "check",
        "store",
    ]


def test_read_as_json_with_a_selection(folded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(folded), "--json", "--focus", "serve", "--sort", "total"]) == 0
    found = json.loads(printed(capsys))
    assert found["metrics"][0]["total"] == 90
    assert [row["name"] for row in found["top"]][:2] == ["main", "serve"]
    assert found["notes"][0]["weight"] == 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["read", "{folded}", "--metric", "Ir"], "there is no metric 'Ir'. It has samples"),
        (["read", "{folded}", "--focus", "("], "pattern '('"),
        (["read", "{folded}", "--top", "0"], "argument --top"),
        (["read", "{folded}", "--format", "perf"], "there is no format 'perf'. There are"),
        (["read", "nowhere.pb"], "nowhere.pb: the file cannot be read: No such file"),
        (["convert", "{folded}", "--to", "pprof"], "-o/--output"),
        (["convert", "{folded}", "--to", "pprof", "-o", "none/x.pb"], "none/x.pb: cannot write: No such file"),
        (["view", "{folded}", "--snakeviz", "--before", "{folded}"], "SnakeViz shows one profile, not a difference"),
        (["diff", "{folded}"], "required: B"),
        (["diff", "{folded}", "{folded}", "--per", "0", "1"], "per unit of work"),
        (["diff", "{folded}", "{folded}", "--per", "nan", "1"], "per unit of work"),
        (["diff", "{folded}", "{folded}", "--per", "1", "inf"], "per unit of work"),
        (["diff", "{folded}", "{folded}", "--per", "1", "-2"], "per unit of work"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], said: str, folded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(folded=folded) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "unexpected error" not in error


@pytest.mark.parametrize("format", ["pstats", "speedscope", "folded", "pprof", "callgrind"])
def test_convert_writes_what_read_reads(format: str, folded: Path, tmp_path: Path) -> None:
    output = tmp_path / "converted"
    assert main(["convert", str(folded), "--to", format, "-o", str(output)]) == 0
    again = read_profile(output)
    assert again.format == format
    own = again.functions.set_index("function")["self_" + again.default_metric]
    # seconds in pstats: what was 60 samples is 60 of something
    check, store = (own[own.index.str.contains(name)].iloc[0] for name in ("check", "store"))
    assert check / store == pytest.approx(2)


def test_convert_writes_tables(folded: Path, tmp_path: Path) -> None:
    import pandas as pd

    from workbench.profiles.exports.tables import read_tables

    assert main(["convert", str(folded), "--to", "parquet", "-o", str(tmp_path / "tables")]) == 0
    assert read_tables(tmp_path / "tables").total() == 100
    assert main(["convert", str(folded), "--to", "csv", "-o", str(tmp_path / "text")]) == 0
    assert pd.read_csv(tmp_path / "text" / "nodes.csv")["self_samples"].sum() == 100


@pytest.fixture
def light_calls(tmp_path: Path) -> Path:
    """A callgrind file with a function too light for the derived tree."""
    path = tmp_path / "callgrind.out.1"
    path.write_text("events: Ir\nfn=main\n1 100000000\ncfn=wcslen\ncalls=1 2\n1 18\n\nfn=wcslen\n2 18\n")
    return path


@pytest.mark.parametrize("format", ["folded", "speedscope", "pprof", "parquet", "csv"])
def test_convert_says_what_the_tree_of_a_call_graph_lacks(
    format: str, light_calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "converted"
    assert main(["convert", str(light_calls), "--to", format, "-o", str(output)]) == 0
    said = "too small for the call tree: added to the caller's self cost, weight 18 Ir"
    assert said in capsys.readouterr().err
    if format == "pprof":
        assert said in read_profile(output).meta["comments"]


@pytest.mark.parametrize("format", ["pstats", "callgrind"])
def test_formats_of_calls_lack_nothing(
    format: str, light_calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(light_calls), "--to", format, "-o", str(tmp_path / "converted")]) == 0
    assert capsys.readouterr().err == ""


def test_a_page_says_what_the_tree_of_a_call_graph_lacks(light_calls: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["view", str(light_calls), "-o", str(page)]) == 0
    said = "<li>too small for the call tree: added to the caller&#39;s self cost, weight 18 Ir</li>"
    assert said in page.read_text("utf-8")


def test_diff_shows_added_and_removed_apart(folded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "after.txt"
    other.write_text(FOLDED.replace("idle 10", "report 25").replace("check 60", "check 80"))
    assert main(["diff", str(folded), str(other)]) == 0
    out = printed(capsys)
    assert [out.index(part) for part in ("In both:", "Only after:", "Only before:")] == sorted(
        out.index(part) for part in ("In both:", "Only after:", "Only before:")
    )
    assert main(["diff", str(folded), str(other), "--json", "--per", "10", "20"]) == 0
    found = json.loads(printed(capsys))
    check = next(row for row in found["functions"] if row["name"] == "check")
    assert (check["before_self"], check["after_self"]) == (6, 4)


def test_diff_shows_functions_of_which_only_the_total_changed(
    folded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "after.txt"
    other.write_text(FOLDED.replace("check 60", "check 80"))
    assert main(["diff", str(folded), str(other), "--json"]) == 0
    rows = json.loads(printed(capsys))["functions"]
    assert {row["name"]: (row["change_self"], row["change_total"]) for row in rows} == {
        "check": (20, 20),
        "main": (0, 20),
        "serve": (0, 20),
    }


def test_view_writes_one_page(folded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(folded)]) == 0
    page = Path(printed(capsys).strip())
    assert page == folded.with_name("stacks.txt.html")
    text = page.read_text()
    assert "check" in text
    assert main(["view", str(folded), "--before", str(folded), "-o", str(tmp_path / "difference.html")]) == 0


def test_view_without_a_file_writes_the_page_to_drop_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["view", "--no-open"]) == 0
    assert capsys.readouterr().out == "workbench-view.html\n"
    assert "Drop a profile here" in Path("workbench-view.html").read_text(encoding="utf-8")
    assert main(["view", "--snakeviz"]) == 2
    assert "no profile was given" in capsys.readouterr().err


def test_view_in_snakeviz_is_on_loopback_and_ends_with_ctrl_c(folded: Path) -> None:
    import signal

    command = [sys.executable, "-m", "workbench.cli", "view", str(folded), "--snakeviz"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert b"check" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("demo-callgrind.out", "keccak_like"),
        ("demo-massif.out", "remember"),
        ("demo-strace.log", "write"),
        ("demo-profile-3.pb", "already_seen"),
        ("demo-flamegraph-3.svg", "already_seen"),
    ],
)
def test_the_example_profiles_show_what_the_program_does(
    name: str, function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", str(EXAMPLES / name), "--json", "--top", "10000"]) == 0
    rows = json.loads(printed(capsys))["top"]
    assert any(function in row["name"] for row in rows)


RECORDED = read_profile(EXAMPLES / "demo-callgrind.out").metric_names


@pytest.mark.parametrize("format", ["pprof", "speedscope", "callgrind", "parquet"])
def test_convert_writes_what_was_recorded_and_the_metric_that_was_asked_for_first(format: str, tmp_path: Path) -> None:
    from workbench.profiles.exports.tables import read_tables

    def converted(*options: str) -> Profile:
        output = tmp_path / f"converted{len(list(tmp_path.iterdir()))}"
        command = ["convert", str(EXAMPLES / "demo-callgrind.out"), "--to", format, "-o", str(output), *options]
        assert main(command) == 0
        return read_tables(output) if format == "parquet" else read_profile(output)

    whole = converted()
    assert (whole.metric_names, whole.default_metric) == (RECORDED, "Ir")
    led = converted("--metric", "Bc")
    assert led.metric_names[0] == "Bc"
    assert {name: led.total(name) for name in led.metric_names} == {name: whole.total(name) for name in RECORDED}
    derived = converted("--metric", "CEst")
    assert derived.metric_names[0] == "CEst"
    # our own reader shows instructions of a callgrind file first, whatever the order of its events
    assert derived.default_metric == ("Ir" if format == "callgrind" else "CEst")
    assert set(derived.metric_names) == {*RECORDED, "CEst"}
    assert "self_L1m" not in derived.functions


def test_convert_to_one_metric_takes_a_derived_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["convert", str(EXAMPLES / "demo-callgrind.out"), "-o", str(tmp_path / "x")]
    assert main([*command, "--to", "folded", "--metric", "Bm"]) == 0
    assert read_profile(tmp_path / "x").total() > 0
    assert main([*command, "--to", "speedscope", "--metric", "L3m"]) == 2
    assert "there is no metric 'L3m'" in capsys.readouterr().err


def test_view_shows_the_metric_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    example = str(EXAMPLES / "demo-callgrind.out")
    assert main(["view", example, "-o", str(page), "--metric", "Bm"]) == 0
    text = page.read_text()
    assert "Costs are Bm, count" in text
    packed = text.partition('<script type="application/gzip">')[2].partition("<")[0]
    data = gzip.decompress(base64.b64decode(packed))
    header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    assert header["metrics"][header["metric"]]["name"] == "Bm"
    assert main(["view", example, "-o", str(page), "--metric", "Bm", "--before", example]) == 0
    assert "Costs are Bm, count" in page.read_text()
    assert main(["view", example, "-o", str(page), "--metric", "nothing"]) == 2
    assert "there is no metric 'nothing'" in capsys.readouterr().err
