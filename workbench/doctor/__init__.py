"""What is installed and reachable, and for each gap the command that fixes it: ``workbench doctor``.

``check`` (one finding, the table of them), ``packages`` (Python and its packages), ``tools`` (valgrind, strace,
docker), ``machine`` (clock, disk, limits, ports), ``calibration`` (which rates it offers), ``programs`` (the log level
of the services), ``service`` (the target, if one is given).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workbench.doctor.check import Check, exit_code, render

if TYPE_CHECKING:
    from workbench.settings import Settings

__all__ = ["Check", "checks", "exit_code", "render"]


async def checks(settings: Settings) -> list[Check]:
    """All checks of the doctor, in the order in which to fix what they find.

    They only look: nothing is installed, written or started. The target gets a few small requests. What is found
    never raises.
    """
    from workbench.doctor import calibration, machine, packages, programs, service, tools

    clocks = machine.Clocks.now()
    found, target = await asyncio.gather(asyncio.to_thread(tools.checks), service.checks(settings))
    return [
        *packages.checks(),
        *found,
        *machine.checks(settings),
        machine.steady_clock(clocks, machine.Clocks.now()),
        calibration.calibrated(settings.runs_dir),
        *programs.log_levels(settings),
        *target,
    ]
