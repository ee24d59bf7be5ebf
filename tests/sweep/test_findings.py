"""What is found on the real programs by itself, in a run, a batch, the shell and a report; and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workbench
from tests.report.conftest import NOTEBOOKS
from tests.sweep.real_runs import callgrind_run, flamegraph_run, massif_run, real_run, strace_run
from workbench.analysis.findings import COLUMNS, Findings
from workbench.batches.folder import Batch
from workbench.batches.modes import runs_of_modes
from workbench.cli import main
from workbench.profilers.modes import Mode
from workbench.report import run_notebook
from workbench.sweep.opened import open_run

pytestmark = pytest.mark.slow

TWICE = {100: "service-step-100.callgrind.out.gz", 400: "service-step-400.callgrind.out.gz"}
ONCE = {100: "service-once-step-100.callgrind.out.gz"}
RECOVERY = "recover_from_prehash"


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """The real service in four modes."""
    folder = tmp_path_factory.mktemp("real")
    modes: tuple[Mode, ...] = ("callgrind", "flamegraph", "massif", "strace")
    made = Batch.create(folder, "batch", runs_of_modes(modes), {}, "workbench batch")
    callgrind_run(made.path / "20261129T140000Z-callgrind", TWICE)
    flamegraph_run(made.path / "20261129T140001Z-flamegraph")
    massif_run(made.path / "20261129T140002Z-massif")
    strace_run(made.path / "20261129T140003Z-strace")
    return made


@pytest.fixture(scope="module")
def found(batch: Batch) -> Findings:
    return batch.findings


def test_the_signer_is_recovered_twice_a_receipt(found: Findings) -> None:
    first = found.ranked[0]
    assert (first.kind, first.mode) == ("repeated work", "callgrind")
    assert RECOVERY in first.subject
    assert "called twice a receipt" in first.sentence
    assert first.size.per_receipt == pytest.approx(4_561_294, rel=0.001)
    assert first.share_pct == pytest.approx(68.7, abs=0.2)
    assert first.saving_pct == pytest.approx(34.4, abs=0.1)
    # who asks for it: by counts the lines and functions, by samples the names and the time
    for who in ("sender.rs:47", "store_receipt", "sender_middleware 37", "DbReceiptV2::from_receipt 29.7"):
        assert who in first.sentence
    assert first.evidence["calls per receipt"].tolist() == pytest.approx([1, 1], abs=0.001)


def test_what_samples_and_callees_show_of_it_is_folded_into_it(found: Findings) -> None:
    symptoms = found.symptoms_of(found.ranked[0])
    (sampled,) = [one for one in symptoms if one.subject.endswith("Eip712SignedMessage::recover_signer")]
    assert sampled.mode == "flamegraph"
    assert sampled.share_pct == pytest.approx(66.9, abs=0.1)
    # one of the two is worth about 30 % of CPU
    assert sampled.saving_pct == pytest.approx(30.0, abs=0.5)
    assert any("lincomb" in one.subject for one in symptoms)
    assert not any("lincomb" in one.subject or "field" in one.subject for one in found)


def test_the_domain_is_encoded_three_times(found: Findings) -> None:
    (domain,) = [one for one in found if "Eip712Domain::encode_data" in one.subject]
    assert "3 times a receipt" in domain.sentence
    assert len(domain.evidence) == 3


def test_the_background_is_named_with_what_it_does(found: Findings) -> None:
    (background,) = found.of("background")
    assert "60 s without a receipt cost 1.32 G instructions, as much as 198 receipts" in background.sentence
    assert "ProfilerGuardBuilder::build 99.8 %" in background.sentence
    # it happened once, and not in the steps: next to nothing is taken from them
    assert background.share_pct < 0.1
    assert "is not steady" in background.sentence


def test_the_profiler_s_own_share_of_the_heap_is_said(found: Findings) -> None:
    (heap,) = [one for one in found.of("profiler's share") if one.mode == "massif"]
    assert heap.subject == "pprof::profiler::ProfilerGuardBuilder::build"
    assert heap.share_pct == pytest.approx(93.6, abs=0.2)
    assert "left out of leaks" in heap.sentence
    assert found.of("leak") == []


def test_nothing_else_is_named(found: Findings) -> None:
    """In their order: errors that are made with a backtrace five times a receipt were not known before."""
    assert [one.subject.rsplit("::", 1)[-1] for one in found] == [
        RECOVERY, "msg", "build", "encode_data", "recvfrom", "pprof", "build",
    ]  # fmt: skip
    assert found.of("growth") == []
    assert found.of("waiting") == []
    assert found.of("cache and branches") == []


def test_the_prediction_holds_for_the_build_that_recovers_once(found: Findings, tmp_path: Path) -> None:
    once = open_run(callgrind_run(tmp_path / "once", ONCE))
    assert not any(RECOVERY in one.subject for one in (*once.findings.ranked, *once.findings.folded))
    each = [
        run.profiles.background.query("metric == 'Ir'")["cost_per_receipt"].iloc[0]
        for run in (open_run(callgrind_run(tmp_path / "twice", TWICE)), once)
    ]
    measured = 100 * (1 - each[1] / each[0])
    assert measured == pytest.approx(35.1, abs=0.2)
    assert found.ranked[0].saving_pct == pytest.approx(measured, abs=1)


def test_findings_can_be_kept_and_looked_through(found: Findings) -> None:
    table = found.table
    assert tuple(table.columns) == COLUMNS
    assert table["rank"].tolist()[: len(found)] == list(range(1, len(found) + 1))
    assert set(table.loc[table["rank"] == 0, "folded_into"]) <= set(table["id"])
    kept = json.loads(json.dumps(found.as_dict()))
    assert [one["id"] for one in kept["findings"]] == [one.id for one in found]
    assert kept["findings"][0]["evidence"][0]["calls per receipt"] == pytest.approx(1)


def test_the_shell_says_them(batch: Batch, capsys: pytest.CaptureFixture[str]) -> None:
    run = batch.folder("callgrind")
    assert main(["findings", str(run)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1. VerifyingKey::recover_from_prehash is called twice a receipt: 4.56 M instructions")
    assert main(["findings", "--json", str(batch.path)]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert {one["mode"] for one in kept["findings"]} == {"callgrind", "flamegraph", "massif", "strace"}
    assert main(["findings", str(batch.path / "no run")]) != 0
    assert "no run" in capsys.readouterr().err


def test_a_run_has_its_findings(batch: Batch) -> None:
    run = workbench.open_run(batch.folder("strace") or "")
    alone, calls = run.findings
    assert (alone.kind, alone.subject) == ("background", "mprotect")
    assert calls.kind == "system calls"
    assert "14 system calls: recvfrom" in calls.sentence


def test_a_run_without_a_profiler_says_so(tmp_path: Path) -> None:
    run = open_run(real_run(tmp_path / "plain", "none", {}))
    assert len(run.findings) == 0
    assert "ran without a profiler" in run.findings.text()


async def test_findings_are_the_first_things_of_a_batch_s_report(batch: Batch, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    record = await run_notebook(
        NOTEBOOKS / "batch.ipynb",
        {"batch_dir": str(batch.path)},
        tmp_path / "notebook.ipynb",
        html,
        title="Batch",
        timeout_s=300,
    )
    assert record.ok, f"{record.exception}: {record.message}"
    body = html.read_text("utf-8")
    body = body[body.index("<body") :]
    assert body.index("is called twice a receipt") < body.index("The batch has no run without a profiler")
    # each leads to its evidence
    assert 'href="#What-does-a-receipt-cost,-and-where?"' in body
    assert 'id="What-does-a-receipt-cost,-and-where?"' in body
