"""What the summary of a batch shows: one sweep under several profilers, and their results combined."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.analysis.tiles import Tile, cost_lines
from workbench.batches.folder import Batch, findings_of
from workbench.report.display import verdict_box
from workbench.report.profiled_run import ReceiptCost
from workbench.report.tables import heading, table
from workbench.report.view import Shown, View, has_nothing, in_words, label, nothing, sentence
from workbench.sweep.opened import SweepRun

if TYPE_CHECKING:
    from workbench.analysis.findings import Findings
    from workbench.sweep.run_profiles import RunProfiles

_UNPROFILED = "No run of the batch was under a profiler."
_IN_EACH = "The runs differ in more than the profiler: see the report of each run, linked above."


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """The cells about a batch. Each says in words when there is nothing to show."""

    batch: Batch

    @cached_property
    def runs(self) -> dict[str, SweepRun]:
        """The existing runs, opened once for all cells."""
        return self.batch.runs()

    @cached_property
    def profiles(self) -> dict[str, RunProfiles]:
        """The profiles of each run that has any, read once for all cells."""
        found = {name: run.profiles for name, run in self.runs.items()}
        return {name: profiles for name, profiles in found.items() if profiles.mode != "none" and profiles.services}

    @cached_property
    def found(self) -> Findings:
        """The findings in the profiles of all runs."""
        return findings_of(self.profiles)

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """The four tiles at the top."""
        return self.batch.tiles_with(self.found)

    def overview(self) -> View:
        """One row per run: its place on the axes, verdict, figures, cost of the profiler, and links to its report and
        notebook; the error of a failed run. The CSV file has all figures."""
        import pandas as pd

        found = self.batch.table
        shown = found.drop(columns=["error", "folder"]).rename(columns={name: _heading(name) for name in found})
        overheads = {
            name: one for name in found["run"] if name in self.profiles and (one := self.profiles[name].overhead())
        }
        if overheads:
            times = [overheads[run].response_p50 if run in overheads else float("nan") for run in found["run"]]
            shown["slowdown, times"] = times
        if self.batch.once_a_mode:
            costs = [name for name in found if str(name).endswith("_per_receipt")]
            shown = shown.drop(columns=["run", "repeat", *map(_heading, costs)])
            shown["a receipt costs"] = [self._cost(run) for run in found["run"]]
        elif (found["repeat"] == 1).all():
            shown = shown.drop(columns=["repeat"])
        if (found["state"] == "finished").all():
            shown = shown.drop(columns=["state"])
        if found["error"].ne("").any() or self.batch.skipped:
            shown["outcome or error"] = found["error"]
        there = [bool(folder) and (self.batch.path / folder / "notebook.ipynb").is_file() for folder in found["folder"]]
        shown["notebook"] = ["notebook" if one else "" for one in there]
        first = shown.columns[0]
        left_out = pd.DataFrame(
            [{first: name, "verdict": "left out", "outcome or error": why} for name, why in self.batch.skipped.items()]
        )
        whole = pd.concat([shown, left_out], ignore_index=True) if len(left_out) else shown
        texts = [name for name in whole if whole[name].dtype == object or str(whole[name].dtype) == "str"]
        return table(
            whole.fillna(dict.fromkeys(texts, "")),
            links={
                str(first): [*self._addresses(found["folder"], "report.html"), *[""] * len(left_out)],
                "notebook": [*self._addresses(found["folder"], "notebook.ipynb"), *[""] * len(left_out)],
            },
            name="runs",
            csv=found,
        )

    def _addresses(self, folders: Iterable[str], file: str) -> list[str]:
        """The link to a file of each run from the batch's page; "" if it does not exist."""
        return [f"{one}/{file}" if one and (self.batch.path / one / file).is_file() else "" for one in folders]

    def _cost(self, run: str) -> str:
        """The cost of a receipt in a run, in the main metric of its profiler."""
        return next(iter(cost_lines(self.runs[run].figures)), "") if run in self.runs else ""

    def combinations(self) -> View:
        """Repeats of the same run combined: the median of each figure, with the lowest and highest."""
        import pandas as pd

        from workbench.batches.folder import FIGURES

        found, axes = self.batch.table, list(self.batch.axes)
        if found.empty or not axes or (found["repeat"] == 1).all():
            return nothing("No run was repeated.")
        rows = []
        for place, group in found.groupby(axes, sort=False):
            row = {**dict(zip(axes, place, strict=True)), "runs": int(group["verdict"].ne("").sum())}
            for name in (name for name in FIGURES if name in found):
                values = group[name].dropna()
                low, middle, high = values.min(), values.median(), values.max()
                row[_heading(name)] = f"{middle:,.4g} ({low:,.4g} to {high:,.4g})" if len(values) else ""
            rows.append(row)
        return table(pd.DataFrame(rows), name="repeats")

    def findings(self) -> View:
        """The findings in the profiles: one ranked list if the runs differ only in the profiler, otherwise the most
        important finding of each run."""
        import pandas as pd

        from workbench.report.findings import BATCH_SECTIONS, shown

        profiles = self.profiles
        if not profiles:
            return nothing(_UNPROFILED)
        if self.batch.once_a_mode:
            return shown(self.found, BATCH_SECTIONS)
        rows = []
        for run in self.batch.planned:
            if run.name in profiles:
                found = profiles[run.name].findings
                first = next(iter(found), None)
                what = "Nothing was found." if first is None else first.sentence
                rows.append({"run": run.label, "findings": len(found), "most important finding": what})
        return table(pd.DataFrame(rows))

    def verdict(self) -> View:
        """The verdict of the run without a profiler; if there are several, the table has their verdicts."""
        plain = self._plain()
        if len(plain) > 1:
            return sentence(f"{len(plain)} runs were without a profiler: the table below has the verdict of each.")
        return verdict_box(plain[0]) if plain else sentence("The batch has no run without a profiler.")

    def limit(self) -> Any:
        """The limit, as the run without a profiler found it."""
        from workbench import charts

        plain = self._plain()
        if len(plain) > 1:
            return sentence("The limit that each run found is in the table above, and in the run's report.")
        if not plain or not plain[0].manifest.get("limit"):
            return nothing("No run searched for the limit.")
        run = plain[0]
        return charts.limit(run.steps, run.manifest.get("prediction"), run.manifest.get("limit"))

    def _plain(self) -> list[SweepRun]:
        """The runs without a profiler."""
        settings = {run.name: run.changes.get("profiler", run.axes.get("profiler")) for run in self.batch.planned}
        return [run for name, run in self.runs.items() if settings[name] in (None, "none")]

    def answers(self) -> Shown:
        """The guide's four questions, each answered by the modes that can."""
        import pandas as pd

        from workbench.analysis.answers import answers

        profiles = self.profiles
        if not self.batch.once_a_mode:
            return Shown((nothing(_IN_EACH),))
        services = sorted({service for found in profiles.values() for service in found.services})
        if not services:
            return Shown((nothing(_UNPROFILED),))
        parts: list[View] = []
        for service in services:
            having = [found for found in profiles.values() if service in found.services]
            costs = pd.concat([found.of_service(service) for found in having], ignore_index=True)
            leaks = next((leaks for found in having if (leaks := found.leaks(service)) is not None), None)
            doubts = [overhead.sentence for found in having if (overhead := found.overhead()) is not None]
            notes = [note for found in having for note in found.notes()]
            if len(services) > 1:
                parts.append(sentence(f"{service}:"))
            background = pd.concat([found.background for found in having], ignore_index=True)
            background = background[background["service"] == service]
            said = answers(costs, leaks, background)
            parts.append(in_words({**said, "How far can this be trusted?": [*doubts, *notes]}))
        return Shown(tuple(parts))

    def cost_charts(self) -> Shown:
        """What a receipt costs by each mode's main metric."""
        return self._each(lambda cost: cost.cost_chart())

    def growth_tables(self) -> Shown:
        """How that grows with the load, for each mode."""
        return self._each(lambda cost: cost.growth_table())

    def flames(self) -> Shown:
        """The flame graphs of each mode's steps."""
        return self._each(lambda cost: cost.flames())

    def _each(self, show: Any) -> Shown:
        parts: list[Any] = []
        if not self.batch.once_a_mode:
            return Shown((nothing(_IN_EACH),))
        for mode, found in self.profiles.items():
            shown = show(ReceiptCost(found)).parts
            parts += shown if all(map(has_nothing, shown)) else [label(mode), *shown]
        return Shown(tuple(parts) or (nothing(_UNPROFILED),))


def batch_summary(batch_dir: str | Path) -> BatchSummary:
    """The cells about the batch in a folder. Raises RunFolderError if it is not a batch."""
    return BatchSummary(Batch.open(Path(batch_dir)))


def _heading(name: str) -> str:
    """A column of figures as a heading."""
    if name.endswith("_per_receipt"):
        return f"{name.removesuffix('_per_receipt').replace('_', ' ')} a receipt"
    return {"seconds": "took, s"}.get(name, heading(name))
