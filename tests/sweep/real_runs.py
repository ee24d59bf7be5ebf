"""Run folders made of the real programs' profiles, as a sweep leaves them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.analysis.real import real, strace_windows
from workbench.analysis import step_row as steps_table
from workbench.profilers.modes import Mode
from workbench.profilers.windows.record import Window
from workbench.report.answers.example import example
from workbench.runs.folder import RunFolder
from workbench.sweep.cost_table import Sent, keep_costs, keep_idle_costs
from workbench.sweep.steps import Step, parse_steps
from workbench.sweep.windows import IDLE, window_name

SERVICE = "indexer-service-rs"
# under callgrind a receipt took about half a second, four in flight
RECEIPTS_PER_S = {"callgrind": 8.0, "flamegraph": 500.0, "massif": 8.0}
IDLE_S = 60.0
SCHEMA = 1


def step(number: int, mode: str, sent: int) -> steps_table.StepRow:
    """The row of a step that went well."""
    base = dict.fromkeys(steps_table.StepRow.__dataclass_fields__, math.nan)
    texts = {"loop": "closed", "payer": "", "denied_after_settle": "no", "verdict": "PASS", "reason": "", "failure": ""}
    counts = {"receipts": sent, "sent": sent, "accepted": sent, "denied": 0, "failed": 0, "paid": sent}
    return steps_table.StepRow(**{**base, **texts, **counts, "step": number, "kind": "step", "profiler": mode})  # type: ignore[arg-type]


def real_run(path: Path, mode: Mode, windows: Mapping[int, Window], idle: Window | None = None) -> Path:
    """A finished run of steps with so many receipts, each with its window."""
    run = RunFolder.at(path)
    run.update_manifest(schema=SCHEMA, profiler={"mode": mode}, state="finished", exit_code=0)
    (path / "profiles").mkdir(exist_ok=True)
    before = 0
    planned: Sequence[Step] = parse_steps(",".join(map(str, windows))) if windows else ()
    for one, (sent, window) in zip(planned, windows.items(), strict=True):
        keep_costs(path, one, Sent(sent, sent, 0, before), (window,))
        before += sent
    if idle is not None:
        keep_idle_costs(path, (idle,))
    rows = [step(number, mode, sent) for number, sent in enumerate(windows, 1)]
    steps_table.to_frame(rows).to_parquet(path / "steps.parquet", index=False)
    return path


def window(run: Path, mode: Mode, name: str, seconds: float, begun_s: float, **files: str) -> Window:
    """A window of a run, its raw files copied into it."""
    folder = run / "profiles" / SERVICE / mode
    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for what, source in files.items():
        names[what] = f"{name}.{source.removeprefix('service-')}"
        shutil.copy(real(source), folder / names[what])
    made = Window(SERVICE, mode, name, int(begun_s * 1e9), int((begun_s + seconds) * 1e9), folder, names, {})
    made.write()
    return made


def callgrind_run(path: Path, steps: Mapping[int, str], *, idle: bool = True) -> Path:
    """Steps of so many receipts, by the file each was counted in, and the idle window of 60 s before them."""
    rate, begun, made = RECEIPTS_PER_S["callgrind"], 100.0, {}
    alone = window(path, "callgrind", IDLE, IDLE_S, 0.0, dump="service-idle.callgrind.out.gz") if idle else None
    for number, (sent, file) in enumerate(steps.items(), 1):
        made[sent] = window(path, "callgrind", window_name(number), sent / rate, begun, dump=file)
        begun += sent / rate
    return real_run(path, "callgrind", made, alone)


def flamegraph_run(path: Path) -> Path:
    """One step of four minutes at 500 receipts a second, back to the service's start: a report is cumulative."""
    sent = int(240 * RECEIPTS_PER_S["flamegraph"])
    only = window(path, "flamegraph", window_name(1), 240.0, 0.0, end="service-profile-1.pb")
    return real_run(path, "flamegraph", {sent: only})


def massif_run(path: Path) -> Path:
    """One step of 400 receipts."""
    files = {what: f"service-step-400.{what}.massif.out.gz" for what in ("begin", "end", "series")}
    return real_run(path, "massif", {400: window(path, "massif", window_name(1), 50.0, 0.0, **files)})


def strace_run(path: Path) -> Path:
    """Steps of 50, 100, 200 and 400 receipts, and 60 s without one."""
    from dataclasses import replace

    found = strace_windows(path / "profiles" / SERVICE / "strace")
    named = {}
    for number, sent in enumerate((50, 100, 200, 400), 1):
        old = found[f"step-{sent}"]
        (old.folder / f"{old.name}.window.json").unlink()
        named[sent] = replace(old, name=f"step-{number:03d}")
    for one in named.values():
        one.write()
    return real_run(path, "strace", named, found[IDLE])


def example_run(folder: Path, name: str) -> Path:
    """A step of 60 receipts of the committed example, ``before`` or ``after`` its change: a small service in C."""
    place = folder / name / "profiles" / "receipts" / "callgrind"
    place.mkdir(parents=True)
    shutil.copy(example(f"receipts-{name}.callgrind.out.gz"), place / "step-001.out")
    made = Window("receipts", "callgrind", "step-001", 0, 10**9, place, {"dump": "step-001.out"}, {})
    made.write()
    return real_run(folder / name, "callgrind", {60: made})
