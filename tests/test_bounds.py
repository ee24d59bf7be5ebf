"""Settings that no plan can be made of: each is refused in a line, at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.errors import SettingsError
from workbench.settings import Settings
from workbench.sweep.steps import MAX_STEPS, parse_steps

DIGITS = [400, 5000, 100_000]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 2, arguments
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert len(said) < 1000
    assert not list(Path.cwd().glob("data/**/manifest.json"))
    return said


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize(
    "form", ["{n}", "1,{n}", "{n}:{n}:1", "1:{n}:x2", "1:9:{n}", "1:9:x1.{n}", "1:9:x{n}", "{z}1:5:x1.{z}1"]
)
def test_steps_of_endless_digits(capsys, form, digits):
    assert "receipts" in refused(capsys, "sweep", "--receipts", form.format(n="9" * digits, z="0" * digits))


@pytest.mark.parametrize("factor", ["1", "1.0", "1.0000000001", "1.00001", "1.0009", "0.5", "0"])
def test_a_geometric_series_that_does_not_end(factor):
    with pytest.raises(SettingsError, match="is too small"):
        parse_steps(f"1:10000000:x{factor}")


def test_a_geometric_series_of_the_smallest_factor_ends():
    with pytest.raises(SettingsError, match="more than 1000 steps"):
        parse_steps("1:10000000:x1.001")
    assert len(parse_steps("1:900:x1.001")) == 900 < MAX_STEPS


@pytest.mark.parametrize(
    "option", ["-n", "--rate", "--value-grt", "--timeout-s", "--processes", "--arrivals", "--chain-id", "--concurrency"]
)
@pytest.mark.parametrize("digits", DIGITS)
def test_numbers_of_endless_digits(capsys, option, digits):
    text = "9" * digits
    refused(capsys, "load", option, f"ramp:1:{text}:1s" if option == "--arrivals" else text)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e-300", "-1e-300", "1e999999999", "sNaN"])
@pytest.mark.parametrize(
    "name",
    [name for name, field in Settings.model_fields.items() if "float" in str(field.annotation)]
    + ["value_grt", "limit_grt", "escrow_grt", "max_receipt_value_grt", "limit_hint_grt"],
)
def test_numbers_that_are_none_or_next_to_nothing(name, value):
    with pytest.raises(SettingsError) as error:
        Settings.resolve(**{name: value})
    assert name in str(error.value)


@pytest.mark.parametrize("end", ["/x", "/x/", "?a=b", "/?a=b", "#a", "/#", "?", "//"])
def test_a_target_is_a_service_and_nothing_after_it(capsys, end):
    said = refused(capsys, "load", "--target", f"http://127.0.0.1:1{end}")
    assert "--target" in said


@pytest.mark.parametrize("rates", ["0:0", "1:0." + "0" * 300 + "1", "0:" + "9" * 400])
def test_a_ramp_to_nothing_or_beyond(capsys, rates):
    refused(capsys, "load", "--arrivals", f"ramp:{rates}:1s")


def test_a_target_may_end_in_a_slash():
    assert Settings.resolve(target="http://127.0.0.1:7601/").target == "http://127.0.0.1:7601"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate = " + "[" * 100_000, "nested"),
        ("rate = " + "{a=" * 100_000, "nested"),
        ("rate = " + "9" * 5000, "TOML"),
        ("# " + "x" * (2 << 20), "larger"),
        ("rate = nan", "rate"),
    ],
)
def test_a_settings_file_that_no_person_wrote(capsys, text, words):
    Path("settings.toml").write_text(text)
    said = refused(capsys, "load", "--config", "settings.toml")
    assert "settings.toml" in said
    assert words in said


def test_a_folder_as_settings_file(capsys):
    Path("workbench.toml").mkdir()
    for arguments in ([], ["--config", "workbench.toml"]):
        assert "directory" in refused(capsys, "load", *arguments)


def test_a_variable_that_is_nested_without_end(capsys, monkeypatch):
    for name in ("WORKBENCH_PAYERS", "WORKBENCH_SIGNER_KEYS"):
        with monkeypatch.context() as patched:
            patched.setenv(name, "[" * 100_000)
            assert "WORKBENCH_" in refused(capsys, "load")


def test_nor_where_a_library_raised_the_limit_of_recursion():
    """As py_ecc does, which libraries of Ethereum import: decoding would overflow the stack and end the process."""
    code = "import sys; sys.setrecursionlimit(100_000); from workbench.cli import main; sys.exit(main(['load']))"
    for name in ("WORKBENCH_PAYERS", "WORKBENCH_SIGNER_KEYS"):
        environment = {**os.environ, name: "[" * 100_000}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.returncode == 2, done.returncode
        assert "WORKBENCH_" in done.stderr
