"""A big massif file read: ours against ms_print, as whole processes and reading alone.

The file is generated: many detailed snapshots with deep trees, as a long run of the service with a low threshold makes
them. Both read every tree. ms_print prints its report, ours makes all tables; what both say of the snapshots is
compared before anything is timed. Time is CPU time, which a busy machine does not falsify. ms_print reads only as a
process, so its reading alone is its time less that of a file with one empty snapshot. Ours has to import pandas first:
ms_print is the faster process on small files, ours on large ones.
"""

from __future__ import annotations

import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.harness import arguments, interleave, median_of, table, write
from workbench.profiles.read import read_profile

TARGET = 1.0  # ours takes at most this part of ms_print's time, as whole processes
WHOLE, READING, MEMORY = "whole process, CPU s", "reading alone, CPU s", "peak memory, MiB"
HEADER = "desc: --detailed-freq=1 --threshold=0.1\ncmd: ./service\ntime_unit: ms\n"
SNAPSHOT = (
    "#-----------\nsnapshot={0}\n#-----------\ntime={0}000\nmem_heap_B={1}\nmem_heap_extra_B={2}\nmem_stacks_B=0\n"
    "heap_tree={3}\n"
)
OURS = "import sys; from workbench.profiles.read import read_profile; read_profile(sys.argv[1], format='massif')"
_ROW = re.compile(r"^ *(\d+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)$", re.MULTILINE)


def generated(snapshots: int, seed: int = 1) -> str:
    """A massif file with that many detailed snapshots, each about 130 KB."""
    chance = random.Random(seed)
    places = [
        f"0x{chance.randrange(1 << 40):X}: service::module{number % 40}::Type{number}<alloc::vec::Vec<u8>>::method"
        f"::{{closure#{number % 3}}} (src/module{number % 40}/file{number}.rs:{chance.randrange(1, 3000)})"
        for number in range(3000)
    ]
    out = [HEADER]
    for number in range(snapshots):
        lines = list(_tree(chance, places, 0, chance.randrange(10**8, 10**9), 24))
        held = int(lines[0].split(" ")[1])
        out.append(SNAPSHOT.format(number, held, held // 20, "detailed"))
        out.extend(lines)
    return "".join(out)


def _tree(chance: random.Random, places: list[str], depth: int, held: int, deepest: int) -> Iterator[str]:
    text = chance.choice(places) if depth else "(heap allocation functions) malloc/new/new[], --alloc-fns, etc."
    count = 0 if depth == deepest or held < 10**5 else (20 if not depth else chance.choice((1, 1, 1, 2)))
    yield f"{' ' * depth}n{count + bool(count)}: {held} {text}\n"
    if not count:
        return
    for position in range(count):
        part = held // 2 if position + 1 == count else held // (2 * count)
        yield from _tree(chance, places, depth + 1, part, deepest)
        held -= part
    yield f"{' ' * (depth + 1)}n0: {held} in 9 places, all below massif's threshold (0.10%)\n"


def process(command: list[str], without_reading: float = 0.0) -> dict[str, float]:
    """CPU seconds a process takes. ``without_reading`` are those it takes to read next to nothing."""
    before = _spent_by_children()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    spent = _spent_by_children() - before
    return {WHOLE: spent} | ({READING: max(spent - without_reading, 0.0)} if without_reading else {})


def _spent_by_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def reading(path: Path) -> dict[str, float]:
    """CPU seconds that reading takes in a process that has everything imported."""
    started = time.process_time()
    read_profile(path, format="massif")
    return {READING: time.process_time() - started}


def peak_mib(command: list[str]) -> float:
    """The largest resident memory of a process, measured in a child of its own so that no other one counts."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def same_figures(path: Path) -> bool:
    """Whether ms_print and we say the same of every snapshot."""
    report = subprocess.run(["ms_print", str(path)], check=True, capture_output=True, text=True).stdout
    theirs = [[int(value.replace(",", "")) for value in row] for row in _ROW.findall(report)]
    columns = ["snapshot", "time", "total_bytes", "heap_bytes", "heap_extra_bytes", "stacks_bytes"]
    return read_profile(path, format="massif").tables["snapshots"][columns].to_numpy().tolist() == theirs


def main() -> int:
    """Measure, print, write; 1 when the target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--snapshots", type=int, default=1000, help="detailed snapshots in the file")
    options = parser.parse_args()
    if shutil.which("ms_print") is None:
        raise SystemExit("ms_print is not installed: there is nothing to compare with")
    with tempfile.TemporaryDirectory() as folder:
        big, small = Path(folder, "massif.out"), Path(folder, "empty.out")
        big.write_text(generated(options.snapshots))
        small.write_text(HEADER + SNAPSHOT.format(0, 0, 0, "empty"))
        if not same_figures(big):
            raise SystemExit("ms_print and the workbench read different figures, so there is nothing to compare")
        size = big.stat().st_size / 1e6
        ours, theirs = [sys.executable, "-c", OURS, str(big)], ["ms_print", str(big)]
        start = min(process(["ms_print", str(small)])[WHOLE] for _ in range(3))
        figures = interleave(
            {
                "workbench": partial(process, ours),
                "workbench, imported": partial(reading, big),
                "ms_print": partial(process, theirs, start),
            },
            options.rounds,
        )
        memory = {"workbench": peak_mib(ours), "ms_print": peak_mib(theirs)}
    ratios = {
        "whole process": median_of(figures, "workbench", WHOLE) / median_of(figures, "ms_print", WHOLE),
        "reading alone": median_of(figures, "workbench, imported", READING) / median_of(figures, "ms_print", READING),
    }
    print(table(figures))
    for name, ratio in ratios.items():
        print(f"{size:.1f} MB, {name}: {ratio:.2f} of ms_print's time (target {TARGET:.1f} for the whole process)")
    print(f"{MEMORY}: workbench {memory['workbench']:.0f}, ms_print {memory['ms_print']:.0f}")
    write(options.out, "massif", figures, ratios=ratios, file_mb=size, memory_mib=memory, rival="ms_print")
    return 0 if ratios["whole process"] <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
