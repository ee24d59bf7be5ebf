"""Tables of numpy columns, and numbering what is distinct."""

from __future__ import annotations

import subprocess
import sys
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.profiles import distinct
from workbench.profiles.distinct import ascending, numbered, numbered_rows, stable_order
from workbench.profiles.table import Counts, Deferred, Late, Listed, Table, Tables, Words, concat, plain


def counts(*values: int | None) -> Counts:
    return Counts(np.array([value or 0 for value in values]), np.array([value is not None for value in values]))


def table() -> Table:
    return Table(
        {
            "name": ["b", "ä", ""],
            "cost": np.array([3, 1, 2]),
            "share": np.array([0.5, np.nan, 0.25]),
            "sure": np.array([True, False, True]),
            "calls": counts(7, None, 0),
            "kind": Words(np.array([1, 0, -1]), np.array(["x", "y"], dtype=object)),
        }
    )


def test_a_table_becomes_a_dataframe_with_documented_kinds_of_columns() -> None:
    frame = table().frame()
    assert [str(kind) for kind in frame.dtypes] == ["str", "int64", "float64", "bool", "Int64", "category"]
    assert frame["name"].tolist() == ["b", "ä", ""]
    assert frame["calls"].isna().tolist() == [False, True, False]
    assert frame["kind"].tolist()[:2] == ["y", "x"]
    assert isinstance(frame.index, pd.RangeIndex)
    made = table()
    assert made.frame() is made.frame()


def test_a_dataframe_becomes_a_table_and_is_kept() -> None:
    frame = table().frame()
    back = Table.of(frame)
    assert back.frame() is frame
    assert {name: plain(column) for name, column in back.items()} == {
        "name": ["b", "ä", ""],
        "cost": [3, 1, 2],
        "share": [0.5, None, 0.25],
        "sure": [True, False, True],
        "calls": [7, None, 0],
        "kind": ["y", "x", None],
    }
    assert Table(dict(back.items())).frame().equals(frame)


def test_rows_and_columns_are_chosen_and_replaced_without_changing_the_table() -> None:
    one = table()
    mask = one["cost"] > 1
    for chosen in (one.take(mask), one.take(np.flatnonzero(mask))):
        assert (len(chosen), chosen["name"].tolist(), plain(chosen.column("calls"))) == (2, ["b", ""], [7, 0])
    assert one.head(2)["cost"].tolist() == [3, 1]
    assert (len(one.head(9)), len(one.head(0)), len(one.head(None))) == (3, 0, 3)
    assert one.assign(cost=np.zeros(3)).columns == one.columns
    assert (one["cost"].tolist(), one.without("cost", "kind").columns) == (
        [3, 1, 2],
        ("name", "share", "sure", "calls"),
    )
    assert one.select(["sure", "name"]).columns == ("sure", "name")
    assert np.isnan(one["calls"][1])
    with pytest.raises(KeyError):
        one["nothing"]
    with pytest.raises(ValueError, match="several lengths"):
        one.assign(more=np.zeros(4))


def test_tables_are_put_under_each_other() -> None:
    both = concat([table(), table().take(np.array([1]))])
    assert len(both) == 4
    assert plain(both.column("calls")) == [7, None, 0, None]
    assert plain(both.column("kind")) == ["y", "x", None, "x"]


def test_a_deferred_table_among_others_is_made_once_and_only_when_asked_for() -> None:
    made: list[int] = []

    def make() -> dict[str, list[int]]:
        made.append(1)
        return {"a": [1, 2]}

    tables = Tables({"late": Deferred(make), "now": table()})
    more = tables.but(other={"b": [1]})
    assert (list(more), "late" in more, made) == (["late", "now", "other"], True, [])
    assert more["late"] is tables["late"]
    assert made == [1]


