"""The profiler modes: what each tool is called with, and what it writes. Pure.

Flags and file names are those of the profiling guide's recipes (indexer-rs, contrib/start.sh), so that an engineer
finds the same files; flags of one's own replace them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, get_args

from workbench.errors import SettingsError

Mode = Literal["none", "flamegraph", "massif", "callgrind", "strace", "pprofile"]
MODES: tuple[Mode, ...] = get_args(Mode)
ALIASES: Mapping[str, Mode] = {"valgrind": "massif"}
"""The guide calls massif by the name of the whole tool."""

CALLGRIND_FLAGS = (
    "--cache-sim=yes",
    "--branch-sim=yes",
    "--collect-jumps=yes",
    "--collect-systime=yes",
    "--collect-bus=yes",
    "--dump-instr=yes",
    "--dump-line=yes",
    "--compress-strings=no",
)
MASSIF_FLAGS = ("--time-unit=B", "--detailed-freq=10", "--max-snapshots=100", "--threshold=0.5")
STRACE_FLAGS = ("-f", "-tt", "-T", "-e", "trace=all", "-s", "256")
_CLUSTER = re.compile(r"-([bBdEiIOqsSuvx]+)([cm])")
# Line by line: its counts are exact, so a cost per receipt is too. "--statistic 0.001" is lighter, and counts waiting.
PPROFILE_FLAGS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """What a mode runs: the ``program`` that must be installed ("" for none), ``flags`` of the guide, the ``output`` it
    writes in its folder ("" where it chooses names itself), and how to ``install`` it."""

    program: str
    flags: tuple[str, ...]
    output: str
    install: str


TOOLS: Mapping[Mode, Tool] = {
    "none": Tool("", (), "", ""),
    # the sampler is inside the service: nothing is put before its command
    "flamegraph": Tool("", (), "", ""),
    "massif": Tool("valgrind", MASSIF_FLAGS, "massif.out", "Install valgrind: apt-get install valgrind"),
    "callgrind": Tool("valgrind", CALLGRIND_FLAGS, "callgrind.out", "Install valgrind: apt-get install valgrind"),
    "strace": Tool("strace", STRACE_FLAGS, "strace.log", "Install strace: apt-get install strace"),
    "pprofile": Tool("pprofile", PPROFILE_FLAGS, "pprofile.out", "Install pprofile: pip install pprofile"),
}


def parse_mode(text: str) -> Mode:
    """The mode of that name; ``valgrind`` is massif. Raises SettingsError that lists the modes."""
    name = ALIASES.get(text, text)
    if name not in MODES:
        raise SettingsError(
            f"there is no profiler mode {text!r}", where="profiler", hint=f"There are {', '.join(MODES)} and valgrind"
        )
    return name


def command(mode: Mode, program: Sequence[str], folder: PurePath, flags: Sequence[str] | None = None) -> list[str]:
    """``program`` (its argv) under the tool of ``mode``, which writes into ``folder``.

    ``flags`` replace those of the guide (None: the guide's); a flag given without its usual value cannot be told from
    one that is wanted so, hence nothing is merged. Raises SettingsError where pprofile is to run what is no Python.
    """
    tool = TOOLS[mode]
    given = list(tool.flags if flags is None else flags)
    out = str(folder / tool.output)
    if mode == "callgrind":
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *given, *program]
    if mode == "massif":
        return ["valgrind", "--tool=massif", f"--massif-out-file={out}", *given, *program]
    if mode == "strace":
        return ["strace", *given, "-o", out, *program]
    if mode == "pprofile":
        options, script = _python_parts(program)
        return [program[0], *options, "-m", "pprofile", "--format", "callgrind", "--out", out, *given, *script]
    return list(program)


def _python_parts(program: Sequence[str]) -> tuple[list[str], list[str]]:
    """The interpreter's own options, and what comes after them as pprofile takes it: ``-m MODULE ...`` or ``SCRIPT
    ...``."""
    name = PurePath(program[0]).name if program else "nothing"
    if "python" not in name:
        raise _no_python(repr(name))
    options, rest = [], list(program[1:])
    if rest and (cluster := _CLUSTER.fullmatch(rest[0])):
        rest[:1] = [f"-{cluster[1]}", f"-{cluster[2]}"]
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c", "-"):
        options.append(rest.pop(0))
        if options[-1] in ("-X", "-W") and rest:
            options.append(rest.pop(0))
    if not rest or rest[0] in ("-c", "-") or rest == ["-m"]:
        raise _no_python(f"{name} without a script or module")
    if rest[0] != "-m":
        return options, rest
    module, *arguments = rest[1:]
    # an option of the module's must not be taken for one of pprofile's
    return options, ["-m", module, *(["--"] if arguments and arguments[0].startswith("-") else []), *arguments]


def _no_python(found: str) -> SettingsError:
    return SettingsError(
        f"pprofile runs Python programs, found {found}",
        where="profiler pprofile",
        hint="Give a command such as: python -m package, or take another mode",
    )
