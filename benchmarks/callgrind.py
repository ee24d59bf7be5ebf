"""Reading callgrind profiles that do not repeat themselves: the workbench, callgrind_annotate and gprof2dot.

The profiles are those of :mod:`benchmarks.callgrind_files`, made once and kept in ``--cache``. All run as whole
processes, including start-up, and make a table of functions (gprof2dot: a graph); ours is ``workbench read``. Costs per
source line, which the others do not make here, and the fallback without compiled code are measured too. Time is CPU
time of the processes, which a busy machine changes least. Peak memory is that of the process.
"""

from __future__ import annotations

import compileall
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import workbench
from benchmarks import callgrind_files as files
from benchmarks.harness import WORKBENCH, Figure, arguments, interleave, median_of, run_process, table, write

FASTER, FASTER_WINDOW, MEMORY = 20.0, 6.0, 4.0
ANNOTATE, GPROF2DOT = "callgrind_annotate", "gprof2dot"
WITH_LINES = "workbench, with costs per source line"
FALLBACK = "workbench without a compiler"
# the fallback and one round are slow enough on these
LARGE, SMALL_ROUNDS = 100_000_000, 5
SECONDS, PEAK = "CPU seconds", "peak memory / file size"

LINES = """
import sys
from workbench.profiles.read import read_profile
profile = read_profile(sys.argv[1])
print(len(profile.arrays.functions), len(profile.arrays.lines), "source lines")
"""
PLAIN = """
import sys
from workbench.profiles.readers.callgrind import scan
scan._kernel = None
from workbench.cli import main
sys.exit(main(["read", *sys.argv[1:]]))
"""


def run(command: Sequence[str | Path], size: int) -> dict[str, float]:
    """CPU seconds and peak memory of one process."""
    process = run_process(command)
    return {SECONDS: process.cpu_s, PEAK: process.peak_bytes / size}


def measure(profile: Path, target: float, options: Any) -> list[Figure]:
    """All programs on one profile, in turn."""
    size = profile.stat().st_size
    commands: dict[str, list[str | Path]] = {
        "workbench": [WORKBENCH, "read", profile],
        WITH_LINES: [sys.executable, "-c", LINES, profile],
        **({FALLBACK: [sys.executable, "-c", PLAIN, profile]} if size < LARGE else {}),
        ANNOTATE: [ANNOTATE, "--auto=no", profile],
        GPROF2DOT: [options.gprof2dot, "--format=callgrind", profile],
    }
    present = {name: command for name, command in commands.items() if shutil.which(command[0])}
    for name in commands.keys() - present.keys():
        print(f"{name} is not installed and is left out", file=sys.stderr)
    rounds = options.rounds if target >= FASTER else max(options.rounds, SMALL_ROUNDS)
    return interleave({name: partial(run, command, size) for name, command in present.items()}, rounds)


def judge(name: str, profile: Path, figures: Sequence[Figure], target: float) -> tuple[dict[str, Any], bool]:
    """The ratios of one profile, printed, and whether they reach the targets."""
    ours = median_of(figures, "workbench", SECONDS)
    rivals = sorted({figure.rival for figure in figures} & {ANNOTATE, GPROF2DOT})
    ratios = {rival: median_of(figures, rival, SECONDS) / ours for rival in rivals}
    peak, size = median_of(figures, WITH_LINES, PEAK), profile.stat().st_size
    print(f"\n{name}, {size / 1e6:.0f} MB\n{table(figures)}")
    for rival, ratio in ratios.items():
        print(f"{ratio:.1f} times as fast as {rival} (target {target:.0f}, of {ANNOTATE})")
    # for a small file Python's start-up dominates
    small = target < FASTER
    print(
        f"peak memory {peak:.1f} times the file, all tables made" + ("" if small else f" (target at most {MEMORY:.0f})")
    )
    facts = {"ratios": ratios, "file_bytes": size, "peak": peak}
    return facts, ratios.get(ANNOTATE, target) >= target and (small or peak <= MEMORY)


def main() -> int:
    """Measure, print, write; 1 when a target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "workbench-benchmarks", help="profiles made")
    parser.add_argument(
        "--window", type=Path, nargs="*", default=[], help="windows of a real service, the largest first"
    )
    parser.add_argument("--megabytes", type=int, default=80, help="size of the file of many windows")
    parser.add_argument("--profile", type=Path, nargs="*", help="read these profiles instead")
    parser.add_argument("--gprof2dot", default=GPROF2DOT, help="program of the rival")
    parser.set_defaults(rounds=3)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    # as pip does during installation
    compileall.compile_dir(str(Path(workbench.__file__).parent), quiet=2)
    if options.profile:
        profiles = {path.name: (path, FASTER) for path in options.profile}
    else:
        profiles = {"cpython": (files.cpython(options.cache), FASTER), "cc1": (files.cc1(options.cache), FASTER)}
        for number, given in enumerate(options.window):
            if not number:
                profiles["windows"] = files.windows(options.cache, given, options.megabytes), FASTER
            profiles[given.name] = files.window(options.cache, given), FASTER_WINDOW
    results: dict[str, Any] = {}
    figures: list[Figure] = []
    good = True
    for name, (profile, target) in profiles.items():
        measured = measure(profile, target, options)
        results[name], reached = judge(name, profile, measured, target)
        good = good and reached
        figures += [Figure(f"{figure.rival}: {name}", figure.quantity, figure.values) for figure in measured]
    write(options.out, "callgrind", figures, profiles=results, flags=" ".join((*files.FLAGS, *files.APART)))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
