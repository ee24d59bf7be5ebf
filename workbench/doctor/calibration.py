"""Whether this machine is calibrated, and what it offers."""

from __future__ import annotations

from pathlib import Path

from workbench.doctor.check import Check

NAME, MEND = "calibration", "workbench calibrate"


def calibrated(runs_dir: Path) -> Check:
    """What ``workbench calibrate`` found on this machine, if that is still valid."""
    try:
        from workbench.calibration.calibration import count
        from workbench.calibration.expect import day
        from workbench.calibration.identity import identity
        from workbench.calibration.stored import known
        from workbench.runs.machine import machine, versions
    except ImportError as error:
        return Check(NAME, "missing", f"cannot be checked without {error.name}")
    found = known(runs_dir, identity(machine(), versions()))
    if found.why_not:
        return Check(NAME, "missing", f"exists, but is not used: {found.why_not}", MEND)
    if found.calibration is None:
        return Check(NAME, "missing", "not made; it finds which rates this machine can send in time", MEND)
    calibration = found.calibration
    offers = ", ".join(f"{count(offer.processes)} {offer.rate}" for offer in calibration.offers)
    made = day(max(offer.made for offer in calibration.offers))
    said = f"sends in time (lag p99 up to {calibration.lag_p99_limit_ms:g} ms): {offers}; {made}"
    disturbed = max((offer.other_cores for offer in calibration.offers if offer.disturbed), default=0.0)
    if disturbed:
        said += f"; other processes used {disturbed:.1f} cores meanwhile, so an idle machine offers more"
        return Check(NAME, "warning", said, MEND)
    return Check(NAME, "ok", said)
