"""Where settings come from: explicit values, the environment, a TOML file; and which of them a bad value came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsError as SourceError

from workbench.errors import SettingsError
from workbench.settings.groups import CONFIG_VARIABLE, ENV_PREFIX, TOML_FILE
from workbench.settings.model import Settings, nearest_hint, settings_error

S = TypeVar("S", bound=Settings)


class _Environment(Settings, BaseSettings):  # type: ignore[misc]
    """Settings as pydantic-settings wants them, to read the environment with."""


def resolve(model: type[S], toml: Path | None, given: Mapping[str, Any], labels: Mapping[str, str]) -> S:
    """See :meth:`workbench.settings.Settings.resolve`."""
    chosen = str(toml or os.environ.get(CONFIG_VARIABLE, ""))
    file = Path(chosen or TOML_FILE)
    sources: dict[str, str] = {}
    values: dict[str, Any] = {}
    if chosen or file.is_file():
        for name, value in _read_toml(file).items():
            values[name], sources[name] = value, f"{file}: {name}"
    for name, value in _read_environment().items():
        values[name], sources[name] = value, ENV_PREFIX + name.upper()
    for name, value in given.items():
        values[name], sources[name] = value, labels.get(name, name)
    try:
        return model(**values)
    except ValidationError as error:
        raise settings_error(error, values, sources) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file: {error.strerror}", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"not valid TOML: {error}", where=str(path)) from None


def _read_environment() -> dict[str, Any]:
    for variable in os.environ:
        name = variable.removeprefix(ENV_PREFIX).lower()
        if variable == CONFIG_VARIABLE:
            continue
        if variable.startswith(ENV_PREFIX) and name not in Settings.model_fields:
            raise SettingsError(
                f"there is no setting {name!r}",
                where=f"environment variable {variable}",
                hint=nearest_hint(name),
            )
    try:
        return EnvSettingsSource(_Environment, env_prefix=ENV_PREFIX)()
    except SourceError as error:
        raise SettingsError(
            f"cannot be parsed: {error}",
            where=f"environment {ENV_PREFIX}*",
            hint='A list is written as ["a", "b"]',
        ) from None
