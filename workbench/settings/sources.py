"""Where settings come from: explicit values, the environment, a TOML file; and which of them a bad value came from."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsError as SourceError

from workbench import keyring
from workbench.errors import SettingsError
from workbench.settings.groups import CONFIG_VARIABLE, ENV_PREFIX, MEMORY_VARIABLE, TOML_FILE

MAX_FILE_BYTES = 1 << 20
# a list of payers has one bracket
_MOST_BRACKETS = 1_000
# the secrets, and the deployment: 32 bytes that are no secret, stored as Qm...
_MAY_BE_KEYS = frozenset(("signer_keys", "free_query_token", "deployment"))


def collected(
    model: type[BaseModel], toml: Path | None, given: Mapping[str, Any], labels: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of the fields of ``model`` that are set anywhere, not checked yet, and where each came from. See
    :meth:`workbench.settings.Settings.resolve`."""
    chosen = str(toml or os.environ.get(CONFIG_VARIABLE, ""))
    file = Path(chosen or TOML_FILE)
    sources: dict[str, str] = {}
    values: dict[str, Any] = {}
    if chosen or file.exists():
        for name, value in _read_toml(file).items():
            values[name], sources[name] = value, f"{file}: {name}"
    for name, value in _read_environment(model).items():
        values[name], sources[name] = value, ENV_PREFIX + name.upper()
    for name, value in given.items():
        values[name], sources[name] = value, labels.get(name, name)
    for name, value in values.items():
        if name not in _MAY_BE_KEYS:
            keyring.refuse(value, sources[name])
    return values, sources


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """A hint naming the closest known setting, or where to find the list."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else "See `workbench sweep --help` for all of them"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise SettingsError(f"is larger than {MAX_FILE_BYTES:,} bytes: not a settings file", where=str(path))
        return tomllib.loads(text.decode())
    except OSError as error:
        raise SettingsError(f"cannot read the settings file: {error.strerror}", where=str(path)) from None
    except RecursionError:
        raise SettingsError("its values are nested too deeply", where=str(path)) from None
    except ValueError as error:  # of TOML, of UTF-8, and of a number with thousands of digits
        raise SettingsError(f"not valid TOML: {error}", where=str(path)) from None


def _read_environment(model: type[BaseModel]) -> dict[str, Any]:
    keys = keyring.take()
    for variable in os.environ:
        name = variable.removeprefix(ENV_PREFIX).lower()
        if variable in (CONFIG_VARIABLE, MEMORY_VARIABLE):
            continue
        if variable.startswith(ENV_PREFIX) and name not in model.model_fields:
            raise SettingsError(
                f"there is no setting {name!r}",
                where=f"environment variable {variable}",
                hint=nearest_hint(name, model.model_fields),
            )
    try:
        values = _Variables(_with_environment(model), env_prefix=ENV_PREFIX)()
    except (SourceError, RecursionError) as error:
        raise SettingsError(
            f"cannot be parsed: {error}",
            where=f"environment {ENV_PREFIX}*",
            hint='A list is written as ["a", "b"]',
        ) from None
    return values if keys is None else {**values, "signer_keys": _list_of(keys)}


def _list_of(keys: str) -> list[Any]:
    try:
        _require_flat(keys)
        found = json.loads(keys)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise SettingsError(
            "is not a list of keys (value not shown)",
            where=f"environment variable {keyring.KEYS_VARIABLE}",
            hint='Write it as ["<64 hex digits>", "<64 hex digits>"]',
        )
    return found


def _require_flat(text: str) -> None:
    """Raise ValueError for JSON with more lists than any setting has. If a library has raised Python's recursion limit,
    decoding deeply nested JSON would crash the process."""
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise ValueError("nested too deeply")


class _Variables(EnvSettingsSource):
    """Environment variables; a list of thresholds may also be separated by semicolons."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if field_name == "fail_if" and not str(value).lstrip().startswith("["):
            return [part.strip() for part in str(value).split(";") if part.strip()]
        _require_flat(str(value))
        return super().decode_complex_value(field_name, field, value)


@cache
def _with_environment(model: type[BaseModel]) -> type[BaseSettings]:
    """The model in the form in which pydantic-settings reads the environment."""
    return type("_Environment", (model, BaseSettings), {"__module__": __name__})