def test_a_late_column_is_made_once_and_only_when_asked_for() -> None:
    make = mock.Mock(return_value=np.array([1, 2]))
    table = Table({"a": np.array([3, 4]), "b": Late(2, make)})
    fewer, more = table.select(["b"]), table.assign(c=np.array([5, 6]))
    assert (len(fewer), more.columns) == (2, ("a", "b", "c"))
    make.assert_not_called()
    assert fewer["b"].tolist() == more.take(np.array([1, 0]))["b"].tolist()[::-1] == [1, 2]
    assert table.frame()["b"].tolist() == [1, 2]
    make.assert_called_once()


@given(st.lists(st.one_of(st.integers(-3, 9), st.integers(0, 1 << 17), st.integers(-(1 << 40), 1 << 40)), max_size=40))
def test_keys_are_ordered_and_equal_ones_stay_in_theirs(keys: list[int]) -> None:
    expected = sorted(range(len(keys)), key=keys.__getitem__)
    assert stable_order(np.array(keys, dtype=np.int64)).tolist() == expected
    above = [abs(key) for key in keys]
    assert stable_order(np.array(above, dtype=np.int64)).tolist() == sorted(range(len(keys)), key=above.__getitem__)


@given(st.lists(st.one_of(st.integers(-(2**62), 2**62), st.integers(-3, 3))), st.sampled_from([0, 1, 10**6]))
def test_distinct_keys_are_numbered_as_they_appear(keys: list[int], many: int) -> None:
    with mock.patch.object(distinct, "_MANY", many):
        codes, values = numbered(np.array(keys, dtype=np.int64))
    expected = list(dict.fromkeys(keys))
    assert values.tolist() == expected
    assert codes.tolist() == [expected.index(key) for key in keys]


@given(st.lists(st.integers(-5, 5)))
def test_distinct_values_in_ascending_order(values: list[int]) -> None:
    assert ascending(np.array(values, dtype=np.int64)).tolist() == sorted(set(values))


def test_arrow_and_numpy_exchange_arrays_without_pandas() -> None:
    code = """
import sys
import numpy as np
from workbench.profiles import arrow
numbers = arrow.of_numbers(np.arange(6)[::2])
texts = arrow.of_texts(["a", "", "äöü"])
print(arrow.to_numbers(numbers).tolist(), arrow.to_numbers(arrow.of_numbers(np.zeros(0))).tolist())
print(arrow.to_texts(texts).tolist() == ["a", "", "äöü"], arrow.to_texts(texts.take(numbers.slice(0, 2))).tolist())
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[0, 2, 4] []", "True ['a', 'äöü']", "False"]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.integers(0, 2))))
def test_distinct_rows_are_numbered_as_they_appear(rows: list[tuple[str, int]]) -> None:
    codes, values = numbered_rows([[text for text, _ in rows], np.array([number for _, number in rows], dtype=int)])
    assert [values[code] for code in codes] == rows
    assert values == list(dict.fromkeys(rows))


def test_plain_lists_are_the_same_table_as_arrays() -> None:
    listed = Table(
        {
            "name": Listed(["b", "ä", ""], "object"),
            "cost": Listed([3, 1, 2], "int64"),
            "share": Listed([0.5, float("nan"), 0.25], "float64"),
            "sure": Listed([True, False, True], "bool"),
            "calls": Listed([7, None, 0], "counts"),
        }
    )
    arrays = table().without("kind")
    assert [listed.values(name) for name in listed] == [arrays.values(name) for name in arrays]
    few, other = listed.pick([2, 0]), arrays.pick([2, 0])
    assert [few.values(name) for name in few] == [other.values(name) for name in other]
    assert isinstance(few.kept("cost"), Listed)
    taken = listed.take(np.array([True, False, True]))
    assert taken["name"].tolist() == ["b", ""]
    pd.testing.assert_frame_equal(listed.frame(), arrays.frame())
    # asked for once, it is an array
    assert isinstance(listed.kept("cost"), np.ndarray)
    assert Table({"a": Listed([], "int64")})["a"].dtype == np.int64
