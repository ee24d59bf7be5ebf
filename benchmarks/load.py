"""Requests of one core: the rate in a closed loop (ours, Locust, hey, wrk), and lateness in an open one (ours, vegeta).

All send the same body to one null server over kept connections. The client is pinned to one core and the server to
another if the machine has two. Signed requests each have another receipt, signed before the measurement, for all
clients; hey cannot change the header and is left out there. "workbench load, signed" is the whole command, which signs
while it sends.

Locust has its own virtualenv: ``python -m venv .venv/locust && .venv/locust/bin/pip install locust``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import generator, lateness
from benchmarks.harness import Figure, Measure, arguments, interleave, median_of, table, write
from benchmarks.null_server import null_server
from workbench.load.engines.child import child_process
from workbench.load.plan import ClosedPlan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate
from workbench.settings import TargetSettings

RATE, CPU = "requests per second", "client CPU microseconds per request"
HERE = Path(__file__).parent
VEGETA_CAN = 5_000
"""Requests a second that vegeta sends on one core."""
KEY = bytes(range(1, 33))
SIGNED = 20_000
"""How many receipts are signed and sent repeatedly."""
ALLOCATION = "fa44c72b753a66591f241c7dc04e8178c30e13af"


@dataclass(frozen=True)
class Job:
    """The task of every client."""

    server: str
    concurrency: int
    seconds: int
    count: int  # for our client, which takes a number of requests instead of a time
    folder: Path

    @property
    def path(self) -> str:
        """The paid route."""
        return f"/subgraphs/id/{TargetSettings().deployment}"

    @property
    def url(self) -> str:
        """The whole address."""
        return self.server + self.path

    def spec(self) -> StepSpec:
        """This job for our own generator, without receipts."""
        return StepSpec(
            url=self.url,
            query=TargetSettings().query,
            plan=ClosedPlan(self.count, self.concurrency),
            buffer=self.folder / "samples",
            receipt=None,
        )

    @property
    def body(self) -> str:
        """The request body, ours."""
        return self.spec().body.decode()


def template() -> ReceiptTemplate:
    """V2 receipts of the local test network."""
    settings = TargetSettings()
    return ReceiptTemplate(
        version=2,
        chain_id=settings.chain_id,
        contract=settings.collector[2:],
        allocation=ALLOCATION,
        payer=SigningKey(KEY).address.hex(),
        data_service=settings.data_service[2:],
        service_provider=settings.indexer[2:],
        value_wei=settings.value_wei,
    )


def ours(job: Job) -> Mapping[str, float]:
    """The generator process that ``workbench load`` runs, without receipts, timed by its own report."""
    return _timed(job, "workbench", lambda: asyncio.run(child_process(job.spec(), None)))


def ours_signed(job: Job, receipts: Path) -> Mapping[str, float]:
    """The generator alone, with receipts from a file like the others."""
    return _timed(job, "workbench, signed", lambda: generator.run(job.spec(), receipts))


def _timed(job: Job, name: str, send: Callable[[], StepReport]) -> Mapping[str, float]:
    buffer = SampleBuffer.create(job.folder / "samples", job.count)
    try:
        report = send()
        good = buffer.paid()
    finally:
        buffer.path.unlink()
    if good != job.count:
        raise SystemExit(f"{name}: only {good} of {job.count} requests were answered well")
    seconds = (report.ended_ns - report.started_ns) / 1e9
    return {RATE: job.count / seconds, CPU: report.cpu_s / job.count * 1e6}


def whole_command(job: Job, count: int) -> Mapping[str, float]:
    """The command ``workbench load`` as a user runs it: signed receipts, a row for each, everything written."""
    command = f"{sys.executable} -m workbench.cli load --target {job.server} --allocation 0x{ALLOCATION} --json"
    text, _ = _run(
        job, f"{command} --concurrency {job.concurrency} --num-receipts {count} --runs-dir {job.folder}", None
    )
    report = json.loads(text)
    if report["accepted"] != count:
        raise SystemExit(f"workbench load: only {report['accepted']} of {count} receipts were accepted")
    cpu_s = report["generator_cpu_percent"] / 100 * report["duration_s"]
    return {RATE: report["throughput_per_s"], CPU: cpu_s / count * 1e6}


def locust(job: Job, program: Path, receipts: Path | None) -> Mapping[str, float]:
    """Locust without its web page, timed from when all users have started."""
    users = str(job.concurrency)
    text, _ = _run(
        job,
        f"{program} -f {HERE / 'locustfile.py'} --headless --only-summary --loglevel ERROR --stop-timeout 5 "
        f"--host {job.server} -u {users} -r {users} -t {job.seconds}s",
        receipts,
    )
    report = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    if report["failed"] or not report["requests"]:
        raise SystemExit(f"locust: {report['failed']} of {report['requests']} requests failed")
    return {
        RATE: report["requests"] / report["seconds"],
        CPU: report["cpu_s"] / report["requests"] * 1e6,
    }


def wrk(job: Job, receipts: Path | None) -> Mapping[str, float]:
    """wrk with one thread."""
    text, cpu_s = _run(
        job,
        f"wrk -t 1 -c {job.concurrency} -d {job.seconds}s -s {HERE / 'receipts.lua'} {job.url}",
        receipts,
    )
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"wrk: some requests failed: {text}")
    return {
        RATE: float(_only(r"Requests/sec:\s+([\d.]+)", text)),
        CPU: cpu_s / int(_only(r"(\d+) requests in", text)) * 1e6,
    }


def hey(job: Job) -> Mapping[str, float]:
    """hey on one processor."""
    text, cpu_s = _run(
        job,
        f"hey -cpus 1 -z {job.seconds}s -c {job.concurrency} -m POST -T application/json "
        f"-d {shlex.quote(job.body)} {job.url}",
        None,
    )
    statuses = re.findall(r"\[(\d+)\]\s+\d+ responses", text)
    if statuses != ["200"] or "Error distribution" in text:
        raise SystemExit(f"hey: some requests failed: {text}")
    return {
        RATE: float(_only(r"Requests/sec:\s+([\d.]+)", text)),
        CPU: cpu_s / int(_only(r"\[200\]\s+(\d+) responses", text)) * 1e6,
    }


def _run(job: Job, command: str, receipts: Path | None) -> tuple[str, float]:
    """Output and CPU seconds, start and end included, of one command line."""
    environment = {**os.environ, "BENCH_PATH": job.path, "BENCH_BODY": job.body}
    if receipts is not None:
        environment["BENCH_RECEIPTS"] = str(receipts)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command} ended with code {done.returncode}: {done.stderr[-500:]}")
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _only(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"no {pattern!r} in: {text}")
    return found[1]


def rivals(job: Job, locust_program: Path | None, receipts: Path) -> dict[str, Measure]:
    """Every client that is installed, unsigned and signed."""
    found: dict[str, Measure] = {
        "workbench": lambda: ours(job),
        "workbench, signed": lambda: ours_signed(job, receipts),
        "workbench load, signed": lambda: whole_command(job, max(1, job.count // 8)),
    }
    if locust_program is not None:
        found["locust"] = lambda: locust(job, locust_program, None)
        found["locust, signed"] = lambda: locust(job, locust_program, receipts)
    if shutil.which("hey"):
        found["hey"] = lambda: hey(job)
    if shutil.which("wrk"):
        found["wrk"] = lambda: wrk(job, None)
        found["wrk, signed"] = lambda: wrk(job, receipts)
    return found


def open_loops(job: Job, rates: Sequence[int]) -> dict[str, Measure]:
    """Ours, without and with spinning, and vegeta if installed, at each rate."""
    found: dict[str, Measure] = {}
    for rate in rates:
        for spin in (False, True):
            name = f"workbench{', spinning' if spin else ''}, {rate}/s"
            found[name] = partial(lateness.ours, job.spec(), rate, job.seconds, spin=spin)
        # above its capacity it opens more and more connections, and later tools find no free ports
        if shutil.which("vegeta") and rate <= VEGETA_CAN:
            found[f"vegeta, {rate}/s"] = partial(lateness.vegeta, job.url, job.body, rate, job.seconds, job.folder)
    return found


def sign(path: Path, count: int) -> None:
    """A file of signed receipts, one header a line, for the clients that cannot sign."""
    receipt = template()
    header: Callable[[int, int, int], str] = receipt.signer(SigningKey(KEY)).header
    path.write_text("".join(f"{header(1_700_000_000_000_000_000, i, receipt.value_wei)}\n" for i in range(count)))


def against(figures: Sequence[Figure], rival: str) -> dict[str, float]:
    """Our medians divided by a rival's, signed by signed and unsigned by unsigned."""
    own = "workbench, signed" if rival.endswith("signed") else "workbench"
    return {
        quantity: median_of(figures, own, quantity) / median_of(figures, rival, quantity) for quantity in (RATE, CPU)
    }


