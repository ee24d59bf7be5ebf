"""Reading a large evented speedscope file: CPU time and memory of the whole process.

The file is a walk through a call tree as a tracer writes it: two million frames that open and close, on one thread,
about 80 MB. No other tool reads such a file in a shell, so the target is a time: 4 CPU seconds for 82 MB. The result is
checked against the written data: the sum of all times, and the number of spans in the timeline.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import arguments, interleave, median_of, run_process, table, write

FUNCTIONS, DEEPEST, CALLEES = 2000, 40, 3
TARGET_S, TARGET_MB = 4.0, 82.0
CPU, PEAK = "whole process, CPU s", "peak MiB"
READ = """
import sys
from workbench.profiles.read import read_speedscope
profile = read_speedscope(sys.argv[1])
print(profile.total())
"""
SPANS = READ + 'print(len(profile.arrays.tables["timeline"]))\n'


def events(count: int, seed: int = 1) -> Iterator[tuple[str, int, int]]:
    """This many events, and those that close the open frames: kind, frame, nanosecond. Times always increase, and some
    frame is always open."""
    chance = random.Random(seed)
    callees: dict[int, list[int]] = {}
    stack = [0]
    at = 0
    yield "O", 0, at
    for _ in range(count):
        at += chance.randrange(50, 5000)
        if len(stack) > 1 and (len(stack) > DEEPEST or chance.random() < 0.48):
            yield "C", stack.pop(), at
        else:
            known = callees.setdefault(stack[-1], [chance.randrange(FUNCTIONS) for _ in range(CALLEES)])
            stack.append(chance.choice(known))
            yield "O", stack[-1], at
    while stack:
        at += 10
        yield "C", stack.pop(), at


def make(path: Path, count: int) -> tuple[int, int]:
    """Write the file; returns its duration in nanoseconds, and how many frames were opened."""
    frames = [
        {"name": f"module{n % 40}::Type{n}::method", "file": f"src/module{n % 40}.rs", "line": n}
        for n in range(FUNCTIONS)
    ]
    opened = last = 0
    with path.open("w") as file:
        file.write(f'{{"$schema":"speedscope","shared":{{"frames":{json.dumps(frames)}}},"profiles":[')
        file.write('{"type":"evented","name":"main","unit":"nanoseconds","events":[')
        for number, (kind, frame, at) in enumerate(events(count)):
            file.write(f'{"," if number else ""}{{"type":"{kind}","frame":{frame},"at":{at}}}')
            opened += kind == "O"
            last = at
        file.write("]}]}")
    return last, opened


def measure(code: str, path: Path) -> dict[str, float]:
    """The quantities of one process."""
    process = run_process([sys.executable, "-c", code, path])
    return {CPU: process.cpu_s, PEAK: process.peak_bytes / 2**20}


def main() -> int:
    """Measure, print, write; 1 when the target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000, help="events of the file")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "walk.speedscope.json"
        written = make(path, options.events)
        size = path.stat().st_size / 1e6
        found = tuple(int(line) for line in run_process([sys.executable, "-c", SPANS, path]).output.split())
        if found != written:
            raise SystemExit(f"read {found}, written {written}: there is nothing to measure")
        rivals = {"workbench": partial(measure, READ, path), "with the timeline": partial(measure, SPANS, path)}
        figures = interleave(rivals, options.rounds)
    target = TARGET_S * max(size, 1.0) / TARGET_MB
    spent = median_of(figures, "workbench", CPU)
    print(table(figures))
    print(f"{size:.1f} MB, {options.events:,} events: {spent:.2f} CPU s (target {target:.2f})")
    write(options.out, "speedscope", figures, file_mb=size, events=options.events, target_s=target)
    return 0 if spent <= target else 1


if __name__ == "__main__":
    sys.exit(main())
