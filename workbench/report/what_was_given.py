"""Which of a notebook's parameters were given: what was left as it is gives way to variables and the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.settings import Settings
from workbench.settings.sources import collected


def given(defaults: Mapping[str, Any] | None = None, /, **parameters: Any) -> dict[str, Any]:
    """``parameters`` of a notebook as settings, less those that were left as they are and are set elsewhere.

    A parameters cell has a value for everything, so all of them would count as given and win over ``WORKBENCH_*``
    variables and the settings file. One that is at its default says nothing: where a variable or the file sets it,
    that counts. ``defaults``: what the notebook's cell has where that is not the setting's own default. Raises
    SettingsError where variables or the file cannot be read.
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
