"""Do two tools measure the same? Our service times compared with vegeta's, on the same server, with the same receipts.

An open loop at several rates against a server that answers after a fixed time, and against the stand-in. vegeta gets
requests that were signed ahead, so that both carry receipts. The two take turns in alternating order; figures are
medians of the rounds' ratios. Tools and servers run on any core, as for users; with ``--pinned`` both tools are on one
core and the server on another. Connections are kept alive. The first second of each run, in which they are opened, is
left out.

vegeta's latency runs from when a worker takes up a request until the body is read; ours from just before the request is
written until its body is complete. If tcpdump is installed, the same runs are also measured on the wire: this shows
what each tool adds, and how evenly it sends (a server that gets bursts is slower).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness import Figure, arguments, interleave, median_of, table, write
from benchmarks.wire import can_capture, captured
from workbench.exchange import vegeta
from workbench.exchange.post import Post
from workbench.exchange.sending import Sending
from workbench.load.engines.child import child_process
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.plan import NS_PER_S, OpenPlan
from workbench.load.samples import COLUMNS, SampleBuffer, nonces
from workbench.load.spec import StepSpec
from workbench.nullserver.child import null_server
from workbench.receipts.template import ReceiptTemplate
from workbench.settings import Settings
from workbench.standin.accounts import ALLOCATION, payer
from workbench.standin.child import child

OURS, THEIRS = "workbench", "vegeta"
MEDIAN, P95 = "service time, median ms", "service time, p95 ms"
WIRE, GAP_10, GAP_90 = "on the wire, median ms", "from request to request, p10 ms", "from request to request, p90 ms"
TARGETS = {MEDIAN: 0.03, P95: 0.10}
RATES = (200, 400, 1000)
FIXED_MS = 2.0
WARM_UP_NS = NS_PER_S
MIN_SENT_SHARE = 0.98
FIXED, STANDIN = f"fixed {FIXED_MS:g} ms", "stand-in"
_SEEDS = itertools.count(1)


@dataclass(frozen=True)
class Job:
    """One server and one rate, with a folder for exchanged files."""

    url: str
    rate: int
    seconds: int
    folder: Path
    vegeta: str

    @property
    def count(self) -> int:
        """How many requests a run sends."""
        return self.rate * self.seconds


def template(settings: Settings) -> ReceiptTemplate:
    """The receipts that both tools send."""
    return ReceiptTemplate(
        version=2,
        chain_id=settings.chain_id,
        contract=settings.collector[2:],
        allocation=ALLOCATION.hex(),
        payer=payer(0).address.hex(),
        data_service=settings.data_service[2:],
        service_provider=settings.indexer[2:],
        value_wei=settings.value_wei,
    )


def spec_of(job: Job, seed: int) -> StepSpec:
    """The job for our own generator."""
    return StepSpec(
        url=job.url,
        query=Settings().query,
        plan=OpenPlan(job.count, job.rate),
        buffer=job.folder / "samples",
        receipt=template(Settings()),
        seed=seed,
    )


def ours(job: Job) -> Mapping[str, float]:
    """The generator process that ``workbench load`` runs."""
    spec = spec_of(job, next(_SEEDS))
    buffer = SampleBuffer.create(spec.buffer, job.count)
    try:
        asyncio.run(child_process(spec, payer(0).key))
        intended, sent, done, outcome = (
            buffer.rows[:, COLUMNS.index(name)].copy() for name in ("intended_ns", "sent_ns", "done_ns", "outcome")
        )
    finally:
        buffer.path.unlink()
    good = int((outcome == CODE_OF[Outcome.OK]).sum())
    if good != job.count:
        raise SystemExit(f"workbench: only {good} of {job.count} receipts were accepted")
    return _figures((done - sent)[intended >= intended.min() + WARM_UP_NS])


def theirs(job: Job) -> Mapping[str, float]:
    """vegeta, with targets that it reads before it starts."""
    targets, results = job.folder / "targets", job.folder / "results"
    spec = spec_of(job, next(_SEEDS))
    with targets.open("w") as file:
        file.writelines(vegeta.targets(Post(spec.url, spec.body), _receipts(job, spec)))
    pace = (f"-rate={job.rate}", f"-duration={job.seconds}s")
    attack = (job.vegeta, "attack", "-format=json", *pace, f"-targets={targets}", f"-output={results}")
    subprocess.run(attack, check=True)
    text = subprocess.run((job.vegeta, "encode", "-to=csv", results), check=True, capture_output=True, text=True).stdout
    rows = [(int(row[0]), row[1], int(row[2]), row[5]) for row in csv.reader(io.StringIO(text))]
    failed = Counter(f"{status} {error}".strip() for _, status, _, error in rows if status != "200")
    if failed or len(rows) < MIN_SENT_SHARE * job.count:  # its time can be over before its last request
        raise SystemExit(f"vegeta: {len(rows)} of {job.count} requests were sent; failed: {dict(failed)}")
    began = min(moment for moment, *_ in rows)
    return _figures(np.array([latency for moment, _, latency, _ in rows if moment >= began + WARM_UP_NS]))


def _receipts(job: Job, spec: StepSpec) -> Iterator[str]:
    header, value_wei = template(Settings()).signer(payer(0).key).header, Settings().value_wei
    due_ns = Sending(job.count, job.rate, time.time_ns() + NS_PER_S, spec.timestamp_window_s).due_ns()
    numbers = nonces(spec.seed, 0, job.count).tolist()
    return (header(moment, nonce, value_wei) for moment, nonce in zip(due_ns, numbers, strict=True))


def with_wire(tool: Callable[[Job], Mapping[str, float]], job: Job) -> Mapping[str, float]:
    """The figures of one run, with those from the wire if available."""
    if not can_capture():
        return tool(job)
    with captured(urlsplit(job.url).port or 80) as seen:
        figures = tool(job)
    kept = seen.after(WARM_UP_NS)
    shortest, longest = np.percentile(kept.gaps_ns, (10, 90)) / 1e6
    return {
        **figures,
        WIRE: float(np.median(kept.service_ns)) / 1e6,
        GAP_10: float(shortest),
        GAP_90: float(longest),
    }


def _figures(latency_ns: np.ndarray) -> Mapping[str, float]:
    median, p95 = np.percentile(latency_ns, (50, 95), method="inverted_cdf") / 1e6
    return {MEDIAN: float(median), P95: float(p95)}


@asynccontextmanager
async def serving(server: str, core: int | None, folder: Path) -> AsyncIterator[str]:
    """The paid route of a server in a separate process, pinned to ``core`` if given."""
    if server == FIXED:
        async with null_server(delay_ms=FIXED_MS) as fixed:
            _pin(fixed.pids, core)
            yield fixed.paid_url
        return
    free = dict.fromkeys(("service_port", "service_metrics_port", "agent_metrics_port", "graph_port"), 0)
    settings = Settings(limit_grt=Decimal(10**6), escrow_grt=Decimal(10**7), database=folder / "standin.sqlite", **free)
    async with child(settings, folder / "standin.log") as endpoints:
        _pin(tuple(endpoints.pids.values()), core)
        yield f"{endpoints.service_url}/subgraphs/id/{settings.deployment}"


def _pin(pids: Sequence[int], core: int | None) -> None:
    """All threads of the processes."""
    for pid in pids if core is not None else ():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


def ratios(figures: Sequence[Figure]) -> dict[str, float]:
    """Median over the rounds of ours divided by vegeta's, by quantity."""
    values = {(figure.rival, figure.quantity): figure.values for figure in figures}
    return {
        quantity: statistics.median(
            own / other for own, other in zip(values[OURS, quantity], values[THEIRS, quantity], strict=True)
        )
        for quantity in TARGETS
    }


