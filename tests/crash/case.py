"""One case: a sweep is started, killed a number of times, resumed with the commands that it prints, and checked.

A sweep is measured in the program's two ways: as a typed command, through its notebook, and by a separate process, as
from a panel. The role of the next kill decides which way is used.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import psutil

from tests.crash import checks
from tests.crash.family import APART, COMMAND, GONE_S, KERNEL, NOTEBOOK, Held, family, until_gone
from tests.crash.kinds import Kind, command, settings
from tests.crash.moments import IN_ROWS, Moment, Rows, moments, rows, run_in, state, wait
from workbench.sweep.apart import LOG, Apart, resume_apart, start_apart

END_S = 900.0
"""How long a command may take to end after one of its processes was killed."""

FINISHED = (0, 4)  # 4: on a busy machine a step may be invalid
CUT_OFF = (3, 5, -signal.SIGKILL)  # the last one if it was killed itself
TYPED_SHARE = 0.1
"""The share of typed sweeps if the role exists in both ways: a typed one costs more."""


@dataclass(frozen=True)
class Kill:
    """The killed role, how many rows the run had then, and whether its report was being made."""

    role: str
    rows: int
    report: bool


@dataclass
class Case:
    """A case and its result: the kills, the moments that did ``not_come``, and ``faults``, which should be empty.
    ``seconds``: of each session."""

    kind: Kind
    seed: int
    folder: Path
    kills: list[Kill] = field(default_factory=list)
    not_come: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    said: str = ""
    seconds: list[float] = field(default_factory=list)


def run_case(kind: Kind, seed: int, kills: int, folder: Path, to_come: list[Moment] | None = None) -> Case:
    """Repeatable for the same seed and number of kills, as far as the machine allows. ``to_come``: other moments than
    those of the seed."""
    case, chance = Case(kind, seed, folder), random.Random(f"{kind.name} {seed} ways")
    for name in ("runs", "tmp", "home"):
        (folder / name).mkdir(parents=True)
    before, held, given = set[tuple[int, int, int]](), Held(), settings(kind, folder)
    to_come = moments(kind.name, (*IN_ROWS, *kind.roles), seed, kills) if to_come is None else to_come
    words: list[str] = []
    while not case.faults:
        way = _way(to_come, chance, finished=_is_finished(case))
        if way == COMMAND:
            words = words or (_hint(case) if case.kills else command(given))
            if case.faults:
                break
        killed = len(case.kills)
        code = _session(case, _started(case, way, words, given), way, to_come, before, held)
        words = []
        if code in FINISHED and way == COMMAND and not case.faults:
            _check(case, before, held)
            break
        if code in FINISHED:
            words = ["workbench", "report", str(run_in(folder / "runs"))]
        elif code not in CUT_OFF:
            case.faults.append(f"it ended with {code}: {_last(case.said)}")
        elif len(case.kills) == killed:
            case.faults.append(f"it ended with {code} though nothing was killed: {_last(case.said)}")
    case.not_come += [moment.role for moment in to_come]
    return case


def _way(to_come: list[Moment], chance: random.Random, *, finished: bool) -> str:
    """The way in which the next session is run, so that the role of the next moment exists."""
    if finished or not to_come or to_come[0].report or to_come[0].role in (COMMAND, NOTEBOOK, KERNEL):
        return COMMAND
    return APART if to_come[0].role == APART or chance.random() > TYPED_SHARE else COMMAND


def _is_finished(case: Case) -> bool:
    run = run_in(case.folder / "runs")
    return run is not None and state(run) == "finished"


def _started(case: Case, way: str, words: list[str], given: dict[str, object]) -> Apart | subprocess.Popen[bytes]:
    if way == APART:
        run = run_in(case.folder / "runs")
        with patch.dict(os.environ, environment(case.folder), clear=True):
            return start_apart("sweep", given) if run is None else resume_apart(run)
    with _log(case).open("w") as file:
        return subprocess.Popen(words, stdout=file, stderr=file, cwd=case.folder, env=environment(case.folder))


def _log(case: Case) -> Path:
    return case.folder.with_suffix(".said")


def _session(
    case: Case,
    begun: Apart | subprocess.Popen[bytes],
    way: str,
    to_come: list[Moment],
    before: Rows,
    held: Held,
) -> int:
    """Follow a session until it ends and kill a process at each possible moment; returns its exit code. Moments that
    came are removed. Its output is in ``case.said``."""
    process = begun.process if isinstance(begun, Apart) else begun
    log = begun.folder.path / LOG if isinstance(begun, Apart) else _log(case)
    began, planned, said = (
        time.monotonic(),
        sum(case.kind.receipts) + case.kind.extra,
        log.stat().st_size * (way == APART),
    )
    try:
        while (moment := next((one for one in to_come if _fits(one, way)), None)) is not None:
            if wait(moment, case.folder / "runs", planned, lambda: process.poll() is None):
                if _kill(case, process, way, moment, before, held):
                    to_come.remove(moment)
            elif _is_finished(case) and not moment.report:
                case.not_come += [one.role for one in to_come if not one.report]
                to_come[:] = [one for one in to_come if one.report]
            else:
                break
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        case.faults.append(f"it did not end within {END_S:g} s")
    finally:
        process.kill()
        process.wait()
        case.said = log.read_text()[said:]
        case.seconds.append(round(time.monotonic() - began, 1))
        if way == COMMAND:
            log.unlink()
    if "Traceback" in case.said:
        case.faults.append("it printed a traceback")
    if found_left := until_gone(case.folder):
        case.faults.append(f"processes are left: {found_left}")
    if held_left := held.left():
        case.faults.append(f"is left: {held_left}")
    if (run := run_in(case.folder / "runs")) is not None:
        before |= rows(run)
    return process.returncode


def _fits(moment: Moment, way: str) -> bool:
    """Whether the role of the moment exists in a session of this way."""
    if way == APART:
        return not moment.report and moment.role not in (COMMAND, NOTEBOOK, KERNEL)
    return moment.role != APART


def _kill(
    case: Case,
    process: subprocess.Popen[bytes],
    way: str,
    moment: Moment,
    before: Rows,
    held: Held,
) -> bool:
    """Kill the role of a moment; False if it does not exist or has just ended."""
    found = family(psutil.Process(process.pid), way)
    victims = found.get(moment.role)
    if not victims:
        return False
    try:
        victims[0].suspend()  # on a busy machine it could end during this check
        if victims[0].status() == psutil.STATUS_ZOMBIE:
            return False
        held.look(one for several in found.values() for one in several)
        run = run_in(case.folder / "runs")
        assert run is not None
        there = rows(run)
        before |= there
        victims[0].kill()
    except psutil.NoSuchProcess:
        return False
    if victims[0].pid == process.pid:
        process.wait()  # by its own method: another wait would take its exit code
    else:
        _until_dead(victims[0])
    case.kills.append(Kill(moment.role, len(there), moment.report))
    return True


def _until_dead(process: psutil.Process) -> None:
    """Its parent may reap it late: until then it is a zombie."""
    deadline = time.monotonic() + GONE_S
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.01)


def environment(folder: Path) -> dict[str, str]:
    """The variables of a case's processes: separate folders, and ``workbench`` on the path."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    variables.pop("XDG_RUNTIME_DIR", None)
    path = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])
    return variables | {"PATH": path, "TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")}


def _hint(case: Case) -> list[str]:
    """The printed command that resumes; a killed process printed none, so it is taken from the run."""
    hints = list(_hints(case.said))
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
        hints = list(_hints(case.said))
    if len(hints) != 1:
        case.faults.append(f"it did not print how to resume: {_last(case.said)}")
        return []
    return shlex.split(hints[0])


def _hints(said: str) -> Iterator[str]:
    yield from re.findall(r"`(workbench [^`]+)`", _last(said))


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else ""


def _check(case: Case, before: Rows, held: Held) -> None:
    run = run_in(case.folder / "runs")
    assert run is not None
    case.faults += checks.wrong_rows(run, before, case.kind.receipts)
    if not case.faults:
        case.faults += checks.wrong_receipts(run, case.kind.database(case.folder, run))
    case.faults += checks.wrong_report(run)
    case.faults += [f"is left: {name}" for name in [*checks.left_files(case.folder), *held.left()]]
