"""What a calibration predicts for a coming step. Pure."""

from __future__ import annotations

from datetime import datetime

from workbench.calibration.calibration import Calibration, Offer, count


def why_beyond(calibration: Calibration, rate_per_s: float, processes: int) -> str:
    """Why a step at this rate is likely to be INVALID, and what to do; "" when it is not, or nothing is known.

    ``rate_per_s``: the highest of the plan. More processes are assumed to reach every rate that fewer processes reach.
    """
    complete = [offer for offer in calibration.offers if offer.complete]
    offered = [offer for offer in complete if offer.processes <= processes]
    own = calibration.offer(processes)
    if own is None or not own.complete or any(offer.rate_per_s >= rate_per_s for offer in offered):
        return ""
    enough = [offer.processes for offer in complete if offer.rate_per_s >= rate_per_s]
    remedy = f"use --processes {min(enough)} or lower the rate" if enough else "lower the rate"
    return f"{rate_per_s:,.0f}/s asked; {_offers(own)}: expect INVALID; {remedy}"


def _offers(own: Offer) -> str:
    meanwhile = f" while others used {own.other_cores:.1f} cores" if own.disturbed else ""
    made = f"calibrated {day(own.made)}{meanwhile}"
    if not own.rate_per_s:
        return f"this machine sends no rate in time with {count(own.processes)} ({made})"
    return f"this machine sends up to {own.rate_per_s:,.0f}/s in time with {count(own.processes)} ({made})"


def day(made: str) -> str:
    """The day of an ISO 8601 time: 29 Nov 2026."""
    moment = datetime.fromisoformat(made)
    return f"{moment.day} {moment:%b %Y}"
