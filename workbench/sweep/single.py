"""One load: a sweep of one step. It is reported first like the guide's load tool, then with all figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from workbench.analysis.step_row import LATER
from workbench.card import card
from workbench.numbers import grt, milliseconds
from workbench.ramp import is_ramp
from workbench.runs.read import Run
from workbench.settings import LoadSettings, Settings
from workbench.settings.parameters import Parameters
from workbench.settings.signature import with_settings
from workbench.stats.quantiles import SHARES
from workbench.sweep.interrupt import for_a_person
from workbench.sweep.opened import open_run
from workbench.sweep.record import OnEvent
from workbench.sweep.run import of_client, run_sweep

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

DEFAULT_CONCURRENCY = 16
"""Requests in flight of a load with neither rate nor concurrency."""


@dataclass(frozen=True)
class LoadResult:
    """The result of one load, read from its run folder."""

    run: Run

    @property
    def samples(self) -> pd.DataFrame:
        """One row per request; columns in :func:`workbench.load.samples.to_frame`. For its memory see
        :attr:`workbench.runs.read.Run.samples`."""
        return self.run.samples

    @property
    def series(self) -> pd.DataFrame:
        """One row per second; columns in :func:`workbench.sweep.series.per_second`."""
        return self.run.series

    @property
    def summary(self) -> dict[str, Any]:
        """The step as a dict (see :class:`workbench.analysis.step_row.StepRow`), and ``outcomes`` by name,
        ``thresholds`` as in :meth:`workbench.thresholds.judge.Judged.as_dict`.

        ``generators``: a line for each, if there are several."""
        row: dict[str, Any] = {**LATER, **self.run.steps.iloc[0].to_dict()}
        counts = self.run.outcomes
        generators = self.run.manifest.get("generators", {})  # there is one step
        several = {"generators": {name.partition(", ")[2]: text for name, text in generators.items()}}
        outcomes = dict(zip(counts["outcome"], counts["receipts"].tolist(), strict=True))
        thresholds = self.run.manifest.get("thresholds") or []
        return {**row, "outcomes": outcomes, "thresholds": thresholds, **(several if generators else {})}

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        return self.run.exit_code

    @property
    def text(self) -> str:
        """The guide's four summary lines and the figures behind them; for a load that was stopped early, a line says
        so."""
        if self.run.steps.empty:
            return f"The load is {self.run.state}; everything measured until then is in {self.run.path}."
        settings = self.run.manifest["settings"]
        arrivals = settings.get("arrivals", "constant")  # missing in older runs
        lines = [summary_text(self.summary, version=settings["receipt_version"], arrivals=arrivals)]
        for number, one in enumerate(self.run.manifest.get("thresholds") or ()):
            lines.append(f"{'' if number else 'Thresholds':12}{one['sentence']}")
        return "\n".join(lines)

    _repr_mimebundle_ = card("load")

    def __repr__(self) -> str:
        return self.text


@with_settings(LoadSettings)
async def load(
    *,
    run_dir: str | Path | None = None,
    on_event: OnEvent | None = None,
    client: Client | None = None,
    **parameters: Unpack[Parameters],
) -> LoadResult:
    """Send ``num_receipts`` receipts, in a closed loop (``concurrency``) or an open one (``rate``, or a ramp as
    ``arrivals``), and measure.

    ``parameters`` are fields of :class:`workbench.Settings`; without ``target`` the stand-in is started for the load.
    ``on_event``, ``client``, interrupts and errors are as in :func:`workbench.sweep.run.sweep`. Samples are written to
    the run folder as they are measured.
    """
    given = cast(dict[str, Any], parameters)
    settings = load_settings(Settings.resolve(**{"name": "load", **of_client(client), **given}))
    into = Path(run_dir) if run_dir else None
    return await for_a_person(
        lambda heard: run_load(settings, into, heard, client),
        on_event,
        lambda path: LoadResult(open_run(path)),
        "sweep",
    )


async def run_load(
    settings: Settings, run_dir: Path | None = None, on_event: OnEvent | None = None, client: Client | None = None
) -> LoadResult:
    """:func:`load` with settings from :func:`load_settings`."""
    return LoadResult(await run_sweep(settings, run_dir, on_event, toward_limit=False, client=client))


def load_settings(settings: Settings) -> Settings:
    """The settings of the sweep that a load is: one step of ``num_receipts``, nothing after it.

    Without ``num_receipts``, a ramp gives the number of receipts itself.
    """
    count = settings.num_receipts
    if settings.ramp is not None and "num_receipts" not in settings.model_fields_set:
        count = settings.ramp.count
    changes: dict[str, Any] = {"num_receipts": count, "receipts": str(count), "pinpoint": False, "mode": "fresh"}
    if not settings.loop_given:
        changes["concurrency"] = DEFAULT_CONCURRENCY
    return settings.model_copy(update=changes)


def summary_text(summary: Mapping[str, Any], *, version: int, arrivals: str = "constant") -> str:
    """The report of one load as text."""
    v2 = "V2 " if version == 2 else ""
    sent, duration = summary["sent"], summary["duration_s"]
    failed = sent - summary["accepted"]
    loop = (
        f"open loop, {summary['rate_per_s']:g} receipts/s{f' on average, {arrivals}' if is_ramp(arrivals) else ''}"
        if summary["loop"] == "open"
        else f"closed loop, {summary['concurrency']:.0f} in flight"
    )
    lines = [
        f"Completed processing {sent} {v2}requests in {_duration(duration)}",
        f"Average time per {v2}request: {_duration(duration / sent if sent else 0.0)}",
        f"Successfully sent {v2}receipts: {summary['accepted']}",
        f"Failed {v2}receipts: {failed}",
        "",
        f"Loop        {loop}; {summary['offered']} offered, {sent} sent",
        f"Throughput  {summary['throughput_per_s']:.1f} accepted/s",
        f"Response    {_latency(summary, 'response')}  (from the intended time, accepted receipts)",
        *([f"            {sure}"] if (sure := _sure(summary, "response")) else []),
        f"Service     {_latency(summary, 'service')}  (from sending to answer)",
        *([f"            {sure}"] if summary["loop"] == "open" and (sure := _sure(summary, "service")) else []),
        f"Lag         p50 {_ms(summary['lag_p50_ms'])}, p99 {_ms(summary['lag_p99_ms'])}, "
        f"max {_ms(summary['lag_max_ms'])}  (the generator's own lateness)",
        f"Generator   {summary['generator_cpu_percent']:.0f} % of a core{_busiest(summary)}{_signing(summary)}",
        *(f"            {name}: {text}" for name, text in summary.get("generators", {}).items()),
        "Outcomes    " + ", ".join(f"{name} {count}" for name, count in summary["outcomes"].items()) + _odd(summary),
    ]
    if disturbed := summary.get("disturbances"):  # missing in older runs
        lines.append(f"Disturbed   {disturbed}")
    if steady := _steady(summary):
        lines.append(f"Steady      {steady}")
    if not math.isnan(summary["budget_receipts"]):
        lines.append(f"Budget      receipt {summary['budget_receipts']:.0f} was predicted to trigger denial")
    if not math.isnan(summary["stored"]):
        lines.append(f"Stored      {_stored(summary)}")
    if not math.isnan(summary["denylisted_s"]):
        lines.append(f"Denied      {_denied(summary)}")
    lines.append(f"Verdict     {summary['verdict']}: {summary['reason']}")
    return "\n".join(lines)


def _stored(summary: Mapping[str, Any]) -> str:
    text = f"{summary['stored']:.0f} receipts found in the database, {summary['paid']} charged according to the answers"
    if summary["aggregated_grt"] > 0:
        text += f"; {grt(summary['aggregated_grt'])} went into RAVs"
    if summary["invalid"] > 0:
        text += f"; invalid: {summary['invalid_reasons']}"
    return text


def _denied(summary: Mapping[str, Any]) -> str:
    text = f"in the database {summary['denylisted_s']:.3f} s after the start"
    if not math.isnan(summary["first_refusal_s"]):
        text += f", first refusal answered after {summary['first_refusal_s']:.3f} s"
    return f"{text}; {summary['paid_after_denylisted']:.0f} receipts sent later were still accepted"


def _busiest(summary: Mapping[str, Any]) -> str:
    count = len(summary.get("generators", {}))
    return f", the busiest of {count}" if count > 1 else ""


def _signing(summary: Mapping[str, Any]) -> str:
    """What was unusual in signing; "" if all receipts were signed once and ahead. Missing in older runs."""
    late, anew = (int(summary.get(name, 0)) for name in ("signed_late", "signed_anew"))
    said = [f"{late:,} receipts signed only when due"] if late else []
    said += [f"{anew:,} signed again because they had become too old"] if anew else []
    return "".join(f"; {part}" for part in said)


def _odd(summary: Mapping[str, Any]) -> str:
    """What was unusual in the connections; "" if nothing was. Missing in older runs."""
    idle, surplus = (int(summary.get(name, 0)) for name in ("closed_idle", "surplus"))
    said = [f"{idle:,} of the resets on kept connections, before a byte of an answer (closed as idle?)"] if idle else []
    said += [f"{surplus:,} connections brought unexpected bytes"] if surplus else []
    return "".join(f"; {part}" for part in said)


def _latency(summary: Mapping[str, Any], clock: str) -> str:
    return ", ".join(f"{name} {_ms(summary[f'{clock}_{name}_ms'])}" for name in ("p50", "p90", "p95", "p99", "max"))


def _sure(summary: Mapping[str, Any], clock: str) -> str:
    """The 95 % intervals of the percentiles, and of how many receipts; "" for older runs without them."""
    n, effective = int(summary["accepted"]), float(summary.get("effective_n", math.nan))
    if math.isnan(effective) or not n:
        return ""
    said = []
    for share in SHARES:
        name = f"p{100 * share:g}"
        low, high = (float(summary[f"{clock}_{name}_{end}_ms"]) for end in ("low", "high"))
        if not math.isnan(low):
            said.append(f"{name} {low:.2f} to {high:.2f} ms")
        elif not math.isnan(summary[f"{clock}_{name}_ms"]):
            said.append(f"{name} not known")
    alike = f", which tell as much as {effective:,.0f} independent ones" if effective < 0.9 * n else ""
    return f"95 % sure   {', '.join(said)}  ({n:,} receipts{alike})" if said else ""


def _steady(summary: Mapping[str, Any]) -> str:
    """Whether the load was steady; "" if it was not checked or there were too few receipts."""
    if steadiness := summary.get("steadiness"):
        return f"no: {steadiness}"
    said = ["yes: no warm-up seen"] if summary.get("settles") == "yes" else []
    if summary.get("littles_law") == "yes":
        in_flight = summary["in_flight_mean"]
        said.append(f"{in_flight:,.3g} in flight on average (Little's law, from rate and service time)")
    return "; ".join(said)


def _ms(value: float) -> str:
    return "too few samples" if math.isnan(value) else milliseconds(value)


def _duration(seconds: float) -> str:
    """A duration in the format of the guide's tool: 1.234567s, 2.345ms, 67.8µs."""
    if seconds >= 1:
        return f"{seconds:.6f}s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.6g}ms"
    return f"{seconds * 1e6:.6g}µs"
