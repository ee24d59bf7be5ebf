"""Matches functions of two profiles, even if the program was rebuilt or restarted between them.

Functions are matched in order of certainty, each step on what earlier steps left over. A pair is made only if the key
is unique on both sides; ambiguous functions stay unmatched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.builds import is_address, is_nameless, library, source, without_build, without_number
from workbench.profiles.names import end_of
from workbench.profiles.notes import Note

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

EXACT = "name, file, object"
MOVED = "name, end of path"
NAMED = "name"
REBUILT = "name without build, end of path"
REBUILT_NAME = "name without build"
NUMBERED = "name without number, end of path"
# how many last parts of two paths are compared, longest first
_PARTS = (6, 4, 3, 2, 1)

# a key of a function: what must be equal. None: this function cannot be matched so
Key = Callable[["_Function"], "tuple[str, ...] | None"]


@dataclass(frozen=True, slots=True)
class Matching:
    """``code``: a number for each function of both tables, equal for matched ones. ``by``: how each number was matched;
    "" if it is only on one side. ``ambiguous``: which of those have a name that is left over on the other side too."""

    code: NDArray[np.int64]
    by: tuple[str, ...]
    ambiguous: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Function:
    raw: str
    bare: str
    unnumbered: str
    source: str
    library: str


def matching(before: pd.DataFrame, after: pd.DataFrame) -> Matching:
    """Match two tables of functions (columns raw_function, file, object).

    In this order: by name, file and object; by name, end of the path and library, longest common end first; by name;
    the same two without the build's additions to a name (:func:`workbench.profiles.builds.without_build`); finally
    without the numbers of closures, in the same source. An address instead of a name needs the same library.
    """
    columns = [[*before[column], *after[column]] for column in ("raw_function", "file", "object")]
    split = len(before)
    code, by = _exact(columns, split)
    left = [number for number, word in enumerate(by[code]) if not word]
    functions = _functions(columns, left)
    for word, key in _steps():
        if not left:
            break
        found = _alone(left, functions, split, key)
        for one, other in found:
            # the later number is dropped and no longer used
            code[other], by[code[one]] = code[one], word
        gone = {row for pair in found for row in pair}
        left = [row for row in left if row not in gone]
    numbers, code = np.unique(code, return_inverse=True)
    code = code.reshape(-1)
    return Matching(code, tuple(by[numbers].tolist()), _ambiguous(left, functions, split, code, len(numbers)))


def unmatched(match: Matching, before: NDArray[Any], after: NDArray[Any], *, metric: str) -> tuple[Note, ...]:
    """Notes on functions of only one side, with their weight: ``before`` and ``after`` are the self costs of the
    functions in ``metric``. Empty if all were matched."""
    alone = np.asarray([not word for word in match.by], dtype=bool)
    split = len(before)
    notes = []
    for side, costs, code in (("before", before, match.code[:split]), ("after", after, match.code[split:])):
        for kind, chosen in (
            (f"only {side}: no function of the other side has this name", alone & ~match.ambiguous),
            (f"only {side}: the name is on both sides, but they cannot be matched", match.ambiguous),
        ):
            rows = chosen[code]
            if rows.any():
                weight = float(np.abs(costs[rows]).sum())
                notes.append(Note(f"functions {kind}", int(rows.sum()), metric=metric, weight=weight))
    return tuple(notes)


def _functions(columns: Sequence[Sequence[str]], rows: Sequence[int]) -> dict[int, _Function]:
    """The matching keys of these rows."""
    known: tuple[dict[str, Any], ...] = ({}, {}, {}, {})

    def once(which: int, change: Callable[[str], str], text: str) -> str:
        made: str = known[which].get(text) or known[which].setdefault(text, change(text))
        return made

    names, files, objects = columns
    return {
        row: _Function(
            raw,
            once(0, without_build, raw),
            once(1, without_number, raw),
            once(2, source, file),
            once(3, library, object),
        )
        for row in rows
        for raw, file, object in ((names[row], files[row], objects[row]),)
    }


def _exact(columns: Sequence[Sequence[str]], split: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Numbers by name, file and object, and by what they are on both sides."""
    known: dict[tuple[str, str, str], int] = {}
    code = np.asarray([known.setdefault(row, len(known)) for row in zip(*columns, strict=True)], dtype=np.int64)
    both = np.intersect1d(code[:split], code[split:])
    by = np.full(len(known), "", dtype=object)
    by[both] = EXACT
    return code, by


def _steps() -> list[tuple[str, Key]]:
    def path(name: Callable[[_Function], str], parts: int) -> Key:
        def key(one: _Function) -> tuple[str, ...] | None:
            told = one.library if is_address(one.raw) else one.source or one.library
            return (name(one), end_of(one.source, parts), one.library) if told else None

        return key

    def alone(name: Callable[[_Function], str]) -> Key:
        def key(one: _Function) -> tuple[str, ...] | None:
            if is_address(one.raw):
                return None
            return (one.raw, one.library) if is_nameless(one.raw) else (name(one),)

        return key

    steps: list[tuple[str, Key]] = []
    for name, moved, named in ((_raw, MOVED, NAMED), (_bare, REBUILT, REBUILT_NAME)):
        steps += [(moved, path(name, parts)) for parts in _PARTS]
        steps.append((named, alone(name)))
    return [*steps, *((NUMBERED, path(_unnumbered, parts)) for parts in _PARTS)]


def _raw(one: _Function) -> str:
    return one.raw


def _bare(one: _Function) -> str:
    return one.bare


def _unnumbered(one: _Function) -> str:
    return one.unnumbered


def _alone(left: Sequence[int], functions: Mapping[int, _Function], split: int, key: Key) -> list[tuple[int, int]]:
    """The pairs of rows that are alone with their key on each side."""
    rows: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
    for row in left:
        made = key(functions[row])
        if made is not None:
            rows.setdefault(made, ([], []))[row >= split].append(row)
    return [(here[0], there[0]) for here, there in rows.values() if len(here) == len(there) == 1]


def _ambiguous(
    left: Sequence[int], functions: Mapping[int, _Function], split: int, code: NDArray[np.int64], count: int
) -> NDArray[np.bool_]:
    sides: dict[str, set[bool]] = {}
    for row in left:
        sides.setdefault(functions[row].unnumbered, set()).add(row >= split)
    out = np.zeros(count, dtype=bool)
    out[[code[row] for row in left if len(sides[functions[row].unnumbered]) == 2]] = True
    return out
