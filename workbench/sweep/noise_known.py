"""The noise floors that apply to a run, as stored by ``workbench calibrate --aa``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.analysis.noise import Floor
from workbench.calibration.identity import identity
from workbench.calibration.noise_stored import noise_of
from workbench.errors import RunFolderError
from workbench.runs.read import Run

STANDIN = "stand-in"


def noise_floors_of(run: Run) -> dict[str, Floor]:
    """Noise floors by figure for a run's machine, target and load. If none was measured with this load, those of
    another load of that target. Empty if none were measured or their file cannot be read."""
    manifest = run.manifest
    if not all(name in manifest for name in ("machine", "versions", "settings")):
        return {}
    try:
        machine = identity(manifest["machine"], manifest["versions"])
        found = noise_of(run.path.parent, machine, target_of(manifest), load_of(manifest))
        return {one["figure"]: Floor.from_json(one) for one in found}
    except (RunFolderError, KeyError, TypeError, ValueError):
        return {}


def target_of(manifest: Mapping[str, Any]) -> str:
    """The target of a floor: the stand-in, the command that starts the service, or its address."""
    settings = manifest.get("settings") or {}
    if (manifest.get("target") or {}).get("is_standin"):
        return STANDIN
    return str(settings.get("service_command") or settings.get("target") or "")


def load_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The load of a floor: those settings that change how figures scatter."""
    settings = manifest.get("settings") or {}
    return {name: settings.get(name) for name in ("receipts", "rate", "concurrency", "arrivals", "processes")}
