"""The calls as a tree. Its levels: (working), (waiting) or (cannot be told); the thread's name; with ``-k`` the stack;
the system call.

The first level separates work from waiting: a service spends nearly all of its time waiting, and one click on (working)
shows the rest at full width. Calls that the log does not allow to judge are the third part. Threads with the same name
are one frame, as in a sampled profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles import tree
from workbench.profiles.distinct import ascending, numbered
from workbench.profiles.model import frame_table
from workbench.profiles.readers.strace.lines import first_rows
from workbench.profiles.readers.strace.waiting import JUDGEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.strace.lines import Codes, Places
    from workbench.profiles.readers.strace.log import Log
    from workbench.profiles.source import Source
    from workbench.profiles.table import Table

TOP = tuple(f"({judgement})" for judgement in JUDGEMENTS)
THREAD, KERNEL = "thread", "kernel"  # the ``object`` of frames of threads and of calls
_OWN_FRAMES = 3  # working, waiting or neither; thread; call


@dataclass(frozen=True, slots=True, eq=False)
class CallTree:
    """The tree, its frames, and the node of each call."""

    frames: Table
    parent: Places
    frame: Places
    node_of: Places


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """The stacks of ``-k``: ``stack_of`` is the number of each call's stack, 0 if it has none; a stack is a tuple of
    positions in ``frames`` (function, object), root first."""

    stack_of: Places
    stacks: Sequence[tuple[int, ...]]
    frames: Sequence[tuple[str, str]]


def read_stacks(log: Log, last_line: Places, source: Source, notes: NoteBook) -> Stacks:
    """The stack lines of a log; each belongs to the call line before it. ``last_line``: where each call ended."""
    stack_of = np.zeros(len(last_line), dtype=np.int64)
    if not len(log.frame_lines):
        return Stacks(stack_of, [()], [])
    event_lines = [event.line for event in (*log.exits, *log.signals)]
    known = np.concatenate((log.line, np.array(event_lines, dtype=np.int64)))
    owner = np.concatenate((log.line, np.zeros(len(event_lines), dtype=np.int64)))
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known[order], log.frame_lines) - 1
    owner_line = np.where(at >= 0, owner[order][at], 0)
    numbers: dict[tuple[str, str], int] = {}
    parsed: dict[bytes, int] = {}
    stacks: dict[tuple[int, ...], int] = {(): 0}
    call_of = {line: call for call, line in enumerate(last_line.tolist()) if line}
    bounds = np.flatnonzero(np.diff(owner_line, prepend=-1, append=-1))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        call = call_of.get(int(owner_line[begin]))
        if call is None:
            notes.add(
                "stack frames that belong to no call were left out",
                source.at(int(log.frame_lines[begin])),
                count=end - begin,
            )
            continue
        for text in log.frame_texts[begin:end]:
            if text not in parsed:
                frame = _parse_frame(text.decode())
                parsed[text] = numbers.setdefault(frame, len(numbers))
        stack = tuple(parsed[text] for text in reversed(log.frame_texts[begin:end]))
        if len(stack) > tree.MAX_DEPTH - _OWN_FRAMES:
            notes.add("a stack is too deep and was cut at its leaf", source.at(int(log.frame_lines[begin])))
            stack = stack[: tree.MAX_DEPTH - _OWN_FRAMES]
        stack_of[call] = stacks.setdefault(stack, len(stacks))
    return Stacks(stack_of, list(stacks), list(numbers))


def _parse_frame(text: str) -> tuple[str, str]:
    """Function and object of ``/lib/libc.so.6(wait4+0x57) [0xd3c17]``, with or without a source line after it. A frame
    without a symbol is named by its object's base name and address."""
    place, _, address = text.partition(" [0x")
    object, bracket, symbol = place.partition("(")
    if bracket and symbol.endswith(")"):
        function, plus, _ = symbol[:-1].rpartition("+0x")
        function = function if plus else symbol[:-1]
        if function:
            return function, object
    base = object.rpartition("/")[2]
    return f"{base}+0x{address.partition(']')[0]}" if address else base, object


def build(
    means: NDArray[np.int8],
    thread: Places,
    labels: Sequence[str],
    syscall: Codes,
    names: Sequence[str],
    stacks: Stacks,
) -> CallTree:
    """The tree of calls. ``means`` is each call's position in JUDGEMENTS, ``thread`` and ``syscall`` are positions in
    ``labels`` and ``names``."""
    label_names = list(dict.fromkeys(labels))
    number = {name: place for place, name in enumerate(label_names)}
    label = np.array([number[name] for name in labels], dtype=np.int64)[thread]
    used = ascending(means).tolist()
    key = means.astype(np.int64)
    for codes, count in ((label, len(label_names)), (stacks.stack_of, len(stacks.stacks)), (syscall, len(names))):
        key = key * max(1, count) + codes
    codes, keys = numbered(key)
    first = first_rows(codes, len(keys))
    threads_at = len(used)
    stacks_at = threads_at + len(label_names)
    calls_at = stacks_at + len(stacks.frames)
    rows = [
        (
            used.index(int(means[call])),
            threads_at + int(label[call]),
            *(stacks_at + frame for frame in stacks.stacks[stacks.stack_of[call]]),
            calls_at + int(syscall[call]),
        )
        for call in first.tolist()
    ]
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    grown = tree.grow(offsets, np.array([frame for row in rows for frame in row], dtype=np.int64))
    tops = [TOP[meaning] for meaning in used]
    objects = [""] * len(tops) + [THREAD] * len(label_names)
    objects += [*(object for _, object in stacks.frames), *[KERNEL] * len(names)]
    frames = frame_table([*tops, *label_names, *(function for function, _ in stacks.frames), *names], object=objects)
    return CallTree(frames, grown.parent, grown.frame, grown.node_of[codes] if len(codes) else codes)


def costs(size: int, node: Places, duration_ns: Places | None) -> NDArray[Any]:
    """Self costs of the nodes: nanoseconds (if they are known) and calls."""
    calls = np.ones(len(node), dtype=np.int64)
    columns = [calls] if duration_ns is None else [duration_ns, calls]
    return tree.add_at(size, node, np.column_stack(columns))
