"""The profile windows of a sweep: one per step, and an idle window in which nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from workbench.profilers.session import Cut
from workbench.profilers.windows.record import Window
from workbench.settings import Settings
from workbench.sweep.setup import Setup
from workbench.sweep.steps import Step

FOLDER = "profiles"
"""In a run folder: ``profiles/<service>/<mode>/step-NNN.*`` and ``idle.*``."""

IDLE = "idle"
"""The name of the idle window."""

MAX_IDLE_S = 30.0

_STEP = "step-"


def window_name(step: int) -> str:
    """The name of a step's window."""
    return f"{_STEP}{step:03d}"


def step_of(window: str) -> int:
    """The step whose window has this name."""
    return int(window.removeprefix(_STEP))


async def open_window(stack: AsyncExitStack, setup: Setup, step: Step) -> Cut | None:
    """Begin the profile of a step; None for steps without a profile. It ends when ``stack`` is closed.

    Nothing is asked of the service meanwhile, nor in the paired step, so that both have the same cost.
    """
    if step.kind == "paired" or (step.kind == "step" and setup.session is not None):
        await _leave_alone(stack, setup)
    if setup.session is None or step.kind != "step":
        return None
    return await stack.enter_async_context(setup.session.window(window_name(step.number)))


async def idle_window(setup: Setup, seconds: float) -> tuple[Window, ...]:
    """An idle window of ``seconds``, in which no receipt is sent: the background work of the services."""
    if setup.session is None:
        return ()
    setup.record.event("idle_window", seconds=round(seconds, 1))
    async with AsyncExitStack() as stack:
        await _leave_alone(stack, setup)
        async with setup.session.window(IDLE) as cut:
            cut.facts["session"] = setup.record.session
            await asyncio.sleep(seconds)  # the idle time itself is measured
    return cut.windows


def idle_seconds(settings: Settings, windows: Sequence[Window]) -> float:
    """The length of the idle window: from the settings, otherwise that of the shortest window of a step, at most
    MAX_IDLE_S. 0: not wanted, or there is no window of a step."""
    if settings.idle_s is not None:
        return settings.idle_s
    steps = [window for window in windows if window.name.startswith(_STEP)]
    if not steps:
        return 0.0
    return min(MAX_IDLE_S, *(window.seconds for window in steps))


def reach(step: Step, quiet: bool | None) -> list[str]:
    """Notes on the end of a step's window. ``quiet``: whether its processes were idle; None if they could not be
    watched."""
    if quiet is None:
        return [
            "The service's processes are not on this machine: work after the last answer, such as the agent's "
            "counting, may be missing from a window"
        ]
    if not quiet:
        return [
            f"The window of step {step.number} ended while the service was still working: some of its cost may be "
            "missing"
        ]
    return []


async def _leave_alone(stack: AsyncExitStack, setup: Setup) -> None:
    """Ask nothing of the services until ``stack`` is closed."""
    stack.callback(setup.watch.ask_again)
    await setup.watch.leave_alone()
