"""The target: does it answer, is it healthy, does its clock agree, can its metrics be read?"""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime

from workbench.doctor.check import Check
from workbench.errors import EXIT_TARGET, TargetError
from workbench.settings import Settings

DATE_RESOLUTION_S = 1.0  # of the HTTP Date header (RFC 9110, 5.6.7)


async def checks(settings: Settings) -> list[Check]:
    """The service, its health, its clock and both metrics pages; one row when no target is given."""
    if settings.target is None:
        return [Check("target", "ok", "none given: the embedded stand-in is used")]
    try:
        from workbench.service.health import require_service
    except ImportError as error:
        return [Check("target", "missing", f"cannot be asked without {error.name}")]
    try:
        await require_service(settings.target)
    except TargetError as error:
        return [_failed("target", error)]
    return [
        Check("target", "ok", f"an indexer-service answers at {settings.target}"),
        *await _health_and_clock(settings.target, settings.timestamp_tolerance_s),
        await _metrics("service metrics", settings.service_metrics_url, "indexer_", "WORKBENCH_SERVICE_METRICS_URL"),
        await _metrics("agent metrics", settings.agent_metrics_url, "tap_", "WORKBENCH_AGENT_METRICS_URL"),
    ]


async def _health_and_clock(url: str, tolerance_s: float) -> list[Check]:
    import aiohttp

    from workbench.service.fetch import TIMEOUT_S

    sent = time.time()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=False) as session,
            session.get(f"{url}/healthz") as response,
        ):
            received = time.time()
            text = (await response.content.read(1 << 16)).decode(errors="replace")
            status, date = response.status, response.headers.get("Date")
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
    mend = "look at the service's log, and start what it says is unhealthy"
    return Check(name, "failed", f"HTTP {status}: {said}", mend, EXIT_TARGET)


def clock_offset(date: str | None, sent: float, received: float, tolerance_s: float) -> Check:
    """The service's clock against ours, from its Date header; ``sent`` and ``received`` are our Unix times.

    The header has whole seconds, so a second of disagreement cannot be told from none. A receipt is refused when
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
        return Check(name, "missing", "no address given; budgets and denial are seen through it", f"{option}=URL")
    try:
        readings = await scrape(url, f"the {name}")
    except TargetError as error:
        return _failed(name, error)
    own = {reading.name for reading in readings if reading.name.startswith(prefix)}
    if own:
        return Check(name, "ok", f"{len(own)} series names of its own at {url}")
    # families appear at first use, so a fresh service has none yet
    return Check(name, "warning", f"{url} has no metric that begins with {prefix} yet")


def _failed(name: str, error: TargetError) -> Check:
    return Check(name, "failed", f"{error.where}: {error.what}", error.hint or "", EXIT_TARGET)
