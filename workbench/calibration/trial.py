"""One rate, or one closed loop, tried against a null server."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from workbench.calibration.calibration import Limit
from workbench.load.chunks import LiveRows
from workbench.load.engines.processes import processes
from workbench.load.plan import OpenPlan, Plan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepSpec
from workbench.load.summary import StepSummary, summarise
from workbench.nullserver.child import NullServer
from workbench.private import temporary_folder
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate

MAX_RATE_ERROR = 0.01
SERVER_FULL_PERCENT = 90.0
"""From this CPU use of a null server's process on, the server is the limit and not the generator."""

QUERY = "{ _meta { block { number } } }"
_RECEIPT = ReceiptTemplate(
    version=2,
    chain_id=1337,
    contract="b0d4afd8879ed9f52b28595d31b441d079b2ca07",
    allocation="11" * 20,
    payer="22" * 20,
    data_service="33" * 20,
    service_provider="44" * 20,
    value_wei=10**15,
)


@dataclass(frozen=True)
class Trial:
    """The result of one trial. ``spoilt``: why the rate was not sent in time; "" if it was.

    ``sent_per_s``: requests a second between the first and the last. ``cpu_us``: CPU of the generators per request,
    without busy waits and signers. ``server_percent``: CPU of the busiest null server process, in percent of a core.
    ``other_cores``: the cores that all other processes used meanwhile (NaN: not known).
    """

    spoilt: str
    sent_per_s: float
    lag_p50_ms: float
    lag_p99_ms: float
    cpu_us: float
    server_percent: float
    other_cores: float

    @property
    def of_server(self) -> bool:
        """Whether the null server was at its own limit."""
        return self.server_percent >= SERVER_FULL_PERCENT


@dataclass(frozen=True)
class Bench:
    """What trials are made with: the null server, the number of generator processes, and the allowed lag."""

    server: NullServer
    processes: int
    lag_p99_ms: float
    max_in_flight: int = 1000

    async def attempt(self, plan: Plan) -> Trial:
        """Send a plan of signed receipts, as a step does, with a key of its own. Raises ToolError if a generator or the
        null server ends."""
        with temporary_folder("trial") as folder:
            spec = StepSpec(
                url=self.server.paid_url,
                query=QUERY,
                plan=plan,
                buffer=folder / "step.live",
                receipt=_RECEIPT,
                max_in_flight=self.max_in_flight,
                services=self.server.pids,
            )
            SampleBuffer.create(spec.buffer, plan.count)
            before = _used_s(self.server.pids)
            report = await processes(spec, SigningKey(secrets.token_bytes(32)), self.processes)
            used = [after - earlier for earlier, after in zip(before, _used_s(self.server.pids), strict=True)]
            measured = list(LiveRows(spec.buffer))
            lag_ns = np.concatenate([chunk.lag_ns for chunk in measured])
            sent_ns = np.sort(np.concatenate([chunk.sent_ns for chunk in measured]))
        seconds = (report.ended_ns - report.started_ns) / 1e9
        p50_ms, p99_ms = (
            (float(value) / 1e6 for value in np.percentile(lag_ns, (50, 99))) if len(lag_ns) else (math.nan,) * 2
        )
        sent_per_s = float((len(sent_ns) - 1) / max(1, sent_ns[-1] - sent_ns[0]) * 1e9) if len(sent_ns) > 1 else 0.0
        summary = summarise(measured, plan, report)
        others = None if report.interference is None else report.interference.other_cores
        return Trial(
            spoilt=why_spoilt(plan, summary, sent_per_s, p99_ms, self.lag_p99_ms),
            sent_per_s=sent_per_s,
            lag_p50_ms=p50_ms,
            lag_p99_ms=p99_ms,
            cpu_us=1e6 * (report.cpu_s - report.spun_s) / max(1, report.sent),
            server_percent=100 * max(used) / max(seconds, 1e-9),
            other_cores=math.nan if others is None else others,
        )


def why_spoilt(plan: Plan, summary: StepSummary, sent_per_s: float, p99_ms: float, limit_ms: float) -> str:
    """Why a rate was not sent in time; "" if it was. Pure."""
    if summary.failures:
        return summary.failures
    if summary.invalid:
        return summary.invalid
    if not isinstance(plan, OpenPlan):
        return ""
    if not p99_ms <= limit_ms:
        return f"lag p99 was {p99_ms:.2f} ms, the limit is {limit_ms:g} ms"
    if abs(sent_per_s - plan.mean_rate) > MAX_RATE_ERROR * plan.mean_rate:
        return f"{sent_per_s:,.0f}/s were sent"
    return ""


def limit_of(trials: Mapping[float, Sequence[Trial]], rate: float) -> tuple[Limit, str]:
    """What limited the rate, and why: from the failed trials of the next higher rate. Pure."""
    spoilt = {at: [trial for trial in made if trial.spoilt] for at, made in trials.items() if at > rate}
    above = min((at for at, made in spoilt.items() if made), default=None)
    if above is None:
        return "not reached", ""
    trial = max(spoilt[above], key=lambda trial: trial.server_percent)
    why = f"{above:,.0f}/s: {trial.spoilt}"
    if trial.of_server:
        return "null server", f"{why}; the null server used {trial.server_percent:.0f} % of a core: try more --servers"
    return "generator", why


def _used_s(pids: Sequence[int]) -> list[float]:
    return [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]
