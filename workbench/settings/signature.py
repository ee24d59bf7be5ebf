"""Settings as the parameters of functions: what Shift-Tab and completion show, and what type checkers know.

Both are made from the settings model. ``parameters.py`` beside this file is written by ``python -m
workbench.settings.signature``; a test compares it with the model.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from workbench.settings.groups import CommandSettings, NetworkSettings, StandinSettings, TargetSettings
from workbench.settings.model import SECRETS, Settings

F = TypeVar("F", bound=Callable[..., Any])


class WorkedOut:
    """A default that is computed when it is used, such as the project's folder; shown as ``...``."""

    def __repr__(self) -> str:
        return "..."


GROUPS: tuple[type[BaseModel], ...] = Settings.__bases__
OF_A_SERVICE = (TargetSettings, CommandSettings, NetworkSettings, StandinSettings)
"""The settings that say what is measured, without those that say how."""
# the types that are accepted for a value of a type
_TAKEN = {Decimal: "Decimal | float | str", Path: "Path | str"}
_FILE = Path(__file__).with_name("parameters.py")


def with_settings(
    *first: type[BaseModel], only: tuple[type[BaseModel], ...] = GROUPS, also: Mapping[str, Any] | None = None
) -> Callable[[F], F]:
    """Give a function whose ``**`` takes settings a signature with each of them: name, type and default. The groups
    ``first`` come first, then the others of ``only``. Secrets are no parameters. ``also``: types of its
    other parameters."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {one.name for one in own}
        groups = dict.fromkeys((*first, *only))
        more = [one for group in groups for one in _parameters(group) if one.name not in names]
        names |= {one.name for one in more}
        kind = inspect.Parameter.KEYWORD_ONLY
        beside = [(name, annotation) for name, annotation in (also or {}).items() if name not in names]
        more += [
            inspect.Parameter(name, kind, default=WorkedOut(), annotation=annotation) for name, annotation in beside
        ]
        function.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        return function

    return decorate


def plain(annotation: Any) -> Any:
    """A type without the checks that pydantic runs on its values."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return plain(inside[0])
    if origin in (Union, types.UnionType):
        made = plain(inside[0])
        for one in inside[1:]:
            made = made | plain(one)
        return made
    return list[plain(inside[0])] if origin is list else annotation  # type: ignore[misc]


def default_of(field: FieldInfo) -> Any:
    """A setting's default."""
    return WorkedOut() if field.default_factory not in (None, list) else field.get_default(call_default_factory=True)


def source() -> str:
    """The text of ``parameters.py``: a TypedDict per group, and one of all of them."""
    lines = [
        '"""The settings as keyword arguments, for type checkers; made by signature.py beside this file."""',
        "",
        "from __future__ import annotations",
        "",
        "from decimal import Decimal",
        "from pathlib import Path",
        "from typing import Literal, TypedDict",
    ]
    for group in GROUPS:
        lines += ["", "", f"class {_name(group)}(TypedDict, total=False):", f'    """{group.__doc__}"""', ""]
        lines += [f"    {one.name}: {_written(one.annotation)}" for one in _parameters(group)]
    for name, groups, what in (
        ("Parameters", GROUPS, "All settings that are not secret."),
        ("ServiceParameters", OF_A_SERVICE, "The settings of what is measured."),
    ):
        lines += ["", "", f"class {name}("]
        lines += [f"    {_name(group)}," for group in groups]
        lines += ["    total=False,", "):", f'    """{what}"""']
    return "\n".join(lines) + "\n"


def _parameters(group: type[BaseModel]) -> Iterator[inspect.Parameter]:
    for name, field in group.model_fields.items():
        if name not in SECRETS:
            kind = inspect.Parameter.KEYWORD_ONLY
            yield inspect.Parameter(name, kind, default=default_of(field), annotation=plain(field.annotation))


def _name(group: type[BaseModel]) -> str:
    return group.__name__.replace("Settings", "Parameters")


def _written(annotation: Any) -> str:
    """A type as written in the source, with the other types that are accepted for it."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "Literal[" + ", ".join(f'"{one}"' if isinstance(one, str) else repr(one) for one in inside) + "]"
    if origin in (Union, types.UnionType):
        return " | ".join(_written(one) for one in inside)
    if origin is list:
        return f"list[{_written(inside[0])}]"
    return "None" if annotation is type(None) else _TAKEN.get(annotation, annotation.__name__)


if __name__ == "__main__":
    _FILE.write_text(source(), encoding="utf-8")
