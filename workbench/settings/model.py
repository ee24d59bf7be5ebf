"""All settings as one model, and errors that name where a bad value came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.errors import SettingsError
from workbench.masking import shown
from workbench.settings.groups import (
    ENV_PREFIX,
    TOML_FILE,
    CommandSettings,
    EngineSettings,
    LoadSettings,
    NetworkSettings,
    ProfilerSettings,
    SearchSettings,
    StandinSettings,
    SweepSettings,
    TargetSettings,
    ThresholdSettings,
)
from workbench.settings.kinds import without_password

PROFILED_TIMEOUT_S = 60.0
"""Under Valgrind a request takes fifty times as long: the usual limit would end requests that the service still
processes."""


class Settings(
    TargetSettings,
    CommandSettings,
    LoadSettings,
    EngineSettings,
    SweepSettings,
    ThresholdSettings,
    SearchSettings,
    ProfilerSettings,
    NetworkSettings,
    StandinSettings,
):
    """Every setting. ``Settings.resolve(num_receipts=10)`` merges what is given with environment, file and defaults."""

    @classmethod
    def resolve(cls, *, toml: Path | None = None, labels: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Settings from explicit values, ``WORKBENCH_*`` variables, a TOML file and defaults, in that order.

        ``toml`` defaults to the file that ``WORKBENCH_CONFIG`` names, or ``workbench.toml`` in the working directory
        where that exists; ``labels`` are the names of explicit values in error messages (options). Raises
        SettingsError naming the option, variable or key, what was found and what is expected.
        """
        from workbench.settings.sources import collected

        values, sources = collected(Settings, toml, given, labels or {})
        try:
            return cls(**values)
        except ValidationError as error:
            raise settings_error(error, values, sources) from None

    @property
    def request_timeout_s(self) -> float:
        """Time limit of one request: under a profiler at least PROFILED_TIMEOUT_S."""
        return max(self.timeout_s, 0.0 if self.profiler == "none" else PROFILED_TIMEOUT_S)

    def public(self) -> dict[str, Any]:
        """JSON-ready values without secrets: keys become their count, tokens are left out, passwords are ``***``."""
        values = self.model_dump(mode="json", exclude={"signer_keys", "free_query_token"})
        values["signer_keys"] = f"{len(self.signer_keys)} keys, not shown"
        for name in WITH_PASSWORD:
            if values[name] is not None:
                values[name] = without_password(values[name])
        return values

    @classmethod
    def restore(cls, public: Mapping[str, Any], *, toml: Path | None = None, **changes: Any) -> Settings:
        """The settings that :meth:`public` was made of, with ``changes``.

        Keys and passwords are not in it: they come from the environment or the settings file (``toml``, else as in
        :meth:`resolve`). Raises SettingsError if a URL had a password and neither of them gives it.
        """
        stored = {name: value for name, value in public.items() if name != "signer_keys"}
        if not stored.get("payers"):
            stored["signer_keys"] = []  # the stand-in's own payers need none, even if some are set now
        hidden = [name for name in WITH_PASSWORD if stored.get(name) and "***" in stored[name]]
        for name in hidden:
            del stored[name]
        settings = cls.resolve(toml=toml, **{**stored, **changes})
        for name in hidden:
            if getattr(settings, name) is None:
                raise SettingsError(
                    f"the password of {public[name]} is not stored with the run",
                    where=name,
                    hint=f"Give the whole URL in {ENV_PREFIX}{name.upper()} or in {TOML_FILE}",
                )
        return settings


SECRETS = frozenset(("signer_keys", "free_query_token"))
WITH_PASSWORD = frozenset(("database_url", "postgres"))
"""URLs that may hold a password: options, but not parameters of the project's notebooks."""


def settings_error(
    error: ValidationError, values: Mapping[str, Any] | None = None, sources: Mapping[str, str] | None = None
) -> SettingsError:
    """One line from pydantic's error list: where the first bad value came from, what was found, what is expected.

    ``values`` are the values that were tried, ``sources`` where each came from. Secrets are not shown.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    where = (sources or {}).get(name, name or None)
    if first["type"] == "extra_forbidden":
        return SettingsError(f"there is no setting {name!r}", where=where, hint=nearest_hint(name))
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if "found" not in message and name not in SECRETS | WITH_PASSWORD and name in (values or {}):
        message += f", found {shown((values or {})[name])}"
    return SettingsError(message, where=where)


def nearest_hint(name: str) -> str:
    """A hint naming the closest known setting, or where to find the list."""
    from workbench.settings import sources

    return sources.nearest_hint(name, Settings.model_fields)
