"""Two runs of the real service, before and after one change, and smaller ones: compared, gated, kept as baselines."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import workbench
from tests.report.browser import open_offline
from tests.report.conftest import NOTEBOOKS
from tests.sweep.real_runs import callgrind_run, example_run
from workbench.analysis.step_row import to_frame
from workbench.batches.folder import Batch
from workbench.batches.modes import runs_of_modes
from workbench.cli import main
from workbench.compare.comparison import Comparison
from workbench.errors import MeasurementError, RunFolderError, SettingsError
from workbench.report import external_addresses, run_notebook
from workbench.report.answers.example import example
from workbench.report.sweep_report import report_run
from workbench.runs.folder import RunFolder
from workbench.sides.baselines import open_baseline, save_baseline

pytestmark = pytest.mark.slow

RECOVER = "recover_from_prehash"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    before = callgrind_run(folder / "twice", {100: "service-step-100.callgrind.out.gz"}, idle=False)
    after = callgrind_run(folder / "once", {100: "service-once-step-100.callgrind.out.gz"}, idle=False)
    return before, after


@pytest.fixture(scope="module")
def compared(runs: tuple[Path, Path]) -> Comparison:
    found = workbench.compare(*runs)
    assert isinstance(found, Comparison)
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Runs of a small service, before and after: hash_receipt does 10 % more, store_receipt allocates once more."""
    folder = tmp_path_factory.mktemp("small")
    return example_run(folder, "before"), example_run(folder, "after")


def test_the_cost_of_a_receipt_before_and_after(compared: Comparison) -> None:
    row = compared.metrics.set_index("metric").loc["Ir"]
    assert row["before"] == pytest.approx(6_636_106, abs=1)
    assert row["after"] == pytest.approx(4_303_930, abs=1)
    assert row["change_pct"] == pytest.approx(-35.1, abs=0.05)
    assert row["verdict"] == "cheaper"
    assert "6.636 to 4.304 million instructions a receipt, -35.1 %" in compared.text


def test_the_one_call_is_the_cause_and_the_rest_are_its_symptoms(compared: Comparison) -> None:
    of_cost = compared.causes[compared.causes["metric"] == "Ir"]
    assert len(of_cost) == 1
    cause = of_cost.iloc[0]
    assert cause["sentence"].startswith(
        "IndexerTapContext::store_receipt no longer calls VerifyingKey::recover_from_prehash (1 to 0 calls a receipt)"
    )
    folded = compared.symptoms[compared.symptoms["id"] == cause["id"]]
    assert folded["effect"].sum() == pytest.approx(cause["effect"], rel=0.01)
    assert folded["function"].str.contains("keccak").any()
    # what is listed by self cost today
    assert compared.places[compared.places["by"] == "function"].iloc[0]["name"].endswith("ProjectivePoint::add")


def test_what_the_finding_foretold_stands_beside_what_came_of_it(compared: Comparison) -> None:
    went = compared.findings[compared.findings["state"] == "went"]
    row = went[went["subject"].str.contains(RECOVER)].iloc[0]
    assert row["foretold_pct"] == pytest.approx(34.4, abs=0.05)
    assert row["saved_pct"] == pytest.approx(35.1, abs=0.1)
    assert "Predicted to save 34.4 %; the change saved 35.1 %." in compared.text


def test_all_of_it_is_plain_json(small: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(small[0]), str(small[1]), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"metrics", "causes", "parts", "symptoms", "places", "findings", "load", "unlike"} <= set(said)
    assert "hash_receipt" in {row["function"] for row in said["causes"]}
    assert said["before"] == "before"
    assert [tile["what"] for tile in said["tiles"]] == ["verdict", "cost", "change", "limit"]
    assert said["seconds"] > 0


def test_a_diff_of_two_run_folders_says_the_same(small: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(small[0]), str(small[1])]) == 0
    assert "hash_receipt does 9.9 % more itself" in capsys.readouterr().out
    assert main(["diff", str(small[0]), str(small[1]), "--metric", "Ir"]) == 2
    assert "--metric is for profiles" in capsys.readouterr().err


