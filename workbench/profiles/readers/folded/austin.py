"""austin's output: stacks under a process and a thread, frames as ``path:function:line``, times or bytes.

From austin 3 and 4: ``# mode: wall`` and similar lines come first, a stack begins with ``P<pid>;T<thread>``, a frame
may end in three more numbers (last line, columns). The count is microseconds, or bytes with ``--memory``; with
``--full`` it is ``time,idle,bytes``. See "Formats" in austin's README and ``austin/stats.py`` of austin-python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.metrics import Metric
from workbench.profiles.readers.folded.stacks import Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAD_BYTES = 8192
_MODE = re.compile(rb"^# mode: *(\w+)", re.MULTILINE)
_SAYS_SO = re.compile(rb"^# austin: ", re.MULTILINE)
_STACK = re.compile(rb"^P\d+;T[0-9a-fx:]+(?:;(.*))? (-?\d+(?:,[01],-?\d+)?)\s*$", re.MULTILINE)
# a function's name is not only digits, so that the numbers after it can be recognised
_FRAME = re.compile(r"(.*):([^:]*[^:\d][^:]*):(\d{1,9})(?::\d{1,9}:\d{1,9}:\d{1,9})?", re.DOTALL)
_NATIVE = "native@"
FULL = r"[0-9]+,[01],[+-]?[0-9]+"


@dataclass(frozen=True, slots=True)
class Austin:
    """How austin sampled. ``mode`` is austin's (``wall``, ``cpu``, ``memory``, ``full``), "" if not given."""

    mode: str

    @property
    def is_full(self) -> bool:
        """Whether a line ends in three figures instead of one."""
        return self.mode == "full"

    def metrics(self) -> list[Metric]:
        """The metrics of the figures."""
        wall = Metric("wall", "us", "time on the clock")
        memory = Metric("memory", "bytes", "memory allocated and freed between two samples")
        if self.is_full:
            return [wall, Metric("cpu", "us", "time not idle"), memory]
        return [{"memory": memory, "cpu": Metric("cpu", "us", "time not idle")}.get(self.mode, wall)]


def austin_of(data: bytes) -> Austin | None:
    """Whether austin wrote these stacks, from their first lines: from its header, or from their form."""
    head = data[:_HEAD_BYTES]
    mode = _MODE.search(head)
    stacks = _STACK.findall(head)
    if not _SAYS_SO.search(head) and not (stacks and any(_frame(one) for one, _ in stacks if one)):
        return None
    if stacks and all(b"," in count for _, count in stacks):
        return Austin("full")
    return Austin("" if mode is None or mode[1] == b"full" else mode[1].decode())


def split(label: str) -> Label:
    """Parse a label. A process, a thread and ``:GC:`` are names."""
    match = _FRAME.fullmatch(label)
    if match is None:
        return Label(label)
    file, name, line = match.groups()
    # for a binary's function austinp writes the offset in place of a line
    if file.startswith(_NATIVE) or file == "kernel":
        return Label(name, object="[kernel]" if file == "kernel" else "")
    return Label(name, file, int(line))


def full_costs(time: NDArray[Any], idle: NDArray[Any], memory: NDArray[Any]) -> list[NDArray[Any]]:
    """The columns of ``--full``: time on the clock, time not idle, bytes."""
    return [time, np.where(idle == 0, time, 0), memory]


def _frame(stack: bytes) -> bool:
    """Whether the innermost frame of a stack is one of austin's."""
    return split(stack.rpartition(b";")[2].decode("utf-8", "replace")).file != ""
