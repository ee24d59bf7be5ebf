"""Reading perf script's text: ours, perf report on the same recording, and collapsers if installed
(inferno-collapse-perf, stackcollapse-perf.pl).

The recording is of a program whose stacks differ from sample to sample (recursion through templates chosen by chance),
made here with ``perf record -e cpu-clock:u -g``. Its text is repeated up to the requested size, each time with other
threads and later times, so that no header is repeated. Before timing, the sums of the periods must be equal.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.harness import Measure, arguments, interleave, median_of, run_process, table, write

PROGRAM = """
#include <cstdlib>
volatile unsigned long sink;
template <int N> __attribute__((noinline)) void call(int depth) {
  for (int i = 0; i < 3000; i++) sink += i * N;
  if (depth > 0) { if (rand() % 2) call<(N * 7 + 3) % 97>(depth - 1); else call<(N * 5 + 1) % 97>(depth - 1); }
  sink += 1;
}
int main() { for (int k = 0; k < 40000; k++) call<1>(5 + rand() % 20); }
"""
OURS = """
import sys
from workbench.profiles.read import read_profile
print(read_profile(sys.argv[1], format="perf_script").total())
"""
WHOLE, PEAK = "whole process, CPU s per 100 MB", "peak memory, times the file"
_HEADER = re.compile(r"^(\S+ +)(\d+) (\d+)\.", re.MULTILINE)
_COPY_S = 100


def record(folder: Path) -> str:
    """The text of a recording made on this machine."""
    for tool in ("perf", "g++"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not installed")
    source, program, data = folder / "app.cpp", folder / "app", folder / "perf.data"
    source.write_text(PROGRAM)
    subprocess.run(["g++", "-g", "-O1", "-fno-omit-frame-pointer", "-o", program, source], check=True)
    subprocess.run(["perf", "record", "-q", "-e", "cpu-clock:u", "-g", "-o", data, program], check=True)
    return subprocess.run(["perf", "script", "-i", data], check=True, capture_output=True, text=True).stdout


def enlarge(text: str, path: Path, least_bytes: int) -> tuple[int, int]:
    """Repeat the text until it has at least this many bytes; returns the repeats and the bytes."""
    copies = -(-least_bytes // len(text))
    with path.open("w") as out:
        for copy in range(copies):
            out.write(_HEADER.sub(lambda at, n=copy: f"{at[1]}{int(at[2]) + n % 8} {int(at[3]) + _COPY_S * n}.", text))
    return copies, path.stat().st_size


def timed(command: list[str | Path], size: int) -> Mapping[str, float]:
    """One measurement of a process that reads so many bytes."""
    process = run_process(command)
    return {WHOLE: process.cpu_s / size * 1e8, PEAK: process.peak_bytes / size}


def main() -> int:
    """Measure, print, write; 1 if a collapser and ours find different sums."""
    parser = arguments(__doc__.splitlines()[0])
    parser.set_defaults(rounds=3)
    parser.add_argument("--megabytes", type=int, default=100, help="size of the text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = folder / "large.perf"
        text = record(folder)
        copies, size = enlarge(text, large, options.megabytes * 10**6)
        ours: list[str | Path] = [sys.executable, "-c", OURS, large]
        total = int(run_process(ours).output)
        rivals: dict[str, Measure] = {"workbench": partial(timed, ours, size)}
        for tool in ("inferno-collapse-perf", "stackcollapse-perf.pl"):
            if shutil.which(tool) is None:
                continue
            # inferno uses all cores unless told otherwise
            command: list[str | Path] = [tool, *(("-n", "1") if tool.startswith("inferno") else ()), large]
            said = sum(int(line.rpartition(" ")[2]) for line in run_process(command).output.splitlines())
            if said != total:
                raise SystemExit(f"the sums differ, so there is nothing to compare: {total} and {said} of {tool}")
            rivals[tool] = partial(timed, command, size)
        report = ["perf", "report", "-i", folder / "perf.data", "--stdio", "--no-children", "-g", "none"]
        rivals["perf report, of the recording"] = partial(timed, report, len(text))
        figures = interleave(rivals, options.rounds)
    print(table(figures))
    mine = median_of(figures, "workbench", WHOLE)
    ratios = {f"ratio, {rival}": median_of(figures, rival, WHOLE) / mine for rival in rivals if rival != "workbench"}
    for name, ratio in ratios.items():
        print(f"{name.removeprefix('ratio, ')}: {ratio:.2f} times our CPU time")
    write(options.out, "perf_script", figures, bytes=size, copies=copies, **ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())
