"""Checks for the packages of the extra ``real`` before anything is started."""

from __future__ import annotations

import importlib.util

from workbench.errors import ToolError

HINT = "Install it: pip install -e '.[real]' in the workbench's folder"

_MODULES = {
    "psycopg": "psycopg",
    "grpclib": "grpclib",
    "backports-zstd": "backports.zstd",
}


def require_extra() -> None:
    """Raise ToolError naming missing packages that the network needs."""
    missing = [package for package, module in _MODULES.items() if not _is_there(module)]
    if missing:
        raise ToolError(f"the network needs {', '.join(missing)}, not installed here", where="extra real", hint=HINT)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent package is there
        return False
