"""Kill sweeps at random moments: ``python -m tests.crash --moments 100``. Exit code 1 where anything was lost or left.

Prints a table as in docs/faults.md. A case is repeated by its kind, seed and kills:
``--kind network --first-seed 7 --moments 5``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.crash.case import Case, run_case
from tests.crash.kinds import KINDS


def main() -> int:
    """All cases asked for; the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--moments", type=int, default=100, help="Kills of each kind.")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="Only this (again for others).")
    parser.add_argument("--first-seed", type=int, default=1, help="Seed of the first case of each kind.")
    parser.add_argument("--kills", type=int, default=5, help="How often one run is killed before it may finish.")
    parser.add_argument("--until-s", type=float, default=float("inf"), help="Begin no case after so long.")
    options = parser.parse_args()
    began, cases = time.monotonic(), list[Case]()
    seeds = dict.fromkeys(options.kind or KINDS, options.first_seed)
    while seeds and time.monotonic() - began < options.until_s:
        for name in list(seeds):
            done = sum(len(case.victims) for case in cases if case.kind.name == name)
            if done >= options.moments:
                del seeds[name]
                continue
            cases.append(_one(name, seeds[name], min(options.kills, options.moments - done)))
            seeds[name] += 1
    print(table(cases))
    return int(any(case.faults for case in cases))


def _one(name: str, seed: int, kills: int) -> Case:
    folder = Path(tempfile.mkdtemp(prefix=f"crash-{name}-{seed}-"))
    began = time.monotonic()
    case = run_case(KINDS[name], seed, kills, folder)
    what = "; ".join(case.faults) or "nothing lost, nothing left"
    print(
        f"{name}, seed {seed}, {kills} kills ({', '.join(case.victims)}), {time.monotonic() - began:.0f} s: {what}"
        + f" {[round(one) for one in case.seconds]}",
        file=sys.stderr,
        flush=True,
    )
    if case.faults:
        print(f"  kept: {folder}\n  {case.said.strip()[-600:]}", file=sys.stderr, flush=True)
    else:
        shutil.rmtree(folder)
    return case


def table(cases: list[Case]) -> str:
    """Kind, who was killed how often, rows at the last kill, what was wrong: as Markdown."""
    lines = ["| sweep | runs | kills | of | runs with a fault |", "| --- | --- | --- | --- | --- |"]
    for name in KINDS:
        own = [case for case in cases if case.kind.name == name]
        if own:
            killed = Counter(victim for case in own for victim in case.victims)
            of = ", ".join(f"{role} {times}" for role, times in killed.most_common())
            faults = sum(bool(case.faults) for case in own)
            lines.append(f"| {name} | {len(own)} | {sum(killed.values())} | {of} | {faults} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
