"""Sweeps of services by their commands with the network around them: what goes into the settings, refusals, kills."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import workbench
from tests.profilers.services import free_port
from workbench.errors import SettingsError, TargetError
from workbench.profilers.windows.record import windows_in
from workbench.settings import Settings
from workbench.sweep.profiles import RunProfiles
from workbench.sweep.surroundings import check_surroundings, surroundings
from workbench.sweep.windows import FOLDER

pytestmark = pytest.mark.slow

RECEIPTS = {1: 40, 2: 90, 3: 60}
LIMIT = 80
KILLS = int(os.environ.get("KILLS", "3"))
"""How many random moments a sweep is killed at."""

SCRIPT = """
import asyncio, json, sys, workbench
asyncio.run(workbench.sweep(**json.loads(sys.argv[1])))
"""


def commands(folder: Path) -> dict[str, str]:
    """The stand-in's two roles as commands with settings files of their own: the network's is not for them."""
    config = folder / "standin.toml"
    config.write_text(f'limit_grt = "{LIMIT / 1000}"\ndatabase = "{folder / "standin.sqlite"}"\n')
    words = [sys.executable, "-m", "workbench.cli", "standin", "--config", str(config)]
    ports = [f"--{name}={free_port()}" for name in ("service-port", "service-metrics-port", "graph-port")]
    return {
        "service_command": shlex.join([*words, "--role", "service", *ports]),
        "agent_command": shlex.join([*words, "--role", "agent", f"--agent-metrics-port={free_port()}"]),
    }


def sweep_of(folder: Path) -> dict[str, object]:
    return {
        **commands(folder),
        "network": True,
        "network_folder": str(folder / "network"),
        "run_dir": str(folder / "run"),
        "runs_dir": str(folder),
        "receipts": ",".join(map(str, RECEIPTS.values())),
        "limit_grt": str(LIMIT / 1000),
        "rate": 60.0,
    }


def left_of(folder: Path) -> list[str]:
    """The processes that have to do with a folder."""
    mine, found = str(folder), []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(mine in word for word in words):
            found.append(" ".join(words))
    return found


def run_until(folder: Path, seconds: float | None) -> subprocess.CompletedProcess[str]:
    """The sweep in a process of its own, killed after ``seconds``; None: to its end."""
    parameters = sweep_of(folder)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(parameters)], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        _, error = process.communicate(timeout=seconds or 240)
    except subprocess.TimeoutExpired:
        if seconds is None:
            raise
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, "", error)


def until_nothing_is_left(folder: Path) -> None:
    watched = [process for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]
    psutil.wait_procs(watched, timeout=40)
    assert left_of(folder) == []


@pytest.fixture(scope="module")
def whole_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the sweep takes from nothing to its end, in seconds."""
    folder = tmp_path_factory.mktemp("whole")
    started_s = time.monotonic()
    done = run_until(folder, None)
    assert done.returncode == 0, done.stderr
    whole_s = time.monotonic() - started_s
    until_nothing_is_left(folder)
    run = workbench.open_run(folder / "run")
    assert run.manifest["state"] == "finished"
    assert run.manifest["limit"]["observed_receipts"] == LIMIT
    assert not run.manifest["target"]["is_standin"]
    # what a run around a network leaves is in its folder; a database nobody will read again is not kept
    assert list((folder / "network").iterdir()) == []
    return whole_s


