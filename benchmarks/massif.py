"""massif files of 1, 5, 22 and 55 MB read: ours against ms_print, as whole processes.

The file is one run of Python importing modules under Valgrind, with a heap tree in every snapshot, 57 to 70 MB. Smaller
files are its first snapshots that come within 5 % of the size; a larger one would repeat the snapshots with later
numbers and times. Ours is `workbench read`; both read every tree. Their figures for the snapshots are compared before
timing. Time is CPU time, which a busy machine hardly changes. Most of ours for the smallest file is the start of Python
and the import of modules.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from benchmarks.harness import WORKBENCH, Measure, arguments, interleave, median_of, run_process, table, write
from workbench.profiles.read import read_profile

TARGET = 1.0  # target: ours takes at most this part of ms_print's time
SIZES_MB = (1, 5, 22, 55)
TOLERANCE = 0.05
WHOLE = "whole process, CPU s"
MODULES = "json, decimal, email.message, http.client, unittest, xml.dom.minidom, ctypes, asyncio, argparse"
MASSIF = (
    "--tool=massif",
    "--detailed-freq=1",
    "--max-snapshots=100",
    "--threshold=0.05",
    "--depth=30",
    "--time-unit=B",
)
_SNAPSHOT = re.compile(r"^#-----------\nsnapshot=\d+\n#-----------\ntime=(\d+)\n", re.MULTILINE)
_ROW = re.compile(r"^ *(\d+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)$", re.MULTILINE)


def recorded(folder: Path) -> str:
    """Massif's output of one run."""
    path = folder / "run.out"
    command = ["valgrind", *MASSIF, f"--massif-out-file={path}", sys.executable, "-S", "-c", f"import {MODULES}"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONMALLOC": "malloc"})
    return path.read_text()


def fitting(lengths: Sequence[int], size: int, within: float, start: int = 0) -> list[int] | None:
    """The places of the first lengths, in their order, whose sum is ``size``, give or take ``within``; None if no sum
    is."""
    if abs(size) <= within:
        return []
    for place in range(start, len(lengths)):
        if lengths[place] <= size + within:
            rest = fitting(lengths, size - lengths[place], within, place + 1)
            if rest is not None:
                return [place, *rest]
    return None


def enlarged(text: str, size: int) -> str:
    """The first snapshots of a file that come to ``size`` bytes; if there are too few, repeated with later numbers."""
    marks = [*(match.start() for match in _SNAPSHOT.finditer(text)), len(text)]
    parts = [text[begin:end] for begin, end in pairwise(marks)]
    times = [int(match[1]) for match in _SNAPSHOT.finditer(text)]
    enough = len(text) >= size * (1 - TOLERANCE)
    if enough and (chosen := fitting([len(part) for part in parts], size - marks[0], size * TOLERANCE)):
        return text[: marks[0]] + "".join(parts[place] for place in chosen)
    out, written, number = [text[: marks[0]]], marks[0], 0
    while written < size:
        round_, place = divmod(number, len(parts))
        head = f"#-----------\nsnapshot={number}\n#-----------\ntime={times[place] + round_ * (times[-1] + 1)}\n"
        # a file has one peak at most
        body = _SNAPSHOT.sub("", parts[place]).replace("heap_tree=peak", "heap_tree=detailed")
        out.append(head + body)
        written += len(out[-1])
        number += 1
    return "".join(out)


def measure(command: list[str]) -> dict[str, float]:
    """What one process took."""
    return {WHOLE: run_process(command).cpu_s}


def same_figures(path: Path) -> bool:
    """Whether ms_print and we give the same figures for every snapshot."""
    report = subprocess.run(["ms_print", str(path)], check=True, capture_output=True, text=True).stdout
    theirs = [[int(value.replace(",", "")) for value in row] for row in _ROW.findall(report)]
    columns = ["snapshot", "time", "total_bytes", "heap_bytes", "heap_extra_bytes", "stacks_bytes"]
    return read_profile(path, format="massif").tables["snapshots"][columns].to_numpy().tolist() == theirs


def main() -> int:
    """Measure, print, write; 1 when the target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES_MB, metavar="MB", help="sizes of the files")
    options = parser.parse_args()
    for program in ("valgrind", "ms_print"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed: there is nothing to compare")
    with tempfile.TemporaryDirectory() as folder:
        run = recorded(Path(folder))
        rivals: dict[str, Measure] = {}
        for size in options.sizes:
            path = Path(folder, f"{size:g}.out")
            path.write_text(enlarged(run, int(size * 1e6)))
            print(f"{size:g} MB: whole snapshots of {path.stat().st_size:,} bytes")
            if not same_figures(path):
                raise SystemExit("ms_print and the workbench read different figures, so there is nothing to compare")
            rivals[f"workbench, {size:g} MB"] = partial(measure, [WORKBENCH, "read", str(path)])
            rivals[f"ms_print, {size:g} MB"] = partial(measure, ["ms_print", str(path)])
        figures = interleave(rivals, options.rounds)
    ratios = {
        f"{size:g} MB": median_of(figures, f"workbench, {size:g} MB", WHOLE)
        / median_of(figures, f"ms_print, {size:g} MB", WHOLE)
        for size in options.sizes
    }
    print(table(figures))
    print(f"one run wrote {len(run) / 1e6:.1f} MB")
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f} of ms_print's CPU time (target {TARGET:.1f})")
    write(options.out, "massif", figures, ratios=ratios, run_mb=len(run) / 1e6, rival="ms_print")
    return 0 if max(ratios.values()) <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
