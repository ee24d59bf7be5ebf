"""A long load: does memory stay constant, and how large and slow do its files and report become?

``python -m benchmarks.sustained --minutes 60`` sends 100 receipts a second for an hour. The short form is ``--receipts
200000 --rate 1500``: once to a stand-in that keeps up, once (``--cannot``) to one that stores at most 500 per second,
so that requests time out. One row per process: its memory after it has settled, the maximum later while receipts are
sent, and the maximum afterwards, while the step is summarised. At the end: the sizes of run folder, report and SQLite's
log, and the outcomes.

Exit code 1 if a process grew by more than half while receipts were sent.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import WORKBENCH

MIB = 1 << 20
LOOK_EVERY_S = 1.0
SETTLED_SHARE, SETTLED_S = 0.2, 90.0
"""After this share of the load, and this time, a process has everything it keeps: imports, connections, signed
receipts; the stand-in's agent the receipts of its timestamp buffer of one minute."""
MOST_GROWTH = 1.5
SMALL_BYTES = 48 * MIB
"""Smaller growth is ignored: a list of watched values, freed at the end of the step."""
# Values and limits without denial: 10^7 receipts cost 0.01 GRT.
UNLIMITED = ("--value-grt", "0.000000001", "--limit-grt", "1000", "--escrow-grt", "10000")
# A timeout is in flight for a second: with a lower limit the generator itself would hold receipts back.
CANNOT = ("--store", "slow", "--store-delay-ms", "200", "--timeout-s", "1", "--max-in-flight", "3000")
_ROLES = {"workbench.standin": "stand-in", "workbench.load": "generator", "workbench.sweep": "orchestrator"}


@dataclass
class Seen:
    """Memory of the processes of a run, by role: seconds since the first receipt, bytes. ``sent_s``: when the last
    receipt was sent."""

    rss: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    log_bytes: int = 0
    sent_s: float = math.inf

    def look(self, main: psutil.Process, elapsed_s: float, log: Path) -> None:
        """Record the current memory of each process."""
        for process in (main, *main.children(recursive=True)):
            try:
                command = " ".join(process.cmdline())
                role = next((role for name, role in _ROLES.items() if f"-m {name}" in command), "command")
                if "load.signing" in command:
                    role = "signer"
                self.rss[f"{role} {process.pid}"].append((elapsed_s, process.memory_info().rss))
            except psutil.Error:
                continue
        if log.exists():
            self.log_bytes = max(self.log_bytes, log.stat().st_size)

    def grown(self, duration_s: float) -> dict[str, tuple[int, int, int]]:
        """For each process that ran long enough: its memory after the first part of the load, the maximum later while
        receipts were sent, and the maximum afterwards (0: it had ended)."""
        found = {}
        for role, looks in self.rss.items():
            settled_s = min(max(SETTLED_SHARE * duration_s, SETTLED_S), duration_s / 2)
            early = [rss for at, rss in looks if at <= settled_s]
            late = [rss for at, rss in looks if settled_s < at <= self.sent_s]
            if early and late:
                found[role] = (max(early), max(late), max((rss for at, rss in looks if self.sent_s < at), default=0))
        return found


def main() -> int:
    """Run the load, watch it and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sustained", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--receipts", type=int, help="In place of --minutes.")
    parser.add_argument("--cannot", action="store_true", help="A target that cannot keep up.")
    options = parser.parse_args()
    receipts = options.receipts or round(options.minutes * 60 * options.rate)
    with tempfile.TemporaryDirectory() as folder:
        return _measured(Path(folder), receipts, options.rate, cannot=options.cannot)


def _measured(folder: Path, receipts: int, rate: float, *, cannot: bool) -> int:
    duration_s, log = receipts / rate, folder / "standin.sqlite-wal"
    command = [
        WORKBENCH, "load", "-n", str(receipts), "--rate", f"{rate:g}", "--runs-dir", folder / "runs", "--database",
        folder / "standin.sqlite", "--json", *UNLIMITED, *(CANNOT if cannot else ()),
    ]  # fmt: skip
    seen, began = Seen(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        main = psutil.Process(process.pid)
        while process.poll() is None:
            sending = any((folder / "runs").glob("*/samples/*.live"))
            began = began or (time.monotonic() if sending else 0.0)
            if began and not sending:
                seen.sent_s = min(seen.sent_s, time.monotonic() - began)
            seen.look(main, time.monotonic() - began if began else 0.0, log)
            time.sleep(LOOK_EVERY_S)
        said = process.stdout.read() if process.stdout else ""
    (run,) = (folder / "runs").iterdir()
    began = time.monotonic()
    report = subprocess.run([WORKBENCH, "report", run], capture_output=True, check=False)
    report_s = time.monotonic() - began
    if report.returncode > 1 and report.returncode != 4:  # 1 and 4: receipts failed, or the load could not be offered
        raise SystemExit(f"the report was not made: {report.stderr.decode()[-500:]}")
    return _told(json.loads(said), run, seen, duration_s, receipts, report_s)


def _told(summary: dict[str, Any], run: Path, seen: Seen, duration_s: float, receipts: int, report_s: float) -> int:
    grown = seen.grown(duration_s)
    print("| process | once it has settled, MiB | at most later, MiB | ratio | judging, MiB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for role, (early, late, judging) in sorted(grown.items()):
        last = f"{judging / MIB:.0f}" if judging else ""
        print(f"| {role.partition(' ')[0]} | {early / MIB:.0f} | {late / MIB:.0f} | {late / early:.2f} | {last} |")
    kept = {str(path.relative_to(run)): path.stat().st_size for path in run.rglob("*") if path.is_file()}
    samples = sum(size for name, size in kept.items() if name.startswith("samples/"))
    database = (run.parents[1] / "standin.sqlite").stat().st_size
    outcomes, page = summary.get("outcomes"), kept.get("report.html", 0)
    print(f"receipts {receipts:,}, in {duration_s:,.0f} s; outcomes {outcomes}; verdict {summary.get('verdict')}")
    print(f"run folder {sum(kept.values()) / MIB:.1f} MiB, {samples / receipts:.1f} bytes of samples a receipt")
    print(f"report.html {page / MIB:.1f} MiB in {report_s:.0f} s; database {database / MIB:.0f} MiB")
    print(f"SQLite's log {seen.log_bytes / MIB:.1f} MiB at most")
    most = {role: max(MOST_GROWTH * early, early + SMALL_BYTES) for role, (early, _, _) in grown.items()}
    too_much = [role for role, (_, late, _) in grown.items() if late > most[role]]
    for role in too_much:
        print(f"{role} has grown", file=sys.stderr)
    return 1 if too_much or not grown else 0


if __name__ == "__main__":
    sys.exit(main())
