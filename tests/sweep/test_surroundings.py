"""Sweeps of services by their commands with the network around them: what goes into the settings, refusals, kills."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import psutil
import pytest

import workbench
from tests.ports import free_port
from workbench.errors import SettingsError, TargetError
from workbench.profilers.windows.record import windows_in
from workbench.settings import Settings
from workbench.sweep.run_profiles import RunProfiles
from workbench.sweep.surroundings import check_surroundings, surroundings
from workbench.sweep.windows import FOLDER

pytestmark = pytest.mark.slow

RECEIPTS = {1: 40, 2: 90, 3: 60}
LIMIT = 80


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


def until_nothing_is_left(folder: Path) -> None:
    watched = [process for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]
    psutil.wait_procs(watched, timeout=40)
    assert left_of(folder) == []


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
    if "agent" not in victim:  # without it nobody was denied in the step that is kept
        assert done.manifest["limit"]["observed_receipts"] == LIMIT
    assert not done.manifest["target"]["is_standin"]
    # what a run around a network leaves is in its folder; a database nobody will read again is not kept
    assert list((tmp_path / "network").iterdir()) == []


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