def _others(figures: Sequence[Figure]) -> list[str]:
    return list(dict.fromkeys(f.rival for f in figures if not f.rival.startswith("workbench") and f.quantity == RATE))


def _parse() -> argparse.Namespace:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--locust", type=Path, default=shutil.which("locust"), help="the locust program, of any environment"
    )
    parser.add_argument("--concurrency", type=int, default=32, help="requests in flight")
    parser.add_argument("--seconds", type=int, default=4, help="how long each client sends, each round")
    parser.add_argument("--count", type=int, default=200_000, help="how many requests ours sends, each round")
    parser.add_argument(
        "--rates", type=int, nargs="*", default=(2_000, 20_000), help="requests per second of the open loops"
    )
    return parser.parse_args()


def main() -> int:
    """Measure, print, write."""
    options = _parse()
    cores = sorted(os.sched_getaffinity(0))
    server_core = cores[1] if len(cores) > 1 else None
    with null_server(server_core) as server, tempfile.TemporaryDirectory() as folder:
        if server_core is not None:
            os.sched_setaffinity(0, {cores[0]})  # inherited by every client started from here
        job = Job(server, options.concurrency, options.seconds, options.count, Path(folder))
        receipts = Path(folder) / "receipts"
        sign(receipts, min(options.count, SIGNED))
        figures = interleave(rivals(job, options.locust, receipts), options.rounds)
        if options.rates:
            figures += interleave(open_loops(job, options.rates), options.rounds)
    print(table(figures))
    ratios = {rival: against(figures, rival) for rival in _others(figures)}
    for rival, ratio in ratios.items():
        print(
            f"against {rival}: {ratio[RATE]:.2f} times the requests per second, "
            f"{ratio[CPU]:.2f} times the CPU time a request"
        )
    write(
        options.out,
        "load",
        figures,
        ratios=ratios,
        concurrency=options.concurrency,
        seconds=options.seconds,
        count=options.count,
        pinned=server_core is not None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
