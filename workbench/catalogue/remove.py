"""Removes runs from disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.catalogue.listing import BATCH
from workbench.errors import RunFolderError, of_system
from workbench.runs.folder import MANIFEST, RunFolder


def check_removable(path: Path) -> None:
    """Raise RunFolderError unless ``path`` is the folder of a run that no process writes.

    A link is refused, and so is a folder without a manifest, which may hold anything.
    """
    if path.is_symlink():
        raise RunFolderError("is a link, which is not followed", where=str(path), hint="Give the folder itself")
    if (path / BATCH).exists():
        raise RunFolderError(
            "is a batch, not a run", where=str(path), hint="Remove its runs one by one, or the folder by hand"
        )
    if not (path / MANIFEST).is_file():
        raise RunFolderError(
            f"has no {MANIFEST}, so it may not be a run", where=str(path), hint="Look at it and remove it by hand"
        )
    if RunFolder(path).is_locked():
        raise RunFolderError("the run is running", where=str(path), hint="Wait for its end, or stop it")


def remove_run(path: Path) -> int:
    """Remove the folder of a run with everything in it; returns how many bytes its files had.

    Raises RunFolderError as :func:`check_removable` does, and if the folder cannot be removed. The folder is renamed
    first, so that nobody sees it half removed or resumes it meanwhile.
    """
    path = Path(os.path.abspath(path))
    check_removable(path)
    size = size_of(path)
    with _errors_of(path):
        going = Path(tempfile.mkdtemp(prefix=f".removed-{path.name}-", dir=path.parent))
        path.rename(going / path.name)
        if RunFolder(going / path.name).is_locked():  # another process locked it after the check
            (going / path.name).rename(path)
            going.rmdir()
            raise RunFolderError("the run is running", where=str(path), hint="Wait for its end, or stop it")
        shutil.rmtree(going)
    return size


def size_of(path: Path) -> int:
    """Bytes of the files in a folder; a link counts as the link itself, not its target."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise of_system(RunFolderError, "cannot be removed", error, error.filename or path) from None
