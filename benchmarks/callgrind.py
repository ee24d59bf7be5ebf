"""Reading a large callgrind profile: the workbench, callgrind_annotate and gprof2dot.

The profile is of a generated C program of about a million lines, each of which runs, made once under the service's own
valgrind flags and kept in ``--cache``. All three run as whole processes, so that start-up counts, and make a table of
functions (gprof2dot: a graph); of the workbench, reading alone is shown too, and what it takes to make the table of
costs per source line besides, which the rivals do not make here. Time is CPU time of the processes, which a busy
machine falsifies least. Peak memory is that of the process.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import gettempdir

from benchmarks.harness import arguments, interleave, median_of, run_process, table, write
from workbench.profilers.modes import CALLGRIND_FLAGS

FLAGS = ("--tool=callgrind", *CALLGRIND_FLAGS)
FASTER, MEMORY = 20.0, 6.0  # at least this many times faster than either, at most this many times the file
RIVALS = ("callgrind_annotate", "gprof2dot")
WITH_LINES = "workbench, with costs per source line"
SECONDS, READING, PEAK = "CPU seconds", "CPU seconds of reading alone", "peak memory / file size"

READ = """
import sys, time
from workbench.profiles.read import read_profile
before = time.process_time()
profile = read_profile(sys.argv[1])
spent = time.process_time() - before
functions = profile.functions.sort_values("self_Ir", ascending=False).head(50)
print(functions[["function", "file", "self_Ir", "total_Ir"]].to_string())
if sys.argv[2:]:
    before = time.process_time()
    print(len(profile.lines), "source lines")
    spent += time.process_time() - before
print(spent)
"""

HEADER = """
static inline __attribute__((always_inline)) long mix(long x, long y) {
  x ^= y << 3;
  x += y >> 2;
  return x * 31 + y;
}
extern long shared(long *a, long x);
"""
MAIN = """
#include "work.h"
__attribute__((noinline)) long shared(long *a, long x) {
  a[x & 15] += x;
  return a[(x >> 3) & 15] + 1;
}
%s
int main(void) {
  long a[16] = {1, 2, 3}, x = 1;
%s
  return 0;
}
"""
STATEMENTS = (
    "  a[{i}] = a[{j}] * {k} + x;",
    "  x = x * {k} + a[{i}] - a[{j}];",
    "  if (x & {i}) a[{j}] += {k};",
    "  if (a[{i}] > a[{j}])\n    x += {k};\n  else\n    a[{j}] ^= x;",
    "  x += mix(x, a[{i}]);",
    "  a[{i}] += a[{j}] >> {i};",
    "  for (long i = 0; i < 3; i++)\n    a[i] += x;",
    "  x ^= a[{i}] << {j};",
)


def make_profile(cache: Path, megabytes: int) -> Path:
    """A profile of at least this size, made where the cache has none. Takes some minutes."""
    cache.mkdir(parents=True, exist_ok=True)
    profile = cache / f"callgrind-{megabytes}.out"
    if profile.exists():
        return profile
    for tool in ("gcc", "valgrind"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed to make the profile")
    print("making the profile: some minutes, once", file=sys.stderr)
    program = _compile(cache / "source", files=max(1, megabytes * 3 // 8))
    raw = cache / "raw.out"
    subprocess.run(["valgrind", *FLAGS, f"--callgrind-out-file={raw}", program], check=True, capture_output=True)
    if raw.stat().st_size < megabytes * 1_000_000:
        raise SystemExit(f"the profile has only {raw.stat().st_size:,} bytes")
    raw.rename(profile)
    return profile


def _compile(folder: Path, files: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "work.h").write_text(HEADER)
    chance = random.Random(1)
    names = []
    objects = []
    for number in range(files):
        text = ['#include "work.h"']
        for function in range(100):
            name = f"step_{number}_{function}"
            text.append(f"long {name}(long *a, long x) {{")
            for _ in range(160):
                i, j, k = chance.randrange(16), chance.randrange(16), chance.randrange(1, 1000)
                text.append(chance.choice(STATEMENTS).format(i=i, j=j, k=k))
            text.append(f"  return {names[-1]}(a, x) + 1;" if function % 4 else "  return shared(a, x);")
            text.append("}")
            names.append(name)
        objects.append(_object(folder / f"part_{number}.c", "\n".join(text)))
    declarations = "\n".join(f"extern long {name}(long *a, long x);" for name in names)
    calls = "\n".join(f"  x += {name}(a, x);" for name in names)
    objects.append(_object(folder / "main.c", MAIN % (declarations, calls)))
    program = folder / "program"
    subprocess.run(["gcc", "-g", "-o", program, *objects], check=True)
    return program


def _object(source: Path, text: str) -> Path:
    source.write_text(text)
    target = source.with_suffix(".o")
    subprocess.run(["gcc", "-O0", "-g1", "-c", source, "-o", target], check=True)
    return target


def run(command: Sequence[str | Path], size: int) -> dict[str, float]:
    """CPU seconds and peak memory of one process."""
    process = run_process(command)
    figures = {SECONDS: process.cpu_s, PEAK: process.peak_bytes / size}
    if command[0] == sys.executable:
        figures[READING] = float(process.output.splitlines()[-1])
    return figures


def main() -> int:
    """Measure, print, write; 1 when a target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "workbench-benchmarks", help="profiles made")
    parser.add_argument("--megabytes", type=int, default=160, help="at least this size")
    parser.add_argument("--profile", type=Path, help="read this profile instead")
    parser.add_argument("--gprof2dot", default="gprof2dot", help="program of the rival")
    parser.set_defaults(rounds=3)
    options = parser.parse_args()
    profile = options.profile or make_profile(options.cache, options.megabytes)
    size = profile.stat().st_size
    commands: dict[str, list[str | Path]] = {
        "workbench": [sys.executable, "-c", READ, profile],
        WITH_LINES: [sys.executable, "-c", READ, profile, "lines"],
        "callgrind_annotate": ["callgrind_annotate", "--auto=no", profile],
        "gprof2dot": [options.gprof2dot, "--format=callgrind", profile],
    }
    present = {name: command for name, command in commands.items() if shutil.which(command[0])}
    for name in commands.keys() - present.keys():
        print(f"{name} is not here and is left out", file=sys.stderr)
    figures = interleave({name: partial(run, command, size) for name, command in present.items()}, options.rounds)
    ours = median_of(figures, "workbench", SECONDS)
    ratios = {name: median_of(figures, name, SECONDS) / ours for name in present if name in RIVALS}
    peak = median_of(figures, WITH_LINES, PEAK)
    print(table(figures))
    for name, ratio in ratios.items():
        print(f"{ratio:.1f} times as fast as {name} (target {FASTER:.0f})")
    print(
        f"peak memory {peak:.1f} times the file of {size / 1e6:.0f} MB, all tables made (target at most {MEMORY:.0f})"
    )
    write(options.out, "callgrind", figures, ratios=ratios, file_bytes=size, flags=" ".join(FLAGS))
    return 0 if peak <= MEMORY and min(ratios.values(), default=FASTER) >= FASTER else 1


if __name__ == "__main__":
    sys.exit(main())
