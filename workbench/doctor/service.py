"""The target: does it answer, is it healthy, does its clock agree, can its metrics and its database be read, and would
a run begin?"""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import parsedate_to_datetime

from workbench.doctor.check import Check, Status
from workbench.errors import EXIT_TARGET, TargetError, ToolError
from workbench.settings import Settings

DATE_RESOLUTION_S = 1.0  # of the HTTP Date header (RFC 9110, 5.6.7)


async def checks(settings: Settings) -> list[Check]:
    """The service, its health, its clock, both metrics pages, its database, and what the preflight of a run says; one
    row when no target is given."""
    if settings.target is None:
        given = "its command is given: a run starts it" if settings.service_command else "the embedded stand-in is used"
        return [Check("target", "ok", f"no address given: {given}")]
    try:
        from workbench.service.health import require_service
    except ImportError as error:
        return [Check("target", "missing", f"cannot be checked without {error.name}")]
    try:
        await require_service(settings.target)
    except TargetError as error:
        return [_failed("target", error)]
    return [
        Check("target", "ok", f"an indexer-service answers at {settings.target}"),
        *await _health_and_clock(settings.target, settings.timestamp_tolerance_s),
        await _metrics("service metrics", settings.service_metrics_url, "indexer_", "WORKBENCH_SERVICE_METRICS_URL"),
        await _metrics("agent metrics", settings.agent_metrics_url, "tap_", "WORKBENCH_AGENT_METRICS_URL"),
        await _database(settings),
        *await _preflight(settings),
    ]


async def _health_and_clock(url: str, tolerance_s: float) -> list[Check]:
    import aiohttp

    from workbench.service.fetch import TIMEOUT_S, require_no_redirect

    sent = time.time()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=False) as session,
            session.get(f"{url}/healthz", allow_redirects=False) as response,
        ):
            received = time.time()
            require_no_redirect(response.status, response.headers, "/healthz", url)
            text = (await response.content.read(1 << 16)).decode(errors="replace")
            status, date = response.status, response.headers.get("Date")
    except TargetError as error:
        return [_failed("target health", error)]
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = TargetError(f"/healthz does not answer ({type(error).__name__})", where=url)
        return [_failed("target health", failure)]
    return [health(status, text), clock_offset(date, sent, received, tolerance_s)]


def health(status: int, text: str) -> Check:
    """The answer of ``/healthz``: 200 or 503 and a status for each of the service's own dependencies."""
    name = "target health"
    if status == 404:
        return Check(name, "ok", "this service has no /healthz")
    try:
        parts = json.loads(text)["checks"]
        said = ", ".join(f"{part} {str(parts[part]['status'])[:40]}" for part in sorted(parts))
    except (ValueError, KeyError, TypeError):
        said = repr(text[:80])
    if status == 200:
        return Check(name, "ok", said)
    mend = "look at the service's log, and start what it reports as unhealthy"
    return Check(name, "failed", f"HTTP {status}: {said}", mend, EXIT_TARGET)


def clock_offset(date: str | None, sent: float, received: float, tolerance_s: float) -> Check:
    """The service's clock against ours, from its Date header; ``sent`` and ``received`` are our Unix times.

    The header has whole seconds, so a difference of one second cannot be seen. A receipt is refused when
    its timestamp is more than the service's tolerance away from the service's clock.
    """
    name = "target clock"
    try:
        stamp = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Check(name, "ok", "the service gives no Date to compare with")
    # the true time of the stamp is in [stamp, stamp + 1), and it was taken between sent and received
    ahead, behind = stamp - received, sent - (stamp + DATE_RESOLUTION_S)
    off = max(ahead, behind, 0.0)
    if off == 0:
        return Check(name, "ok", "agrees with this one to the second")
    found = f"{off:.0f} s {'ahead of' if ahead > behind else 'behind'} this one; receipts carry a timestamp"
    if off < tolerance_s / 2:
        return Check(name, "ok", found)
    refused = f"{found}, and {tolerance_s:.0f} s is the tolerance"
    mend = "sudo timedatectl set-ntp true  # on both machines"
    if off < tolerance_s:
        return Check(name, "warning", refused, mend)
    return Check(name, "failed", refused, mend, EXIT_TARGET)


async def _metrics(name: str, url: str | None, prefix: str, option: str) -> Check:
    from workbench.service.metrics import scrape

    if url is None:
        return Check(name, "missing", "no address given; it is needed for budgets and denial", f"{option}=URL")
    try:
        readings = await scrape(url, f"the {name}")
    except TargetError as error:
        return _failed(name, error)
    own = {reading.name for reading in readings if reading.name.startswith(prefix)}
    if own:
        return Check(name, "ok", f"{len(own)} series names of its own at {url}")
    # families appear at first use, so a fresh service has none yet
    return Check(name, "warning", f"{url} has no metric that begins with {prefix} yet")


async def _database(settings: Settings) -> Check:
    from workbench.service.postgres import PostgresDatabase

    url, name = settings.database_url, "database"
    if url is None:
        found = "no address given; it is needed to count stored receipts and see denial"
        return Check(name, "missing", found, "WORKBENCH_DATABASE_URL=URL")
    try:
        denied = await asyncio.to_thread(PostgresDatabase(url).denied, version=settings.receipt_version)
    except TargetError as error:
        return _failed(name, error)
    except ToolError as error:
        return Check(name, "missing", error.what, error.hint or "")
    return Check(name, "ok", f"answers; {len(denied)} payers are denied")


async def _preflight(settings: Settings) -> list[Check]:
    """What a run would report before its first receipt. Sends one request with a receipt, which is not stored."""
    from workbench.service.connect import connect
    from workbench.service.preflight import preflight

    try:
        target = await connect(settings)
        notes = (await preflight(target, target.payers)).notes
    except (TargetError, ToolError) as error:
        return [Check("preflight", "warning", f"could not be made: {error.what}", error.hint or "")]
    rows = []
    for check in dict.fromkeys(note.check for note in notes if note.check != "log"):  # it has a row of its own
        of_it = [note for note in notes if note.check == check]
        said = "; ".join(note.what for note in of_it)
        if any(note.refuses for note in of_it):
            rows.append(Check(f"preflight {check}", "failed", said, of_it[0].remedy, EXIT_TARGET))
        else:
            status: Status = "ok" if check == "probe" else "warning"
            rows.append(Check(f"preflight {check}", status, said, of_it[0].remedy))
    return rows or [Check("preflight", "ok", "no obstacle to a run")]


def _failed(name: str, error: TargetError) -> Check:
    return Check(name, "failed", f"{error.where}: {error.what}", error.hint or "", EXIT_TARGET)
