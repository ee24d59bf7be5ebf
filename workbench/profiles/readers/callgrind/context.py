"""Whose the cost lines of a callgrind file are: the position lines followed, a chunk of them at once.

``ob``, ``fl`` and ``fn`` hold until the next of their kind; ``fi`` and ``fe`` change the file of the lines after them
(code inlined from elsewhere) until the next ``fn``; ``cob``, ``cfi`` and ``cfn`` hold for one call. A callee whose
object or file is not named has the current one, after ``fi`` too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

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


@dataclass
class Context:
    """Where a file's position lines stand, and what they have led to.

    ``functions`` numbers each (object, home file, name), ``places`` each (function, current file).
    """

    functions: dict[int, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    _object: int = NOT_KNOWN
    _home: int = _UNSET
    _file: int = NOT_KNOWN
    _function: int = _UNSET

    def follow(
        self,
        rows: NDArray[np.int64],
        kinds: NDArray[np.int64],
        names: NDArray[np.int64],
        size: int,
        nameless: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Follow the position lines ``rows`` of ``size`` lines. ``nameless`` is the name of an unknown function.

        Returns the place of each of the ``size`` lines (-1: none yet), and of the calls among ``rows`` the callee and
        whether it was named.
        """
        here = self._place() if len(rows) == 0 or rows[0] > 0 else -1
        if not len(rows):
            empty = np.zeros(0, dtype=np.int64)
            return np.full(size, here, dtype=np.int64), empty, empty
        is_function, is_call = kinds == FUNCTION, kinds == CALL
        object_ = _held(kinds == OBJECT, names, self._object)
        home = _held(kinds == FILE, names, self._home)
        # a writer without fl= names a function's file by fi=
        returns = is_function & (home != _UNSET)
        file = _held((kinds == FILE) | (kinds == INLINE) | returns, np.where(is_function, home, names), self._file)
        # a callee that was named, but not in the lines right above calls=, was named for a call without cost
        begins = np.ones(len(rows), dtype=bool)
        begins[1:] = (np.diff(rows) > 1) | is_call[:-1] | is_function[:-1]
        first = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
        callee_name = _since(first, kinds == CALLEE, names)
        callee_object = _since(first, kinds == CALLEE_OBJECT, names)
        callee_file = _since(first, kinds == CALLEE_FILE, names)
        named = callee_name != _UNSET
        key = _function_key(
            np.where(is_call & (callee_object != _UNSET), callee_object, object_),
            np.where(is_call & (callee_file != _UNSET), callee_file, file),
            np.where(is_call, np.where(named, callee_name, nameless), names),
        )
        known = np.flatnonzero(is_function | is_call)
        ids = np.full(len(rows), _UNSET, dtype=np.int64)
        ids[known] = _numbered(self.functions, key[known])
        function = _held(is_function, ids, self._function)
        # only where other lines follow is there a place: two position lines on end have none between
        used = np.flatnonzero((np.diff(rows, append=size) > 1) & (function != _UNSET))
        place = np.full(len(rows), -1, dtype=np.int64)
        place[used] = _numbered(self.places, (function[used] << 32) | (file[used] + 1))
        self._object, self._home = int(object_[-1]), int(home[-1])
        self._file, self._function = int(file[-1]), int(function[-1])
        lines = np.repeat(np.concatenate(([here], place)), np.diff(np.concatenate(([0], rows, [size]))))
        return lines, ids[is_call], named[is_call]

    def begin(self, nameless: int) -> int:
        """The place of costs before any function."""
        if self._function == _UNSET:
            key = _function_key(np.asarray([self._object]), np.asarray([self._file]), np.asarray([nameless]))
            self._function = int(_numbered(self.functions, key)[0])
        return self._place()

    def _place(self) -> int:
        if self._function == _UNSET:
            return -1
        return self.places.setdefault((self._function << 32) | (self._file + 1), len(self.places))

    def function_table(self) -> NDArray[np.int64]:
        """Object, home file and name of each function."""
        keys = np.asarray(list(self.functions), dtype=np.int64)
        return np.column_stack(
            (
                (keys >> (_FILE_BITS + _NAME_BITS)) - 1,
                ((keys >> _NAME_BITS) & (2**_FILE_BITS - 1)) - 1,
                keys & (2**_NAME_BITS - 1),
            )
        )

    def place_table(self) -> NDArray[np.int64]:
        """Function and file of each place."""
        keys = np.asarray(list(self.places), dtype=np.int64)
        return np.column_stack((keys >> 32, (keys & 0xFFFFFFFF) - 1))


def _held(here: NDArray[np.bool_], values: NDArray[np.int64], before: int) -> NDArray[np.int64]:
    """The latest value at each position, ``before`` until the first."""
    last = np.maximum.accumulate(np.where(here, np.arange(len(here)), -1))
    return np.where(last >= 0, values[last], before)


def _since(first: NDArray[np.int64], here: NDArray[np.bool_], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The latest value at each position, if it is not older than ``first``."""
    last = np.maximum.accumulate(np.where(here, np.arange(len(here)), -1))
    return np.where(last >= first, values[last], _UNSET)


def _function_key(object_: NDArray[np.int64], file: NDArray[np.int64], name: NDArray[np.int64]) -> NDArray[np.int64]:
    return ((object_ + 1) << (_FILE_BITS + _NAME_BITS)) | ((file + 1) << _NAME_BITS) | name


def _numbered(ids: dict[int, int], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each key; new ones are numbered in the order of their appearance."""
    codes, fresh = pd.factorize(keys)
    numbers = np.asarray([ids.setdefault(key, len(ids)) for key in fresh.tolist()], dtype=np.int64)
    return np.asarray(numbers[codes])
