"""The results of a sweep so far, in memory and in its run folder: begun, resumed, and written step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench.analysis import step_row as steps_table
from workbench.analysis.learnt import CutOff, Learnt, learnt_from
from workbench.errors import RunFolderError
from workbench.load.chunks import LiveRows, StoredRows
from workbench.load.samples import PARQUET, nonces_from, to_frame
from workbench.load.spec import StepReport, generator_lines
from workbench.load.summary import StepSummary, Tally, histogram_table
from workbench.profilers.windows.record import Window
from workbench.runs.atomic import write_parquet, write_parquet_parts
from workbench.runs.folder import RunFolder, utc_now
from workbench.runs.machine import machine, versions
from workbench.runs.read import open_run, read_parquet
from workbench.settings import Settings
from workbench.sweep.cost_table import Sent, keep_costs, keep_idle_costs
from workbench.sweep.series import per_second
from workbench.sweep.steps import Step, first_number
from workbench.sweep.watch import Clock, Watch
from workbench.thresholds.judge import Judged

if TYPE_CHECKING:
    import pandas as pd

OnEvent = Callable[[str, dict[str, Any]], None]


class Record:
    """The rows of the finished steps, the run's clock, and the folder they are written to.

    ``payers``: the last payer of each step, by step number. ``given``: all payers that were ever used, including steps
    that were cut off. ``spent_before``: the fees in wei that the agent held of each when it was first used.
    ``manifest``: that of the interrupted session, empty for a new run. ``generators``: how many send each step.
    ``learnt``: what the rows tell about the limit. ``session``: how often the run was resumed; the service was
    restarted each time.
    """

    def __init__(self, settings: Settings, folder: RunFolder, on_event: OnEvent | None) -> None:
        self.settings = settings
        self.folder = folder
        self.rows: list[steps_table.StepRow] = []
        self.payers: dict[int, str] = {}
        self.generators: dict[int, int] = {}
        self.given: list[str] = []
        self.spent_before: dict[str, int] = {}
        self.manifest: dict[str, Any] = {}
        self.learnt = Learnt()
        self.watch: Watch | None = None
        self.session = 0
        self._on_event = on_event

    def begin(self, steps: tuple[Step, ...], rates: Sequence[float], concurrency: int | None, **facts: Any) -> None:
        """Start a session: take over what an earlier one finished, and mark the run as running in the manifest.

        ``rates``: the rate of each step in an open loop.
        """
        wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        manifest = self.folder.manifest() if self.folder.exists() else {}
        if manifest.get("state", "new") != "new":
            self.manifest = manifest
            self._take_up()
        earlier = self.manifest.get("clock", {}).get("sessions", [])
        self.session = len(earlier)
        sessions = [*earlier, {"step": len(self.rows), "wall_ns": wall_ns, "monotonic_ns": monotonic_ns}]
        self.clock = Clock(sessions[0]["wall_ns"], wall_ns, monotonic_ns, self._known_s() if earlier else 0.0)
        self.folder.update_manifest(
            name=self.settings.name,
            created=self.manifest.get("created", utc_now()),
            state="running",
            error=None,
            settings=self.settings.public(),
            versions=versions(),
            machine=machine(),
            clock={"sessions": sessions},
            steps_planned=[asdict(step) for step in steps],
            **facts,
        )
        write_parquet(self.folder.path / "plan.parquet", _plan_frame(steps, rates, concurrency))
        done = sum(row.kind == "step" for row in self.rows)
        self.event("run_resumed" if earlier else "run_started", steps=len(steps), done=done)

    def plan(self, steps: tuple[Step, ...], rates: Sequence[float], concurrency: int | None) -> None:
        """Write the plan of a run that decides step by step: all steps so far and the next one."""
        self.folder.update_manifest(steps_planned=[asdict(step) for step in steps])
        write_parquet(self.folder.path / "plan.parquet", _plan_frame(steps, rates, concurrency))

    @property
    def first(self) -> int:
        """The number of the first step."""
        return first_number(self.folder.manifest() if self.folder.exists() else {})

    @property
    def upcoming(self) -> int:
        """The number of the next step of a run that decides step by step."""
        return max((row.step for row in self.rows), default=self.first - 1) + 1

    def has(self, step: Step) -> bool:
        """Whether a step is measured."""
        return any(row.step == step.number for row in self.rows)

    def give(self, step: int, payer: str, spent_wei: int | None) -> None:
        """Note that ``step`` uses ``payer``, of whom the agent holds ``spent_wei``."""
        self.payers[step] = payer
        self.given.append(payer)
        if spent_wei is not None:
            self.spent_before.setdefault(payer, spent_wei)
        payers = {str(number): address for number, address in self.payers.items()}
        spent = {address: str(wei) for address, wei in self.spent_before.items()}
        self.folder.update_manifest(payers=payers, payers_given=self.given, payers_spent_before_wei=spent)

    def paid_by(self, payer: str) -> int:
        """Receipts of the run that ``payer`` paid for, in finished and in cut-off steps."""
        ended = sum(row.paid for row in self.rows if row.payer == payer)
        return ended + sum(one.paid for one in self.learnt.cut_off if one.payer == payer)

    def live(self, step: int) -> LiveRows:
        """The rows that the running step has measured."""
        return LiveRows(self.folder.live_samples(step))

    def keep_rows(self, step: int, tallied: Tally) -> None:
        """Write the rows of a step that has ended, and their sums; the live file is removed after that."""
        live = self.live(step)
        series, histograms = per_second(live, step, self.clock), histogram_table(live, step, tallied)
        self.folder.histograms(step).parent.mkdir(exist_ok=True)
        write_parquet(self.folder.histograms(step), histograms)
        write_parquet_parts(self.folder.samples(step), self._frames(step, live), **PARQUET)
        self.folder.live_samples(step).unlink()
        self._append("series.parquet", series, step)

    def write(self, row: steps_table.StepRow) -> None:
        """Finish a step whose rows are written. Its row in steps.parquet is written last: a step without one is run
        again."""
        self._write_watch()
        self.rows.append(row)
        write_parquet(self.folder.path / "steps.parquet", steps_table.to_frame(self.rows))
        self.learnt = self.learnt.with_row(row, self.rows)

    def drop(self, step: int) -> None:
        """Drop a finished step that will be run again; its samples move to those of cut-off steps."""
        self.rows = [row for row in self.rows if row.step != step]
        samples = self.folder.samples(step)
        if samples.exists():
            samples.replace(self.folder.interrupted_samples(step))

    def keep_profiles(self, step: Step, summary: StepSummary, windows: tuple[Window, ...]) -> None:
        """Read the windows of a step and keep their costs; the raw files are already in the folder."""
        receipts = Sent(summary.sent, summary.accepted, summary.denied, self.sent_before())
        keep_costs(self.folder.path, step, receipts, windows)

    def keep_idle(self, windows: tuple[Window, ...]) -> None:
        """Keep the costs of the idle window."""
        keep_idle_costs(self.folder.path, windows)

    def sent_before(self) -> int:
        """Receipts that were answered before the running step, including those of cut-off and dropped steps: they are
        still in the database of a service that was restarted for a resumed run."""
        import pyarrow.parquet as pq

        cut_off = (self.folder.path / "interrupted").glob("step-*.parquet")
        return sum(row.sent for row in self.rows) + sum(int(pq.read_metadata(path).num_rows) for path in cut_off)

    def keep_generators(self, step: int, report: StepReport) -> None:
        """Write each generator's report into the manifest, if there were several or one on another machine."""
        if lines := generator_lines(report):
            kept = self.folder.manifest().get("generators", {})
            for name, text in lines.items():
                kept[f"step {step}, {name}"] = text
            self.folder.update_manifest(generators=kept)
            self.event("generators", step=step, generators=lines)

    def finish(
        self, limit: dict[str, Any], verdict: dict[str, Any], judged: Sequence[Judged] = (), **facts: Any
    ) -> None:
        """Write the run's conclusion and other ``facts`` into its manifest; ``judged``: its thresholds."""
        self.folder.update_manifest(
            state="finished",
            finished=utc_now(),
            limit=limit,
            verdict=verdict,
            thresholds=[one.as_dict() for one in judged],
            exit_code=verdict["exit_code"],
            **facts,
        )
        self.event("run_finished", verdict=verdict["verdict"], sentence=verdict["sentence"])

    def stop(self, state: str, why: str, exit_code: int) -> None:
        """The run ended early: write that, and keep the rows of the step that was cut off."""
        try:
            self.folder.update_manifest(state=state, error=why, exit_code=exit_code, stopped=utc_now())
            self._put_aside()
            self._write_watch()
            self.event(f"run_{state}", why=why)
        except RunFolderError:
            pass  # a full disk: the first error is the one to report, and --resume uses what was written

    def event(self, kind: str, **facts: Any) -> None:
        """Write a line of events.jsonl and call the listener."""
        self.tell(self.folder, self._on_event, kind, **facts)

    @staticmethod
    def tell(folder: RunFolder, on_event: OnEvent | None, kind: str, **facts: Any) -> None:
        """Like :meth:`event`, before there is a record."""
        folder.event(kind, **facts)
        if on_event is not None:
            on_event(kind, facts)

    def _take_up(self) -> None:
        """Take over what an interrupted session finished, and move the rows of its cut-off step aside."""
        self.given = list(self.manifest.get("payers_given", []))
        self.payers = {int(step): payer for step, payer in self.manifest.get("payers", {}).items()}
        spent = self.manifest.get("payers_spent_before_wei", {})
        self.spent_before = {payer: int(wei) for payer, wei in spent.items()}
        self._put_aside()
        run = open_run(self.folder.path)
        rows = steps_table.from_frame(run.steps) if len(run.steps) else []
        self.rows = [row for row in rows if self.folder.samples(row.step).exists()]
        done = {row.step for row in self.rows}
        for path in (self.folder.path / "samples").glob("step-*.parquet"):
            step = int(path.stem.removeprefix("step-"))
            if step not in done:  # killed between writing the samples and the row
                path.replace(self.folder.interrupted_samples(step))
        prediction = self.manifest.get("prediction") or {}
        self.learnt = learnt_from(
            self.rows,
            predicted=prediction.get("receipts"),
            approached=self.manifest.get("approached", 0),
            cut_off=self._cut_off(),
        )
        series = run.series
        if len(series) and not set(series["step"]) <= done:
            write_parquet(self.folder.path / "series.parquet", series[series["step"].isin(done)])

    def _cut_off(self) -> list[CutOff]:
        """Receipts paid for in steps that were cut off or dropped. Each has one payer."""
        found = []
        for path in sorted((self.folder.path / "interrupted").glob("step-*.parquet")):
            rows = StoredRows(path)
            payers = read_parquet(path, ["payer"])["payer"].unique() if len(rows) else []
            paid = sum(int(chunk.paid.sum()) for chunk in rows)
            found += [CutOff(int(path.stem.split("-")[1]), str(payer), paid) for payer in payers[:1]]
        return found

    def _known_s(self) -> float:
        """The latest run time in any table of the run."""
        run = open_run(self.folder.path)
        return max((float(table["t_s"].max()) for table in (run.series, run.watch) if len(table)), default=0.0)

    def _put_aside(self) -> None:
        """Keep the rows of a cut-off step, apart from those of finished steps.

        The live file is moved first: if this is killed before all is written, the next session writes it again under
        the same name.
        """
        for live in sorted((self.folder.path / "samples").glob("step-*.live")):
            step = int(live.stem.removeprefix("step-"))
            if not self.folder.samples(step).exists() and self.live(step).measured():
                live.replace(self.folder.interrupted_samples(step).with_suffix(".live"))
            else:
                live.unlink()
        for live in sorted((self.folder.path / "interrupted").glob("step-*.live")):
            step = int(live.stem.split("-")[1])
            write_parquet_parts(live.with_suffix(".parquet"), self._frames(step, LiveRows(live)), **PARQUET)
            live.unlink()

    def _frames(self, step: int, live: LiveRows) -> Iterator[pd.DataFrame]:
        """The live rows of a step as samples frames, one a chunk."""
        for first, rows in live.blocks():
            yield to_frame(
                rows,
                step=step,
                nonce=nonces_from(self.settings.seed, step, first, len(rows)),
                payer=self.payers.get(step, ""),
                value_grt=float(self.settings.value_grt),
                workers=self.generators.get(step, 1),
                first=first,
            )

    def _write_watch(self) -> None:
        if self.watch is not None:
            watched, self.watch.rows = self.watch.frame(), []
            self._append("watch.parquet", watched)
            if self.watch.left_out:
                self.event("metrics_left_out", rows=self.watch.left_out, kept=len(watched))
                self.watch.left_out = 0

    def _append(self, name: str, frame: pd.DataFrame, step: int | None = None) -> None:
        """Add rows to a table, replacing those of ``step``, which may have been dropped and run again."""
        import pandas as pd

        path = self.folder.path / name
        if path.exists():
            known = read_parquet(path)
            if step is not None and "step" in known:
                known = known[known["step"] != step]
            frame = pd.concat([known, frame], ignore_index=True)
        write_parquet(path, frame)


def _plan_frame(steps: tuple[Step, ...], rates: Sequence[float], concurrency: int | None) -> pd.DataFrame:
    """The plan as a table: ``step``, ``receipts``, ``rate_per_s``, ``concurrency`` (NaN for the other kind of loop)."""
    import pandas as pd

    return pd.DataFrame(
        {
            "step": [step.number for step in steps],
            "receipts": [step.receipts for step in steps],
            "rate_per_s": [rate if concurrency is None else math.nan for rate in rates],
            "concurrency": math.nan if concurrency is None else float(concurrency),
        }
    )
