"""Folded stacks, for flame graph tools: ``frame;frame;frame COUNT``, a line per stack, root first."""

from __future__ import annotations

import re
from decimal import Decimal

from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_
from workbench.profiles.exports.signs import not_negative
from workbench.profiles.memory import MIB
from workbench.profiles.model import Profile
from workbench.profiles.readers.folded.stacks import label_of
from workbench.profiles.source import allowed_bytes

_ARRAY = re.compile(r";( [^;\[\]\n]*\])")
_HELD = "\x1f"
_ENDS_IN_NUMBER = re.compile(r" ([+-]?[0-9.]+)$")
_BLANKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def to_folded(profile: Profile, metric: str | None = None) -> str:
    """One metric (None: the default) as folded stacks in the order of the call tree; stacks of zero are left out.

    The names are those of the profiled program (``raw_function``; with Python's line as py-spy writes it). What the
    format cannot express is replaced: ``;`` by ``:`` except in a Rust array type, control characters by a blank, a
    blank that would be misread (before a number at the end, at an end, in a ``# `` at the start) by a no-break space.
    Raises WorkbenchError if the text would not fit into memory, and for a difference: flame graph tools leave out lines
    with negative costs (:mod:`workbench.profiles.exports.signs`).
    """
    name = profile.metric(metric).name
    nodes = profile.nodes
    costs = not_negative(profile, nodes[self_(name)].to_numpy()[:, None], [name], "folded")[:, 0]
    labels = [plain_label(label) for label in labels_of(profile)]
    depth = nodes["depth"].tolist()
    # the labels down to this node, joined only when a line is written: joining at each level would be quadratic
    path = [""] * (max(depth, default=0) + 1)
    lines: list[str] = []
    size, most = 0, allowed_bytes()
    for level, frame, value in zip(depth, nodes["frame_id"].tolist(), costs.tolist(), strict=True):
        path[level] = labels[frame]
        if value:
            line = f"{';'.join(path[: level + 1])} {_number(value)}\n"
            size += len(line)
            if size > most:
                raise WorkbenchError(
                    f"folded stacks would need more than {most // MIB} MiB, an eighth of the free memory",
                    where=profile.name,
                    hint="Every stack is written out: take a part of the profile (--focus), or another format",
                )
            lines.append(line)
    return "".join(lines)


def labels_of(profile: Profile) -> list[str]:
    """The label of each frame, as plain stacks show it."""
    frames = profile.frames
    columns = (frames["raw_function"].tolist(), frames["file"].tolist(), frames["line"].tolist())
    return [label_of(name, file, line) for name, file, line in zip(*columns, strict=True)]


def plain_label(label: str) -> str:
    """A label that is safe as a frame of a folded stack."""
    label = _BLANKS.sub(" ", label)
    label = _ARRAY.sub(rf"{_HELD}\1", label).replace(";", ":").replace(_HELD, ";") if ";" in label else label
    label = _ENDS_IN_NUMBER.sub("\u00a0\\1", label)
    if label.startswith((" ", "# ")):
        label = label.replace(" ", "\u00a0", 1)
    return label[:-1] + "\u00a0" if label.endswith(" ") else label


def _number(value: int | float) -> str:
    """A number without an exponent, which other readers do not support."""
    return str(value) if isinstance(value, int) else format(Decimal(repr(value)), "f")
