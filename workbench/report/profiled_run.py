"""What notebooks show of a profiled run: the four questions, the cost of a receipt, its growth and its places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.report.tables import table
from workbench.report.view import Shown, View, below, in_words, nothing, sentence

if TYPE_CHECKING:
    import pandas as pd

    from workbench.runs.read import Run
    from workbench.sweep.run_profiles import RunProfiles

ROWS = 15
_LABELS = {
    "Ir": "instructions",
    "calls": "system calls",
    "cpu": "CPU time",
    "hits": "executed lines",
    "bytes_kept": "bytes kept",
    "CEst": "estimated cycles",
}
NOT_TOLD = "Nothing was counted while the service was idle."
_BACKGROUND_COLUMNS = {
    "metric": "metric",
    "idle_cost": "without receipts",
    "idle_s": "seconds",
    "per_second": "a second",
    "per_second_low": "from",
    "per_second_high": "to",
    "background_per_receipt": "background, per receipt",
    "cost_per_receipt": "receipts, per receipt",
    "share_pct": "background_pct",
    "unit": "unit",
}
_GROWTH_COLUMNS = {
    "name": "function",
    "flag": "flag",
    "average_per_receipt": "per receipt, average",
    "marginal_per_receipt": "one more receipt",
    "marginal_low": "from",
    "marginal_high": "to",
    "marginal_share_pct": "share of it_pct",
    "fixed": "fixed, a step",
    "growth_term": "growth",
    "rise_pct": "rise_pct",
    "crate": "crate or module",
}


@dataclass(frozen=True, eq=False)
class ReceiptCost:
    """The cells about a run's profile. Each says in words when there is nothing to show."""

    found: RunProfiles

    def answers(self) -> Shown:
        """The guide's four questions in words, and what the profiler itself cost."""
        from workbench.analysis.answers import answers
        from workbench.analysis.overhead import distorted

        def one(service: str) -> View:
            background = self.found.background[self.found.background["service"] == service]
            said = answers(self.found.of_service(service), self.found.leaks(service), background)
            overhead = self.found.overhead()
            doubts = [*([overhead.sentence] if overhead else []), distorted(self.found.mode), *self.found.notes()]
            return in_words({**said, "How far can this be trusted?": [doubt for doubt in doubts if doubt]})

        return self._each(one)

    def findings(self, sections: Mapping[str, str] | None = None) -> Shown:
        """The findings in the profiles, ranked; ``sections``: for each kind, the heading above its evidence."""
        from workbench.report.findings import RUN_SECTIONS, shown

        if not self.found.services:
            return self._each(lambda _: None)
        return Shown((shown(self.found.findings, RUN_SECTIONS if sections is None else sections),))

    def background(self) -> Shown:
        """The cost of the idle service next to that of receipts, and what it does while idle."""
        from workbench.analysis.findings.idle import doing

        def one(service: str) -> View:
            rows = self.found.background[self.found.background["service"] == service]
            main = rows[rows["metric"] == self.found.metric]
            said = " ".join(main["sentence"]) or NOT_TOLD
            if main.empty or not bool(main["told"].iloc[0]):
                return nothing(said)
            work = doing(self.found.measured(service), ROWS)
            both = (table(rows[list(_BACKGROUND_COLUMNS)].rename(columns=_BACKGROUND_COLUMNS)), table(work))
            return below(*both)  # the answers have the sentence

        return self._each(one)

    def cost_chart(self, by: str = "function") -> Shown:
        """The cost of a receipt in each step, by function or other place."""
        from workbench import charts
        from workbench.analysis.costs import cost_by_step

        def one(service: str) -> Any:
            steps = cost_by_step(self.found.of_service(service), self.found.metric, by)  # type: ignore[arg-type]
            return charts.receipt_costs(steps, self._label, by=by)

        return self._each(one)

    def cost_table(self, by: str = "function") -> Shown:
        """The cost of a receipt by place: over all steps, in each step, and how far equal steps agree."""
        from workbench.analysis.costs import cost_per_receipt

        def one(service: str) -> View:
            costs = cost_per_receipt(self.found.of_service(service), self.found.metric, by)  # type: ignore[arg-type]
            steps = [name for name in costs if str(name).startswith("step_")]
            return table(
                _told_apart(costs)[["name", "per_receipt", "share_pct", "spread_pct", *steps, "crate", "file"]], ROWS
            )

        return self._each(one)

    def growth_chart(self) -> Shown:
        """Cost per receipt against receipts, with the fitted models. Massif: bytes held by sites against receipts."""
        from workbench import charts

        if self.found.mode == "massif":
            return self.leak_chart()

        def one(service: str) -> Any:
            growth = self.found.growth(service)
            if not growth.enough:
                return nothing(growth.sentence)
            return charts.growth_lines(growth.points, growth.table, self._label)

        return self._each(one)

    def growth_table(self) -> Shown:
        """First what grows faster than the load, then what costs most; fixed and marginal cost. For massif, bytes
        kept per receipt: memory grows by what is kept."""
        if self.found.mode == "massif":
            return self.leak_table()

        import pandas as pd

        from workbench.analysis.growth import GROWS

        def one(service: str) -> View:
            growth = self.found.growth(service)
            if not growth.enough:
                return nothing(growth.sentence)
            flagged = growth.flagged()
            others = growth.table[growth.table["flag"] != GROWS]
            rows = pd.concat([flagged, others], ignore_index=True) if len(flagged) else others
            return table(_told_apart(rows)[list(_GROWTH_COLUMNS)].rename(columns=_GROWTH_COLUMNS), ROWS)

        return self._each(one)

    def leak_chart(self) -> Shown:
        """What allocation sites hold at the beginning and end of each step."""
        from workbench import charts

        def one(service: str) -> Any:
            leaks = self.found.leaks(service)
            return self._no_heap if leaks is None else charts.leak_lines(leaks.edges, leaks.table)

        return self._each(one)

    def leak_table(self) -> Shown:
        """Bytes kept per receipt by allocation site."""

        def one(service: str) -> View:
            leaks = self.found.leaks(service)
            if leaks is None:
                return self._no_heap
            columns = ["allocator", "flag", "rate", "rate_low", "rate_high", "share_pct", "kept_bytes", "held_bytes"]
            return table(leaks.table[columns].rename(columns={"rate": "bytes per receipt"}), ROWS)

        return self._each(one)

    def flames(self) -> Shown:
        """The flame graph of each step, under a slider."""
        from workbench import charts

        def one(service: str) -> Any:
            return charts.flame_steps(self.found.profiles(service), self.found.labels(service))

        return self._each(one)

    def first_and_last(self) -> Shown:
        """The last step compared with the first, per receipt: what costs more."""
        from workbench import charts

        def one(service: str) -> Any:
            profiles, labels = self.found.first_and_last(service), self.found.labels(service)
            receipts = self.found.receipts(service)
            if len(profiles) < 2:
                return nothing("There is only one step, so there is nothing to compare.")
            # massif records levels, not costs of a step: heaps are compared as they are
            per = None if self.found.mode == "massif" else (float(receipts[0]), float(receipts[-1]))
            title = f"{labels[-1]}, compared with {labels[0]}"
            return charts.flame_graph(profiles[-1], before=profiles[0], per=per, title=title, max_nodes=20_000)

        return self._each(one)

    @property
    def _no_heap(self) -> View:
        return nothing(f"{self.found.mode} does not see the heap; massif does.")

    @property
    def _label(self) -> str:
        return _LABELS.get(self.found.metric, self.found.metric)

    def _each(self, show: Callable[[str], Any]) -> Shown:
        """What ``show`` returns for each service, under its name if there are several."""
        from workbench.sweep.run_profiles import NO_WINDOW, NOT_PROFILED

        services = self.found.services
        if not services:
            mode = self.found.mode
            return Shown((nothing(NOT_PROFILED if mode == "none" else NO_WINDOW.format(mode=mode)),))
        parts: list[Any] = []
        for service in services:
            if len(services) > 1:
                parts.append(sentence(f"{service}:"))
            parts.append(show(service))
        return Shown(tuple(parts))


def receipt_cost(run: Run) -> ReceiptCost:
    """The cells about the profile of ``run``."""
    from workbench.sweep.run_profiles import RunProfiles

    return ReceiptCost(getattr(run, "profiles", None) or RunProfiles(run))


def _told_apart(places: pd.DataFrame) -> pd.DataFrame:
    """``places`` with unique names: a name that occurs several times is followed by its file, object or crate."""
    from workbench.profiles.labels import labels

    columns = ("name", "file", "object", "crate", "name")
    return places.assign(name=labels(*(places[column].tolist() for column in columns)))