@pytest.mark.browser
async def test_the_page_needs_nothing_and_has_the_flame_graph(
    small: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "compared.html"
    # a run that looked for no limit has a report, too
    await report_run(small[1], say=lambda _: None)
    capsys.readouterr()
    assert main(["compare", str(small[0]), str(small[1]), "--html", str(page)]) == 0
    assert capsys.readouterr().out.rstrip().endswith(str(page))
    opened = await open_offline(page)
    assert (opened.requests, opened.complaints) == ([], [])
    assert "hash_receipt does 9.9 % more itself" in opened.text
    assert "flame-style" in page.read_text()
    # the report of a run that has one can be reached from here
    (way,) = re.findall(r'<a href="([^"]+)">after</a>', page.read_text())
    assert (page.parent / way).resolve() == small[1] / "report.html"


async def test_the_notebook_runs_to_its_end(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    record = await run_notebook(
        NOTEBOOKS / "compare.ipynb", {}, tmp_path / "notebook.ipynb", page, title="compare", timeout_s=200
    )
    assert record.ok, f"{record.exception}: {record.message}"
    assert external_addresses(page.read_text()) == []
    assert "hash_receipt does 9.9 % more itself" in page.read_text()


def test_three_runs_are_compared_with_the_first(small: tuple[Path, Path], tmp_path: Path) -> None:
    again = shutil.copytree(small[0], tmp_path / "again")
    found = workbench.compare(small[0], small[1], again)
    assert found.after == ("after", "again")
    assert set(found.metrics["run"]) == {"after", "again"}
    assert found.causes[found.causes["run"] == "again"].empty
    assert found.of("again").metrics["verdict"].isin(("no difference found", "")).all()


def test_profiles_are_compared_when_their_receipts_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(example(f"receipts-{name}.callgrind.out.gz")) for name in ("before", "after")]
    assert main(["compare", *files]) == 2
    assert "does not contain its number of receipts" in capsys.readouterr().err
    assert main(["compare", *files, "--receipts", "60"]) == 0
    said = capsys.readouterr().out
    assert "hash_receipt does 9.9 % more itself in each call (505 to 555 instructions)" in said
    assert "store_receipt calls malloc more often (2 to 3 calls a receipt)" in said
    assert main(["compare", *files, "--receipts", "60", "0"]) == 2
    assert main(["compare", *files, "--receipts", "60", "60", "60"]) == 2


def test_samples_and_system_calls_of_one_profile_do_not_differ(tmp_path: Path) -> None:
    for name in ("demo-profile-1.pb", "demo-strace.log"):
        found = workbench.compare(example(name), shutil.copy(example(name), tmp_path), receipts=600)
        assert len(found.metrics), name
        assert set(found.metrics["verdict"]) <= {"no difference found", ""}
        assert not set(found.places["verdict"]) & {"dearer", "cheaper"}
        assert (found.places["p"].dropna() > 0.5).all()


def _with(run: Path, place: Path, **facts: object) -> Path:
    shutil.copytree(run, place)
    RunFolder(place).update_manifest(**facts)
    return place


def test_unlike_runs_are_refused_by_naming_what_differs(small: tuple[Path, Path], tmp_path: Path) -> None:
    machine = {"processor": "one", "cores": 2}
    one = _with(
        small[0], tmp_path / "one", machine=machine, versions={"python": "3.11"}, settings={"rate": 200, "name": "a"},
        target={"is_standin": True},
    )  # fmt: skip
    other = _with(
        small[1], tmp_path / "other", machine={**machine, "processor": "two"}, versions={"python": "3.12"},
        settings={"rate": 400, "name": "b"}, target={"is_standin": False},
    )  # fmt: skip
    with pytest.raises(MeasurementError) as refused:
        workbench.compare(one, other)
    for what in (
        "settings.rate (200 and 400)",
        "machine.processor (one and two)",
        "versions.python",
        "target (the stand-in",
    ):
        assert what in str(refused.value)
    assert "settings.name" not in str(refused.value)
    found = workbench.compare(one, other, anyway=True)
    assert set(found.unlike["what"]) == {"machine.processor", "settings.rate", "target", "versions.python"}
    assert "different settings.rate: 200 before, 400 after" in found.text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="neither a run nor a batch"):
        workbench.compare(tmp_path, tmp_path)
    with pytest.raises(RunFolderError, match="this does not exist"):
        workbench.compare(tmp_path / "gone", tmp_path)
    with pytest.raises(SettingsError, match="no baseline and no run is called 'gone'"):
        workbench.compare("gone", tmp_path)


