"""A plan's file: what it may say, and errors that name file, line and key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from workbench.batches.grid import runs_of
from workbench.batches.plan import line_of, plan_of, read_plan
from workbench.cli import main
from workbench.errors import SettingsError
from workbench.report.batch import planned

WHOLE = """\
name = "before-after"
repeats = 2
order = "shuffled"
seed = 7

[settings]
receipts = "250,500"   # of all runs
limit_grt = "0.5"

[axes]
rate = [100, 200.5]
pinpoint = [true, false]

[axes.build]
before = { service_command = "./before --config a.toml" }
after = { service_command = "./after --config a.toml", max_in_flight = 10 }

[[exclude]]
rate = 200.5
build = "before"

[[exclude]]
pinpoint = false
build = ["before", "after"]

[[include]]
build = "after"
profiler = "callgrind"

[[rules]]
when = { profiler = ["callgrind", "massif"] }
set = { receipts = "50,100" }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


def test_all_that_a_plan_can_say_is_read(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, WHOLE))
    assert (plan.name, plan.grid.repeats, plan.grid.order, plan.grid.seed) == ("before-after", 2, "shuffled", 7)
    labels = {run.label for run in runs_of(plan.grid) if run.repeat == 1}
    assert labels == {
        "rate 100, pinpoint yes, build before, repeat 1",
        "rate 100, pinpoint yes, build after, repeat 1",
        "rate 200.5, pinpoint yes, build after, repeat 1",
        "build after, profiler callgrind, repeat 1",
    }
    made = planned(plan, {"runs_dir": str(tmp_path), "limit_grt": "0.25"}, {}, None)
    settings = {run.label: made.settings[run.name] for run in made.runs}
    one = settings["build after, profiler callgrind, repeat 2"]
    assert (one.receipts, one.profiler, one.max_in_flight, one.service_command) == (
        "50,100",
        "callgrind",
        10,
        "./after --config a.toml",
    )
    assert {str(own.limit_grt) for own in settings.values()} == {"0.25"}  # an option wins


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("repeats = 0", "plan.toml:1: repeats: expected a whole number from 1 to 1,000, found 0"),
        ("\nrepaets = 2", "plan.toml:2: repaets: a plan has no key 'repaets'. Did you mean 'repeats'?"),
        ('order = "random"', "plan.toml:1: order: must be one of interleaved, shuffled, written, found 'random'"),
        ("[axes]\n\nrat = [1]", "plan.toml:3: axes.rat: there is no setting 'rat'. Did you mean 'rate'?"),
        ("[axes]\nrate = 5", "plan.toml:2: axes.rate: expected a list of values, found 5. Write it as [5]"),
        ("[axes]\nrate = []", "plan.toml:2: axes.rate: an axis needs at least one value"),
        ("[axes]\nrate = [1, 1]", "axes.rate: the value 1 is given twice"),
        ("[axes.build]\na = { rates = 1 }", "plan.toml:2: axes.build.a.rates: there is no setting 'rates'"),
        ("[axes.build]\na = 1", "plan.toml:2: axes.build.a: expected a table of settings for the value 'a'"),
        ("[settings]\nsigner_keys = []", "plan.toml:2: settings.signer_keys: a plan must not contain keys and tokens"),
        ("[settings]\nrate = 1\n[axes]\nrate = [1]", "plan.toml:2: settings.rate: 'rate' is an axis as well"),
        ("[axes]\nrate = [1]\n[[exclude]]\nrate = 2", "plan.toml:4: exclude.rate: the axis has no value '2'"),
        (
            "[axes]\nrate = [1, 2]\n[[exclude]]\nrate = 1\n[[exclude]]\nrte = 2",
            "plan.toml:6: exclude.rte: there is no axis 'rte'. Did you mean 'rate'?",
        ),
        ("exclude = 3", "plan.toml:1: exclude: expected tables, written as [[exclude]], found '3'"),
        ("[[rules]]\nif = 1", "plan.toml:2: rules.if: a rule has no key 'if'"),
        ("[[rules]]\nset = { rats = 1 }", "plan.toml:2: rules.set.rats: there is no setting 'rats'"),
        ("[axes]\nrate = [1", "plan.toml: not valid TOML"),
        ("[axes]\nrate = [100, -5]", "plan.toml:2: axes.rate.-5 (rate -5): must be greater than 0, found '-5'"),
        ('[settings]\nvalue_grt = "x"', "plan.toml:2: settings.value_grt: must be a valid decimal, found 'x'"),
        ("[settings]\nrate = 5\n[axes]\nconcurrency = [4]", "concurrency 4: concurrency (closed loop) and rate"),
        ('[settings]\nreceipts = "ten"', "cannot read 'ten'"),
    ],
)
def test_an_error_names_file_line_and_key(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, text)
    assert main(["batch", str(path), "--dry-run", "--runs-dir", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "5"], "--rate: it is also an axis of the plan"),
        (["--modes", "none"], "--modes: the plan already names the modes"),
        (["--resume", "batch"], "--resume takes the batch's own settings"),
    ],
)
def test_options_that_the_plan_says_itself_are_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", str(written(tmp_path, "[axes]\nrate = [1]")), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_plan_in_the_docs_can_be_used() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "batches.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert len(runs_of(plan_of(tomllib.loads(shown)).grid)) == 3 * (3 + 1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot read the plan: No such file"):
        read_plan(tmp_path / "none.toml")


def test_a_dry_run_shows_the_grid_with_its_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, '[settings]\nreceipts = "100"\n[axes]\nrate = [50, 100]')
    assert main(["batch", str(path), "--dry-run", "--runs-dir", str(tmp_path / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1-50  rate 50: about ")
    assert lines[2].startswith("2 runs, about ")
    assert "2 guessed" in lines[2]
    assert not (tmp_path / "runs").exists()


def test_the_innermost_line_that_is_known_is_given() -> None:
    assert line_of(WHOLE, ("axes", "build", "after", "max_in_flight")) == 16
    assert line_of(WHOLE, ("exclude", "build"), 1) == 24
    assert line_of(WHOLE, ("exclude", "build"), 0) == 20
    assert line_of(WHOLE, ("settings", "limit_grt")) == 8
    assert line_of(WHOLE, ("settings", "none")) == 6
    assert line_of(WHOLE, ("none",)) == line_of(WHOLE, ()) == 0
