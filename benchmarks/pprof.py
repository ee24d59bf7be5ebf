"""Reading a large pprof profile: the workbench, and ``go tool pprof -top``.

The profile is generated: a tree of calls with few heavy branches, as services have it, 600,000 and more samples of 10
to 60 frames with a thread each, more than 50 MB unpacked. Both run as whole processes, so that start-up counts, and
print the top functions; of the workbench, reading alone is shown too. The first rows of both are compared before
anything is timed. Time is given as elapsed time and as CPU time, since pprof uses several cores.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.harness import arguments, interleave, median_of, run_process, table, write
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks
from workbench.profiles.tree import add_at, depths, preorder

if TYPE_CHECKING:
    from numpy.typing import NDArray

FUNCTIONS, LINES, THREADS = 6000, 3, 24
SHALLOWEST, DEEPEST = 10, 60
COMMON_CALLS = 0.15  # of all calls go to few functions that everybody calls
ROWS = 20
TARGET = 1.0  # at least as fast as pprof
ELAPSED, CPU, READING, PEAK = "seconds", "CPU seconds", "CPU seconds of reading alone", "peak MiB"
MAKE = """
import pathlib, sys
from benchmarks.pprof import make_profile
from workbench.profiles.exports.pprof import to_pprof
pathlib.Path(sys.argv[2]).write_bytes(to_pprof(make_profile(int(sys.argv[1])), compress=False))
"""
READ = """
import sys, time
from workbench.profiles.read import read_pprof
from workbench.profiles.views.top import top
before = time.process_time()
profile = read_pprof(sys.argv[1])
spent = time.process_time() - before
table = top(profile, n=int(sys.argv[2]))
print(table[["self", "self_pct", "cumulative_pct", "total", "total_pct", "name"]].to_string())
print(spent)
"""


def make_profile(samples: int, seed: int = 1) -> Profile:
    """A profile of ``samples`` different stacks with labels."""
    chance = np.random.default_rng(seed)
    parent, frame = _calls(samples, chance)
    depth = depths(parent)
    pool = np.flatnonzero(depth >= SHALLOWEST - 1)
    node = chance.choice(pool, 2 * samples)
    thread = chance.integers(1, THREADS + 1, 2 * samples)
    keys = np.unique(node * (THREADS + 1) + thread)
    keys = np.sort(chance.choice(keys, samples, replace=False))
    count = chance.geometric(0.5, samples)
    costs = np.column_stack([count, count * 6_666_666])
    rows = pd.DataFrame({"node_id": keys // (THREADS + 1), "tags_id": keys % (THREADS + 1)})
    rows["self_samples"], rows["self_cpu"] = costs[:, 0], costs[:, 1]
    numbers = range(FUNCTIONS * LINES)
    frames = frame_table(
        [f"service::module_{n // LINES % 97}::Type{n // LINES % 31}::step_{n // LINES}" for n in numbers],
        [f"/build/service/src/module_{n // LINES % 97}.rs" for n in numbers],
        [10 + n % 500 for n in numbers],
        ["service"] * len(numbers),
    )
    tags = pd.DataFrame({"tags_id": range(1, THREADS + 1), "key": "thread", "unit": ""})
    tags["value"] = [f"worker-{number}" for number in range(THREADS)]
    tags["number"] = pd.array([pd.NA] * THREADS, dtype="Int64")
    return from_stacks(
        "pprof",
        "generated",
        metrics=[Metric("samples"), Metric("cpu", "ns")],
        default_metric="cpu",
        frames=frames,
        parent=parent,
        frame=frame,
        self_costs=add_at(len(parent), rows["node_id"].to_numpy(), costs),
        samples=rows,
        tags=tags,
        meta={"time_ns": 1_700_000_000 * 10**9, "duration_ns": 60 * 10**9},
    )


def _calls(nodes: int, chance: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A tree: chains of calls under places of it that are there already. A function calls few others, most often the
    first of them."""
    parent = np.full(nodes, -1, dtype=np.int64)
    depth = np.zeros(nodes, dtype=np.int64)
    function = np.zeros(nodes, dtype=np.int64)
    made = 1
    while made < nodes:
        width = min(max(32, made // 8), 20_000)
        under = chance.integers(0, made, width)
        left = chance.integers(4, 20, width)
        while len(under) and made < nodes:
            under, left = under[: nodes - made], left[: nodes - made]
            here = np.arange(made, made + len(under))
            callee = np.minimum(chance.geometric(0.6, len(under)), 6)
            parent[here], depth[here] = under, depth[under] + 1
            function[here] = (function[under] * 7 + callee * 131 + 1) % FUNCTIONS
            common = chance.random(len(under)) < COMMON_CALLS
            function[here[common]] = np.minimum(chance.geometric(0.04, int(common.sum())), FUNCTIONS) - 1
            made += len(here)
            on = (left > 1) & (depth[here] < DEEPEST - 1)
            under, left = here[on], left[on] - 1
    order, ordered = preorder(parent)
    return ordered, function[order] * LINES + chance.integers(0, LINES, nodes)


def pprof_tool() -> Path:
    """The pprof that comes with Go, as the program it is, so that ``go tool`` does not count."""
    if shutil.which("go") is None:
        raise SystemExit("go is needed: its pprof is the rival")
    subprocess.run(["go", "tool", "pprof", "-h"], capture_output=True)  # builds it where it was not yet
    found = subprocess.run(["go", "tool", "-n", "pprof"], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def run(command: Sequence[str | Path]) -> tuple[str, dict[str, float]]:
    """What a process printed, and what it took."""
    process = run_process(command)
    taken = {ELAPSED: process.elapsed_s, CPU: process.cpu_s, PEAK: process.peak_bytes / 2**20}
    return process.output, taken


def measure(command: Sequence[str | Path], *, reading: bool = False) -> dict[str, float]:
    """The quantities of one process."""
    output, taken = run(command)
    return taken | ({READING: float(output.splitlines()[-1])} if reading else {})


def names(output: str) -> list[str]:
    """The functions a table lists, in its order."""
    return re.findall(r"service::\S+", output)


def main() -> int:
    """Measure, print, write; 1 when the target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=620_000, help="samples of the profile")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "large.pb"
        # in a process of its own: a child's peak memory begins with that of the process that started it
        subprocess.run([sys.executable, "-c", MAKE, str(options.samples), path], check=True)
        size = path.stat().st_size
        ours: list[str | Path] = [sys.executable, "-c", READ, path, str(ROWS)]
        theirs: list[str | Path] = [pprof_tool(), "-top", f"-nodecount={ROWS}", "-symbolize=none", path]
        if (found := names(run(ours)[0])) != names(run(theirs)[0]):
            raise SystemExit("the first functions differ, so there is nothing to compare")
        rivals = {"workbench": partial(measure, ours, reading=True), "pprof": partial(measure, theirs)}
        figures = interleave(rivals, options.rounds)
    ratios = {
        quantity: median_of(figures, "pprof", quantity) / median_of(figures, "workbench", quantity)
        for quantity in (ELAPSED, CPU, PEAK)
    }
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    print(table(figures))
    for quantity, ratio in ratios.items():
        print(f"{quantity}: pprof takes {ratio:.2f} times the workbench's (target {TARGET:.0f} for {ELAPSED})")
    write(
        options.out, "pprof", figures, ratios=ratios, rival=f"go tool pprof of {version}",
        file_bytes=size, samples=options.samples, rows_compared=len(found),
    )  # fmt: skip
    return 0 if ratios[ELAPSED] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
