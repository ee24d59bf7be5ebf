"""Thresholds on real loads and sweeps: from shell, settings file, variable and notebook, held and exceeded."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml

import workbench
from tests.exchange.test_junit import against_the_rules
from tests.report.conftest import NOTEBOOKS
from tests.thresholds.made import folder, row
from workbench.batches.folder import Batch
from workbench.batches.modes import runs_of_modes
from workbench.cli import main
from workbench.errors import SettingsError
from workbench.report import run_notebook
from workbench.report.batch import exit_code
from workbench.settings import Settings
from workbench.sweep.judged import fitting, require_fitting
from workbench.sweep.opened import open_run

pytestmark = pytest.mark.slow

HOLD = ("response_p50_ms > 1 min", "refused_share > 0.1%", "accepted < 60", "valid_steps > 1")
FAIL = ("response_p50_ms > 1 ns", "refused_share >= 0", "accepted[last] >= 60", "valid_steps < 5")
LOAD = ("load", "-n", "60", "--concurrency", "2", "--runs-dir", "runs")


def marks(text: str) -> list[str]:
    return re.findall(r"^ *(?:Thresholds +)?([✓✗]) fail if", text, re.MULTILINE)


def test_from_the_shell_all_hold(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([*LOAD, "--fail-if", *HOLD[:2], "--fail-if", *HOLD[2:]])
    out = capsys.readouterr().out
    assert code in (0, 4)  # 4: a busy machine
    if code == 0:
        assert marks(out) == ["✓"] * 4
    assert "Thresholds  " in out


def test_from_the_shell_all_are_exceeded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    assert main([*LOAD, "--fail-if", *FAIL, "response_p99_ms > 5", "--junit", str(junit), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    verdicts = {one["name"]: one["verdict"] for one in printed["thresholds"]}
    assert verdicts["refused_share"] == verdicts["accepted"] == verdicts["valid_steps"] == "FAIL"
    assert verdicts["response_p50_ms"] in ("FAIL", "UNMEASURED")  # unmeasured: a busy machine
    assert verdicts["response_p99_ms"] == "UNMEASURED"
    manifest = open_run(Path(printed["run"])).manifest
    assert [one["verdict"] for one in manifest["thresholds"]] == list(verdicts.values())
    assert (manifest["verdict"]["verdict"], manifest["exit_code"]) == ("FAIL", 1)
    assert against_the_rules(junit.read_text()) == []
    (suite,) = list(JUnitXml.fromfile(str(junit)))
    cases = {case.name: case for case in suite}
    assert {"receipts", "validity", "limit"} <= set(cases)
    assert isinstance(cases["fail if refused_share >= 0"].result[0], Failure)
    assert isinstance(cases["fail if response_p99_ms > 5"].result[0], Error)


def test_from_the_settings_file_and_the_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = [*HOLD[1:], *FAIL[1:]]
    Path("workbench.toml").write_text(f"fail_if = {json.dumps(thresholds)}\n")
    assert main(list(LOAD)) == 1
    assert marks(capsys.readouterr().out) == ["✓"] * 3 + ["✗"] * 3
    Path("workbench.toml").unlink()
    for text in ("; ".join(thresholds), json.dumps(thresholds)):
        monkeypatch.setenv("WORKBENCH_FAIL_IF", text)
        assert Settings.resolve().fail_if == thresholds


async def test_from_the_notebook_held_and_exceeded(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    thresholds = [*HOLD[1:], *FAIL[1:]]
    parameters = {"num_receipts": 60, "concurrency": 2, "fail_if": thresholds, "run_dir": str(run_dir)}
    output, html = tmp_path / "out.ipynb", tmp_path / "report.html"
    record = await run_notebook(
        NOTEBOOKS / "single_load.ipynb", parameters, output, html, title="thresholds", timeout_s=200
    )
    assert record.ok, record.message
    run = open_run(run_dir)
    assert run.exit_code == 1
    sentences = [one["sentence"] for one in run.manifest["thresholds"]]
    assert [one[0] for one in sentences] == ["✓"] * 3 + ["✗"] * 3
    text = html.read_text(encoding="utf-8")
    assert [one for one in sentences if one.replace(">", "&gt;").replace("<", "&lt;") not in text] == []
    assert "✗ 3 of 6 thresholds exceeded" in text


async def test_a_sweep_judges_its_limit_and_each_step() -> None:
    run = await workbench.sweep(
        receipts="30,240",
        rate=400.0,
        limit_grt="0.1",
        runs_dir="runs",
        fail_if=["limit_receipts != 100", "limit_error_receipts > 0", "denied_share[first] > 0", "denied_share > 0"],
    )
    verdicts = {one["fail_if"]: one["verdict"] for one in run.manifest["thresholds"]}
    assert list(verdicts.values()) == ["PASS", "PASS", "PASS", "FAIL"]
    assert run.exit_code == 1


@pytest.mark.parametrize(
    ("mode", "name", "bound"),
    [
        ("callgrind", "instructions_per_receipt", "6.6e6"),
        ("massif", "allocated_bytes_per_receipt", "62.5 KiB"),
        ("strace", "system_calls_per_receipt", "31"),
        ("flamegraph", "cpu_ms_per_receipt", "1.5 ms"),
    ],
)
def test_costs_of_a_run_that_there_is_already(
    mode: str, name: str, bound: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder(tmp_path / "run", mode)
    assert main(["findings", str(run), "--fail-if", f"{name} > {bound}"]) == 0
    assert marks(capsys.readouterr().out) == ["✓"]
    junit = tmp_path / "junit.xml"
    both = ["--fail-if", f"{name} < {bound}", "--fail-if", f"{name} >= {bound}", "--junit", str(junit)]
    assert main(["findings", str(run), *both]) == 1
    assert marks(capsys.readouterr().out) == ["✓", "✗"]
    (suite,) = list(JUnitXml.fromfile(str(junit)))
    assert (suite.tests, suite.failures) == (2, 1)
    assert main(["findings", str(folder(tmp_path / "plain")), "--fail-if", f"{name} > {bound}", "--json"]) == 1
    (judged,) = json.loads(capsys.readouterr().out)["thresholds"]
    assert judged["verdict"] == "UNMEASURED"
    assert f"use --profiler {mode}" in judged["sentence"]


def test_a_report_is_held_against_other_thresholds_and_keeps_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path / "run", rows=[row(0), row(1, verdict="INVALID", reason="late")])

    async def executed(folder, *_arguments, **_options):
        return open_run(folder.path)

    monkeypatch.setattr("workbench.report.sweep_report.execute", executed)  # the notebook has tests of its own
    assert main(["report", "--fail-if", "response_p95_ms > 30", "--fail-if", "accepted < 5", str(run)]) == 1
    out = capsys.readouterr().out
    assert marks(out) == ["✗", "✓"]
    assert "1 of 2 thresholds failed" in out
    assert main(["report", str(run), "--fail-if", "response_p95_ms > 50"]) == 0
    assert "PASS, but ◇ 1 of 2 steps valid: " in capsys.readouterr().out
    (judged,) = open_run(run).manifest["thresholds"]
    assert judged["verdict"] == "PASS"
    assert "step 1 not judged: no valid measurement (late)" in judged["sentence"]


def test_a_batch_holds_each_run_against_what_it_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["response_p95_ms > 50", "instructions_per_receipt > 7e6", "accepted < 5"]
    assert fitting(texts, "none") == [texts[0], texts[2]]
    assert fitting(texts, "callgrind") == texts[1:]
    with pytest.raises(
        SettingsError, match="would not be measured: instructions_per_receipt is measured with --profiler"
    ):
        require_fitting(texts, ("none", "massif"))
    require_fitting(texts, ("none", "callgrind"))
    batch = Batch.create(tmp_path, "batch", runs_of_modes(("none", "callgrind")), {}, "workbench batch")
    for mode in ("none", "callgrind"):
        folder(batch.path / f"20260101T000000Z-{mode}", mode)
    assert main(["findings", str(batch.path), *(f"--fail-if={text}" for text in texts)]) == 0
    assert marks(capsys.readouterr().out) == ["✓"] * 4
    assert main(["findings", str(batch.path), "--fail-if", "system_calls_per_receipt > 1"]) == 1
    assert "not measured" in capsys.readouterr().out
    assert exit_code(batch) == 0
    open_run(batch.path / "20260101T000000Z-callgrind").folder.update_manifest(
        thresholds=[{"verdict": "FAIL", "sentence": "✗ fail if instructions_per_receipt > 5: 7"}]
    )
    assert exit_code(batch) == 1
    assert any("✗ fail if instructions_per_receipt > 5" in line for line in batch.lines())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "instructions_per_receipt > 7e6",
            "would not be measured: instructions_per_receipt is measured with --profiler",
        ),
        ("respons_p95_ms > 5", "Did you mean response_p95_ms"),
    ],
)
def test_what_cannot_be_measured_is_an_error_before_anything_is_sent(
    text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LOAD, "--fail-if", text]) == 2
    assert words in capsys.readouterr().err
    assert not Path("runs").exists()


def test_times_under_a_profiler_are_refused() -> None:
    with pytest.raises(SettingsError, match="times under strace are distorted"):
        asyncio.run(workbench.sweep(profiler="strace", fail_if=["response_p95_ms > 5"], runs_dir="runs"))


async def test_repeats_are_interleaved_and_judged_together(capsys: pytest.CaptureFixture[str]) -> None:
    run = await workbench.sweep(
        receipts="30,130",
        repeats=3,
        concurrency=2,
        limit_grt="0.1",
        pinpoint=False,
        stop_after_denial=True,
        runs_dir="runs",
        fail_if=["accepted > 40"],
    )
    steps = run.steps
    assert list(zip(steps["receipts"], steps["repeat"], strict=True)) == [
        (size, turn) for turn in (1, 2, 3) for size in (30, 130)
    ]
    assert steps["payer"].nunique() == 6
    assert [one["repeat"] for one in run.manifest["steps_planned"]] == [1, 1, 2, 2, 3, 3]
    assert run.exit_code == 1
    assert set(run.repeats["receipts"]) <= {30, 130}
    assert (run.repeats["repeats"] <= 3).all()


async def test_a_repeat_goes_as_far_as_the_one_before_it() -> None:
    run = await workbench.sweep(
        receipts="30,130,40", repeats=2, concurrency=2, limit_grt="0.1", pinpoint=False, stop_after_denial=True,
        runs_dir="runs",
    )  # fmt: skip
    assert run.steps["step"].tolist() == [1, 2, 4, 5]
