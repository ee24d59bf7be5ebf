"""What the summary of a batch shows: one sweep under several profilers, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.report.answers.words import in_words, sentence
from workbench.report.costs import ReceiptCost, Shown
from workbench.report.display import View, headline_of, table, verdict_box
from workbench.sweep.batch import Batch


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """The cells about a batch. Each says in words when there is nothing to show."""

    batch: Batch

    def overview(self) -> View:
        """One row a mode: its verdict, its receipts, what the profiler cost, and the folder of its run."""
        import pandas as pd

        rows = []
        runs, profiles = self.batch.runs(), self.batch.profiles()
        for mode in self.batch.modes:
            run = runs.get(mode)
            overhead = profiles[mode].overhead() if mode in profiles else None
            error = self.batch.errors.get(mode, "")
            verdict = (run.manifest.get("verdict") or {}).get("sentence", "") if run is not None else ""
            rows.append(
                {
                    "mode": mode,
                    "verdict": "not begun" if run is None else headline_of(run),
                    "receipts": int(run.steps["sent"].sum()) if run is not None and len(run.steps) else 0,
                    "throughput, times": float("nan") if overhead is None else overhead.throughput,
                    "median response, times": float("nan") if overhead is None else overhead.response_p50,
                    "run": "" if run is None else run.path.name,
                    "what came of it": error or verdict,
                }
            )
        rows += [
            {"mode": mode, "verdict": "left out", "run": "", "what came of it": why}
            for mode, why in self.batch.skipped.items()
        ]
        return table(pd.DataFrame(rows))

    def findings(self) -> View:
        """What the profiles of all runs say by themselves, as one ranked list."""
        from workbench.report.findings import BATCH_SECTIONS, shown

        if not self.batch.profiles():
            return sentence("No run of the batch was under a profiler.")
        return shown(self.batch.findings, BATCH_SECTIONS)

    def verdict(self) -> View:
        """The verdict of the run without a profiler."""
        run = self.batch.runs().get("none")
        return sentence("The batch has no run without a profiler.") if run is None else verdict_box(run)

    def limit(self) -> Any:
        """The limit, as the run without a profiler found it."""
        from workbench import charts

        run = self.batch.runs().get("none")
        if run is None or not run.manifest.get("limit"):
            return sentence("The limit was not looked for.")
        return charts.limit(run.steps, run.manifest["prediction"], run.manifest["limit"])

    def answers(self) -> Shown:
        """The guide's four questions, each answered by the modes that can."""
        import pandas as pd

        from workbench.analysis.answers import answers

        profiles = self.batch.profiles()
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
        for mode, found in self.batch.profiles().items():
            parts += [sentence(f"{mode}:"), *show(ReceiptCost(found)).parts]
        return Shown(tuple(parts) or (sentence("No run of the batch was under a profiler."),))


def batch_summary(batch_dir: str | Path) -> BatchSummary:
    """The cells about the batch in a folder. Raises RunFolderError where it is none."""
    return BatchSummary(Batch.open(Path(batch_dir)))
