"""One case: a sweep is begun, killed as often as its seed says, gone on with by the hints it gives, and checked."""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.crash import checks
from tests.crash.family import COMMAND, GONE_S, Held, family, until_gone
from tests.crash.kinds import RECEIPTS, Kind, command
from tests.crash.moments import Moment, Rows, moments, rows, run_in, state, wait

END_S = 900.0
"""So long a command has to end once one of its processes was killed."""

FINISHED = (0, 4)  # 4: on a busy machine a step may be no valid measurement


@dataclass
class Case:
    """A case and what came of it: who was killed at which row or cell, and ``faults``, which should be empty."""

    kind: Kind
    seed: int
    folder: Path
    victims: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    said: str = ""
    seconds: list[float] = field(default_factory=list)


def run_case(kind: Kind, seed: int, kills: int, folder: Path) -> Case:
    """The same for the same seed, as far as the machine lets it be."""
    case = Case(kind, seed, folder)
    chance = random.Random(f"{kind.name} {seed}")
    for name in ("runs", "tmp", "home"):
        (folder / name).mkdir(parents=True)
    words, before, held = command(kind, folder), set[tuple[int, int, int]](), Held()
    to_come = moments(chance, kills)
    while not case.faults:
        killed = len(case.victims)
        code = _session(case, words, to_come, before, held)
        if code in FINISHED and not case.faults:
            _check(case, before, held)
            break
        if len(case.victims) == killed:
            case.faults.append(f"it ended with {code} though nothing was killed: {_last(case.said)}")
        if not case.faults:
            words = _hint(case)
    return case


def _session(case: Case, words: list[str], to_come: list[Moment], before: Rows, held: Held) -> int:
    """Run a command, of which something is killed at each moment until it ends; its exit code. Moments that came are
    taken out. What the command said is in ``case.said``."""
    log = case.folder.with_suffix(".said")
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, cwd=case.folder, env=environment(case.folder))
    began, planned = time.monotonic(), sum(RECEIPTS) + case.kind.extra
    try:
        while to_come and wait(to_come[0], case.folder / "runs", planned, lambda: process.poll() is None):
            _kill(case, process, to_come.pop(0), before, held)
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        case.faults.append(f"it did not end within {END_S:g} s")
    finally:
        process.kill()
        process.wait()
        case.said = log.read_text()
        case.seconds.append(time.monotonic() - began)
        log.unlink()
    if "Traceback" in case.said:
        case.faults.append("it said a traceback")
    if found := until_gone(case.folder):
        case.faults.append(f"processes are left: {found}")
    if found := held.left():
        case.faults.append(f"is left: {found}")
    if (run := run_in(case.folder / "runs")) is not None:
        before |= rows(run)
    return process.returncode


def _kill(case: Case, process: subprocess.Popen[bytes], moment: Moment, before: Rows, held: Held) -> None:
    found = family(psutil.Process(process.pid))
    held.look(one for several in found.values() for one in several)
    run = run_in(case.folder / "runs")
    assert run is not None
    before |= rows(run)
    role = next(role for role in moment.roles if role in found)
    victim = found[role][0]
    try:
        victim.kill()
    except psutil.NoSuchProcess:
        return
    if role == COMMAND:
        process.wait()  # by its own means: who else waits for it takes its exit code away
    else:
        psutil.wait_procs([victim], timeout=GONE_S)
    case.victims.append(f"{role}{', report' if state(run) == 'finished' else ''}")


def environment(folder: Path) -> dict[str, str]:
    """The variables of a case's processes: folders of its own, and ``workbench`` on the path."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    variables.pop("XDG_RUNTIME_DIR", None)
    path = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])
    return variables | {"PATH": path, "TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")}


def _hint(case: Case) -> list[str]:
    """The command that goes on, as it was printed; who was killed printed none, and the run is asked for."""
    hints = re.findall(r"`(workbench [^`]+)`", _last(case.said))
    run = run_in(case.folder / "runs")
    if not hints and run is not None and state(run) == "finished":
        return ["workbench", "report", str(run)]
    if not hints and run is not None:
        asked = subprocess.run(
            ["workbench", "report", str(run)],
            capture_output=True,
            text=True,
            cwd=case.folder,
            env=environment(case.folder),
            check=False,
        )
        case.said = asked.stderr
        hints = re.findall(r"`(workbench [^`]+)`", _last(case.said))
    if len(hints) != 1:
        case.faults.append(f"it said not how to go on: {_last(case.said)}")
        return []
    return shlex.split(hints[0])


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else ""


def _check(case: Case, before: Rows, held: Held) -> None:
    run = run_in(case.folder / "runs")
    assert run is not None
    case.faults += checks.wrong_rows(run, before)
    if not case.faults:
        case.faults += checks.wrong_receipts(run, case.kind.database(case.folder, run))
    case.faults += checks.wrong_report(run)
    case.faults += [f"is left: {name}" for name in [*checks.left_files(case.folder), *held.left()]]
