"""What is said of a file that cannot be written: room helps on a full disk alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from workbench.errors import RunFolderError, of_file
from workbench.runs.atomic import replacing


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        (errno.ENOSPC, "free disk space"),
        (errno.EDQUOT, "free space in your quota"),
        (errno.EROFS, "make its file system writable again"),
        (errno.EACCES, "get access to it"),
        (errno.EPERM, "get access to it"),
        (errno.EIO, "see what is wrong with the disk"),
        (errno.ENOENT, "fix that"),
    ],
)
def test_what_to_do_fits_why_a_file_cannot_be_written(tmp_path: Path, cause: int, remedy: str) -> None:
    path = tmp_path / "steps.parquet"
    error = OSError(cause, os.strerror(cause), str(path))
    with pytest.raises(RunFolderError) as told, replacing(path):
        raise error
    before = "What was measured so far is in the run folder"
    assert str(told.value) == f"{path}: cannot write: {os.strerror(cause)}. {before}; {remedy} and go on with --resume"
    with pytest.raises(RunFolderError) as told, replacing(path, "Name another file, or {remedy}"):
        raise error
    assert told.value.hint == f"Name another file, or {remedy}"
    found = of_file(error)
    assert found is not None
    assert found.hint == f"{remedy[0].upper()}{remedy[1:]}, or give a folder that may be read and written"
    assert list(tmp_path.iterdir()) == []
