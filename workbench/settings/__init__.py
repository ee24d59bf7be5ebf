"""One settings model, filled alike from the command line, the environment, ``workbench.toml`` and notebooks.

Each field has the same name everywhere: ``num_receipts`` is ``--num-receipts``, ``WORKBENCH_NUM_RECEIPTS``, a key of
``workbench.toml`` and a notebook parameter. Explicit values override the environment, which overrides the file, which
overrides the defaults. Keys and tokens are secrets: they come only from environment or file, never from an option or
parameter. A URL that may hold a password is an option, and is stored without it.
"""

from workbench.settings.groups import (
    CONFIG_VARIABLE,
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
    default_runs_dir,
)
from workbench.settings.kinds import to_wei, without_password, without_passwords
from workbench.settings.model import SECRETS, WITH_PASSWORD, Settings, nearest_hint, settings_error

__all__ = [
    "CONFIG_VARIABLE",
    "ENV_PREFIX",
    "SECRETS",
    "TOML_FILE",
    "WITH_PASSWORD",
    "CommandSettings",
    "EngineSettings",
    "LoadSettings",
    "NetworkSettings",
    "ProfilerSettings",
    "SearchSettings",
    "Settings",
    "StandinSettings",
    "SweepSettings",
    "TargetSettings",
    "ThresholdSettings",
    "default_runs_dir",
    "nearest_hint",
    "settings_error",
    "to_wei",
    "without_password",
    "without_passwords",
]
