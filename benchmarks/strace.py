"""Reading a log of a million system calls: ours, and stracetools.

The log is one real run of ``strace -f -tt -T`` repeated, each time with other pids, later times and other addresses:
that of the real service if it is beside this project (51,575 lines, half of its calls interrupted by others), otherwise
the example. Both read it in separate processes. Measured are the CPU time of reading and of the whole process, which a
busy machine hardly changes (neither uses threads), and peak memory. Our process does the same as ``workbench read``: it
reads the log and makes the table of the longest calls. Before timing, both must find the same calls. stracetools has
its own virtualenv: ``python -m venv .venv/stracetools && .venv/stracetools/bin/pip install stracetools``.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.harness import Measure, arguments, interleave, median_of, run_process, table, write

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "data" / "profiles" / "demo-strace.log"
REAL = ROOT.parent / "shared" / "real" / "service.strace.log.gz"
TARGET_S = 1.5  # CPU seconds of the whole process for a million lines
TARGET_RATIO = 10.0  # at least this many times as fast as the rival
READ, WHOLE, PEAK = "reading, CPU s per million lines", "whole process, CPU s per million lines", "peak memory, MiB"

OURS = """
import json, os, sys, time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does
import workbench.profiles.readers.strace.reader
from workbench.profiles.read import read_profile
from workbench.profiles.views.top import top_table
began = time.process_time()
profile = read_profile(sys.argv[1], format="strace")
spent = time.process_time() - began
found = {"read_s": spent, "time_s": profile.total("time") / 1e9, "notes": len(profile.notes)}
top_table(profile, None, 20)
if len(sys.argv) > 2:
    found["calls"] = int(profile.tables["calls"]["returned"].sum())
print(json.dumps(found))
"""

THEIRS = """
import json, logging, sys, time
from stracetools.parser import StraceParser, TraceEventType
logging.disable(logging.CRITICAL)
began = time.process_time()
events = StraceParser().parse_file(sys.argv[1])
spent = time.process_time() - began
calls = [event for event in events if event.event_type == TraceEventType.SYSCALL and event.duration is not None]
print(json.dumps({"read_s": spent, "time_s": sum(event.duration for event in calls), "calls": len(calls)}))
"""


def seed_lines() -> list[str]:
    """The log that is repeated."""
    if REAL.exists():
        return gzip.decompress(REAL.read_bytes()).decode().splitlines(keepends=True)
    return DEMO.read_text().splitlines(keepends=True)


def generate(path: Path, least_lines: int) -> int:
    """Write a log of at least ``least_lines`` lines; returns their number."""
    lines = seed_lines()
    stamp = re.compile(r"^(\d+) +(\d\d):(\d\d):(\d\d)(\.\d{6})(.*\n)", re.DOTALL)
    address = re.compile(r"\b0x7f[0-9a-f]+")
    parts = [match.groups() for line in lines if (match := stamp.match(line))]
    if len(parts) < len(lines):
        raise SystemExit("the log that is repeated has a line without pid and time")
    first, last = (
        int(hour) * 3600 + int(minute) * 60 + int(second) for _, hour, minute, second, *_ in (parts[0], parts[-1])
    )
    tasks = max(int(part[0]) for part in parts) - min(int(part[0]) for part in parts) + 1
    copies = -(-least_lines // len(lines))
    with path.open("w") as out:
        for copy in range(copies):
            for pid, hour, minute, second, fraction, rest in parts:
                seconds = (int(hour) * 3600 + int(minute) * 60 + int(second) + copy * (last - first + 1)) % 86_400
                clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
                moved = address.sub(lambda found, by=copy << 12: hex(int(found[0], 16) + by), rest)
                out.write(f"{int(pid) + copy * tasks:<5} {clock}{moved}")
    return copies * len(lines)


def run(python: Path, program: str, log: Path, lines: int, *, count: bool = False) -> dict[str, float]:
    """Run one reader in a separate process; returns its output and the process's costs. With ``count`` ours also makes
    the table of calls, to count them."""
    process = run_process([str(python), "-c", program, str(log), *(["calls"] if count else [])], stderr=None)
    found = json.loads(process.output)
    millions = lines / 1e6
    return {
        READ: found["read_s"] / millions,
        WHOLE: process.cpu_s / millions,
        PEAK: process.peak_bytes / 2**20,
        "calls": found.get("calls", 0),
        "time_s": found["time_s"],
    }


def timed(python: Path, program: str, log: Path, lines: int) -> Mapping[str, float]:
    """One measurement."""
    found = run(python, program, log, lines)
    return {quantity: found[quantity] for quantity in (READ, WHOLE, PEAK)}


def check_agreement(rival: Path, log: Path, lines: int) -> None:
    """Exits the benchmark unless both find the same number of calls."""
    ours, theirs = run(Path(sys.executable), OURS, log, lines, count=True), run(rival, THEIRS, log, lines)
    if ours["calls"] != theirs["calls"] or abs(ours["time_s"] - theirs["time_s"]) > 1e-3 * ours["time_s"]:
        raise SystemExit(f"the readers differ, so there is nothing to compare: {ours} and {theirs}")


def main() -> int:
    """Measure, print, write; 1 when a target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.set_defaults(rounds=3)
    parser.add_argument("--stracetools", type=Path, help="the python of a virtualenv that has stracetools")
    parser.add_argument(
        "--lines", type=int, default=1_000_000, help="lines of our log; the rival reads a tenth of them"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.log", Path(folder) / "small.log"
        lines, fewer = generate(large, options.lines), generate(small, options.lines // 10)
        rivals: dict[str, Measure] = {"workbench": partial(timed, Path(sys.executable), OURS, large, lines)}
        if options.stracetools is not None:
            check_agreement(options.stracetools, small, fewer)
            rivals["workbench, a tenth"] = partial(timed, Path(sys.executable), OURS, small, fewer)
            rivals["stracetools, a tenth"] = partial(timed, options.stracetools, THEIRS, small, fewer)
        figures = interleave(rivals, options.rounds)
    print(table(figures))
    whole_s = median_of(figures, "workbench", WHOLE)
    facts: dict[str, float] = {"lines": lines, "lines_per_cpu_s": 1e6 / median_of(figures, "workbench", READ)}
    print(f"{whole_s:.2f} CPU s for a million lines, the whole process (target {TARGET_S})")
    if options.stracetools is not None:
        for name, quantity in (("reading", READ), ("whole process", WHOLE)):
            ratio = median_of(figures, "stracetools, a tenth", quantity) / median_of(figures, "workbench", quantity)
            facts[f"ratio, {name}"] = ratio
            print(f"{name}: {ratio:.1f} times stracetools (target {TARGET_RATIO:.0f})")
    write(options.out, "strace", figures, **facts)
    return 0 if whole_s <= TARGET_S and facts.get("ratio, whole process", TARGET_RATIO) >= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
