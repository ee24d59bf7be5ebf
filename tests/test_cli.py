"""The command line: exit codes, one clear line for each fault, nothing measured lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.sweep.test_sweep import wait_for_progress
from workbench.cli import main
from workbench.cli.commands import Command, every
from workbench.cli.program import of_a_file, parser_of
from workbench.runs.read import open_run
from workbench.standin.accounts import payer

LOAD = [sys.executable, "-m", "workbench.cli", "load"]
ALLOCATION = "0xfa44c72b753a66591f241c7dc04e8178c30e13af"


@pytest.fixture
def closed_port() -> int:
    return free_port()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["fly"], 2, ["no command 'fly'", "sweep"]),
        (["load", "--num-recipts", "5"], 2, ["--num-recipts", "Did you mean --num-receipts?"]),
        (["load", "-n", "-5"], 2, ["--num-receipts", "greater than or equal to 1", "'-5'"]),
        (["load", "-n", "many"], 2, ["--num-receipts", "valid integer", "'many'"]),
        (["load", "-n", "99999999999"], 2, ["--num-receipts", "less than or equal to 10000000"]),
        (["load", "--rate", "0"], 2, ["--rate", "greater than 0"]),
        (["load", "--rate", "nan"], 2, ["--rate"]),
        (["load", "--rate", "5", "--concurrency", "5"], 2, ["concurrency", "rate", "give one"]),
        (["load", "--arrivals", "bursty"], 2, ["--arrivals", "constant", "poisson", "ramp:100:2000:60s", "'bursty'"]),
        (["load", "--arrivals", "ramp:5:9"], 2, ["--arrivals", "ramp:100:2000:60s", "'ramp:5:9'"]),
        (["load", "--arrivals", "ramp:5:9:3s", "--rate", "5"], 2, ["ramp:5:9:3s", "leave rate out"]),
        (["load", "--arrivals", "ramp:5:9:3s", "--concurrency", "5"], 2, ["ramp:5:9:3s", "leave concurrency out"]),
        (["load", "--receipt-version", "3"], 2, ["--receipt-version", "'3'"]),
        (["load", "--value-grt", "-1"], 2, ["--value-grt"]),
        (["load", "--value-grt", "1e30"], 2, ["--value-grt", "2^128"]),
        (["load", "--deployment", "Qm123"], 2, ["--deployment", "46 base58"]),
        (["load", "--target", "localhost"], 2, ["--target", "http://127.0.0.1:7601"]),
        (["load", "--target", "http://example.org:7601"], 2, ["not on this machine", "--allow-remote"]),
        (["load", "--target", "http://127.0.0.1:99999"], 2, ["--target"]),
        (["load", "--allocation", "0x12"], 2, ["--allocation", "20 bytes"]),
        (["load", "--backend-latency", "normal:1", "-n", "5"], 2, ["backend", "'normal:1'"]),
        (["sweep", "--receipts", "10:5:1"], 2, ["receipts", "10:5:1"]),
        (["sweep", "--name", "../x"], 2, ["--name"]),
        (["sweep", "--resume", "nowhere"], 2, ["nowhere", "not a run folder"]),
        (["sweep", "--resume", "nowhere", "--rate", "5"], 2, ["rate", "--resume"]),
        (["report", "nowhere"], 2, ["nowhere", "not a run folder"]),
        (["load", "--config", "nowhere.toml"], 2, ["nowhere.toml", "No such file"]),
        (["standin", "--host", "0.0.0.0"], 2, ["0.0.0.0", "allow"]),
    ],
)
def test_bad_input_is_one_clear_line(arguments, code, words, capsys):
    assert main(arguments) == code
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("workbench: ")
    for word in words:
        assert word in lines[0]
    assert not Path("data/runs").exists() or not list(Path("data/runs").glob("*/manifest.json"))


def test_errors_name_the_variable_and_the_file_they_come_from(capsys, monkeypatch):
    Path("workbench.toml").write_text('rate = "fast"\n')
    assert main(["load"]) == 2
    assert "workbench.toml: rate: " in capsys.readouterr().err
    Path("workbench.toml").write_text("rate = \n")
    assert main(["load"]) == 2
    assert "not valid TOML" in capsys.readouterr().err
    Path("workbench.toml").unlink()
    monkeypatch.setenv("WORKBENCH_RATE", "fast")
    assert main(["load"]) == 2
    assert "WORKBENCH_RATE: " in capsys.readouterr().err
    monkeypatch.delenv("WORKBENCH_RATE")
    monkeypatch.setenv("WORKBENCH_RAET", "5")
    assert main(["load"]) == 2
    assert "Did you mean 'rate'?" in capsys.readouterr().err


def test_the_option_wins_over_the_variable_and_that_over_the_file(monkeypatch, capsys, closed_port):
    from workbench.settings import Settings

    Path("workbench.toml").write_text("num_receipts = 1\nseed = 1\nrate = 1.0\n")
    monkeypatch.setenv("WORKBENCH_NUM_RECEIPTS", "2")
    monkeypatch.setenv("WORKBENCH_SEED", "2")
    settings = Settings.resolve(num_receipts="3")
    assert (settings.num_receipts, settings.seed, settings.rate) == (3, 2, 1.0)


def test_a_target_that_is_not_there_is_exit_code_3(capsys, closed_port):
    url = f"http://127.0.0.1:{closed_port}"
    assert main(["load", "-n", "5", "--target", url, "--allocation", ALLOCATION]) == 3
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert url in error
    assert "not reachable" in error


def test_runs_dir_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["load", "-n", "5", "--runs-dir", str(tmp_path / "file")]) == 2
    assert "--runs-dir" in capsys.readouterr().err


def test_a_traceback_only_with_debug(closed_port, capsys):
    for debug in ([], ["--debug"]):
        assert main(["load", "-n", "5", "--target", f"http://127.0.0.1:{closed_port}", *debug]) == 3
        said = capsys.readouterr().err
        assert ("Traceback" in said) == bool(debug)
        assert "not reachable" in said.splitlines()[-1]


def test_load_prints_the_guides_four_lines_first_and_then_what_they_hide(capsys):
    assert main(["load", "-n", "60", "--concurrency", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Completed processing 60 V2 requests in [\d.]+(s|ms|µs)", lines[0])
    assert re.fullmatch(r"Average time per V2 request: [\d.]+(s|ms|µs)", lines[1])
    assert lines[2] == "Successfully sent V2 receipts: 60"
    assert lines[3] == "Failed V2 receipts: 0"
    text = "\n".join(lines[4:])
    for word in ("Throughput", "Response", "Service", "Lag", "Outcomes    ok 60", "Stored      60", "Verdict     PASS"):
        assert word in text


def test_load_as_json_with_a_v1_service(capsys):
    code = main(["load", "-n", "30", "--concurrency", "4", "--json", "--receipt-version", "1", "--accept-v1"])
    result = json.loads(capsys.readouterr().out)
    assert result["outcomes"] == {"ok": 30}
    assert code == 0
    # a current service takes no V1 receipts: the header cannot be decoded, so there is none
    assert main(["load", "-n", "30", "--concurrency", "4", "--json", "--receipt-version", "1"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["outcomes"] == {"no_receipt": 30}
    assert result["response_p50_ms"] is None


def test_failed_receipts_are_exit_code_1(capsys):
    # denial comes some 50 ms after the limit, in which a fast client sends 100 receipts
    assert main(["load", "-n", "1500", "--concurrency", "4", "--limit-grt", "0.05"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"Failed V2 receipts: [1-9]", out)
    assert re.search(r"denied \d+", out)


def test_ctrl_c_in_mid_step_ends_with_130_and_a_readable_folder():
    process = subprocess.Popen(
        [*LOAD, "-n", "5000", "--rate", "60"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = wait_for_folder()
    wait_for_progress(folder, step=1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    said = error.strip().splitlines()[-1]
    assert said == (
        f"workbench: interrupted. Everything measured is in {folder}; go on with `workbench sweep --resume {folder}`"
    )
    run = open_run(folder)
    assert run.manifest["state"] == "interrupted"
    assert list((folder / "interrupted").glob("step-001-1.parquet"))


def test_a_full_disk_is_one_clear_line_and_the_run_can_be_read(tmp_path):
    """A file system of 1 MB: the step that does not fit is refused before it starts, the ones before it are whole."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "workbench-test", str(tmp_path)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("needs macOS or root: a small file system cannot be mounted here")
    try:
        process = subprocess.run(
            [*LOAD, "-n", "100000", "--concurrency", "4", "--json", "--runs-dir", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert process.returncode == 2
        line = process.stderr.strip().splitlines()[-1]
        assert "cannot reserve 5,600,000 bytes" in line
        assert "No space left" in line
        assert "Traceback" not in process.stderr
        assert open_run(next(tmp_path.glob("*-load"))).manifest["state"] in ("failed", "running")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_port_that_is_taken_is_named(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["standin", "--service-port", str(port)]) == 3
    error = capsys.readouterr().err
    assert str(port) in error
    assert "--service-port" in error
    assert len(error.strip().splitlines()) == 1


def test_keys_are_nowhere(monkeypatch, tmp_path):
    """Keys given by the environment: not in any output, file, or error, not even when they are wrong."""
    account = payer(0)
    secret = account.key.reveal()
    environment = {
        **os.environ,
        "WORKBENCH_SIGNER_KEYS": json.dumps([secret]),
        "WORKBENCH_PAYERS": json.dumps(["0x" + account.address.hex()]),
    }
    command = [*LOAD, "-n", "20", "--concurrency", "2", "--debug"]
    good = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert good.returncode == 0, good.stderr
    environment["WORKBENCH_SIGNER_KEYS"] = json.dumps([secret + "zz"])
    bad = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert bad.returncode == 2
    assert "not a secp256k1 private key" in bad.stderr
    seen = good.stdout + good.stderr + bad.stdout + bad.stderr
    assert secret not in seen
    for path in Path("data").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
            assert bytes.fromhex(secret) not in path.read_bytes(), path


def test_no_secret_is_an_option():
    from workbench.cli.options import add_settings
    from workbench.cli.parser import OneLineParser
    from workbench.settings import SECRETS, StandinSettings, TargetSettings

    parser = OneLineParser()
    for group in (TargetSettings, StandinSettings):
        add_settings(parser, group, "all")
    options = set(parser._option_string_actions)
    assert "--value-grt" in options
    assert not {"--" + name.replace("_", "-") for name in SECRETS} & options


def test_ctrl_c_while_a_service_hangs_is_still_130(tmp_path):
    """A service that answers its health check and nothing else must not hold an interrupted load."""
    script = tmp_path / "hang.py"
    script.write_text(
        "import asyncio\nfrom aiohttp import web\n"
        "async def route(request):\n"
        "    if request.method != 'GET': await asyncio.sleep(600)\n"
        "    return web.Response(text='Service is up and running')\n"
        "app = web.Application(); app.router.add_route('*', '/{tail:.*}', route)\n"
        "import sys\nsay = lambda *_: print('up', flush=True)\n"
        "web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=say)\n"
    )
    port = free_port()
    server = subprocess.Popen([sys.executable, str(script), str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        target = [
            "--target",
            f"http://127.0.0.1:{port}",
            "--allocation",
            ALLOCATION,
            "--timeout-s",
            "300",
            "--no-preflight",
        ]
        process = subprocess.Popen(
            [*LOAD, "-n", "50", *target], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        folder = wait_for_folder()
        wait_for_event(folder, "step_started")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
    assert process.returncode == 130, error
    assert open_run(folder).manifest["state"] == "interrupted"


def test_too_few_open_files_are_the_generators_fault_and_said():
    process = subprocess.run(
        ["bash", "-c", 'ulimit -n 100; exec "$@"', "-", *LOAD, "-n", "300", "--concurrency", "200"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert process.returncode == 4, process.stderr
    assert "264 open files are needed" in process.stderr.splitlines()[-1]
    assert open_run(wait_for_folder()).state == "failed"


def wait_for_event(folder: Path, kind: str) -> None:
    """Until the run has said ``kind``."""
    stop = threading.Event()
    for _ in range(600):
        if f'"kind": "{kind}"' in (folder / "events.jsonl").read_text():
            return
        stop.wait(0.1)
    raise AssertionError(f"no {kind}")


def wait_for_folder() -> Path:
    """The run folder of the only run here."""
    found: list[Path] = []
    stop = threading.Event()
    for _ in range(600):
        found = list(Path("data/runs").glob("*/events.jsonl"))
        if found:
            return found[0].parent
        stop.wait(0.1)
    raise AssertionError("no run folder was made")


def test_findings_of_a_session_by_hand_say_how_it_becomes_a_run(tmp_path, capsys):
    (tmp_path / "session.json").write_text("{}")
    assert main(["findings", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "a session of windows by hand, not a run" in said
    assert f"workbench profile report --folder {tmp_path}" in said


@pytest.mark.parametrize("command", [one for one in every() if one.of_a_file], ids=lambda one: one.name)
def test_a_file_alone_is_read_as_the_parser_would(command: Command) -> None:
    parsed = parser_of(command).read(["profile.out"])
    assert vars(of_a_file(command, "profile.out")) == vars(parsed)
