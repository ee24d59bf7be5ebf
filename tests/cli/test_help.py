"""What the command line says of itself: help of one screen, colours where they are wanted, completion."""

from __future__ import annotations

import io
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.cli.commands import COMMANDS, Command, every, overview
from workbench.cli.completion import whole
from workbench.cli.parser import with_colours
from workbench.cli.program import find, parser_of
from workbench.cli.selection import MEMORY_MIB, MOST_MEMORY_MIB
from workbench.errors import SettingsError
from workbench.profiles.memory import MEMORY_BYTES, MOST_MIB, VARIABLE
from workbench.settings.groups import MEMORY_VARIABLE
from workbench.terminal import coloured, paint, painted

MOST_LINES, MOST_COLUMNS = 30, 80
WORKBENCH = (sys.executable, "-m", "workbench.cli")


def fits(text: str) -> bool:
    lines = text.rstrip().splitlines()
    return len(lines) <= MOST_LINES and max(map(len, lines)) <= MOST_COLUMNS


@pytest.mark.parametrize("command", every(), ids=lambda command: command.name)
def test_help_is_one_screen_and_help_all_has_every_option(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(MOST_COLUMNS))
    parser = parser_of(command)
    assert fits(parser.format_help()), parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--help-all"])
    said = capsys.readouterr().out
    options = [action.option_strings[-1] for action in parser._actions if action.option_strings]
    assert [option for option in options if option not in said] == []
    left = set(options) - {"--debug"} - {option for option in options if option in parser.format_help()}
    assert ("--help-all shows" in parser.format_help()) == bool(left - {"--help", "--help-all"})


def test_the_overview_is_one_screen_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text == overview() + "\n"
    assert fits(text)
    assert [name for name in COMMANDS if name not in text] == []
    assert main([]) == 2
    assert main(["--help-all"]) == 0
    whole = capsys.readouterr().out
    assert [
        action.verb for command in COMMANDS.values() for action in command.actions if action.verb not in whole
    ] == []
    for name in ("profile", "network", "baseline"):
        assert main([name, "--help"]) == 0
        assert fits(capsys.readouterr().out)
        assert main([name]) == 2


def test_an_unknown_command_or_action_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swep"]) == 2
    assert "there is no command 'swep'. Did you mean sweep?" in capsys.readouterr().err
    assert main(["profile", "stat"]) == 2
    assert "there is no action 'stat'. Did you mean start?" in capsys.readouterr().err


def test_a_word_among_the_options_is_no_action() -> None:
    assert find(["runs", "--columns", "note"])[0].name == "runs"
    assert find(["runs", "note", "x", "text"])[0].name == "runs note"
    with pytest.raises(SettingsError):
        find(["note"])


@pytest.mark.parametrize(
    ("variables", "is_terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),  # as no-color.org has it: present and not empty
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(variables: dict[str, str], is_terminal: bool, wanted: bool) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    assert coloured(stream, variables) == wanted


def test_verdicts_are_painted_as_words_of_their_own() -> None:
    assert painted("FAIL: 3 of 4") == f"{paint('FAIL', 'red')}: 3 of 4"
    assert painted("a PASS-through, FAILING, PASSED") == "a PASS-through, FAILING, PASSED"
    help_text = with_colours("options:\n  --rate X  Of --this.\n")
    assert help_text == f"{paint('options:', 'bold')}\n  {paint('--rate', 'cyan')} X  Of --this.\n"


def in_a_terminal(*command: str, **variables: str) -> str:
    """What a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", **variables}
        environment = {name: value for name, value in environment.items() if name != "NO_COLOR" or value}
        done = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says the end of a terminal so
                break
            if not part:
                break
            parts.append(part)
        done.wait()
    finally:
        os.close(ours)
    return b"".join(parts).decode()


def test_a_terminal_has_colours_and_a_pipe_has_none() -> None:
    command = (*WORKBENCH, "read", "--help")
    assert "\x1b[" in in_a_terminal(*command)
    assert "\x1b[" not in in_a_terminal(*command, NO_COLOR="1")
    assert "\x1b[" not in in_a_terminal(*command, TERM="dumb")
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b[" not in piped.stdout


def test_one_parser_has_every_command_for_completion() -> None:
    options = whole()
    text = options.format_help()
    assert [name for name in COMMANDS if name not in text] == []


def completed(script: str, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    line = " ".join(words)
    asked = f"""{script}
COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
COMP_LINE={line!r}; COMP_POINT={len(line)}
$(complete -p workbench | sed 's/.*-F \\([^ ]*\\).*/\\1/') workbench {words[-1]!r} {words[-2]!r}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_actions_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed(script, "workbench", "swe") == ["sweep"]
    assert completed(script, "workbench", "profile", "sta") == ["start", "status"]
    assert "--receipts" in completed(script, "workbench", "sweep", "--rec")
    assert completed(script, "workbench", "convert", "--to", "spee") == ["speedscope"]
    Path("run-of-today").mkdir()
    assert completed(script, "workbench", "findings", "run-of") == ["run-of-today"]


def test_zsh_has_a_script_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef workbench")
    if zsh := shutil.which("zsh"):
        subprocess.run([zsh, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["read", "--help"], ["sweep", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("pandas", "numpy", "scipy", "pyarrow", "aiohttp", "plotly", "IPython", "shtab")
    code = (
        "import sys\nfrom workbench.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        f"print('\\nheavy:', *(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "heavy:"


def test_the_bound_that_help_names_is_the_readers_own() -> None:
    """It stands in two places, since help is not to import what reads profiles."""
    assert MEMORY_MIB << 20 == MEMORY_BYTES
    assert (MOST_MEMORY_MIB, MEMORY_VARIABLE) == (MOST_MIB, VARIABLE)