def test_a_batch_is_one_side_of_all_its_runs(small: tuple[Path, Path], tmp_path: Path) -> None:
    batches = []
    for name, run in zip(("one", "other"), small, strict=True):
        batch = Batch.create(tmp_path, name, runs_of_modes(("callgrind", "strace")), {}, "workbench batch")
        shutil.copytree(run, batch.path / "20260101T000000Z-callgrind")
        batches.append(batch.path)
    found = workbench.compare(*batches)
    assert "hash_receipt" in set(found.causes["function"])
    assert found.before.endswith("-one")
    empty = Batch.create(tmp_path, "empty", runs_of_modes(("callgrind",)), {}, "workbench batch").path
    with pytest.raises(RunFolderError, match="no run"):
        workbench.compare(empty, empty)


def test_a_heap_is_sent_to_diff() -> None:
    with pytest.raises(SettingsError, match="workbench diff compares two heaps"):
        workbench.compare(example("demo-massif.out"), example("demo-massif.out"), receipts=600)


# the gate


def test_the_gate_passes_what_is_the_same_and_fails_what_became_dearer(
    small: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = map(str, small)
    assert main(["check", before, "--baseline", before]) == 0
    assert "PASS" in capsys.readouterr().out
    table, suite = tmp_path / "table.md", tmp_path / "suite.xml"
    given = ["check", after, "--baseline", before, "--markdown", str(table), "--junit", str(suite), "--json"]
    assert main(given) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["state"] == "FAIL"
    failed = {row["name"] for row in said["checks"] if row["verdict"] == "fail"}
    assert failed == {"hash_receipt, each call", "allocations in store_receipt"}
    assert "| ✗ | hash\\_receipt, each call | 505 | 555 | +9.90 % |" in table.read_text()
    assert 'failures="' in suite.read_text()
    assert f'failures="{len(failed)}"' in suite.read_text()
    assert main(["check", after, "--baseline", before, "--max-regression", "60%"]) == 0
    capsys.readouterr()
    assert main(["check", after, "--baseline", before, "--max-regression", "much"]) == 2
    assert "not a percentage" in capsys.readouterr().err


def test_where_nothing_can_be_said_the_gate_is_invalid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.at(tmp_path / "empty")
    folder.update_manifest(state="finished", exit_code=0)
    to_frame([]).to_parquet(folder.path / "steps.parquet")
    assert main(["check", str(folder.path), "--baseline", str(folder.path)]) == 4
    assert "INVALID: Nothing to judge" in capsys.readouterr().out


# baselines


def test_a_baseline_outlives_its_run(small: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(small[0], tmp_path / "run")
    assert main(["baseline", "save", "main", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "data/baselines/main"
    shutil.rmtree(run)
    assert main(["baseline", "list"]) == 0
    assert capsys.readouterr().out.startswith("main: ")
    found = workbench.compare("main", small[1])
    assert found.before == "main"
    assert "hash_receipt" in set(found.causes["function"])
    assert main(["check", str(small[1]), "--baseline", "main"]) == 1
    capsys.readouterr()
    assert main(["baseline", "rm", "main"]) == 0
    assert main(["check", str(small[1]), "--baseline", "main"]) == 2
    assert "Existing: none" in capsys.readouterr().err


def test_a_damaged_baseline_is_said_to_be(small: tuple[Path, Path], tmp_path: Path) -> None:
    kept = save_baseline("main", small[0], folder=tmp_path)
    costs = kept.path / "profiles" / "costs.parquet"
    content = bytearray(costs.read_bytes())
    content[len(content) // 2] ^= 1
    costs.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"'main' is damaged: this file has changed since it was saved"):
        open_baseline("main", folder=tmp_path)
    costs.unlink()
    with pytest.raises(RunFolderError, match=r"this file is missing.*workbench baseline save main RUN"):
        open_baseline("main", folder=tmp_path)
    (kept.path / "baseline.json").write_text("[]")
    with pytest.raises(RunFolderError, match=r"baseline\.json cannot be read"):
        open_baseline("main", folder=tmp_path)
    assert save_baseline("main", small[1], folder=tmp_path).run == "after"


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65])
def test_names_that_are_none_are_refused(name: str, small: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be the name of a baseline"):
        save_baseline(name, small[0], folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_words_of_the_command_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "save", "main"]) == 2
    assert "workbench baseline save: the following arguments are required: RUN" in capsys.readouterr().err
