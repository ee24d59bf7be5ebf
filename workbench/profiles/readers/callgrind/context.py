"""Finds the function of each cost line of a callgrind file, by following the position lines a piece at a time.

``ob``, ``fl`` and ``fn`` hold until the next of their kind; ``fi`` and ``fe`` change the file of the lines after them
(code inlined from elsewhere) until the next ``fn``; ``cob``, ``cfi`` and ``cfn`` hold for one call. A callee whose
object or file is not named has the current one, after ``fi`` too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.readers.callgrind.names import (
    CALL,
    CALLEE,
    CALLEE_FILE,
    CALLEE_OBJECT,
    FILE,
    FUNCTION,
    INLINE,
    NOT_KNOWN,
    OBJECT,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSET = -2
_FILE_BITS, _NAME_BITS = 22, 26
MOST_FILES, MOST_NAMES = 2**_FILE_BITS - 2, 2**_NAME_BITS


@dataclass(frozen=True, slots=True)
class Whose:
    """The owner of the cost lines after each mark: ``function`` (-1: none was named yet) and the ``file`` they were
    written in (NOT_KNOWN: unknown). ``callee`` of each call, -1 elsewhere; ``nameless`` are calls without one."""

    function: NDArray[np.int64]
    file: NDArray[np.int64]
    callee: NDArray[np.int64]
    nameless: NDArray[np.int64]


@dataclass
class Context:
    """The current state of a file's position lines, and the functions found so far: ``functions`` numbers each (object,
    home file, name)."""

    functions: dict[int, int] = field(default_factory=dict)
    _object: int = NOT_KNOWN
    _home: int = _UNSET
    _file: int = NOT_KNOWN
    _function: int = -1

    def follow(
        self, kinds: NDArray[np.int64], names: NDArray[np.int64], apart: NDArray[np.bool_], nameless: int
    ) -> Whose:
        """Follow the marks of a piece. ``apart``: cost lines are between a mark and the one before. ``nameless`` is the
        name of an unknown function."""
        is_function, is_call = kinds == FUNCTION, kinds == CALL
        object_ = _held(kinds == OBJECT, names, self._object)
        home = _held(kinds == FILE, names, self._home)
        # a writer without fl= names a function's file by fi=
        returns = is_function & (home != _UNSET)
        file = _held((kinds == FILE) | (kinds == INLINE) | returns, np.where(is_function, home, names), self._file)
        # a callee named earlier than in the lines right above calls= belongs to a call without cost
        begins = apart.copy()
        begins[0] = True
        begins[1:] |= is_call[:-1] | is_function[:-1]
        known = np.flatnonzero(is_function | is_call)
        calls, first = is_call[known], _latest(begins)[known]

        def since_first(kind: int) -> NDArray[np.int64]:
            last = _latest(kinds == kind)[known]
            return np.where(last >= first, names[last], _UNSET)

        callee_name, callee_object, callee_file = map(since_first, (CALLEE, CALLEE_OBJECT, CALLEE_FILE))
        named = callee_name != _UNSET
        ids = numbers_of(
            self.functions,
            _function_key(
                np.where(calls & (callee_object != _UNSET), callee_object, object_[known]),
                np.where(calls & (callee_file != _UNSET), callee_file, file[known]),
                np.where(calls, np.where(named, callee_name, nameless), names[known]),
            ),
        )
        own = np.full(len(kinds), -1, dtype=np.int64)
        own[known] = ids
        callee = np.where(is_call, own, -1)
        function = _held(is_function, own, self._function)
        self._object, self._home = int(object_[-1]), int(home[-1])
        self._file, self._function = int(file[-1]), int(function[-1])
        return Whose(function, file, callee, known[calls & ~named])

    def begin(self, nameless: int) -> int:
        """The function of costs before any function."""
        key = _function_key(np.asarray([self._object]), np.asarray([self._file]), np.asarray([nameless]))
        return int(numbers_of(self.functions, key)[0])

    def function_table(self) -> NDArray[np.int64]:
        """Object, home file and name of each function."""
        keys = np.fromiter(self.functions, dtype=np.int64, count=len(self.functions))
        return np.column_stack(
            (
                (keys >> (_FILE_BITS + _NAME_BITS)) - 1,
                ((keys >> _NAME_BITS) & (2**_FILE_BITS - 1)) - 1,
                keys & (2**_NAME_BITS - 1),
            )
        )


def _held(here: NDArray[np.bool_], values: NDArray[np.int64], before: int) -> NDArray[np.int64]:
    """The latest value at each position, ``before`` until the first."""
    at = np.flatnonzero(here)
    return np.repeat(np.concatenate(([before], values[at])), _lengths(at, len(here)))


def _latest(here: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The latest position up to each one where ``here`` is true, -1 until the first."""
    at = np.flatnonzero(here)
    return np.repeat(np.concatenate(([-1], at)), _lengths(at, len(here)))


def _lengths(at: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many positions are before the first of these, and from each of them to the next."""
    return np.diff(np.concatenate(([0], at, [size])))


def _function_key(object_: NDArray[np.int64], file: NDArray[np.int64], name: NDArray[np.int64]) -> NDArray[np.int64]:
    return ((object_ + 1) << (_FILE_BITS + _NAME_BITS)) | ((file + 1) << _NAME_BITS) | name


def numbers_of(ids: dict[int, int], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each key in ``ids``; new ones are numbered in the order of their appearance."""
    codes, distinct = numbered(keys)
    return np.asarray([ids.setdefault(key, len(ids)) for key in distinct.tolist()], dtype=np.int64)[codes]
