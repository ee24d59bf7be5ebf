"""A session by hand: the command in a window finds its service, its receipts are counted, the windows are reported."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.profilers.services import SYSCALLS, needs, work
from tests.profilers.test_commands import AGENT, SERVICE, role
from tests.profilers.test_shell import folder, profile, refused, start_c
from workbench.cli import main
from workbench.errors import EXIT_TOOL, EXIT_USAGE, RunFolderError, SettingsError
from workbench.profilers.inside import Runs, runs_dir_of, variables_of
from workbench.profilers.windows.record import Window, windows_in
from workbench.report.by_hand import windows_text
from workbench.runs.folder import RunFolder
from workbench.runs.read import Run, open_run
from workbench.sweep.by_hand import run_of_windows
from workbench.sweep.run_profiles import RunProfiles

pytestmark = pytest.mark.slow

__all__ = ["folder"]
LOAD = (sys.executable, "-m", "workbench.cli", "load", "--concurrency", "2", "-n")


@pytest.fixture
def standin(folder: Path, tmp_path: Path) -> dict[str, str]:
    """Both roles of the stand-in under strace, started by hand; their addresses."""
    database = tmp_path / "standin.sqlite"
    ports = {name: free_port() for name in ("service_port", "service_metrics_port", "graph_port", "agent_metrics_port")}
    agent = role("agent", database, agent_metrics_port=ports.pop("agent_metrics_port"))
    programs = ("--service", role("service", database, **ports), "--agent", agent, "--profile", "both")
    said = profile("start", "strace", "--folder", folder, *programs).stdout.splitlines()
    assert said[0].startswith(f"{SERVICE}, {AGENT} answer under strace; profiles go to ")
    return dict(line.split() for line in said[1:])


@needs("strace")
def test_a_load_in_a_window_finds_the_service_and_the_report_has_its_receipts(
    standin: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    assert set(standin) == {"--target", "--graph-url", "--service-metrics-url", "--agent-metrics-url"}
    said = profile("status", "--folder", folder).stdout
    assert all(f"  {option} {url}\n" in said for option, url in standin.items())
    profile("window", "idle", "--seconds", 0.5, "--folder", folder)
    runs = ("--runs-dir", str(tmp_path / "runs"))
    for receipts in (10, 20):
        said = profile("window", f"of-{receipts}", "--folder", folder, "--", *LOAD, receipts, *runs).stdout
        assert f"{receipts} receipts were sent inside" in said
    (out,) = folder.glob("*-strace")
    windows = windows_in(out)
    facts = {window.name: window.facts for window in windows if window.service == SERVICE}
    assert [facts[name].get("receipts") for name in ("idle", "of-10", "of-20")] == [
        None,
        {"sent": 10, "accepted": 10, "denied": 0},
        {"sent": 20, "accepted": 20, "denied": 0},
    ]
    assert facts["of-10"]["runs"] == [str(min((tmp_path / "runs").iterdir()))]
    said = profile("report", "--folder", folder).stdout
    assert f"{SERVICE} under strace: calls per receipt, by whole" in said
    assert f"{AGENT} under strace: calls per receipt, by function" in said
    page = out / "report" / "report.html"
    assert said.splitlines()[-1] == str(page)
    assert "Findings" in page.read_text("utf-8")
    found = RunProfiles(open_run(out / "report"))
    assert found.receipts(SERVICE) == [10, 20]
    assert set(found.idle_windows) == {SERVICE, AGENT}
    # it can be made again
    again, left_out = run_of_windows(windows, out / "report")
    assert (len(RunProfiles(again).costs), left_out) == (len(found.costs), [])


async def no_page(run: Run) -> None:
    """Instead of the notebook and page of a report, which the test above opens."""


@needs("strace", "gcc")
async def test_receipts_can_be_given_and_windows_without_are_left_out(
    folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = start_c(folder, program, free_port())
    for name, times in (("one", 5), ("two", 10), ("unknown", 3)):
        profile("window", name, "--folder", folder)
        await work(url, times)
        profile("window", "--end", "--folder", folder)
    monkeypatch.setattr("workbench.report.by_hand.report_windows", no_page)

    async def report(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["profile", "report", *words])
        return code, capsys.readouterr().err

    here = ("--folder", str(folder))
    for given, said in (
        ((), "no window has a known number of receipts. Give them, as in --receipts one=100"),
        (("--receipts", "three=5"), "there is no window three. There are one, two, unknown"),
        (("--receipts", "one"), "--receipts: expected NAME=N, found 'one'"),
    ):
        code, errors = await report(*here, *given)
        assert (code, said in errors) == (EXIT_USAGE, True), errors
    (out,) = folder.glob("*-strace")
    # also when the session is over
    profile("stop", "--folder", folder)
    profile("restore", "--folder", folder)
    code, errors = await report(str(out), "--receipts", "one=5", "--receipts", "two=10")
    assert (code, "Note: window unknown is left out" in errors) == (0, True), errors
    costs = RunProfiles(open_run(out / "report")).costs
    calls = costs[(costs["by"] == "function") & (costs["name"] == "getppid") & (costs["metric"] == "calls")]
    assert list(calls["self"] / calls["receipts"]) == [SYSCALLS, SYSCALLS]
    assert "getppid" in windows_text(open_run(out / "report"))


def test_what_is_given_to_the_command_wins() -> None:
    addresses = {"target": "http://127.0.0.1:1", "graph_url": "http://127.0.0.1:2"}
    own = {"WORKBENCH_TARGET": "http://127.0.0.1:3", "HOME": "/home/me"}
    assert variables_of(addresses, "callgrind", own) == {
        "WORKBENCH_TARGET": "http://127.0.0.1:3",
        "WORKBENCH_GRAPH_URL": "http://127.0.0.1:2",
        "WORKBENCH_TIMEOUT_S": "60",
        "HOME": "/home/me",
    }
    assert variables_of({}, "none", own) == own


def test_runs_are_looked_for_where_the_command_makes_them(tmp_path: Path) -> None:
    command = ["workbench", "load", "-n", "5"]
    assert runs_dir_of([*command, "--runs-dir", "a"], {}) == Path("a")
    assert runs_dir_of([*command, "--runs-dir=b"], {"WORKBENCH_RUNS_DIR": "c"}) == Path("b")
    assert runs_dir_of(command, {"WORKBENCH_RUNS_DIR": "c"}) == Path("c")
    assert runs_dir_of(command, {}).parts[-2:] == ("data", "runs")
    before = Runs.now(tmp_path / "not-there")
    assert before.facts() == {}
    # a run that was cut off before a step ended counts nothing
    RunFolder.at(before.folder / "run").update_manifest(state="running")
    assert before.facts()["receipts"] == {"sent": 0, "accepted": 0, "denied": 0}


def test_a_folder_that_is_no_report_is_left_alone(tmp_path: Path) -> None:
    window = Window("x", "strace", "one", 0, 1, tmp_path, {}, {})
    (tmp_path / "report").mkdir()
    with pytest.raises(RunFolderError, match="exists and is not a report of windows"):
        run_of_windows([window], tmp_path / "report", given={"one": 5})
    with pytest.raises(SettingsError, match="there is no window two"):
        run_of_windows([window], tmp_path / "other", given={"two": 5})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("stop --service x", "unrecognized arguments: --service x"),
        ("window a --target http://127.0.0.1:1", "unrecognized arguments: --target"),
        ("start strace --receipts a=1", "unrecognized arguments: --receipts"),
        ("start strace --service x -- y", "--service, --agent and a command after -- exclude each other"),
        ("start strace --service x --compose y.yml", "a compose file and a command were given"),
        ("start strace --target http://127.0.0.1:1", "cannot be put under a profiler"),
        ("start strace --service /does/not/exist", "there is no program /does/not/exist"),
        ("start strace --service x --profile both", "there is no command for the agent, which should be profiled"),
        ("report", "no profiler session was started"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    arguments: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors = refused(arguments, folder, capsys)
    assert (code, said in errors) == (EXIT_TOOL if arguments == "report" else EXIT_USAGE, True), errors
