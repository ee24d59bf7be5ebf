"""A report as a flame graph SVG in the format of inferno 0.11.21: root at the bottom, siblings sorted by name.

The level above the root is the thread. ``fg:x`` and ``fg:w`` are exact counts. Frames below 0.01 % are left out.
Without samples the picture is an empty file, like upstream's.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from workbench.profilers.sampler.breathing import breathing
from workbench.profilers.sampler.protobuf import thread_label
from workbench.profilers.sampler.report import Report

MIN_SHARE = 0.0001

_WIDTH, _PAD, _FRAME, _TOP, _BOTTOM = 1200, 10, 16, 54, 37
_LETTER = 12 * 0.59
_NOT_XML = re.compile("[\\x00-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
_HEAD = """<?xml version="1.0" standalone="no"?>\
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\
<svg version="1.1" width="{width}" height="{height}" viewBox="0 0 {width} {height}" \
xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" \
xmlns:fg="http://github.com/jonhoo/inferno"><style type="text/css">
text {{ font-family:monospace; font-size:12px }}
#title {{ text-anchor:middle; font-size:17px; }}
#frames > *:hover {{ stroke:black; stroke-width:0.5; }}
</style><rect x="0" y="0" width="100%" height="{height}" fill="#eeeed8"/>\
<text id="title" fill="rgb(0,0,0)" x="50.0000%" y="24.00">{title}</text>\
<svg id="frames" x="{pad}" width="{inner}" total_samples="{total}">"""
_BOX = """<g><title>{title}</title><rect x="{x:.4f}%" y="{y}" width="{width:.4f}%" height="15" fill="{fill}" \
fg:x="{start}" fg:w="{samples}"/><text x="{text_x:.4f}%" y="{text_y:.2f}">{label}</text></g>"""


@dataclass(slots=True)
class _Node:
    total: int = 0
    callees: dict[str, _Node] = field(default_factory=dict)


def to_flamegraph(report: Report, title: str) -> str:
    """The SVG text, or "" without samples."""
    root, depth = _grow(report)
    if not root.total:
        return ""
    height = _TOP + depth * _FRAME + _BOTTOM
    head = _HEAD.format(
        width=_WIDTH, height=height, pad=_PAD, inner=_WIDTH - 2 * _PAD, total=root.total, title=_xml(title)
    )
    return "".join([head, *breathing(_boxes(root, height - _BOTTOM - _FRAME)), "</svg></svg>"])


def _grow(report: Report) -> tuple[_Node, int]:
    """The tree of all stacks, and its depth including root and threads."""
    names = [function.name for function in report.functions]
    root, depth = _Node(), 0
    for stack in breathing(report.stacks):
        root.total += stack.count
        depth = max(depth, len(stack.functions) + 2)
        node = root
        for name in (thread_label(stack.thread), *(names[number] for number in reversed(stack.functions))):
            node = node.callees.setdefault(name, _Node())
            node.total += stack.count
    return root, depth


def _boxes(root: _Node, y: int) -> Iterator[str]:
    """The root's box, then each callee's box and those above it: self cost is at the left, as in inferno."""
    pending = [("all", root, 0, y)]
    while pending:
        name, node, start, y = pending.pop()
        yield _box(name, node.total, start, y, root.total)
        at = start + node.total - sum(callee.total for callee in node.callees.values())
        for callee_name, callee in sorted(node.callees.items()):
            if callee.total / root.total >= MIN_SHARE:
                pending.append((callee_name, callee, at, y - _FRAME))
            at += callee.total


def _box(name: str, samples: int, start: int, y: int, total: int) -> str:
    share = 100 * samples / total
    percent = "100" if samples == total and name == "all" else f"{share:.2f}"
    letters = int(share / 100 * (_WIDTH - 2 * _PAD) / _LETTER)
    label = name if len(name) <= letters else f"{name[: letters - 2]}.." if letters > 2 else ""
    return _BOX.format(
        title=_xml(f"{name} ({samples:,} samples, {percent}%)"),
        x=100 * start / total,
        y=y,
        width=share,
        fill=_colour(name),
        start=start,
        samples=samples,
        text_x=100 * start / total + 0.25,
        text_y=y + 10.5,
        label=_xml(label),
    )


def _colour(name: str) -> str:
    """A warm colour, the same for a name in every picture."""
    mixed = zlib.crc32(name.encode("utf-8", "replace"))
    return f"rgb({205 + mixed % 50},{mixed // 50 % 230},{mixed // 11500 % 55})"


def _xml(text: str) -> str:
    """Escaped text, without characters that XML does not allow."""
    return escape(_NOT_XML.sub("?", text), {'"': "&quot;"})
