"""Reading pprof profiles: ``workbench read``, and ``go tool pprof -top``.

One profile of 50 MB was written by a Go program (:mod:`benchmarks.pprof_files`), made once and kept in ``--cache``;
others are given by ``--profile``, for example one of a real service of about 1 MB. All run as whole processes,
including start-up, and print the top functions; the functions' shares are compared before timing. Time is CPU time,
user and system, since pprof uses several cores. The program that ``go tool`` starts is also measured alone: for a small
profile the tool takes as long as the program.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from benchmarks.harness import Figure, arguments, interleave, median_of, run_process, table, write
from benchmarks.pprof_files import heap

ROWS = 20
# targets: from this size on at most a third of pprof's CPU time, below it at most as much
LARGE_BYTES, LARGE_TARGET, SMALL_TARGET = 20_000_000, 3.0, 1.0
ELAPSED, CPU, PEAK = "seconds", "CPU seconds", "peak MiB"
SHARE_COMPARED, ROUNDED = 0.5, 0.0051  # percent
OURS, THEIRS, ALONE = "workbench", "go tool pprof", "pprof alone"


def pprof_tool() -> Path:
    """The program pprof that comes with Go, without ``go tool``."""
    if shutil.which("go") is None:
        raise SystemExit("go is needed: its pprof is the rival")
    subprocess.run(["go", "tool", "pprof", "-h"], capture_output=True)  # builds it if necessary
    found = subprocess.run(["go", "tool", "-n", "pprof"], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def measure(command: list[str | Path]) -> dict[str, float]:
    """The quantities of one process."""
    process = run_process(command)
    return {ELAPSED: process.elapsed_s, CPU: process.cpu_s, PEAK: process.peak_bytes / 2**20}


def compared(ours: list[str | Path], theirs: list[str | Path]) -> int:
    """How many functions have the same share in both; exits the benchmark if they differ. Names are not compared, since
    each tool shortens compilers' names differently."""
    rows = json.loads(run_process([*ours, "--json"]).output)["top"]
    # pprof prints 100 % from 99.95 on
    mine = [100.0 if row["self_pct"] >= 99.95 else row["self_pct"] for row in rows if row["self_pct"] >= SHARE_COMPARED]
    listed = re.findall(r"^ *\S+ +([\d.]+)% +\S+ +\S+ +\S+  \S", run_process(theirs).output, re.M)
    told = [float(share) for share in listed][: len(mine)]
    if not mine or any(abs(one - other) > ROUNDED for one, other in zip(mine, told, strict=True)):
        raise SystemExit(f"the shares differ, so there is nothing to compare: {mine}, {told}")
    return len(mine)


def profiled(path: Path, tool: Path, rounds: int) -> tuple[list[Figure], dict[str, Any], bool]:
    """The figures of one profile, facts about it, and whether the target was reached."""
    ours: list[str | Path] = [sys.executable, "-m", "workbench.cli", "read", path, f"--top={ROWS}"]
    options = ["-top", f"-nodecount={ROWS}", "-symbolize=none", path]
    theirs: list[str | Path] = ["go", "tool", "pprof", *options]
    functions, size = compared(ours, theirs), path.stat().st_size
    commands = {OURS: ours, THEIRS: theirs, ALONE: [tool, *options]}
    figures = interleave({name: partial(measure, command) for name, command in commands.items()}, rounds)
    ratios = {
        quantity: median_of(figures, THEIRS, quantity) / median_of(figures, OURS, quantity)
        for quantity in (ELAPSED, CPU, PEAK)
    }
    target = LARGE_TARGET if size >= LARGE_BYTES else SMALL_TARGET
    print(f"{path.name}, {size / 1e6:.1f} MB", table(figures), sep="\n")
    for quantity, ratio in ratios.items():
        print(f"{quantity}: {THEIRS} takes {ratio:.2f} times the workbench's")
    print(f"target: {target:.0f} for {CPU}\n")
    facts = {"bytes": size, "functions_compared": functions, "ratios": ratios, "target": target}
    return figures, facts, ratios[CPU] >= target


def main() -> int:
    """Measure, print, write; 1 when a target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "workbench-benchmarks", help="profile made")
    parser.add_argument("--megabytes", type=int, default=50, help="size of the profile that is made, 0: none")
    parser.add_argument("--profile", type=Path, nargs="*", default=[], help="profiles read besides, raw")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    tool = pprof_tool()
    profiles = [heap(options.cache, options.megabytes)] if options.megabytes else []
    results: dict[str, Any] = {}
    figures: list[Figure] = []
    good = True
    for path in [*profiles, *options.profile]:
        measured, results[path.name], reached = profiled(path, tool, options.rounds)
        good = good and reached
        figures += [Figure(f"{figure.rival}: {path.name}", figure.quantity, figure.values) for figure in measured]
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    write(options.out, "pprof", figures, profiles=results, rival=f"go tool pprof of {version}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
