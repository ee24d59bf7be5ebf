"""What the summary of a batch shows: one sweep under several profilers, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.batches.folder import Batch, findings_of
from workbench.report.answers.words import in_words, sentence
from workbench.report.costs import ReceiptCost, Shown
from workbench.report.display import View, table, verdict_box
from workbench.runs.read import Run
from workbench.sweep.profiles import RunProfiles

_IN_EACH = "The runs differ in more than the profiler: the report of each run, linked above, says it of that run."


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """The cells about a batch. Each says in words when there is nothing to show."""

    batch: Batch

    @cached_property
    def _profiles(self) -> dict[str, RunProfiles]:
        """Kept for all cells: what is computed of a run's costs is computed once, and is most of the work."""
        return self.batch.profiles()

    def overview(self) -> View:
        """One row a run: where it is on the axes, its verdict and figures, what the profiler cost, and the way to its
        notebook and report; of one that failed the error."""
        import pandas as pd

        found, profiles, runs = self.batch.table, self._profiles, self.batch.runs()
        overheads = {name: profiles[name].overhead() for name in found["run"] if name in profiles}
        said = []
        for run, error in zip(found["run"], found["error"], strict=True):
            verdict = (runs[run].manifest.get("verdict") or {}).get("sentence", "") if run in runs else ""
            said.append(error or verdict)
        shown = found.drop(columns=["error", "folder"]).rename(columns={name: _heading(name) for name in found})
        known = [overheads.get(run) for run in found["run"]]
        if any(known):
            shown["throughput, times"] = [one.throughput if one else float("nan") for one in known]
            shown["median response, times"] = [one.response_p50 if one else float("nan") for one in known]
        if self.batch.once_a_mode:
            shown = shown.drop(columns=["run", "repeat"])
        elif (found["repeat"] == 1).all():
            shown = shown.drop(columns=["repeat"])
        for name, file in (("report", "report.html"), ("notebook", "notebook.ipynb")):
            there = [folder and (self.batch.path / folder / file).is_file() for folder in found["folder"]]
            shown[name] = [name if one else "" for one in there]
        shown["what came of it"] = said
        left_out = pd.DataFrame(
            [{shown.columns[0]: name, "state": "left out", "what came of it": why} for name, why in self._skipped()]
        )
        whole = pd.concat([shown, left_out], ignore_index=True) if len(left_out) else shown
        texts = [name for name in whole if whole[name].dtype == object or str(whole[name].dtype) == "str"]
        folders = [*found["folder"], *[""] * len(left_out)]
        return table(
            whole.fillna(dict.fromkeys(texts, "")),
            links={
                "report": [f"{folder}/report.html" for folder in folders],
                "notebook": [f"{folder}/notebook.ipynb" for folder in folders],
            },
        )

    def combinations(self) -> View:
        """What repeats of the same run say together: of each figure the median, and the lowest and highest."""
        import pandas as pd

        from workbench.batches.folder import FIGURES

        found, axes = self.batch.table, list(self.batch.axes)
        if found.empty or not axes or (found["repeat"] == 1).all():
            return sentence("No run was repeated.")
        rows = []
        for place, group in found.groupby(axes, sort=False):
            row = {**dict(zip(axes, place, strict=True)), "runs": int(group["verdict"].ne("").sum())}
            for name in (name for name in FIGURES if name in found):
                values = group[name].dropna()
                low, middle, high = values.min(), values.median(), values.max()
                row[_heading(name)] = f"{middle:,.4g} ({low:,.4g} to {high:,.4g})" if len(values) else ""
            rows.append(row)
        return table(pd.DataFrame(rows))

    def findings(self) -> View:
        """What the profiles say by themselves: of runs that differ in the profiler alone as one ranked list, of others
        the weightiest finding of each run."""
        import pandas as pd

        from workbench.report.findings import BATCH_SECTIONS, shown

        profiles = self._profiles
        if not profiles:
            return sentence("No run of the batch was under a profiler.")
        if self.batch.once_a_mode:
            return shown(findings_of(self._profiles), BATCH_SECTIONS)
        rows = []
        for run in self.batch.planned:
            if run.name in profiles:
                found = profiles[run.name].findings
                first = next(iter(found), None)
                what = "Nothing was found." if first is None else first.sentence
                rows.append({"run": run.label, "findings": len(found), "the weightiest": what})
        return table(pd.DataFrame(rows))

    def _skipped(self) -> list[tuple[str, str]]:
        return list(self.batch.skipped.items())

    def verdict(self) -> View:
        """The verdict of the run without a profiler; of several the table says it."""
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
            return sentence("The limit was not looked for.")
        run = plain[0]
        return charts.limit(run.steps, run.manifest["prediction"], run.manifest["limit"])

    def _plain(self) -> list[Run]:
        """The runs without a profiler."""
        settings = {run.name: run.changes.get("profiler", run.axes.get("profiler")) for run in self.batch.planned}
        return [run for name, run in self.batch.runs().items() if settings[name] in (None, "none")]

    def answers(self) -> Shown:
        """The guide's four questions, each answered by the modes that can."""
        import pandas as pd

        from workbench.analysis.answers import answers

        profiles = self._profiles
        if not self.batch.once_a_mode:
            return Shown((sentence(_IN_EACH),))
        services = sorted({service for found in profiles.values() for service in found.services})
        if not services:
            return Shown((sentence("No run of the batch was under a profiler."),))
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
        """How that grows with the load, mode by mode."""
        return self._each(lambda cost: cost.growth_table())

    def flames(self) -> Shown:
        """The flame graphs of each mode's steps."""
        return self._each(lambda cost: cost.flames())

    def _each(self, show: Any) -> Shown:
        parts: list[Any] = []
        if not self.batch.once_a_mode:
            return Shown((sentence(_IN_EACH),))
        for mode, found in self._profiles.items():
            parts += [sentence(f"{mode}:"), *show(ReceiptCost(found)).parts]
        return Shown(tuple(parts) or (sentence("No run of the batch was under a profiler."),))


def batch_summary(batch_dir: str | Path) -> BatchSummary:
    """The cells about the batch in a folder. Raises RunFolderError where it is none."""
    return BatchSummary(Batch.open(Path(batch_dir)))


def _heading(name: str) -> str:
    """A column of figures as a heading: the unit after a comma."""
    for ending, unit in (("_per_s", "1/s"), ("_ms", "ms"), ("_s", "s"), ("_per_receipt", "a receipt")):
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')}, {unit}"
    return {"seconds": "took, s"}.get(name, name.replace("_", " "))
