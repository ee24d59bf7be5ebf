"""The plan of a batch with the same sweep once in each profiler mode."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.batches.grid import PlannedRun
from workbench.errors import SettingsError
from workbench.profilers.modes import MODES, Mode, parse_mode

DEFAULT_MODES: tuple[Mode, ...] = ("none", "flamegraph", "massif", "callgrind", "strace")


def parse_modes(text: str) -> tuple[Mode, ...]:
    """Modes from a list with commas, each once. Raises SettingsError naming an unknown mode."""
    modes = tuple(dict.fromkeys(parse_mode(part.strip()) for part in text.split(",") if part.strip()))
    if not modes:
        raise SettingsError("no mode was given", where="modes", hint=f"Give some of {', '.join(MODES)}")
    return modes


def runs_of_modes(modes: Sequence[Mode], profiled_receipts: str | None = None) -> tuple[PlannedRun, ...]:
    """One run per mode, named after it. ``profiled_receipts``: the steps under a profiler (None: the same)."""
    runs = []
    for mode in modes:
        steps = {"receipts": profiled_receipts} if mode != "none" and profiled_receipts is not None else {}
        runs.append(PlannedRun(mode, {"profiler": mode}, 1, {"profiler": mode, **steps}))
    return tuple(runs)
