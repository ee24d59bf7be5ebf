"""Keys leave the environment at the start; children get them by a pipe, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.keys.places import new_key
from tests.ports import free_port
from workbench import keyring
from workbench.profilers.backends.local import LocalBackend
from workbench.profilers.backends.service import LocalService
from workbench.report.execute import run_notebook
from workbench.report.quick_nbformat import nbformat
from workbench.settings import Settings
from workbench.standin.accounts import payer

READ = "from workbench import keyring; print(keyring.take(), keyring.take(), keyring.KEYS_VARIABLE)"
NAMES = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVXYZ_", min_size=1, max_size=20)  # none of ours without a W
PLACES = st.sampled_from(["", "0x", "https://x/"])
SERVES = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two keys in the environment, with their payers."""
    found = [payer(index).key.reveal() for index in range(2)]
    monkeypatch.setenv("WORKBENCH_SIGNER_KEYS", json.dumps(found))
    monkeypatch.setenv("WORKBENCH_PAYERS", json.dumps(["0x" + payer(index).address.hex() for index in range(2)]))
    return found


def test_reading_settings_takes_the_keys_out_of_the_environment(keys):
    for _ in range(2):  # what was taken is still known
        settings = Settings.resolve()
        assert [key.get_secret_value() for key in settings.signer_keys] == keys
        assert "WORKBENCH_SIGNER_KEYS" not in os.environ
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True, text=True, check=True
    )
    assert not any(key in child.stdout for key in keys)


def test_keys_that_are_set_again_are_the_ones_that_count(keys, monkeypatch):
    Settings.resolve()
    monkeypatch.setenv("WORKBENCH_SIGNER_KEYS", json.dumps(keys[:1]))
    monkeypatch.setenv("WORKBENCH_PAYERS", json.dumps(["0x" + payer(0).address.hex()]))
    assert len(Settings.resolve().signer_keys) == 1
    monkeypatch.setenv("WORKBENCH_SIGNER_KEYS", "")
    monkeypatch.delenv("WORKBENCH_PAYERS")
    assert Settings.resolve().signer_keys == []


@pytest.mark.parametrize("count", [1, 5000])  # more than a pipe holds
def test_a_child_that_is_to_have_them_reads_them_from_a_pipe(count):
    text = json.dumps([new_key() for _ in range(count)])
    keyring.hold(text)
    with keyring.handed_on() as (variables, descriptors):
        assert text not in str(variables)
        child = subprocess.Popen(
            [sys.executable, "-c", READ], env={**os.environ, **variables}, pass_fds=descriptors, stdout=subprocess.PIPE
        )
    output, _ = child.communicate(timeout=60)
    assert output.decode().split("WORKBENCH")[0].strip() == f"{text} {text}"


@pytest.mark.parametrize("pipe", ["", "x", "0:0", "999:5", "-1:2", "1:"])
def test_a_pipe_that_is_not_there_is_no_pipe(pipe, monkeypatch):
    monkeypatch.setenv("WORKBENCH_KEYS_PIPE", pipe)
    assert keyring.take() is None
    assert "WORKBENCH_KEYS_PIPE" not in os.environ


@given(st.dictionaries(NAMES, st.text(max_size=20), max_size=4), NAMES, PLACES, st.text("xyz "))
def test_of_the_environment_a_foreign_program_gets_all_but_keys(environment, name, before, after):
    kept, withheld = keyring.for_foreign({**environment, f"X_{name}": before + new_key() + after})
    assert kept == {key: value for key, value in environment.items() if key != f"X_{name}"}
    assert withheld == (f"X_{name}",)


async def test_a_service_under_a_tool_has_no_key_of_ours_and_its_own(keys, monkeypatch, tmp_path):
    own = {"INDEXER_SERVICE_KEY": new_key(), "TAP_AGENT__KEY": new_key(), "ASKED_FOR": new_key(), "RUST_LOG": "info"}
    for name, value in {**own, "PRIVATE_KEY": keys[0]}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "service.py").write_text(SERVES)
    (tmp_path / "service.toml").write_text('[indexer]\nx = "${ASKED_FOR}"\n')
    port = free_port()
    argv = (sys.executable, str(tmp_path / "service.py"), str(port), "--config", str(tmp_path / "service.toml"))
    backend = LocalBackend(LocalService("service", argv, f"http://127.0.0.1:{port}/"), tmp_path / "out")
    await backend.start("none")
    try:
        (pid,) = (await backend.host_pids()).values()
        found = psutil.Process(pid).environ()
        guardian = [child.environ() for child in psutil.Process().children()]
    finally:
        await backend.stop()
    assert {name: found.get(name) for name in own} == own
    assert found["PATH"] == os.environ["PATH"]
    assert not any(key in str(found) for key in keys)
    assert not any("WORKBENCH_SIGNER_KEYS" in environment for environment in guardian)
    assert any("without PRIVATE_KEY" in note for note in backend.notes)


async def test_a_notebook_has_the_keys_and_its_children_have_not(keys, tmp_path):
    source = (
        "import os, subprocess, sys\n"
        "from workbench.settings import Settings\n"
        "own = dict(os.environ)\n"
        "print('keys', len(Settings.resolve().signer_keys), len(Settings.resolve().signer_keys))\n"
        "print(own, subprocess.run(['env'], capture_output=True, text=True).stdout)\n"
        "shown = Settings.resolve().signer_keys[0].get_secret_value()\n"
        "print('printed', shown)\n"
        "raise ValueError('0x' + shown)\n"
    )
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("x: int = 1  # nothing", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(source),
    ]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    record = await run_notebook(tmp_path / "in.ipynb", {}, tmp_path / "out.ipynb", tmp_path / "out.html", title="t")
    assert (record.exception, record.message) == ("ValueError", "0x***".removeprefix("0x"))
    text = (tmp_path / "out.ipynb").read_text()
    assert "keys 2 2" in text
    assert "printed ***" in text
    for path in tmp_path.iterdir():
        assert not any(key in path.read_text() for key in keys), path


def test_a_command_in_a_window_has_the_keys_by_pipe(keys, tmp_path):
    """Such as ``workbench load`` or a script around it, which is not the service."""
    workbench = [sys.executable, "-m", "workbench.cli", "profile"]
    environment = {**os.environ, "WORKBENCH_SERVICE_PORT": str(free_port()), "WORKBENCH_SERVICE_METRICS_PORT": "0"}
    environment |= {"WORKBENCH_AGENT_METRICS_PORT": "0", "WORKBENCH_GRAPH_PORT": "0"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [*workbench, *words], env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == (5 if words[0] == "window" else 0), done.stderr  # this mode has no windows to cut
        return done.stdout + done.stderr

    run("start", "none", "--folder", str(tmp_path))
    try:
        script = tmp_path / "script.py"
        script.write_text(
            "import os\nfrom workbench.settings import Settings\nprint('WORKBENCH_SIGNER_KEYS' in os.environ)\n"
            "print(len(Settings.resolve().signer_keys), 'keys')\n"
        )
        said = run("window", "one", "--folder", str(tmp_path), "--", "sh", "-c", f"{sys.executable} {script}; true")
    finally:
        run("stop", "--folder", str(tmp_path))
    assert "False\n2 keys" in said
    for path in Path(tmp_path).rglob("*"):
        assert not path.is_file() or not any(key in path.read_text(errors="replace") for key in keys), path
