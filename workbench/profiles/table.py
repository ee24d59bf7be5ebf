"""Tables of a profile: columns of numpy arrays, from which DataFrames are made only on demand.

Importing pandas takes as long as reading several megabytes of most formats, so reading a file and printing a table does
not use it. A column is

- a numpy array of numbers or booleans,
- a numpy array of objects: text,
- :class:`Words`: text with few distinct values, by number,
- :class:`Counts`: whole numbers, some of them unknown,
- :class:`Listed`: a list of plain values, which becomes an array on first use: small files are read without importing
  numpy, which is imported only if arrays are used,
- :class:`Late`: an array that is made on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import pandas as pd
    from numpy.typing import NDArray

    TableLike: TypeAlias = "Table | Mapping[str, Any] | pd.DataFrame"


class Words:
    """Text with few distinct values: ``words[codes]``. A Categorical in a DataFrame."""

    __slots__ = ("codes", "words")

    def __init__(self, codes: NDArray[Any], words: NDArray[Any]) -> None:
        self.codes, self.words = codes, words

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, positions: NDArray[Any]) -> Words:
        """The rows at these positions; the words stay."""
        return Words(self.codes[positions], self.words)

    def array(self) -> NDArray[Any]:
        """The text of each row, None for code -1."""
        known = self.codes >= 0
        out = np.full(len(self.codes), None, dtype=object)
        out[known] = self.words[self.codes[known]]
        return out


class Counts:
    """Whole numbers, some of them unknown. Int64 in a DataFrame."""

    __slots__ = ("known", "values")

    def __init__(self, values: NDArray[np.int64], known: NDArray[np.bool_]) -> None:
        self.values, self.known = values, known

    @classmethod
    def unknown(cls, size: int) -> Counts:
        """``size`` unknown numbers."""
        return cls(np.zeros(size, dtype=np.int64), np.zeros(size, dtype=bool))

    @classmethod
    def of(cls, values: Sequence[int | None]) -> Counts:
        """These numbers; None is unknown."""
        known = np.array([value is not None for value in values], dtype=bool)
        return cls(np.array([value or 0 for value in values], dtype=np.int64), known)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, positions: NDArray[Any]) -> Counts:
        """The rows at these positions."""
        return Counts(self.values[positions], self.known[positions])

    def array(self) -> NDArray[np.float64]:
        """The numbers as floats, NaN where unknown."""
        return np.where(self.known, self.values, np.nan)


class Listed:
    """Plain values, which :meth:`column` makes an array or Counts. ``kind`` is the array's: ``int64``, ``float64``,
    ``bool``, ``object`` (text), or ``counts``, where None is an unknown number."""

    __slots__ = ("kind", "values")

    def __init__(self, values: list[Any], kind: str) -> None:
        self.values, self.kind = values, kind

    def __len__(self) -> int:
        return len(self.values)

    def take(self, positions: Sequence[int]) -> Listed:
        """The rows at these positions."""
        return Listed([self.values[position] for position in positions], self.kind)

    def column(self) -> Any:
        """The column as an array, or as Counts."""
        if self.kind == "counts":
            return Counts.of(self.values)
        return text(self.values) if self.kind == "object" else np.array(self.values, dtype=self.kind)


class Late:
    """A column of ``size`` rows that is made at first use: some columns of a tree of millions of nodes are rarely
    needed."""

    __slots__ = ("_array", "_make", "_size")

    def __init__(self, size: int, make: Callable[[], NDArray[Any]]) -> None:
        self._size = size
        self._make: Callable[[], NDArray[Any]] | None = make
        self._array: NDArray[Any] = np.zeros(0)

    def __len__(self) -> int:
        return self._size

    def array(self) -> NDArray[Any]:
        """The column; made once."""
        if self._make is not None:
            self._array, self._make = self._make(), None
        return self._array


class Table:
    """Named columns of one length, in order. Immutable: changes make a new table that shares the columns."""

    __slots__ = ("_columns", "_frame", "_size")

    def __init__(self, columns: Mapping[str, Any], size: int | None = None) -> None:
        self._columns: dict[str, Any] = {name: _column(values) for name, values in columns.items()}
        self._frame: Any = None
        sizes = {len(column) for column in self._columns.values()}
        if len(sizes) > 1:
            raise ValueError(f"columns of one table have several lengths: {sorted(sizes)}")
        self._size = sizes.pop() if sizes else size or 0

    @classmethod
    def of(cls, table: TableLike) -> Table:
        """A table from a mapping of columns or a DataFrame, which is kept for later use."""
        if isinstance(table, Table):
            return table
        if isinstance(table, Mapping):
            return cls(table)
        made = cls({}, len(table))
        made._columns = dict.fromkeys(map(str, table.columns))
        made._frame = table
        return made

    @classmethod
    def empty(cls, names: Iterable[str]) -> Table:
        """A table without rows."""
        return cls({name: np.zeros(0, dtype=object) for name in names})

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return self._size

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __repr__(self) -> str:
        return f"<Table of {self._size:,} rows: {', '.join(self._columns)}>"

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column as an array: Words as text, Counts as floats. Raises KeyError."""
        column = self.column(name)
        return column.array() if isinstance(column, (Words, Counts)) else column

    def column(self, name: str) -> Any:
        """A column as stored: an array, Words or Counts. Raises KeyError."""
        column = self._columns[name]
        if column is None:
            # it was given as a DataFrame
            column = self._columns[name] = _of_series(self._frame[name])
        elif isinstance(column, Late):
            column = self._columns[name] = column.array()
        elif isinstance(column, Listed):
            column = self._columns[name] = column.column()
        return column

    def values(self, name: str) -> list[Any]:
        """The values of a column as Python objects, None if unknown. Raises KeyError."""
        column = self._columns[name]
        if not isinstance(column, Listed):
            return plain(self.column(name))
        # only NaN differs from itself
        return [value if value == value else None for value in column.values]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and columns as stored."""
        return ((name, self.column(name)) for name in self._columns)

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame with a RangeIndex; made once."""
        if self._frame is None:
            import pandas as pd

            columns = {name: _series(column) for name, column in self.items()}
            self._frame = pd.DataFrame(columns, index=pd.RangeIndex(self._size), copy=False)
        return self._frame

    def take(self, positions: NDArray[Any]) -> Table:
        """The rows at these positions (or where a mask is True)."""
        size = int(np.count_nonzero(positions)) if positions.dtype == bool else len(positions)
        columns: dict[str, Any] = {}
        for name in self._columns:
            column = self.kept(name)
            if isinstance(column, Listed):
                column = self.column(name)
            if isinstance(column, Late):
                columns[name] = Late(size, partial(_taken, column, positions))
            else:
                columns[name] = column.take(positions) if isinstance(column, (Words, Counts)) else column[positions]
        return Table(columns, size)

    def pick(self, rows: Sequence[int]) -> Table:
        """The rows at these few positions; Listed columns stay Listed."""
        columns: dict[str, Any] = {}
        for name in self._columns:
            column = self.kept(name)
            if isinstance(column, Listed):
                columns[name] = column.take(rows)
            else:
                column, positions = self.column(name), np.asarray(rows, dtype=np.int64)
                columns[name] = column.take(positions)
        return Table(columns, len(rows))

    def head(self, n: int | None) -> Table:
        """The first ``n`` rows; all for None."""
        return self if n is None or n >= self._size else self.take(np.arange(max(n, 0)))

    def select(self, names: Sequence[str]) -> Table:
        """Only these columns, in this order. Raises KeyError."""
        return Table({name: self.kept(name) for name in names}, self._size)

    def without(self, *names: str) -> Table:
        """All columns but these."""
        return self.select([name for name in self._columns if name not in names])

    def assign(self, **columns: Any) -> Table:
        """With these columns added, replacing those of the same name."""
        return Table({**{name: self.kept(name) for name in self._columns}, **columns}, self._size)

    def kept(self, name: str) -> Any:
        """A column for another table: Late or Listed if it is not an array yet. Raises KeyError."""
        column = self._columns[name]
        return column if isinstance(column, (Late, Listed)) else self.column(name)


