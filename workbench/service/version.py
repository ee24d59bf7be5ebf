"""The version of the service: what it reports, and which binary was started."""

from __future__ import annotations

import hashlib
import json

from workbench.errors import TargetError
from workbench.service.fetch import get_text
from workbench.service.program import of_command

_DIGITS = 12
_LONGEST = 60


async def told_version(url: str) -> str:
    """The version that the service at ``url`` reports at ``/version``; "" if it reports none."""
    try:
        status, text = await get_text(f"{url}/version", "the indexer-service")
        told = json.loads(text)["version"] if status == 200 else ""
    except (TargetError, ValueError, KeyError, TypeError):
        return ""
    return str(told)[:_LONGEST]


def build_of(command: str | None) -> str:
    """The first digits of the SHA-256 of the program that ``command`` starts, which tell builds of one version apart.

    "" without a command, for a file that cannot be read, and for an interpreter, which is the same for all scripts.
    """
    file = None if command is None else of_command("", command).executable
    if file is None or file.name.startswith(("python", "pypy")):
        return ""
    try:
        with file.open("rb") as binary:
            return hashlib.file_digest(binary, "sha256").hexdigest()[:_DIGITS]
    except OSError:
        return ""
