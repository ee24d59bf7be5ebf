"""Command line options made from the settings model, and settings made from the options that were given."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from workbench.settings import SECRETS, Settings


def add_settings(
    parser: argparse.ArgumentParser, group: type[BaseModel], title: str, *, leave_out: Iterable[str] = ()
) -> None:
    """An option for each field of a settings group. Absent options stay out of the namespace."""
    section = parser.add_argument_group(title)
    for name, field in group.model_fields.items():
        if name in SECRETS or name in leave_out:
            continue
        flags = [option_of(name)]
        if name == "num_receipts":
            flags.insert(0, "-n")
        help_text = f"{field.description} {_default(field)}".replace("%", "%%")
        if field.annotation is bool:
            section.add_argument(
                *flags, dest=name, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help_text
            )
        elif get_origin(field.annotation) is list:
            section.add_argument(
                *flags,
                dest=name,
                action="extend",  # several values, or the option several times
                nargs="+",
                metavar="VALUE",
                default=argparse.SUPPRESS,
                help=help_text,
            )
        else:
            section.add_argument(*flags, dest=name, metavar=_metavar(field), default=argparse.SUPPRESS, help=help_text)


def option_of(name: str) -> str:
    """The option of a setting: ``num_receipts`` is ``--num-receipts``, ``service_command`` ``--service``."""
    return "--" + name.removesuffix("_command").replace("_", "-")


def _metavar(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "{" + ",".join(str(value) for value in get_args(field.annotation)) + "}"
    kinds: dict[Any, str] = {int: "N", float: "X", Path: "PATH"}
    inner = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    return kinds.get(inner[0] if inner else field.annotation, "VALUE")


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    return "" if default is None or default == [] else f"(default: {default})"


def all_but(group: type[BaseModel], *names: str) -> tuple[str, ...]:
    """The fields of a group that are not among ``names``: what :func:`add_settings` is to leave out."""
    return tuple(name for name in group.model_fields if name not in names)


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config`` of the commands that have settings."""
    parser.add_argument("--config", type=Path, metavar="PATH", help="Settings file (default: workbench.toml).")


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as options."""
    return {name: value for name, value in vars(options).items() if name in Settings.model_fields}


def settings_of(options: argparse.Namespace, **defaults: Any) -> Settings:
    """All settings of a command, with errors that name the option. Only options override ``defaults``."""
    values = {**defaults, **given(options)}
    return Settings.resolve(toml=options.config, labels={name: option_of(name) for name in values}, **values)
