"""Random keys in every place where a value can be given: they are in no output and in no file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.keys.places import files, lines, new_key, variables
from workbench.cli import main
from workbench.cli import program as cli
from workbench.cli.commands import Command, every
from workbench.errors import SettingsError
from workbench.receipts.address import deployment_to_qm
from workbench.report.parameters import check_parameters, read_parameters
from workbench.report.sweep_report import notebook_path

# a deployment may be 32 bytes of hex; the two others are given in another way here, which wins;
# a key that is none is said when there is somebody to send to
UNUSED = ("deployment", "name", "target")
_SHAPE = re.compile("[0-9a-fA-F]{48}")


def left_behind() -> str:
    """Names and contents of all files that were made."""
    return "\n".join(
        f"{path} {path.read_text(errors='replace') if path.is_file() else ''}"
        for path in Path.cwd().rglob("*")
        if path.name != "workbench.toml"
    )


def judged(capsys: pytest.CaptureFixture[str], given: object) -> None:
    captured = capsys.readouterr()
    for text in (captured.out, captured.err, left_behind()):
        found = _SHAPE.search(text)
        assert found is None, f"{given}: {text[max(0, found.start() - 300) : found.end() + 100]}"


@pytest.mark.parametrize("command", every(), ids=lambda command: command.name)
def test_as_an_option_or_argument(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    tried = 0
    for tried, line in enumerate(lines(command), 1):
        debug = ["--debug"] if tried % 2 else []
        code = main([*line, *debug])
        assert code in (2, 3, 5), line
        judged(capsys, line)
    assert tried >= 18


def test_as_a_deployment(capsys: pytest.CaptureFixture[str]) -> None:
    """32 bytes of hex are one. It is known as Qm... everywhere."""
    deployment = new_key()
    assert main(["load", "--target", "http://127.0.0.1:1", "--debug", "--deployment", f"0x{deployment}"]) == 3
    judged(capsys, "deployment")
    assert deployment_to_qm(bytes.fromhex(deployment)) in left_behind()


def test_as_a_variable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (name, value) in enumerate(variables()):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            # nothing listens at the target: what is refused is refused before, and nothing is begun
            code = main(["load", "--target", "http://127.0.0.1:1", *(["--debug"] if number % 2 else [])])
            assert code == 2 or name.removeprefix("WORKBENCH_").lower() in UNUSED, name
        judged(capsys, name)


def test_in_the_settings_file(capsys: pytest.CaptureFixture[str]) -> None:
    for number, text in enumerate(files()):
        Path("workbench.toml").write_text(text)
        code = main(["load", "--target", "http://127.0.0.1:1", *(["--debug"] if number % 2 else [])])
        assert code == 2 or text.partition(" =")[0] in UNUSED or "zz" in text, text
        judged(capsys, text)


def test_as_a_parameter_of_a_notebook() -> None:
    notebook = notebook_path("load_sweep")
    for parameter in read_parameters(notebook):
        if parameter.name == "deployment":
            continue  # 32 bytes of hex are one; it is kept as Qm...
        with pytest.raises(SettingsError) as refused:
            check_parameters(notebook, {parameter.name: [f"0x{new_key()}"]})
        assert not _SHAPE.search(str(refused.value)), parameter.name


def test_in_the_command_of_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([sys.executable, "-c", "pass", new_key()], [f"KEY=0x{new_key()}", sys.executable]):
        assert main(["profile", "start", "none", "--debug", "--", *words]) == 2
        judged(capsys, words)
        assert main(["sweep", "--service", " ".join(words)]) == 2
        judged(capsys, words)


def test_an_unexpected_error_with_a_key_in_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str]) -> int:
        key = new_key()
        try:
            raise KeyError(key)
        except KeyError as error:
            raise RuntimeError(f"{'x' * 250}{key}") from error  # one line is cut in the middle of it

    monkeypatch.setattr(cli, "_run", fail)
    for debug in ([], ["--debug"]):
        assert main(["load", *debug]) == 5
        captured = capsys.readouterr()
        assert not re.search("[0-9a-f]{10}", captured.err.replace("x" * 250, "")), captured.err
        assert ("Traceback" in captured.err) == bool(debug)


def test_a_process_of_ours_that_breaks() -> None:
    key = new_key()
    for module in ("workbench.load.worker", "workbench.load.signing", "workbench.report.child", "workbench.nullserver"):
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=json.dumps({"keys": key, "key": f"0x{key}", key: key}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0, module
        assert key not in done.stdout + done.stderr, module
