"""What a calibration is valid for: this machine and the sending software."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HARDWARE = ("system", "processor", "cores", "usable_cores", "hypervisor")
SOFTWARE = ("release", "python", "uvloop", "indexer-workbench", "generator")
_SENDS = ("load", "receipts")  # rooms of the package


def identity(machine: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """The facts of :mod:`workbench.runs.machine` that change how fast it sends, and ``generator``, a hash of the
    code that sends."""
    facts = {**machine, **versions, "generator": _generator()}
    return {name: facts[name] for name in (*HARDWARE, *SOFTWARE)}


def same_machine(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two identities belong to the same or an equal machine."""
    return all(one.get(name) == other.get(name) for name in HARDWARE)


def difference(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why a calibration is not valid for the identity ``now``; "" if it is."""
    if not same_machine(stored, now):
        found = ", ".join(
            f"{stored.get(name)}" for name in ("processor", "usable_cores", "hypervisor") if stored.get(name)
        )
        return f"it was made on another machine ({found})"
    changed = [name for name in SOFTWARE if stored.get(name) != now[name]]
    if not changed:
        return ""
    words = {"release": "kernel", "python": "Python", "indexer-workbench": "workbench", "generator": "generator"}
    return f"it was made with another {' and another '.join(words.get(name, name) for name in changed)}"


def _generator() -> str:
    """A short hash of the code that signs and sends, since the version does not change between releases."""
    digest = hashlib.sha256()
    for room in _SENDS:
        for path in sorted((Path(__file__).parent.parent / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
