"""A notebook's parameters: read from its parameters cell, checked before anything is started.

The cell tagged ``parameters`` holds one ``name: type = literal # help`` per line. papermill would accept an
unknown name or a wrong type and only log it, and would silently turn tuples and bytes into the text of their
repr.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench import keyring
from workbench.errors import SettingsError
from workbench.report.notebooks import read_notebook, tags

PARAMETERS_TAG = "parameters"
_TYPES: dict[str, Any] = {"bool": bool, "dict": dict, "float": float, "int": int, "list": list, "str": str}
_FORM = "name: type = literal  # help"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of a parameters cell. ``annotation`` is the type as written, ``help`` the comment after it."""

    name: str
    annotation: str
    default: Any
    help: str


def read_parameters(notebook: Path) -> tuple[Parameter, ...]:
    """The parameters of a notebook, in their order.

    Raises SettingsError when the file is no notebook, has no cell tagged ``parameters``, or that cell holds a
    line of another form.
    """
    cells = [cell for cell in read_notebook(notebook).cells if PARAMETERS_TAG in tags(cell)]
    if len(cells) != 1:
        raise SettingsError(
            f"one cell tagged {PARAMETERS_TAG!r} is needed, found {len(cells)}",
            where=str(notebook),
            hint="In JupyterLab: property inspector, cell tags",
        )
    return parse_parameters(cells[0].source, where=str(notebook))


def parse_parameters(source: str, *, where: str) -> tuple[Parameter, ...]:
    """The parameters in the source of a parameters cell. ``where`` names it in a SettingsError."""
    try:
        lines = ast.parse(source).body
        comments = {
            token.start[0]: token.string.lstrip("# ").rstrip()
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
    except (SyntaxError, tokenize.TokenError) as error:
        raise SettingsError(f"the parameters cell is not valid Python: {error}", where=where) from None
    return tuple(_parameter(line, comments.get(line.end_lineno or 0, ""), where) for line in lines)


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` as JSON values, every name and type checked against the notebook's parameters cell.

    Paths, Decimals, enums, tuples and numpy numbers become the JSON value they stand for. Raises
    SettingsError naming the parameter, what was found and what is wanted, or the nearest known name.
    """
    known = {parameter.name: parameter for parameter in read_parameters(notebook)}
    checked = {}
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise SettingsError(
                f"{notebook.name} has no parameter {name!r}",
                where=name,
                hint=f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(known)}",
            )
        checked[name] = json_value(value, where=name)
        if name != "deployment":
            keyring.refuse(checked[name], name)
        _check_type(known[name], checked[name])
    return checked


def json_value(value: Any, *, where: str) -> Any:
    """``value`` as papermill can pass it on: None, bool, int, float, str, lists and dicts with text keys.

    Raises SettingsError for anything that has no exact JSON counterpart, such as bytes or a set.
    """
    if isinstance(value, Enum):
        return json_value(value.value, where=where)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (Path, Decimal)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [json_value(item, where=where) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: json_value(item, where=where) for key, item in value.items()}
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a numpy scalar
        return json_value(value.item(), where=where)
    raise SettingsError(
        f"a {type(value).__name__} cannot be passed to a notebook",
        where=where,
        hint="Give a number, a text, a list, or a dict with text keys",
    )


def _parameter(line: ast.stmt, comment: str, where: str) -> Parameter:
    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
        try:
            default = ast.literal_eval(line.value)
            _python_type(line.annotation)
        except ValueError:
            pass
        else:
            return Parameter(line.target.id, ast.unparse(line.annotation), default, comment)
    raise SettingsError(
        f"line {line.lineno} of the parameters cell is not of the form {_FORM!r}: {ast.unparse(line)}",
        where=where,
        hint=f"Types are {', '.join(_TYPES)}, list[...], and unions of them with None",
    )


def _check_type(parameter: Parameter, value: Any) -> None:
    wanted = _python_type(ast.parse(parameter.annotation, mode="eval").body)
    try:
        TypeAdapter(wanted, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError:
        raise SettingsError(
            f"expected {parameter.annotation}, found {type(value).__name__} {json.dumps(value)[:80]}",
            where=parameter.name,
            hint=parameter.help or None,
        ) from None


def _python_type(annotation: ast.expr) -> Any:
    """The type an annotation stands for. Raises ValueError for one that has no JSON counterpart."""
    match annotation:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _python_type(left) | _python_type(right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_python_type(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, item])):
            return dict[_python_type(key), _python_type(item)]  # type: ignore[misc]
    raise ValueError(ast.unparse(annotation))
