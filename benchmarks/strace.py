"""Reading a log of a million system calls: ours, and stracetools.

The log is one real run of ``strace -f -tt -T`` repeated, each time with other pids and later times. Both read it in a
process of their own. Measured are the CPU time of reading alone and of the whole process, which a busy machine does not
falsify (neither uses threads), and the peak of its memory.
Before anything is timed both must find the same calls. stracetools has its own virtualenv:
``python -m venv .venv/stracetools && .venv/stracetools/bin/pip install stracetools``.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.harness import Measure, arguments, interleave, median_of, run_process, table, write

SEED = Path(__file__).resolve().parents[1] / "data" / "profiles" / "demo-strace.log"
TARGET_LINES_PER_S = 1_000_000 / 3
TARGET_RATIO = 10.0  # at least this many times as fast as the rival
READ, WHOLE, PEAK = "reading, CPU s per million lines", "whole process, CPU s per million lines", "peak memory, MiB"

OURS = """
import json, sys, time
import workbench.profiles.readers.strace.reader
from workbench.profiles.read import read_profile
began = time.process_time()
profile = read_profile(sys.argv[1], format="strace")
spent = time.process_time() - began
calls = profile.tables["calls"]
print(json.dumps({"read_s": spent, "time_s": profile.total("time") / 1e9, "calls": int(calls["returned"].sum())}))
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


def generate(path: Path, least_lines: int) -> int:
    """Write a log of at least ``least_lines`` lines; how many there are."""
    lines = SEED.read_text().splitlines(keepends=True)
    stamp = re.compile(r"^(\d+) +(\d\d):(\d\d):(\d\d)(\.\d{6})(.*\n)", re.DOTALL)
    parts = [stamp.match(line) for line in lines]
    copies = -(-least_lines // len(lines))
    with path.open("w") as out:
        for copy in range(copies):
            for part in parts:
                if part is None:
                    raise SystemExit(f"{SEED} has a line without pid and time")
                pid, hour, minute, second, fraction, rest = part.groups()
                seconds = (int(hour) * 3600 + int(minute) * 60 + int(second) + copy) % 86_400
                clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
                out.write(f"{int(pid) + 10 * (copy % 1000):<5} {clock}{rest}")
    return copies * len(lines)


def run(python: Path, program: str, log: Path, lines: int) -> dict[str, float]:
    """Run one reader in a process of its own: what it said, and what the process took."""
    process = run_process([str(python), "-c", program, str(log)], stderr=None)
    found = json.loads(process.output)
    millions = lines / 1e6
    return {
        READ: found["read_s"] / millions,
        WHOLE: process.cpu_s / millions,
        PEAK: process.peak_bytes / 2**20,
        "calls": found["calls"],
        "time_s": found["time_s"],
    }


def timed(python: Path, program: str, log: Path, lines: int) -> Mapping[str, float]:
    """One measurement."""
    found = run(python, program, log, lines)
    return {quantity: found[quantity] for quantity in (READ, WHOLE, PEAK)}


def check_agreement(rival: Path, log: Path, lines: int) -> None:
    """Ends the benchmark unless both find the same number of calls."""
    ours, theirs = run(Path(sys.executable), OURS, log, lines), run(rival, THEIRS, log, lines)
    if ours["calls"] != theirs["calls"] or abs(ours["time_s"] - theirs["time_s"]) > 1e-3 * ours["time_s"]:
        raise SystemExit(f"the readers differ, so there is nothing to compare: {ours} and {theirs}")


def main() -> int:
    """Measure, print, write; 1 when both targets are missed."""
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
    per_s = 1e6 / median_of(figures, "workbench", READ)
    facts: dict[str, float] = {"lines": lines, "lines_per_cpu_s": per_s}
    print(f"{per_s:,.0f} lines per CPU second (target {TARGET_LINES_PER_S:,.0f})")
    if options.stracetools is not None:
        for name, quantity in (("reading", READ), ("whole process", WHOLE)):
            ratio = median_of(figures, "stracetools, a tenth", quantity) / median_of(figures, "workbench", quantity)
            facts[f"ratio, {name}"] = ratio
            print(f"{name}: {ratio:.1f} times stracetools (target {TARGET_RATIO:.0f})")
    write(options.out, "strace", figures, **facts)
    reached = per_s >= TARGET_LINES_PER_S or facts.get("ratio, reading", 0.0) >= TARGET_RATIO
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
