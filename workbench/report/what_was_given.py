"""Which of a notebook's parameters were given: those left unchanged yield to variables and the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.settings import Settings
from workbench.settings.sources import collected


def given(defaults: Mapping[str, Any] | None = None, /, **parameters: Any) -> dict[str, Any]:
    """``parameters`` of a notebook as settings, without those that are at their defaults and are set elsewhere.

    A parameters cell has a value for everything, so all of them would count as given and override ``WORKBENCH_*``
    variables and the settings file. So a parameter at its default is left out if a variable or the file sets it.
    ``defaults``: the notebook's own defaults where they are not those of the settings. Raises SettingsError if
    variables or the file cannot be read.
    """
    elsewhere, _ = collected(Settings, None, {}, {})
    own = defaults or {}
    return {
        name: value for name, value in parameters.items() if name not in elsewhere or not _is_default(name, value, own)
    }


def _is_default(name: str, value: Any, own: Mapping[str, Any]) -> bool:
    if name in own:
        return bool(value == own[name])
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    # a text stands for an exact number, an empty text for the default
    return value == default or value in (None, "") or str(value) == str(default)