@pytest.mark.parametrize("seed", range(KILLS))
async def test_killed_at_a_random_moment_nothing_runs_on_and_the_sweep_is_completed(
    seed: int, tmp_path: Path, whole_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    moment = random.Random(seed).uniform(0.5, whole_s)
    killed = run_until(tmp_path, moment)
    until_nothing_is_left(tmp_path)
    folder = tmp_path / "run"
    if killed.returncode == 0 or not (folder / "manifest.json").exists():
        return  # it was over before its end was due, or killed before it began: nothing is to be completed
    state = json.loads((folder / "manifest.json").read_text())["state"]
    assert state in ("new", "running", "finished"), f"killed after {moment:.1f} s"
    before = {row.step: row.sent for row in workbench.open_run(folder).steps.itertuples()}
    if state == "new":
        run = await workbench.sweep(**sweep_of(tmp_path))
    else:
        run = await workbench.sweep(resume=folder)
    until_nothing_is_left(tmp_path)
    assert run.manifest["state"] == "finished", f"killed after {moment:.1f} s"
    samples = run.samples
    assert samples[samples["step"] <= 3].groupby("step").size().to_dict() == RECEIPTS
    assert not samples.duplicated(["step", "index"]).any()
    assert not samples["nonce"].duplicated().any()
    assert run.manifest["limit"]["observed_receipts"] == LIMIT
    after = {row.step: row.sent for row in run.steps.itertuples()}
    assert {step: after[step] for step in before} == before  # what was finished was not run again


@pytest.mark.parametrize(
    ("victim", "words"),
    [
        (r"\S*/postgres -D", "the network's postgres does not answer"),
        (r".*workbench\.network graph", "the network's graph does not answer"),
        (r".*--role agent", "workbench.cli-agent: has ended"),
    ],
)
async def test_a_part_that_is_killed_in_mid_step_is_named_and_the_run_can_be_gone_on_with(
    victim: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    killed: list[int] = []

    def on_event(kind: str, facts: dict[str, object]) -> None:
        if kind == "progress" and facts["step"] == 2 and not killed:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # one that has ended meanwhile
                    if re.match(victim, " ".join(process.cmdline())):
                        process.kill()
                        killed.append(process.pid)

    with pytest.raises(TargetError, match=re.escape(words)):
        await workbench.sweep(**sweep_of(tmp_path), on_event=on_event)
    assert killed
    until_nothing_is_left(tmp_path)
    run = workbench.open_run(tmp_path / "run")
    assert (run.manifest["state"], run.exit_code) == ("failed", 3)
    assert run.steps["step"].tolist() == [1, 2]  # what the killed part left of its step is kept and judged
    done = await workbench.sweep(resume=tmp_path / "run")
    assert done.manifest["state"] == "finished"
    samples = done.samples
    assert samples[samples["step"] <= 3].groupby("step").size().to_dict() == RECEIPTS


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("mode", ["flamegraph", "strace"])
async def test_a_sweep_of_two_commands_has_windows_and_costs_of_both(mode: str, tmp_path: Path) -> None:
    run = await workbench.sweep(
        **commands(tmp_path),
        profiler=mode,
        profile="both",
        receipts="20,40",
        mode="cumulative",
        paired=False,
        runs_dir=tmp_path,
    )
    profiles = RunProfiles(run)
    assert profiles.services == ["workbench.cli-agent", "workbench.cli-service"]
    assert [profiles.receipts(service) for service in profiles.services] == [[20, 40], [20, 40]]
    assert {window.name for window in windows_in(run.path / FOLDER)} == {"step-001", "step-002", "idle"}
    assert run.steps["failure"].eq("").all()
    assert left_of(tmp_path) == []


async def test_a_command_without_a_configuration_gets_the_networks(tmp_path: Path) -> None:
    settings = Settings.resolve(
        network=True,
        network_folder=tmp_path,
        service_command="indexer-service-rs",
        agent_command="RUST_LOG=info indexer-tap-agent --config own.toml",
        limit_grt="0.5",
        standin_payers=3,
    )
    async with surroundings(settings, "run") as around:
        found = around.settings
        await around.require_answering()
        assert found.service_command == f"indexer-service-rs --config {tmp_path / 'run' / 'service.toml'}"
        assert found.agent_command == "RUST_LOG=info indexer-tap-agent --config own.toml"
        assert (len(found.payers), len(found.signer_keys)) == (3, 3)
        assert str(found.limit_hint_grt) == "0.5"
        assert found.database_url is not None
        assert found.target is not None
        # the agent runs by a file of its own: where it answers is not the network's to say
        assert found.agent_metrics_url is None
        assert "signer_keys" in found.public()
        assert not any(key.get_secret_value() in json.dumps(found.public()) for key in found.signer_keys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"network": True}, "--service"),
        ({"agent_command": "agent"}, "the service has none"),
        ({"network": True, "service_command": "s", "target": "http://127.0.0.1:1"}, "sets the addresses itself"),
        ({"network": True, "service_command": "s", "compose": "compose.yml"}, "sets the addresses itself"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_starts(given: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_surroundings(Settings.resolve(**given))
