"""Recreates a backend from what another process stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.errors import ReadError
from workbench.profilers.backends.protocol import Backend


def backend_from_json(facts: Mapping[str, Any]) -> Backend:
    """The backend whose ``to_json`` gave ``facts``. Raises ReadError for an unknown kind."""
    if facts["kind"] == "local":
        from workbench.profilers.backends.local import LocalBackend

        return LocalBackend.from_json(facts)
    if facts["kind"] == "compose":
        from workbench.profilers.backends.compose import ComposeBackend

        return ComposeBackend.from_json(facts)
    raise ReadError(f"there is no backend {facts['kind']!r}", where="session")
