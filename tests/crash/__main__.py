"""Kill sweeps at random moments: ``python -m tests.crash --moments 100``. Exit code 1 if anything was lost or left
over.

Prints a table as in docs/faults.md; ``--results FILE`` adds a JSON line for each case as it ends, and ``--table FILE``
prints the table of such files. A case is repeated by its kind, seed and kills:
``--kind network --first-seed 7 --cases 1``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.crash.case import run_case
from tests.crash.kinds import KINDS

Result = dict[str, Any]
"""A case as a line of the results: kind, seed, kills, faults, seconds, code version and day."""


def main() -> int:
    """Run all requested cases and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--moments", type=int, default=100, help="Least number of kills of each kind.")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="Only this kind; can be repeated.")
    parser.add_argument("--first-seed", type=int, default=1, help="Seed of the first case of each kind.")
    parser.add_argument("--kills", type=int, default=12, help="Kills of one run before it may finish.")
    parser.add_argument("--cases", type=int, help="Number of cases of each kind, instead of --moments.")
    parser.add_argument("--until-s", type=float, default=float("inf"), help="Start no case after this time.")
    parser.add_argument("--parallel", type=int, default=1, help="Cases run at the same time.")
    parser.add_argument("--results", type=Path, help="File to which a line for each case is appended.")
    parser.add_argument("--table", type=Path, nargs="+", help="Print the table of these files, and kill nothing.")
    parser.add_argument("--case", nargs=3, metavar=("KIND", "SEED", "KILLS"), help="A single case, given as JSON.")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(_one(options.case[0], int(options.case[1]), int(options.case[2]))))
        return 0
    if options.table:
        results = [json.loads(line) for path in options.table for line in path.read_text().splitlines()]
    else:
        results = list(_all(options))
    print(table(results))
    return int(any(result["faults"] for result in results))


def _all(options: argparse.Namespace) -> Iterator[Result]:
    """The results of all cases as they end: printed and appended to the file."""
    until, version = time.monotonic() + options.until_s, _version()
    to_come, done = _cases(options), Counter[str]()
    running: set[Future[Result]] = set()
    with ThreadPoolExecutor(options.parallel) as pool:
        while True:
            while len(running) < options.parallel and time.monotonic() < until:
                following = next((one for one in to_come if options.cases or done[one[0]] < options.moments), None)
                if following is None:
                    break
                running.add(pool.submit(_apart, *following, options.kills, version))
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                result = future.result()
                done[result["kind"]] += len(result["kills"])
                if options.results:
                    with options.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                yield result


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Kinds in turn, with their seeds."""
    seed = options.first_seed
    while options.cases is None or seed < options.first_seed + options.cases:
        yield from ((name, seed) for name in options.kind or KINDS)
        seed += 1
        if options.cases is None and seed > options.first_seed + options.moments:
            return


def _apart(name: str, seed: int, kills: int, version: str) -> Result:
    """A case in a separate process."""
    words = [sys.executable, "-m", "tests.crash", "--case", name, str(seed), str(kills)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "version": version}


def _one(name: str, seed: int, kills: int) -> Result:
    folder = Path(tempfile.mkdtemp(prefix=f"crash-{name}-{seed}-"))
    began = time.monotonic()
    case = run_case(KINDS[name], seed, kills, folder)
    took_s = time.monotonic() - began
    what = "; ".join(case.faults) or "nothing lost, nothing left over"
    roles = ", ".join(f"{kill.role}{' in the report' if kill.report else ''}" for kill in case.kills)
    print(
        f"{name}, seed {seed}, {len(case.kills)} kills ({roles}), {took_s:.0f} s: {what}; {case.seconds}"
        + (f"; did not come: {', '.join(case.not_come)}" if case.not_come else ""),
        file=sys.stderr,
        flush=True,
    )
    if case.faults:
        print(f"  kept: {folder}\n  {case.said.strip()[-600:]}", file=sys.stderr, flush=True)
    else:
        shutil.rmtree(folder)
    return {
        "kind": name,
        "seed": seed,
        "of": kills,
        "kills": [asdict(kill) for kill in case.kills],
        "not_come": case.not_come,
        "faults": case.faults,
        "took_s": round(took_s, 1),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def table(results: Iterable[Result]) -> str:
    """Kinds, killed processes and faults as a Markdown table."""
    results = list(results)
    lines = ["| sweep | runs | kills | of | s a kill | runs with a fault |", "| --- | --- | --- | --- | --- | --- |"]
    for name in KINDS:
        own = [result for result in results if result["kind"] == name]
        kills = [kill for result in own for kill in result["kills"]]
        if not kills:
            continue
        told = [_told(kills, report=report) for report in (False, True)]
        of = "; in the report ".join(part for part in told if part)
        each_s = sum(result["took_s"] for result in own) / len(kills)
        faults = sum(bool(result["faults"]) for result in own)
        lines.append(f"| {name} | {len(own)} | {len(kills)} | {of} | {each_s:.0f} | {faults} |")
    return "\n".join(lines)


def _told(kills: list[dict[str, Any]], *, report: bool) -> str:
    killed = Counter(kill["role"] for kill in kills if kill["report"] == report)
    return ", ".join(f"{role} {times}" for role, times in sorted(killed.items()))


if __name__ == "__main__":
    sys.exit(main())
