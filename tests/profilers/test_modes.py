"""What each tool is called with."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.profilers.modes import MODES, Mode, parse_mode
from workbench.profilers.tools.chosen import tool_of

FOLDER = PurePosixPath("/opt/profiling/indexer-service")
PROGRAM = ["/usr/local/bin/indexer-service-rs", "--config", "/opt/config.toml"]
# contrib/profiling/start.sh of indexer-rs
GUIDE = {
    "none": "PROG",
    "flamegraph": "PROG",
    "strace": "strace -f -tt -T -e trace=all -s 256 -o DIR/strace.log PROG",
    "massif": "valgrind --tool=massif --massif-out-file=DIR/massif.out --time-unit=B --detailed-freq=10 "
    "--max-snapshots=100 --threshold=0.5 PROG",
    "callgrind": "valgrind --tool=callgrind --callgrind-out-file=DIR/callgrind.out --cache-sim=yes --branch-sim=yes "
    "--collect-jumps=yes --collect-systime=yes --collect-bus=yes --dump-instr=yes --dump-line=yes "
    "--compress-strings=no PROG",
}


@pytest.mark.parametrize("mode", GUIDE)
def test_the_command_lines_are_the_guides(mode: Mode) -> None:
    text = GUIDE[mode].replace("DIR", str(FOLDER)).replace("PROG", shlex.join(PROGRAM))
    assert shlex.join(tool_of(mode).command(PROGRAM, FOLDER)) == text


def test_every_mode_is_known() -> None:
    assert set(MODES) == {*GUIDE, "pprofile"}
    assert [tool_of(mode).mode for mode in MODES] == list(MODES)


@pytest.mark.parametrize(
    ("given_argv", "argv"),
    [
        ("python3 -m http.server 80", "python3 PPROFILE -m http.server 80"),
        ("python -m a --child", "python PPROFILE -m a -- --child"),
        ("/v/bin/python3.12 s.py -o x", "/v/bin/python3.12 PPROFILE s.py -o x"),
        ("python -u -X dev s.py", "python -u -X dev PPROFILE s.py"),
        ("python -um a b", "python -u PPROFILE -m a b"),
        ("python -I -m a", "python -I PPROFILE -m a"),
    ],
)
def test_pprofile_runs_scripts_and_modules(given_argv: str, argv: str) -> None:
    assert shlex.join(tool_of("pprofile").command(given_argv.split(), FOLDER)) == argv.replace(
        "PPROFILE", f"-m pprofile --format callgrind --out {FOLDER}/pprofile.out"
    )


@pytest.mark.parametrize(
    "program", ["./service 80", "python", "python -c pass", "python -uc pass", "python -", "python -m", "", "python -u"]
)
def test_pprofile_refuses_what_it_cannot_run(program: str) -> None:
    with pytest.raises(SettingsError, match="pprofile runs Python programs"):
        tool_of("pprofile").command(program.split(), FOLDER)


@given(
    mode=st.sampled_from([mode for mode in MODES if tool_of(mode).beside_the_service]),
    program=st.lists(st.text(min_size=1), min_size=1),
    flags=st.none() | st.lists(st.text(min_size=1)),
)
def test_program_and_flags_are_passed_as_they_are(mode: Mode, program: list[str], flags: list[str] | None) -> None:
    tool = tool_of(mode)
    argv = tool.command(program, FOLDER, flags)
    assert argv[-len(program) :] == program
    assert argv[0] == tool.program
    before = argv[: -len(program)]
    used = list(tool.flags) if flags is None else flags
    assert any(before[start : start + len(used)] == used for start in range(len(before)))
    assert sum(tool.output in word for word in before) >= 1


def test_valgrind_is_massif() -> None:
    assert parse_mode("valgrind") == "massif"
    assert [parse_mode(mode) for mode in MODES] == list(MODES)


@pytest.mark.parametrize("name", ["", "perf", "Callgrind", "callgrind "])
def test_an_unknown_mode_lists_the_modes(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_mode(name)
    for part in (repr(name), *MODES, "valgrind"):
        assert part in str(caught.value)
