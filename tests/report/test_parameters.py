"""Parameters are checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies

from workbench.errors import SettingsError
from workbench.report import Parameter, check_parameters, read_parameters
from workbench.report.parameters import json_value, parse_parameters

LINES = """rate: float | None = None  # receipts per second
count: int = 3  # how many
name: str = "a = b # c"  # the name
flags: list[int] = [1, 2]
more: dict = {}  # anything
"""


def test_names_types_defaults_and_help_are_read(notebook: Callable[..., Path]) -> None:
    assert read_parameters(notebook(parameters=LINES)) == (
        Parameter("rate", "float | None", None, "receipts per second"),
        Parameter("count", "int", 3, "how many"),
        Parameter("name", "str", "a = b # c", "the name"),
        Parameter("flags", "list[int]", [1, 2], ""),
        Parameter("more", "dict", {}, "anything"),
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"rate": 5}, {"rate": 5}),
        ({"rate": None}, {"rate": None}),
        ({"count": np.int64(4)}, {"count": 4}),
        ({"name": Path("a/b")}, {"name": "a/b"}),
        ({"name": Decimal("0.0010")}, {"name": "0.0010"}),
        ({"flags": (1, 2)}, {"flags": [1, 2]}),
        ({"more": {"deep": [{"a": None}]}}, {"more": {"deep": [{"a": None}]}}),
    ],
)
def test_values_become_json(notebook: Callable[..., Path], given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert check_parameters(notebook(parameters=LINES), given) == wanted


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cuont": 1}, "Did you mean 'count'?"),
        ({"zzzzz": 1}, "rate, count, name, flags, more"),
        ({"count": "3"}, 'expected int, found str "3"'),
        ({"count": True}, "expected int, found bool true"),
        ({"count": 3.5}, "expected int, found float 3.5"),
        ({"rate": "fast"}, "expected float | None"),
        ({"flags": ["a"]}, "expected list[int]"),
        ({"name": b"bytes"}, "a bytes cannot be passed"),
        ({"more": {1: "a"}}, "a dict cannot be passed"),
    ],
)
def test_a_bad_parameter_is_named(notebook: Callable[..., Path], given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_parameters(notebook(parameters=LINES), given)
    assert says in str(caught.value)
    assert caught.value.where in given


@pytest.mark.parametrize(
    "line",
    ["count = 3", "count: int", "count: int = len('a')", "count: bytes = 1", "import os", "a: int = b = 1", "(", "'"],
)
def test_another_form_of_line_is_refused(line: str) -> None:
    with pytest.raises(SettingsError, match="here"):
        parse_parameters(line, where="here")


def test_a_notebook_needs_one_parameters_cell(notebook: Callable[..., Path], tmp_path: Path) -> None:
    path = notebook()
    path.write_text(path.read_text().replace('"parameters"', '"other"'))
    with pytest.raises(SettingsError, match="found 0"):
        read_parameters(path)
    path.write_text("{}")
    with pytest.raises(SettingsError, match="not a notebook"):
        read_parameters(path)
    with pytest.raises(SettingsError, match="cannot read"):
        read_parameters(tmp_path / "missing.ipynb")


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_json_stays_what_it_is(value: Any) -> None:
    assert json_value(value, where="here") == value
