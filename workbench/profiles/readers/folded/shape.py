"""Recognises folded stacks. They have no mark, and other text ends in numbers too: metrics, logs, word counts.

These are certain enough:

- lines, at least half of them with a ``;`` between frames, as stacks of more than one frame have, and
- if no line has a ``;``, lines that are all a number after a name that only code has: ``core::fmt::write``,
  ``fit (als.py:130)``, ``f(int)``, ``[unknown]``, ``vfs_read_[k]``, an address, or the root of a program as
  ``main`` and ``_start``.

So ``idle 4`` alone is not accepted (a count of words looks the same); then the user must name the format. Rows of a
table with ``;`` between columns are recognised by their numbers or heading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_COUNTED = re.compile(rf"(\S.*?)[ \t]+(?:{NUMBER}|[0-9]+,[01],-?[0-9]+)\s*", re.DOTALL)
_BETWEEN = re.compile(r"\S;(?:\S|$)|^;\S")
_FIGURE = re.compile(r"[\s\d.,:+%/TZ-]*")
_BRACKETS = re.compile(r"<[^<>]*>|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_MARKED = re.compile(
    r".*::.*|.*_\[[kijw]\]|\[[^\[\]]+\]|0x[0-9a-fA-F]+|[\w.$~<>]+\([^()]*\)(?: const)?"
    r"|.*\S \([^()]+\.\w{1,5}(?::\d+)?\)|.+\.pyx?:[^:]+:\d+"
)
_ROOTS = {"main", "_main", "_start", "__libc_start_main", "start_thread", "__clone", "wmain", "WinMain", "<module>"}
_MOST_BRACKETS = 8


def why_stacks(lines: Sequence[str]) -> str | None:
    """Why these first lines of a file are folded stacks, or None."""
    told = [line for line in lines if line.strip() and not line.startswith(("#", "//"))]
    stacks = [match[1] for line in told if (match := _COUNTED.fullmatch(line))]
    if not stacks or len(stacks) * 2 <= len(told):
        return None
    deep = [stack for stack in stacks if _BETWEEN.search(stack)]
    if not deep:
        certain = len(stacks) == len(told) and all(map(_only_code, stacks))
        return f"the first {len(told)} lines are names of code, each with a count" if certain else None
    single = sum(map(_only_code, (stack for stack in stacks if ";" not in stack)))
    if (len(deep) + single) * 2 < len(stacks) or _is_table(told, deep):
        return None
    return f"{len(stacks)} of the first {len(told)} lines end in a count, {len(deep)} have frames between semicolons"


def _only_code(name: str) -> bool:
    """Whether only code has such a name: it has typical characters, and no blanks outside of brackets."""
    if name in _ROOTS:
        return True
    if _MARKED.fullmatch(name) is None:
        return False
    bare = name
    for _ in range(_MOST_BRACKETS):
        bare, before = _BRACKETS.sub("", bare), bare
        if bare == before:
            break
    return not re.search(r"\s", bare.strip())


def _is_table(told: Sequence[str], deep: Sequence[str]) -> bool:
    """Whether ``;`` separates columns of a table: the same number on each line, and most fields are numbers, or the
    first line is a heading."""
    if len(told) < 2 or len({line.count(";") for line in told}) > 1:
        return False
    fields = [field for stack in deep for field in stack.split(";")[1:] if field]
    figures = sum(_FIGURE.fullmatch(field) is not None for field in fields)
    return figures * 2 > len(fields) or _COUNTED.fullmatch(told[0]) is None
