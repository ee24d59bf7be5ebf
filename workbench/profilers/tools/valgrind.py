"""The common part of callgrind and massif: vgdb, and Valgrind's reasons for ending."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from workbench.private import alive
from workbench.profilers.tools.tool import Tool

INSTALL = "Install valgrind: apt-get install valgrind"
SAMPLER_STOPPED = (
    "SIGPROF is blocked, since it can crash Valgrind: the sampling profiler built into {service} writes nothing here"
)

# "==1234== " before what Valgrind says of the program, "--1234-- " of itself, nothing before "valgrind: "
_OWN = re.compile(r"^(?:(?:==|--)\d+(?:==|--) )?(?P<said>.*)$")
_NUMBERED = re.compile(r"^(==|--)\d+\1 ?")
_PIPE = re.compile(r"vgdb-pipe-.*-(\d+)-by-.*")
# the worst first: an assertion, "impossible", a signal that ended the program, a refusal to start
_REASONS = tuple(
    re.compile(pattern)
    for pattern in (
        r"Assertion .* failed",
        r"the 'impossible' happened",
        r"Valgrind's memory management: out of memory",
        r"INTERNAL ERROR: Valgrind",
        r"^Process terminating with default action of signal",
        r"^valgrind: ",
    )
)


@dataclass(frozen=True)
class Valgrind(Tool):
    """A tool of Valgrind. ``output_flag``: the option for the file that it writes at the end."""

    program: str = "valgrind"
    install: str = INSTALL
    blocks_sampler: bool = True
    output_flag: str = ""

    def command(self, program: Sequence[str], folder: PurePath, flags: Sequence[str] | None = None) -> list[str]:
        """Valgrind with the tool, its file and flags, then the program."""
        given = self.flags if flags is None else flags
        out = f"{self.output_flag}={folder / self.output}"
        return [self.program, f"--tool={self.mode}", out, *given, *program]

    def takes_orders(self, pid: int, folder: Path) -> str:
        """ "" when the three files through which vgdb talks to it exist."""
        del folder
        return "" if len(_pipes(pid)) >= 3 else "vgdb cannot reach it (--vgdb=yes is needed)"

    def clear(self, pid: int) -> None:
        """Remove vgdb's files of a killed Valgrind; one that ends by itself removes them."""
        for path in _pipes(pid):
            with contextlib.suppress(OSError):
                path.unlink()

    def sweep(self) -> None:
        """Remove vgdb's files whose Valgrind was killed together with its starter."""
        for path in Path(tempfile.gettempdir()).glob("vgdb-pipe-*-by-*"):
            made = _PIPE.fullmatch(path.name)
            with contextlib.suppress(OSError):
                if made and not alive(int(made[1])) and path.lstat().st_uid == os.geteuid():
                    path.unlink()

    def reason(self, log: str) -> str:
        """Valgrind's own reason: its assertion or error, without the registers, stacks and text that follow."""
        lines = [match["said"].strip() for line in log.splitlines() if (match := _OWN.match(line))]
        for pattern in _REASONS:
            for number, line in enumerate(lines):
                if pattern.search(line):
                    return _with_detail(line, lines[number + 1 : number + 2])
        return ""

    def is_own(self, line: str) -> bool:
        """Valgrind's lines begin with the number of the process."""
        return _NUMBERED.match(line) is not None


def _with_detail(line: str, after: list[str]) -> str:
    """A line joined with the next, if that continues it."""
    goes_on = line.startswith("Process terminating") or line.endswith(":")
    return " ".join((line, *after)).strip() if goes_on else line


def _pipes(pid: int) -> list[Path]:
    """The files by which vgdb talks to a process under Valgrind."""
    return list(Path(tempfile.gettempdir()).glob(f"vgdb-pipe-*-{pid}-by-*"))
