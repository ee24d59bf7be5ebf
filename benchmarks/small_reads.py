"""``workbench read`` of small files compared with each format's own tool: CPU time of whole processes.

This shows start-up time. The files have 25 to 60 KB each and come from real tools: callgrind and massif of common
commands, the beginning of the strace log and pprof's profile and flame graph in ``data/profiles``, and folded stacks,
speedscope and pstats made from that profile by the workbench. Compared with ``callgrind_annotate``, ``ms_print`` and
``go tool pprof -top`` if installed, and with ``python -c pass``, the lower bound of any Python program.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.harness import WORKBENCH, Measure, arguments, interleave, run_process, table, write
from workbench.profiles.exports.write import exported
from workbench.profiles.read import read_profile

QUANTITY = "whole process, CPU s"
TARGET = 0.25
SIZE = 50_000
EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "profiles"
# common commands for which the tools write about SIZE
RUN = {"callgrind": ("true",), "massif": ("ls", "-l", "/")}


def measured(command: tuple[str, ...]) -> dict[str, float]:
    """CPU time of one process from start to end."""
    return {QUANTITY: run_process(command).cpu_s}


def made(folder: Path) -> dict[str, Path]:
    """A file of each format, close to SIZE."""
    files = {"pprof": EXAMPLES / "demo-profile-3.pb", "flamegraph": EXAMPLES / "demo-flamegraph-1.svg"}
    if shutil.which("valgrind"):
        for tool, option in (("callgrind", "--callgrind-out-file"), ("massif", "--massif-out-file")):
            files[tool] = folder / f"{tool}.out"
            command = ["valgrind", f"--tool={tool}", f"{option}={files[tool]}", *RUN[tool]]
            subprocess.run(command, check=True, capture_output=True)
    log = (EXAMPLES / "demo-strace.log").read_bytes()
    files["strace"] = folder / "strace.log"
    files["strace"].write_bytes(log[: log.index(b"\n", SIZE) + 1])
    profile = read_profile(files["pprof"])
    for format in ("folded", "speedscope", "pstats"):
        files[format] = folder / f"profile.{format}"
        files[format].write_bytes(exported(profile, format))
    return files


def rivals_of(files: Mapping[str, Path]) -> dict[str, Measure]:
    """The measured commands by name: ours and the tool of the format."""
    tools = {
        "callgrind": ("callgrind_annotate", ()),
        "massif": ("ms_print", ()),
        "pprof": ("go", ("tool", "pprof", "-top")),
    }
    commands: dict[str, tuple[str, ...]] = {"python -c pass": (sys.executable, "-c", "pass")}
    for format, path in files.items():
        commands[f"workbench read, {format}"] = (WORKBENCH, "read", str(path))
        tool, options = tools.get(format, ("", ()))
        if tool and shutil.which(tool):
            commands[f"{' '.join((tool, *options))}, {format}"] = (tool, *options, str(path))
    return {name: partial(measured, command) for name, command in commands.items()}


def main() -> int:
    """Measure, print, write; 1 when a target is missed."""
    options = arguments(__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = made(Path(folder))
        sizes = {format: path.stat().st_size for format, path in files.items()}
        print(", ".join(f"{format} {size:,} bytes" for format, size in sizes.items()))
        figures = interleave(rivals_of(files), options.rounds)
    print(table(figures))
    missed = [f for f in figures if f.rival.startswith("workbench") and f.median > TARGET]
    for figure in missed:
        print(f"{figure.rival}: {figure.median:.2f} s of CPU, target at most {TARGET} s")
    write(options.out, "small_reads", figures, target=TARGET, sizes_bytes=sizes)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
