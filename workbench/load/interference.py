"""What disturbed a generator during a step, and what of it is worth reporting. Pure: data in, words out.

:mod:`workbench.load.interference_watch` measures it. The lag shows that a step was disturbed, this shows by what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

HOLD_UPS_MS = (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Hold-ups of the event loop longer than each of these are summed. An idle virtual machine has the first as lag one
time in a hundred, so shorter ones mean nothing."""

OTHER_CORE_SHARE = 0.25  # of one core; what an idle system does in the background takes a few hundredths
IDLE_CORES = 1.0  # with a spare core, other processes disturb nothing
STEAL_SHARE = 0.02
MIN_STOLEN_S = 0.05  # five ticks of the kernel's account; fewer are too coarse for a share
GC_PAUSE_MS = 1.0
CLOCK_STEP_MS = 1.0  # the two clocks are read within 0.1 ms of each other
THROTTLED_MS = 1.0
PREEMPTED_PER_S = 100.0


@dataclass(frozen=True)
class Interference:
    """Disturbances in ``seconds`` of a step. None: not known on this system.

    ``loop_delay_max_ms``: the longest delay of a timer of the event loop. ``loop_held_s``: seconds in hold-ups longer
    than each of HOLD_UPS_MS. ``gc_pauses``: garbage collections, the longest of ``gc_pause_max_ms``. ``clock_step_ms``:
    the largest step by which the wall clock was set, against the monotonic one. ``preempted``: involuntary context
    switches of the generator. ``throttled_ms``: how long the CPU limit of the generator's container stopped it.

    ``own_cpu_s`` (the generator and its children), ``services_cpu_s`` (the processes under test) and ``busy_cpu_s``
    (all processes of the machine) are CPU seconds. ``stolen_cpu_s``: CPU seconds that the machine needed and the
    hypervisor gave to others; ``wanted_cpu_s``: used and stolen together. ``cores`` and ``machine``: the machine's
    cores and name.
    """

    seconds: float
    loop_delay_max_ms: float = 0.0
    loop_held_s: tuple[float, ...] = (0.0,) * len(HOLD_UPS_MS)
    gc_pauses: int = 0
    gc_pause_max_ms: float = 0.0
    clock_step_ms: float = 0.0
    preempted: int = 0
    throttled_ms: float | None = None
    own_cpu_s: float | None = None
    services_cpu_s: float | None = None
    busy_cpu_s: float | None = None
    stolen_cpu_s: float | None = None
    wanted_cpu_s: float | None = None
    cores: int | None = None
    machine: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Interference:
        """The inverse of ``dataclasses.asdict``, from JSON."""
        return cls(**{**data, "loop_held_s": tuple(data["loop_held_s"])})

    @property
    def other_cores(self) -> float | None:
        """Cores used by all other processes together: without generator, signers and services."""
        if self.busy_cpu_s is None or self.own_cpu_s is None or not self.seconds:
            return None
        return max(0.0, self.busy_cpu_s - self.own_cpu_s - (self.services_cpu_s or 0.0)) / self.seconds

    @property
    def steal_share(self) -> float | None:
        """The share of the needed CPU time that the hypervisor gave to others.

        Not a share of all time: from a machine that needs little, little can be stolen, even if it is all it needs.
        """
        if self.stolen_cpu_s is None or self.wanted_cpu_s is None:
            return None
        return self.stolen_cpu_s / self.wanted_cpu_s if self.stolen_cpu_s >= MIN_STOLEN_S else 0.0

    def held_up_s(self, beyond_ms: float) -> float:
        """Seconds in hold-ups of the event loop longer than ``beyond_ms``, rounded up to the next of HOLD_UPS_MS."""
        found = (held for limit, held in zip(HOLD_UPS_MS, self.loop_held_s, strict=True) if limit >= beyond_ms)
        return next(found, 0.0)


def disturbances(interference: Interference | None) -> tuple[str, ...]:
    """What is worth reporting: the causes, and hold-ups of the event loop; empty if nothing was unusual."""
    if interference is None:
        return ()
    return tuple(filter(None, (*causes(interference), _held_up(interference))))


