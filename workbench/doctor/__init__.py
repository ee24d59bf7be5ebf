"""What is installed and reachable, and for each gap the command that mends it: ``workbench doctor``.

``check`` (one finding, the table of them), ``packages`` (Python and its packages), ``tools`` (valgrind, strace,
docker), ``machine`` (clock, disk, limits, ports), ``calibration`` (which rates it offers), ``programs`` (how loudly the
services log), ``service`` (the target, when one is given).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workbench.doctor.check import Check, exit_code, render

if TYPE_CHECKING:
    from workbench.settings import Settings

__all__ = ["Check", "checks", "exit_code", "render"]


async def checks(settings: Settings) -> list[Check]:
    """Everything the doctor can find out, in the order in which it is best mended.

    Looks only: nothing is installed, written or started. Of the target, a few small requests are made. Never raises
    for what it finds.
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
