"""The profiles of a run, read from its folder: windows, costs, growth, leaks, the profiler's overhead and findings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.profilers.modes import parse_mode
from workbench.profilers.tools.chosen import tool_of
from workbench.profilers.windows.record import Window, windows_in
from workbench.runs.read import Run, read_parquet
from workbench.sweep.cost_table import COSTS
from workbench.sweep.windows import FOLDER, IDLE, step_of, window_name

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.findings import Findings, Measured
    from workbench.analysis.growth import Growth
    from workbench.analysis.leaks import HeapWindow, Leaks
    from workbench.analysis.overhead import Overhead
    from workbench.profiles.model import Profile

NOT_PROFILED = (
    "The service ran without a profiler. `workbench sweep --profiler callgrind` measures the cost of a receipt."
)
NO_WINDOW = "The run was under {mode}, but has no window of a step: see how it ended."

# the least accepted receipts, or CPU time, of each step of a pair that shows the profiler's overhead
LEAST_RECEIPTS = 100
LEAST_CPU_S = 0.5


@dataclass(frozen=True)
class RunProfiles:
    """The results of a profiled run. Without a profiler all tables are empty and ``mode`` is none."""

    run: Run

    @property
    def mode(self) -> str:
        """The profiler's mode."""
        mode: str = (self.run.manifest.get("profiler") or {}).get("mode", "none")
        return mode

    @property
    def metric(self) -> str:
        """The main metric of the mode."""
        return tool_of(parse_mode(self.mode)).main_metric

    @cached_property
    def measured_costs(self) -> pd.DataFrame:
        """The measured costs of each window, idle windows included, one row per function; columns in
        :mod:`workbench.analysis.costs`."""
        import pandas as pd

        from workbench.analysis.costs import as_of_now

        path = self.run.path / COSTS
        return as_of_now(read_parquet(path)) if path.exists() else pd.DataFrame()

    @cached_property
    def _less_background(self) -> pd.DataFrame:
        from workbench.analysis.background import without_background

        measured = self.measured_costs
        return without_background(measured, self._idle_profiles) if len(measured) else measured

    @cached_property
    def costs(self) -> pd.DataFrame:
        """The costs of the steps, with the background subtracted and small functions joined."""
        from workbench.analysis.costs import compact_costs

        return compact_costs(self._less_background)

    @cached_property
    def background(self) -> pd.DataFrame:
        """Background and cost of receipts, by service and metric; columns in
        :func:`workbench.analysis.background.background_table`."""
        import pandas as pd

        from workbench.analysis.background import background_table

        measured = self.measured_costs
        return background_table(measured, self._less_background) if len(measured) else pd.DataFrame()

    @cached_property
    def idle_windows(self) -> dict[str, Window]:
        """The idle window of each service that has one."""
        found = windows_in(self.run.path / FOLDER)
        return {window.service: window for window in found if window.name == IDLE}

    @cached_property
    def _idle_profiles(self) -> dict[tuple[str, str], Profile]:
        """By service and mode; without raw files only the costs of a window are known."""
        found: dict[tuple[str, str], Profile] = {}
        for service, window in self.idle_windows.items():
            try:
                (profile,) = _read([window])
            except WorkbenchError:
                continue
            found[(service, window.mode)] = profile
        return found

    @property
    def services(self) -> list[str]:
        """The profiled services, sorted by name."""
        return sorted(set(self.costs["service"])) if len(self.costs) else []

    @cached_property
    def windows(self) -> list[Window]:
        """The windows of the finished steps, in order of steps."""
        steps = self.run.steps
        if not len(steps):
            return []
        done = {window_name(step) for step in steps.loc[steps["kind"] == "step", "step"]}
        found = [window for window in windows_in(self.run.path / FOLDER) if window.name in done]
        return sorted(found, key=lambda window: (window.service, window.name))

    def windows_of(self, service: str) -> list[Window]:
        """The windows of one service."""
        return [window for window in self.windows if window.service == service]

    def labels(self, service: str) -> list[str]:
        """A label for each window of a service: its step and how many receipts were sent."""
        sent = zip(self.windows_of(service), self.receipts(service), strict=True)
        return [f"step {step_of(window.name)}, {receipts:,} receipts" for window, receipts in sent]

    def receipts(self, service: str) -> list[int]:
        """How many receipts were sent in each window of a service."""
        sent = {window_name(row.step): int(row.sent) for row in self.run.steps.itertuples()}
        return [sent[window.name] for window in self.windows_of(service)]

    def profiles(self, service: str) -> list[Profile]:
        """The Profile of each window of a service, read now, with names for code without symbols; for massif the heap
        at the end of the window."""
        return _read(self.windows_of(service))

    def first_and_last(self, service: str) -> list[Profile]:
        """The Profiles of a service's first and last window (one if there is only one); the others are not read."""
        windows = self.windows_of(service)
        return _read([*windows[:1], *windows[1:][-1:]])

    def of_service(self, service: str) -> pd.DataFrame:
        """The costs of one service."""
        return self.costs[self.costs["service"] == service]

    def growth(self, service: str, metric: str | None = None, **options: Any) -> Growth:
        """Which functions' costs in a metric (None: the main one) grow with the load, see
        :func:`workbench.analysis.growth.growth`."""
        from workbench.analysis.growth import growth

        if metric is None and not options:
            return self._growth[service]
        return growth(self.of_service(service), metric or self.metric, **options)

    @cached_property
    def _growth(self) -> dict[str, Growth]:
        """Of the main metric, by service; cached, since chart and table use it."""
        return {service: self.growth(service, self.metric) for service in self.services}

    def leaks(self, service: str) -> Leaks | None:
        """Bytes kept per receipt by allocation site; None if the mode is not massif."""
        return self._leaks.get(service)

    @cached_property
    def _leaks(self) -> dict[str, Leaks]:
        """By service; cached, since answers, chart and table use it."""
        if self.mode != "massif":
            return {}
        return {service: self._leaks_of(service) for service in self.services if self.windows_of(service)}

    def _leaks_of(self, service: str) -> Leaks:
        from workbench.analysis.leaks import HeapWindow, leak_rates
        from workbench.profilers.windows.read import edges

        counts = self.of_service(service).drop_duplicates("step").set_index("step")
        heaps = []
        for window in self.windows_of(service):
            step = step_of(window.name)
            begin, end = edges(window)
            row = counts.loc[step]
            heaps.append(
                HeapWindow(
                    step=step,
                    receipts=int(row["receipts"]),
                    begin=begin,
                    end=end,
                    receipts_before=int(row["receipts_before"]),
                    session=int(window.facts.get("session", 0)),
                    denied=int(row["denied"]),
                    started_s=window.started_ns / 1e9,
                    ended_s=window.started_ns / 1e9 + window.seconds,
                )
            )
        return leak_rates(heaps, idle=self._idle_heap(service))

    def _idle_heap(self, service: str) -> HeapWindow | None:
        from workbench.analysis.costs import IDLE_STEP
        from workbench.analysis.leaks import HeapWindow
        from workbench.profilers.windows.read import edges

        window = self.idle_windows.get(service)
        if window is None:
            return None
        begin, end = edges(window)
        return HeapWindow(
            step=IDLE_STEP,
            receipts=0,
            begin=begin,
            end=end,
            started_s=window.started_ns / 1e9,
            ended_s=window.started_ns / 1e9 + window.seconds,
        )

    def measured(self, service: str) -> Measured:
        """All measurements of a service, the input of findings."""
        return self._measured[service]

    @cached_property
    def _measured(self) -> dict[str, Measured]:
        """By service; cached, since findings and the background table use it."""
        return {service: self._measure(service) for service in self.services}

    def _measure(self, service: str) -> Measured:
        from workbench.analysis.background import idle_rows
        from workbench.analysis.findings import Measured

        grows = self.metric and self.mode != "massif"
        profile, receipts = self._typical(service)
        return Measured(
            service=service,
            mode=self.mode,
            metric=self.metric,
            costs=self.of_service(service),
            idle=idle_rows(self.measured_costs, service),
            background=self.background[self.background["service"] == service],
            profile=profile,
            receipts=receipts,
            idle_profile=self._idle_profiles.get((service, self.mode)),
            growth=self.growth(service) if grows else None,
            accumulated=self.growth(service, against="accumulated") if grows else None,
            leaks=self.leaks(service),
        )

    def _typical(self, service: str) -> tuple[Profile | None, int]:
        """The profile in which call paths and callers are looked up, read now, and its number of receipts. For counts
        it is the step with the most receipts (for massif the heap at its end), for samples all steps together."""
        windows, sent = self.windows_of(service), self.receipts(service)
        if not windows:
            return None, 0
        if self.mode == "flamegraph":
            from workbench.profiles.transforms.combine import merge

            return merge(_read(windows)), sum(sent)
        at = max(range(len(windows)), key=lambda one: sent[one])
        (profile,) = _read([windows[at]])
        return profile, sent[at]

    @cached_property
    def findings(self) -> Findings:
        """The findings in the run's profiles, ranked; see :mod:`workbench.analysis.findings`."""
        from workbench.analysis.findings import Findings, find

        if not self.services:
            return Findings(notes=(NOT_PROFILED if self.mode == "none" else NO_WINDOW.format(mode=self.mode),))
        return find([self.measured(service) for service in self.services])

    def overhead(self) -> Overhead | None:
        """The profiler's overhead: the first step compared with the paired step without it; None without a pair.

        Unknown values are NaN, and the sentence says why.
        """
        from workbench.analysis.overhead import Overhead, overhead

        steps = self.run.steps
        if not len(steps):
            return None
        plain = steps[steps["kind"] == "paired"]
        profiled = steps[(steps["kind"] == "step") & (steps["profiler"] != "none")]
        if plain.empty or profiled.empty:
            return None
        first, pair = (steps.to_dict("records")[0] for steps in (profiled.sort_values("step"), plain))
        cpu_s = [float(row.get("service_cpu_s", math.nan)) for row in (first, pair)]
        if why := _no_pair(first, pair, cpu_s):
            receipts = int(pair["receipts"])
            sentence = f"The overhead of {self.mode} is not known: {why}."
            return Overhead(self.mode, receipts, math.nan, math.nan, math.nan, math.nan, sentence)
        return overhead(first, pair, mode=self.mode, cpu_profiled_s=cpu_s[0], cpu_plain_s=cpu_s[1])

    def notes(self) -> list[str]:
        """Oddities of the windows, each reported once."""
        return list(dict.fromkeys(note for window in self.windows for note in window.notes))


def _read(windows: Sequence[Window]) -> list[Profile]:
    """The windows as Profiles, with names for code without symbols."""
    from workbench.profilers.windows.read import window_profiles
    from workbench.profiles.transforms.group import legible

    return [legible(profile) for profile in window_profiles(windows)]


def _no_pair(profiled: Mapping[str, Any], plain: Mapping[str, Any], cpu_s: Sequence[float]) -> str:
    """Why a pair of steps cannot show the overhead; "" if it can."""
    if profiled["denied"] or plain["denied"]:
        return "receipts were denied, and refusing one costs less than serving one"
    fewest = int(min(profiled["accepted"], plain["accepted"]))
    if fewest < LEAST_RECEIPTS and not all(seconds >= LEAST_CPU_S for seconds in cpu_s):
        return f"steps of {fewest:,} accepted receipts are too short, {LEAST_RECEIPTS} are needed"
    return ""