def _said(name: str, figures: Sequence[Figure]) -> Iterator[str]:
    """The differences between the two tools and from the wire, in words."""
    ratio = ratios(figures)
    for quantity, allowed in TARGETS.items():
        off = ratio[quantity] - 1
        yield f"{name}: {quantity}: {off:+.1%} of vegeta's{'' if abs(off) <= allowed else f', {allowed:.0%} allowed'}"
    if any(figure.quantity == WIRE for figure in figures):
        added = {tool: median_of(figures, tool, MEDIAN) - median_of(figures, tool, WIRE) for tool in (OURS, THEIRS)}
        yield f"{name}: added to the wire: " + ", ".join(f"{tool} {ms * 1e3:.0f} us" for tool, ms in added.items())
        gaps = {tool: [median_of(figures, tool, gap) for gap in (GAP_10, GAP_90)] for tool in (OURS, THEIRS)}
        said = ", ".join(f"{tool} {low:.2f} to {high:.2f} ms" for tool, (low, high) in gaps.items())
        yield f"{name}: from request to request, p10 to p90: {said}"


async def compare(server: str, core: int | None, options: argparse.Namespace) -> dict[int, list[Figure]]:
    """Both tools at each rate on one server."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        async with serving(server, core, Path(folder)) as url:
            for rate in options.rates:
                print(f"{server}, {rate}/s", file=sys.stderr)
                job = Job(url, rate, options.seconds, Path(folder), options.vegeta)
                rivals = {OURS: partial(with_wire, ours, job), THEIRS: partial(with_wire, theirs, job)}
                # in a thread, since ours has its own event loop
                found[rate] = await asyncio.to_thread(interleave, rivals, options.rounds)
                print(*_said(f"{server}, {rate}/s", found[rate]), sep="\n", file=sys.stderr)
    return found


def _parse() -> argparse.Namespace:
    parser = arguments(__doc__.splitlines()[0])
    installed = shutil.which("vegeta") or shutil.which("vegeta", path=Path.home() / "go" / "bin")
    parser.add_argument("--vegeta", default=installed, help="the vegeta program")
    parser.add_argument("--seconds", type=int, default=6, help="how long a run is; its first second does not count")
    parser.add_argument("--rates", type=int, nargs="+", default=RATES, help="requests a second")
    parser.add_argument("--pinned", action="store_true", help="both tools on one core, the server on another")
    parser.add_argument("--servers", nargs="+", choices=(FIXED, STANDIN), default=(FIXED, STANDIN))
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; 1 if the two tools do not agree."""
    options = _parse()
    if options.vegeta is None:
        print(
            "agreement: vegeta is not installed, so there is nothing to compare with: go install "
            "github.com/tsenart/vegeta/v12@latest, or name it with --vegeta",
            file=sys.stderr,
        )
        return 0
    cores = sorted(os.sched_getaffinity(0))
    core = cores[1] if options.pinned and len(cores) > 1 else None
    if core is not None:
        os.sched_setaffinity(0, {cores[0]})  # inherited by both tools, which are started from here
    figures, found, said = [], {}, []
    for server in options.servers:
        for rate, measured in asyncio.run(compare(server, core, options)).items():
            name = f"{server}, {rate}/s"
            figures += [Figure(f"{figure.rival}, {name}", figure.quantity, figure.values) for figure in measured]
            found[name] = ratios(measured)
            said += _said(name, measured)
    print(table(figures), *said, sep="\n")
    write(options.out, "agreement", figures, ratios=found, seconds=options.seconds, pinned=core is not None)
    return int(
        any(abs(ratio[quantity] - 1) > allowed for ratio in found.values() for quantity, allowed in TARGETS.items())
    )


if __name__ == "__main__":
    sys.exit(main())