def causes(interference: Interference) -> tuple[str, ...]:
    """Causes that can make a generator late and were large enough to report, the likeliest first."""
    said = (
        _steal(interference),
        _throttled(interference),
        _others(interference),
        _collections(interference),
        _preempted(interference),
        clock_step(interference),
    )
    return tuple(words for words in said if words)


def clock_step(interference: Interference) -> str:
    """The largest step of the wall clock in words; "" without one."""
    step_ms = interference.clock_step_ms
    if abs(step_ms) <= CLOCK_STEP_MS:
        return ""
    size = f"{step_ms:+.1f} ms" if abs(step_ms) < 1000 else f"{step_ms / 1000:+.1f} s"
    return f"the wall clock was set by {size}"


def steal(share: float) -> str:
    """Steal in words."""
    return f"the hypervisor took {100 * share:.0f} % of the CPU time that this machine needed (steal)"


def together(parts: Sequence[Interference | None]) -> Interference | None:
    """The disturbances of several generators in one step: the worst of each kind, and the machine that other processes
    used most (its generators do not count as others). None where a generator does not know."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    machines = [_account([part for part in known if part.machine == name]) for name in {part.machine for part in known}]
    return replace(
        max(machines, key=lambda machine: machine.other_cores or 0.0),
        loop_delay_max_ms=max(part.loop_delay_max_ms for part in known),
        loop_held_s=tuple(max(held) for held in zip(*(part.loop_held_s for part in known), strict=True)),
        gc_pauses=sum(part.gc_pauses for part in known),
        gc_pause_max_ms=max(part.gc_pause_max_ms for part in known),
        clock_step_ms=max((part.clock_step_ms for part in known), key=abs),
        preempted=sum(part.preempted for part in known),
        throttled_ms=max((part.throttled_ms for part in known if part.throttled_ms is not None), default=None),
    )


def _account(parts: Sequence[Interference]) -> Interference:
    """The longest measurement of a machine's CPU, with all its generators as its own."""
    longest = max(parts, key=lambda part: part.seconds)
    if longest.own_cpu_s is None:
        return longest
    return replace(longest, own_cpu_s=sum(part.own_cpu_s or 0.0 for part in parts))


def _others(interference: Interference) -> str:
    cores, others = interference.cores, interference.other_cores
    if others is None or cores is None or interference.wanted_cpu_s is None or others < OTHER_CORE_SHARE:
        return ""
    if cores - interference.wanted_cpu_s / interference.seconds >= IDLE_CORES:
        return ""
    if cores == 1 or others < 1:
        return f"other processes used {100 * others:.0f} % of a core"
    return f"other processes used {others:.1f} of the {cores} cores"


def _steal(interference: Interference) -> str:
    share = interference.steal_share
    return steal(share) if share is not None and share >= STEAL_SHARE else ""


def _throttled(interference: Interference) -> str:
    stopped_ms = interference.throttled_ms
    if stopped_ms is None or stopped_ms < THROTTLED_MS:
        return ""
    return f"the CPU limit of its container throttled the generator for {stopped_ms:.0f} ms"


def _collections(interference: Interference) -> str:
    if interference.gc_pause_max_ms < GC_PAUSE_MS:
        return ""
    times = "once" if interference.gc_pauses == 1 else f"{interference.gc_pauses} times"
    return f"garbage collection ran {times}, for at most {interference.gc_pause_max_ms:.1f} ms"


def _preempted(interference: Interference) -> str:
    if interference.preempted < max(1.0, PREEMPTED_PER_S * interference.seconds):
        return ""
    return f"the generator was preempted {interference.preempted:,} times"


def _held_up(interference: Interference) -> str:
    held_s = interference.loop_held_s[0]
    if not held_s:
        return ""
    longest, total_ms = interference.loop_delay_max_ms, 1e3 * held_s
    total = f", {total_ms:.0f} ms in all" if total_ms >= longest + 1 else ""
    return f"the event loop was held up by up to {longest:.0f} ms{total}"