class Deferred:
    """A table that is made at first use."""

    __slots__ = ("_make", "_table")

    def __init__(self, make: Callable[[], TableLike]) -> None:
        self._make: Callable[[], TableLike] | None = make
        self._table = Table({})

    def table(self) -> Table:
        """The table; made once."""
        if self._make is not None:
            self._table, self._make = Table.of(self._make()), None
        return self._table


class Tables(Mapping[str, Table]):
    """Tables by name. Deferred ones are made at first use."""

    def __init__(self, tables: Mapping[str, TableLike | Deferred]) -> None:
        if isinstance(tables, Frames):
            tables = tables.tables
        if isinstance(tables, Tables):
            self._kept: dict[str, Table | Deferred] = tables._kept
        else:
            self._kept = {name: kept(table) for name, table in tables.items()}

    def __getitem__(self, name: str) -> Table:
        return made(self._kept[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def without(self, *names: str) -> Tables:
        """All tables but these; none is made."""
        return Tables({name: table for name, table in self._kept.items() if name not in names})

    def but(self, **tables: TableLike | Deferred) -> Tables:
        """The same with these tables added or replaced; none is made."""
        return Tables({**self._kept, **{name: kept(table) for name, table in tables.items()}})


class Frames(Mapping[str, "pd.DataFrame"]):
    """The same tables as DataFrames, each made at first use."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name].frame()

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def __contains__(self, name: object) -> bool:
        return name in self.tables


def kept(table: TableLike | Deferred) -> Table | Deferred:
    """A table as a profile keeps it."""
    return table if isinstance(table, Deferred) else Table.of(table)


def made(table: Table | Deferred) -> Table:
    """The table itself."""
    return table.table() if isinstance(table, Deferred) else table


def concat(tables: Sequence[Table]) -> Table:
    """Tables concatenated, with the columns of the first. Words become text."""
    first = tables[0]
    return Table({name: _joined([table.column(name) for table in tables]) for name in first}, sum(map(len, tables)))


def text(values: Iterable[str]) -> NDArray[Any]:
    """A column of text."""
    if not isinstance(values, (list, tuple)) and isinstance(values, np.ndarray):
        return values.astype(object, copy=False)
    listed = values if isinstance(values, (list, tuple)) else list(values)
    out = np.empty(len(listed), dtype=object)
    out[:] = listed
    return out


def plain(column: Any) -> list[Any]:
    """The values of a column (from :meth:`Table.column`) as Python objects, None if unknown."""
    if isinstance(column, Counts):
        return [value if known else None for value, known in zip(column.values.tolist(), column.known, strict=True)]
    values: list[Any] = (column.array() if isinstance(column, Words) else column).tolist()
    # only NaN differs from itself
    return [value if value == value else None for value in values]


def _taken(column: Late, positions: NDArray[Any]) -> NDArray[Any]:
    some: NDArray[Any] = column.array()[positions]
    return some


def _joined(columns: Sequence[Any]) -> Any:
    if all(isinstance(column, Counts) for column in columns):
        return Counts(*(np.concatenate([getattr(column, part) for column in columns]) for part in ("values", "known")))
    return np.concatenate([column.array() if isinstance(column, (Words, Counts)) else column for column in columns])


def _column(values: Any) -> Any:
    if isinstance(values, (Words, Counts, Late, Listed)):
        return values
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind == "U" else values
    if isinstance(values, (list, tuple)) and values and isinstance(values[0], str):
        return text(values)
    return _of_series(values) if hasattr(values, "dtype") else np.asarray(values)


def _of_series(values: Any) -> Any:
    """A column of a DataFrame, or one of pandas' arrays."""
    kind = str(values.dtype)
    values = getattr(values, "array", values)
    if kind == "category":
        return Words(np.asarray(values.codes), np.asarray(values.categories, dtype=object))
    if kind == "Int64":
        known = ~np.asarray(values.isna(), dtype=bool)
        return Counts(values.to_numpy(dtype=np.int64, na_value=0), known)
    if kind in ("str", "string"):
        return np.asarray(values, dtype=object)
    return np.asarray(values)


def _series(column: Any) -> Any:
    """A column for a DataFrame."""
    import pandas as pd

    if isinstance(column, Words):
        return pd.Categorical.from_codes(column.codes, categories=pd.Index(column.words))
    if isinstance(column, Counts):
        return pd.arrays.IntegerArray(column.values.copy(), ~column.known)
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty"):
        return pd.array(column, dtype="str")
    return column
